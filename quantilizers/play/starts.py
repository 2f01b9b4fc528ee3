"""Putting a game into the state that an observation shows, for recordings that do not name their seed."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt


def start_from(game: gymnasium.Env[Any, Any], observation: npt.NDArray[Any]) -> bool:
    """Put a game that was just reset into the state that an observation shows, where it shows the whole state.

    Two families of environments are known: Gymnasium's classic control, where the observation is the state, and
    Gymnasium's MuJoCo, where it is the positions, less the first ones (how far along the track the body is), and
    the velocities.

    Args:
        game: the environment.
        observation: of an episode's start.

    Returns:
        Whether it could be done.
    """
    base: Any = game.unwrapped
    numbers = np.asarray(observation, dtype=np.float64)
    if numbers.ndim != 1:
        return False
    if hasattr(base, "mujoco_renderer"):
        model = base.model
        hidden = model.nq + model.nv - len(numbers)
        if not 0 <= hidden <= 2:
            return False
        positions = np.concatenate([base.init_qpos[:hidden], numbers[: model.nq - hidden]])
        base.set_state(positions, numbers[model.nq - hidden :])
        return True
    if hasattr(base, "state") and np.shape(base.state) == numbers.shape:
        base.state = numbers
        return True
    return False
