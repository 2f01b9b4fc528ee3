"""Actions as stable-baselines3 knows them: in one dimension, counting from 0."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.wrappers import TransformAction


def lowest_action(space: spaces.Space[Any]) -> npt.NDArray[np.int64]:
    """Return the numbers (A,) that an environment's actions count from, where agents count from 0."""
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return np.ravel(space.start).astype(np.int64)
    return np.zeros(1, dtype=np.int64)


def agents_space(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space that agents act in, for an environment's."""
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.ravel())
    if isinstance(space, spaces.MultiBinary):
        return spaces.MultiBinary(int(np.prod(space.shape)))
    return space


def counting_from_zero(game: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Return an environment that takes agents' actions."""
    space = game.action_space
    ours = agents_space(space)
    if ours == space:
        return game
    lowest = lowest_action(space)
    if isinstance(space, spaces.Discrete):
        return TransformAction(game, lambda action: action + lowest[0], ours)
    return TransformAction(game, lambda action: (np.asarray(action) + lowest).reshape(space.shape), ours)
