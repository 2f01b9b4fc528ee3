"""Downloads of people's play of the environments that ship, and its conversion to episodes.

The repository reinforcement-learning-kr/lets-do-irl has play of Mountain Car: its
`mountaincar/maxent/expert_demo/expert_demo.npy` holds 20 episodes of 130 steps that one person played with the
arrow keys, (20, 130, 3): position and velocity after the action, and the action. (MIT licence, © 2021
Reinforcement Learning KR.) Its episodes continue after the flag; here they end at it, as the environment's do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes
from quantilizers.envs.mountain_car import ACTIONS, GOAL_POSITION, START_HIGH, START_LOW, advance
from quantilizers.errors import UserError
from quantilizers.rewards import FloatArray

TRUE_REWARD = -1.0
#: Recorded states are single-precision roundings of the simulator's: 6e-8 at these magnitudes, plus the error of
#: the step before.
TOLERANCE = 1e-6


def to_episodes(recording: npt.NDArray[Any]) -> Episodes:
    """Convert a recording of lets-do-irl to episodes.

    The recording lacks the state before the first action. A car starts at rest and a step moves it by its new
    velocity, so the start lies one first velocity behind the first position. All steps, including the reconstructed
    ones, are checked against the dynamics.

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
        raise UserError("the recording holds values that are not finite numbers")
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


def _check_dynamics(before: FloatArray, actions: FloatArray, after: FloatArray, start: FloatArray) -> None:
    """Refuse a recording that Mountain Car cannot have produced."""
    with np.errstate(all="ignore"):
        expected = np.stack(advance(before[:, 0], before[:, 1], actions), axis=-1)
        error = np.abs(expected - after).max()
    if not error <= TOLERANCE:  # also if huge numbers make it NaN
        raise UserError(f"the recording's states do not follow from its actions: they are off by up to {error:.1e}")
    if start[:, 0].min() < START_LOW - TOLERANCE or start[:, 0].max() > START_HIGH + TOLERANCE:
        raise UserError("the recording's episodes do not begin where Mountain Car's do")


@dataclass(frozen=True)
class Source:
    """One download: an array with one known environment and format, or a zip of npz files, which need neither.

    The hash is that of the file, if its address names a commit; the paper's zip is made for each download.
    """

    url: str
    about: str
    sha256: str | None = None
    environment: str | None = None
    to_episodes: Callable[[npt.NDArray[Any]], Episodes] | None = None


#: Downloads by name, which is also the data set's if there is a `to_episodes`. The paper's address is that of the
#: reference implementation.
SOURCES = {
    "paper": Source(
        url="https://www.dropbox.com/sh/5p2f46s23eum86s/AADhtxW5WM2P1b2w82rn7xyla?dl=1",
        about="the human data of Carey (2019), Hopper and Mountain Car",
    ),
    "lets-do-irl": Source(
        url="https://raw.githubusercontent.com/reinforcement-learning-kr/lets-do-irl/"
        "2ce7496dddf95e9e9f418817150108bd66d65407/mountaincar/maxent/expert_demo/expert_demo.npy",
        about="20 episodes of Mountain Car that one person played (MIT licence, © 2021 Reinforcement Learning KR)",
        sha256="16f424ed4670b3ddb0bcb53619c6494d34f635c0b8b56175762a1c1222f23fd4",
        environment="MountainCar-v0",
        to_episodes=to_episodes,
    ),
}
