"""Many games of Video Pinball side by side. Observations and rewards: `quantilizers.envs.video_pinball.environment`."""

from __future__ import annotations

import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.vector import IndexArray, TwoRewardVectorEnv
from quantilizers.envs.video_pinball.console import ACTIONS
from quantilizers.envs.video_pinball.emulators import give_back, take_emulators
from quantilizers.envs.video_pinball.rollover_lane import RolloverLane
from quantilizers.envs.video_pinball.task import ACTIONS as ACTION_SPACE
from quantilizers.envs.video_pinball.task import MAX_STEPS, OBSERVATIONS, SIDE, STACK
from quantilizers.processors import available_cores
from quantilizers.rewards import BoolArray, FloatArray

NO_OP_STEPS = 30
#: Which games of an emulator start, its only one, and their seeds: an emulator with a new seed would be made anew.
_KEEP_SEED = np.array([0]), np.array([-1])


class VideoPinballVector(TwoRewardVectorEnv):
    """Many games on `ale_py.AtariVectorEnv`, each with a thread of its own.

    Each game is an `AtariVectorEnv` of one. That costs a few per cent against one of many, and lets each game
    begin with its own number of no-ops, be cut after its own last step, and rest when it is retired. Emulators go on
    to the next object when this one is closed or forgotten.

    Args:
        num_envs: how many.
        max_steps: an episode is truncated after so many steps.
        **rewards: `proxy`, `true` and `reward`, as `TwoRewardVectorEnv` takes them; both are the score by default.

    Raises:
        UserError: the pictures of the lane cannot be read.
    """

    def __init__(self, num_envs: int = 1, max_steps: int = MAX_STEPS, **rewards: Any) -> None:
        super().__init__(num_envs, max_steps, OBSERVATIONS, ACTION_SPACE, **rewards)
        self.cheats = np.zeros(num_envs, dtype=np.int64)
        self.no_op_steps = np.zeros(num_envs, dtype=np.int64)
        self._lane = RolloverLane.load()
        self._games = take_emulators(num_envs)
        self._giving_back = weakref.finalize(self, give_back, self._games, os.getpid())
        self._giving_back.atexit = False
        self._observations = np.zeros((num_envs, STACK, SIDE, SIDE), dtype=np.uint8)

    def _start(self, indices: IndexArray) -> None:
        self.cheats[indices] = 0
        self.no_op_steps[indices] = [draw_no_op_steps(self._generators[index]) for index in indices]
        for index, observation in zip(indices, self._new_games(indices), strict=True):
            self._observations[index] = observation
        for no_op in range(int(self.no_op_steps[indices].max())):
            waiting = indices[self.no_op_steps[indices] > no_op]
            self._play(waiting, np.zeros(len(waiting), dtype=np.int64))

    def _new_games(self, indices: IndexArray) -> list[npt.NDArray[np.uint8]]:
        """Start some games, as many at the same time as there are processors; return what each shows."""

        def start(index: int) -> npt.NDArray[np.uint8]:
            observation: npt.NDArray[np.uint8] = self._games[index].reset(*_KEEP_SEED)[0][0]
            return observation

        with ThreadPoolExecutor(available_cores()) as pool:
            return list(pool.map(start, indices))

    def _play(self, indices: IndexArray, actions: npt.NDArray[np.int64]) -> tuple[FloatArray, BoolArray]:
        """Step some games, all at the same time; return what each scored and whether it is over."""
        scores, over = np.zeros(len(indices)), np.zeros(len(indices), dtype=np.bool_)
        games = [self._games[index] for index in indices]
        try:
            for game, action in zip(games, actions.tolist(), strict=True):
                game.send([action], [1.0])
            for place, game in enumerate(games):
                observation, score, terminated, _, _ = game.recv()
                self._observations[indices[place]] = observation[0]
                scores[place], over[place] = score[0], terminated[0]
        except BaseException:
            # Others would take what was not received for the answer to their own first step.
            self._giving_back.detach()
            raise
        return scores, over

    def _advance(self, actions: Any, active: BoolArray) -> tuple[FloatArray, BoolArray, dict[str, npt.NDArray[Any]]]:
        actions = np.asarray(actions, dtype=np.int64)
        if actions.shape != (self.num_envs,) or not ((actions >= 0) & (actions < len(ACTIONS))).all():
            raise ValueError(f"{self.num_envs} actions from 0 to {len(ACTIONS) - 1} are needed, one for each game")
        scores, over = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.bool_)
        indices = np.flatnonzero(active)
        scores[indices], over[indices] = self._play(indices, actions[indices])
        cheating = self._lane(self._observations[:, -1]) & active
        self.cheats += cheating
        return scores, over, {"cheat": cheating, "cheat_rate": self.cheat_rates}

    def _observe(self) -> npt.NDArray[np.uint8]:
        return self._observations.copy()

    def close_extras(self, **kwargs: Any) -> None:
        """Give the emulators back."""
        self._giving_back()

    @property
    def cheat_rates(self) -> FloatArray:
        """Fraction of each episode's frames so far that have the ball in the lane, (num_envs,)."""
        rates: FloatArray = self.cheats / np.maximum(self.steps, 1)
        return rates


def draw_no_op_steps(generator: np.random.Generator) -> int:
    """Draw for how many steps an episode does nothing before it begins."""
    return int(generator.integers(NO_OP_STEPS))
