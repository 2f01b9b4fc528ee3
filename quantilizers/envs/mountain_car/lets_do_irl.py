"""People's play of Mountain Car from the repository reinforcement-learning-kr/lets-do-irl.

`mountaincar/maxent/expert_demo/expert_demo.npy` holds 20 episodes of 130 steps that one person played with the
arrow keys, (20, 130, 3): position and velocity after the action, and the action. (MIT licence, © 2021
Reinforcement Learning KR.) Episodes go on after the flag; here they end at it, as the environment does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes
from quantilizers.envs.mountain_car.environment import ACTIONS, GOAL_POSITION, START_HIGH, START_LOW, advance
from quantilizers.errors import UserError

URL = (
    "https://raw.githubusercontent.com/reinforcement-learning-kr/lets-do-irl/master/"
    "mountaincar/maxent/expert_demo/expert_demo.npy"
)
TRUE_REWARD = -1.0
#: Recorded states are single-precision roundings of the simulator's: 6e-8 at these magnitudes, and the error of
#: the step before it on top.
TOLERANCE = 1e-6


def to_episodes(recording: npt.NDArray[Any]) -> Episodes:
    """Make episodes of a recording.

    The state before the first action is not in it. A car starts at rest, so its first velocity is what the
    first step added to 0, and the start lies that far behind the first position. Every step, the
    reconstructed one too, is checked against the dynamics.

    Args:
        recording: (N, T, 3), position and velocity after each action, and the action.

    Returns:
        The episodes up to the flag, in double precision; one that never reaches it stays whole.

    Raises:
        UserError: it is no such recording, or its states do not follow from its actions.
    """
    if recording.ndim != 3 or recording.shape[2] != 3 or 0 in recording.shape:
        raise UserError(f"the recording has shape {recording.shape}, not (episodes, steps, 3)")
    if recording.dtype.kind not in "iuf" or not np.isfinite(recording).all():
        raise UserError("the recording holds something else than finite numbers")
    recording = recording.astype(np.float64)
    after, actions = recording[..., :2], recording[..., 2]
    if not np.isin(actions, range(ACTIONS.n)).all():
        raise UserError("the recording holds actions that Mountain Car does not have")
    start = np.stack([after[:, 0, 0] - after[:, 0, 1], np.zeros(len(after))], axis=-1)
    before = np.concatenate([start[:, np.newaxis], after[:, :-1]], axis=1)

    finished = (after[..., 0] >= GOAL_POSITION) & (after[..., 1] >= 0)
    lengths = np.where(finished.any(axis=1), finished.argmax(axis=1) + 1, finished.shape[1])
    done = np.arange(lengths.max()) >= lengths[:, np.newaxis]
    before, after, actions = (array[:, : lengths.max()] for array in (before, after, actions))
    _check_dynamics(before[~done], actions[~done], after[~done], start)
    return Episodes(
        observations=np.where(done[..., np.newaxis], 0.0, before),
        actions=np.where(done, 0.0, actions)[..., np.newaxis],
        true_rewards=np.where(done, 0.0, TRUE_REWARD),
        done=done,
        extras={FINAL_OBSERVATION: after[np.arange(len(after)), lengths - 1]},
    )


def _check_dynamics(
    before: npt.NDArray[np.float64],
    actions: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
) -> None:
    """Refuse a recording that Mountain Car cannot have made."""
    with np.errstate(all="ignore"):
        expected = np.stack(advance(before[:, 0], before[:, 1], actions), axis=-1)
        error = np.abs(expected - after).max()
    if not error <= TOLERANCE:  # also where the numbers are so large that there is none
        raise UserError(f"the recording's states do not follow from its actions: they are off by up to {error:.1e}")
    if start[:, 0].min() < START_LOW - TOLERANCE or start[:, 0].max() > START_HIGH + TOLERANCE:
        raise UserError("the recording's episodes do not begin where Mountain Car's do")
