"""Putting a game into the state that an observation shows, for recordings that do not name their seed."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition


def start_from(
    environment: EnvironmentDefinition, game: gymnasium.Env[Any, Any], observation: npt.NDArray[Any]
) -> bool:
    """Put a game that was just reset into the state that an observation shows, where it shows the whole state.

    A definition may say how. Where it does not, what can be told is Gymnasium's classic control, where an attribute
    `state` has the shape of an observation and is what is observed.

    Args:
        environment: whose game it is.
        game: one that was just reset.
        observation: of an episode's start.

    Returns:
        Whether it could be done.
    """
    numbers = np.asarray(observation)
    if numbers.ndim != 1:
        return False
    if environment.recordings.start_from is not None:
        return environment.recordings.start_from(game, numbers)
    base: Any = game.unwrapped
    state: Any = getattr(base, "state", None)
    if np.shape(state) != numbers.shape:
        return False
    base.state = numbers.astype(np.float64)
    return True
