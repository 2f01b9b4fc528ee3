"""Whether episodes can be of an environment."""

from __future__ import annotations

import numpy as np

from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS, Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError


class WrongEnvironmentError(UserError):
    """Episodes have observations or actions that the environment does not have."""


def check_environment(episodes: Episodes, environment: EnvironmentDefinition) -> None:
    """Refuse episodes whose observations or actions the environment does not have.

    Raises:
        WrongEnvironmentError: they are of another environment.
    """
    shape = episodes.observations.shape[2:]
    may_replay = environment.recordings.replay_observations is not None and shape == WITHOUT_OBSERVATIONS
    if shape != environment.observation_shape and not may_replay:
        raise WrongEnvironmentError(
            f"obs has observations of shape {shape} where {environment.name} has {environment.observation_shape}; "
            "is it another environment's?"
        )
    components = episodes.actions.shape[2]
    if components != environment.action_components:
        raise WrongEnvironmentError(
            f"acs has {components} components where {environment.name} has {environment.action_components}"
        )
    real = ~episodes.done
    for component, classes in enumerate(environment.action_classes or ()):
        values = episodes.actions[..., component][real]
        # A file in single precision holds 0.1 as the nearest number it has.
        known = np.asarray(classes, dtype=values.dtype if values.dtype.kind == "f" else np.float64)
        strange = values[~np.isin(values, known)]
        if len(strange):
            raise WrongEnvironmentError(f"acs holds the action {strange[0]:g}, which {environment.name} does not have")
