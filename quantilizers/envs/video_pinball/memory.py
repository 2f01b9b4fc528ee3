"""Games of Video Pinball observed by the console's memory: many side by side, one, and replays of recordings.

The 128 bytes are those of `ale_py`'s `getRAM` after each step. The observation needs no picture. The cheat rate is that
of the game observed by pictures: the detector looks at the same frame, which is drawn only if the memory says that the
ball is near the lane.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from quantilizers.envs.vector import IndexArray
from quantilizers.envs.video_pinball.emulator import (
    BALL_COLUMN,
    BALL_LINE,
    FRAME_SKIP,
    MAX_STEPS,
    MEMORY,
    MEMORY_BYTES,
    PinballConsole,
    give_back_consoles,
    take_consoles,
)
from quantilizers.envs.video_pinball.games import PinballVector, VideoPinball, observed_frame, play_again
from quantilizers.envs.video_pinball.rollover_lane import RolloverLane
from quantilizers.processors import available_cores
from quantilizers.rewards import BoolArray, FloatArray

#: Where the ball may be, in the bytes of its position, when the detector sees it in the lane. In the games of the
#: shipped recording it is then in columns 104 to 116 and lines 53 to 91 in both frames of the observation.
NEAR_COLUMNS, NEAR_LINES = (96, 128), (42, 104)


class MemoryGame:
    """One game on a console, and whether the ball is in the lane as an observer of pictures sees it.

    An observed frame is the brighter of the last two of a step. The frame in which a game ends is not drawn: the
    picture of the step before then stays in its place, as in `ale_py.AtariVectorEnv`.
    """

    def __init__(self, console: PinballConsole, lane: RolloverLane) -> None:
        self._console, self._lane = console, lane
        self._pictures: list[npt.NDArray[np.uint8] | None] = [None, None]
        self._frame = 0
        self._memory = np.zeros(MEMORY_BYTES, dtype=np.uint8)

    def start(self, no_op_steps: int) -> None:
        """Start a game and do nothing for some steps."""
        self._pictures = [None, None]
        self._console.start(no_op_steps)

    def step(self, action: int) -> tuple[int, bool, bool]:
        """Hold an action for a step; return the score, whether the game is over, whether the ball is in the lane."""
        self._frame = 0
        score = self._console.step(action, see=self._look)
        earlier, later = self._pictures
        cheating = False
        if earlier is not None and later is not None:
            cheating = bool(self._lane(observed_frame((earlier, later)))[0])
        return score, self._console.over, cheating

    def read_memory(self, into: npt.NDArray[np.uint8]) -> None:
        """Write the memory into an array (128,)."""
        self._console.read_memory(into)

    def _look(self, console: PinballConsole) -> None:
        """Keep the pictures of a step's last two frames: both if the ball is near the lane in the first of them."""
        self._frame += 1
        place = self._frame - (FRAME_SKIP - 1)
        if place < 0 or console.over:
            return
        if place == 0:
            console.read_memory(self._memory)
            column, line = int(self._memory[BALL_COLUMN]), int(self._memory[BALL_LINE])
            near = NEAR_COLUMNS[0] <= column <= NEAR_COLUMNS[1] and NEAR_LINES[0] <= line <= NEAR_LINES[1]
        else:
            near = self._pictures[0] is not None
        self._pictures[place] = console.grey_picture() if near else None


class VideoPinballMemoryVector(PinballVector):
    """Many games, observed by the memory of their consoles, on a thread for each processor.

    When the object is closed or garbage, the next one uses its consoles. The arguments are those of
    `TwoRewardVectorEnv`; both rewards are the score by default.
    """

    def __init__(self, num_envs: int = 1, max_steps: int = MAX_STEPS, **rewards: Any) -> None:
        super().__init__(num_envs, max_steps, MEMORY, **rewards)
        lane = RolloverLane.load()
        consoles = take_consoles(num_envs)
        self._games = [MemoryGame(console, lane) for console in consoles]
        self._giving_back = weakref.finalize(self, give_back_consoles, consoles)
        self._giving_back.atexit = False
        self._memory = np.zeros((num_envs, MEMORY_BYTES), dtype=np.uint8)
        self._in_lane = np.zeros(num_envs, dtype=np.bool_)
        threads = min(available_cores(), num_envs)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._threads = threads

    def _restart(self, indices: IndexArray) -> None:
        def start(part: IndexArray) -> None:
            for index in part:
                self._games[index].start(int(self.no_op_steps[index]))
                self._games[index].read_memory(self._memory[index])

        self._share(start, indices)

    def _play(self, indices: IndexArray, actions: npt.NDArray[np.int64]) -> tuple[FloatArray, BoolArray]:
        scores, over = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.bool_)
        chosen = np.zeros(self.num_envs, dtype=np.int64)
        chosen[indices] = actions

        def play(part: IndexArray) -> None:
            for index in part:
                game = self._games[index]
                scores[index], over[index], self._in_lane[index] = game.step(int(chosen[index]))
                game.read_memory(self._memory[index])

        self._share(play, indices)
        return scores[indices], over[indices]

    def _share(self, work: Callable[[IndexArray], None], indices: IndexArray) -> None:
        """Share the work on some games among the threads; the emulator works outside of Python's lock."""
        try:
            if self._pool is None or len(indices) < 2:
                work(indices)
            else:
                list(self._pool.map(work, np.array_split(indices, min(self._threads, len(indices)))))
        except BaseException:
            # A thread may still play on a console, which then must not have another user.
            self._giving_back.detach()
            raise

    def _cheating(self) -> BoolArray:
        return self._in_lane

    def _observe(self) -> npt.NDArray[np.uint8]:
        return self._memory.copy()

    def close_extras(self, **kwargs: Any) -> None:
        """Give the consoles back."""
        if self._pool is not None:
            self._pool.shutdown()
        self._giving_back()


class VideoPinballMemory(VideoPinball):
    """One game rewarded by the score and observed by the console's memory, with pictures in colour to show."""

    vector: ClassVar[Callable[..., PinballVector]] = VideoPinballMemoryVector


@dataclass(frozen=True, eq=False)
class MemoryReplay:
    """Memory and rewards of recorded actions that were played again.

    Attributes:
        observations: the memory before each action, (N, T, 128) uint8, zero after an episode's last action.
        scores: (N, T), the proxy rewards.
        cheats: (N, T) bool, whether the ball was seen in the lane after each step.
    """

    observations: npt.NDArray[np.uint8]
    scores: FloatArray
    cheats: BoolArray


def replay(seeds: npt.NDArray[np.int64], actions: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> MemoryReplay:
    """Play recorded actions again, as `quantilizers.envs.video_pinball.games.replay` does, and read the memory."""
    memory = np.zeros((*actions.shape, MEMORY_BYTES), dtype=np.uint8)

    def see(episodes: IndexArray, step: int, observations: npt.NDArray[np.uint8]) -> None:
        memory[episodes, step] = observations

    return MemoryReplay(memory, *play_again(VideoPinballMemoryVector, seeds, actions, lengths, see))
