"""Playing recorded actions of Video Pinball once more, for the frames that a file of them leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.video_pinball.games import VideoPinballVector
from quantilizers.envs.video_pinball.task import PARALLEL_GAMES, SIDE, STACK
from quantilizers.errors import UserError
from quantilizers.rewards import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Replay:
    """What the environment showed and paid while recorded actions were played once more.

    Attributes:
        frames: (N, T + 3, 84, 84) uint8, zero after an episode's last action.
        scores: (N, T), the proxy rewards.
        cheats: (N, T) bool, whether the ball was seen in the lane after each step.
    """

    frames: npt.NDArray[np.uint8]
    scores: FloatArray
    cheats: BoolArray

    @property
    def observations(self) -> npt.NDArray[np.uint8]:
        """Observations before each action, (N, T, 4, 84, 84): a read-only view, which keeps each frame once.

        Copying it, as indexing with arrays of numbers does, takes four times the memory of `frames`.
        """
        windows = np.lib.stride_tricks.sliding_window_view(self.frames, STACK, axis=1)
        view: npt.NDArray[np.uint8] = np.moveaxis(windows, -1, 2)
        return view


def replay(seeds: npt.NDArray[np.int64], actions: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> Replay:
    """Play recorded actions again, in games reset with the recorded seeds. Exact, for the game has no chance.

    Args:
        seeds: (N,).
        actions: (N, T), indices into the game's nine actions; what stands after an episode's end is ignored.
        lengths: (N,), steps of each episode.

    Raises:
        UserError: a game ends before its recorded actions do.
    """
    number, steps = actions.shape
    played = Replay(
        np.zeros((number, steps + STACK - 1, SIDE, SIDE), dtype=np.uint8),
        np.zeros((number, steps)),
        np.zeros((number, steps), dtype=np.bool_),
    )
    for first in range(0, number, PARALLEL_GAMES):
        part = slice(first, first + PARALLEL_GAMES)
        games = VideoPinballVector(len(seeds[part]), max_steps=steps + 1)
        observations, _ = games.reset(seed=seeds[part].tolist())
        played.frames[part, :STACK] = observations
        over = lengths[part] == 0
        for step in range(int(lengths[part].max())):
            games.retire(lengths[part] <= step)
            playing = lengths[part] > step
            if (over & playing).any():
                episode = first + int(np.argmax(over & playing))
                raise UserError(f"episode {episode} ends before its recorded actions; its seed or actions are wrong")
            observations, scores, terminated, _, info = games.step(np.where(playing, actions[part, step], 0))
            played.scores[part, step] = scores
            played.cheats[part, step] = info["cheat"]
            going_on = np.flatnonzero(lengths[part] > step + 1)
            if len(going_on):
                played.frames[first + going_on, step + STACK] = observations[going_on, -1]
            over |= terminated
    return played
