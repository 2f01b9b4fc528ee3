"""Episodes that run side by side in one vectorised environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from quantilizers.rewards import BoolArray, FloatArray


class RunningEpisodes:
    """One episode in each of N environments: whether it runs on, and what it has been paid.

    Environments whose episode has ended are told to rest, where the vectorised environment has a `retire` for it; the
    others of Gymnasium start a new episode, of which nothing is noted.

    Args:
        vector: N environments that were just reset.
        max_steps: T, after which each of its episodes has ended.
        running: (N,) the environments whose episode is wanted; None is all.

    Attributes:
        running: (N,) whose episode has not ended.
        proxy_rewards: (N, T), zero after an episode's end.
        true_rewards: (N, T), likewise.
        lengths: (N,) steps so far.
    """

    def __init__(
        self, vector: gymnasium.vector.VectorEnv[Any, Any, Any], max_steps: int, running: BoolArray | None = None
    ) -> None:
        number = vector.num_envs
        self._retire: Callable[[BoolArray], None] | None = getattr(vector.unwrapped, "retire", None)
        self._step = 0
        self.running = np.ones(number, dtype=np.bool_) if running is None else running.copy()
        self.proxy_rewards: FloatArray = np.zeros((number, max_steps))
        self.true_rewards: FloatArray = np.zeros((number, max_steps))
        self.lengths = np.zeros(number, dtype=np.int64)
        self._rest(~self.running)

    def record(self, proxy: FloatArray, terminated: BoolArray, truncated: BoolArray, info: Mapping[str, Any]) -> None:
        """Note a step, from what the vectorised environment returned of it."""
        self.proxy_rewards[:, self._step] = np.where(self.running, proxy, 0.0)
        self.true_rewards[:, self._step] = np.where(self.running, info["true_reward"], 0.0)
        self.lengths += self.running
        self._step += 1
        ended = self.running & (terminated | truncated)
        self.running &= ~ended
        # Nobody steps again after the last one.
        if self.running.any():
            self._rest(ended)

    def _rest(self, environments: BoolArray) -> None:
        if self._retire is not None and environments.any():
            self._retire(environments)
