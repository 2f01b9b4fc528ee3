"""Reading saved policies without trusting them."""

from __future__ import annotations

import warnings
from pathlib import Path

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.policies.tensorflow import keras


def load_weights_of(model: keras.Model, path: Path, environment: EnvironmentDefinition) -> None:
    """Read the weights of a Keras file into a model of the same architecture.

    Only weights are read: nothing in the file can name code to run.

    Raises:
        UserError: the file is no such model.
    """
    try:
        with warnings.catch_warnings():
            # Keras only warns of weights that it does not find, and leaves random ones.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except Exception as error:  # Keras raises whatever its readers do
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path} is no policy for {environment.name} ({reason}); train it again with --do train"
        ) from None
