"""What the vectorised forms of the environments share: seeds, horizon, autoreset, retirement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]


class TwoRewardVectorEnv(VectorEnv[Any, Any, Any]):
    """Many copies of one environment that step together, each with its own random numbers.

    Behaves as `gymnasium.vector.SyncVectorEnv` of the scalar environments does: sub-environment i draws its
    starts from its own generator, and one whose episode has ended is reset by the next step, which ignores its
    action and pays nothing (`AutoresetMode.NEXT_STEP`). `step` returns proxy rewards; `info["true_reward"]` has
    the true ones, (num_envs,) float64.

    A subclass keeps the states and implements `_start` and `_advance`.

    Args:
        num_envs: how many.
        max_steps: an episode is truncated after so many steps.
        observation_space: of one sub-environment.
        action_space: of one sub-environment.

    Raises:
        ValueError: a count is below 1.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        max_steps: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
    ) -> None:
        super().__init__()
        if num_envs < 1 or max_steps < 1:
            raise ValueError(f"num_envs ({num_envs}) and max_steps ({max_steps}) must be at least 1")
        self.num_envs = num_envs
        self.max_steps = max_steps
        self.render_mode = None
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.steps = np.zeros(num_envs, dtype=np.int64)
        self._generators: list[np.random.Generator] = []
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._retired = np.zeros(num_envs, dtype=np.bool_)

    @abstractmethod
    def _start(self, indices: IndexArray) -> None:
        """Put the sub-environments `indices` at the start of an episode, drawing from `self._generators`."""

    @abstractmethod
    def _advance(self, actions: Any, active: BoolArray) -> tuple[Any, BoolArray]:
        """Step the sub-environments marked in `active` (num_envs,); leave the others' states as they are.

        Returns:
            The environments' own rewards (num_envs,) and who terminated (num_envs,); what stands at inactive
            places is ignored. `self.steps` already counts this step.
        """

    @abstractmethod
    def _observe(self) -> Any:
        """Return the observations (num_envs, …) as an array of the caller's own."""

    @abstractmethod
    def _rewards(self, own: Any, observations: Any, last: BoolArray) -> tuple[Any, Any]:
        """Return proxy and true rewards (num_envs,) from the environments' own rewards and new observations.

        Args:
            own: what `_advance` returned.
            observations: after the step.
            last: whose episode this step ended.
        """

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all sub-environments anew.

        Args:
            seed: None keeps the generators going (or draws fresh ones the first time); a number s seeds
                sub-environment i with s + i; a sequence gives each its own.
            options: none are known.

        Raises:
            ValueError: as many seeds as sub-environments are needed.
        """
        seeds: Sequence[int | None]
        if seed is None:
            seeds = [None] * self.num_envs
        elif isinstance(seed, (int, np.integer)):
            seeds = [int(seed) + index for index in range(self.num_envs)]
        else:
            seeds = seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} sub-environments")
        fresh = not self._generators
        generators = []
        for index, one in enumerate(seeds):
            keep = one is None and not fresh
            generators.append(self._generators[index] if keep else seeding.np_random(one)[0])
        self._generators = generators
        self.steps[:] = 0
        self._ended[:] = False
        self._retired[:] = False
        self._start(np.arange(self.num_envs))
        return self._observe(), {}

    def retire(self, finished: BoolArray) -> None:
        """Stop stepping sub-environments until the next `reset`: their states freeze, their rewards are 0.

        A caller that needs one episode of each saves the work of the ones that ended early.

        Args:
            finished: (num_envs,) bool, who is not needed any more.
        """
        self._retired |= finished

    def step(self, actions: Any) -> tuple[Any, Any, BoolArray, BoolArray, dict[str, Any]]:
        """Step every sub-environment that is neither retired nor due for its reset.

        Args:
            actions: (num_envs, …), one an environment.

        Returns:
            Observations (num_envs, …), proxy rewards (num_envs,), terminated, truncated (num_envs,) and
            `{"true_reward": (num_envs,)}`.
        """
        if not self._generators:
            raise gymnasium.error.ResetNeeded("call reset before step")
        resetting = self._ended & ~self._retired
        active = ~(self._ended | self._retired)
        if resetting.any():
            self.steps[resetting] = 0
            self._start(np.flatnonzero(resetting))
        self.steps += active
        own, terminated = self._advance(actions, active)
        observations = self._observe()
        terminated = terminated & active
        truncated = (self.steps >= self.max_steps) & active
        last = terminated | truncated
        proxy, true = self._rewards(own, observations, last)
        self._ended = last | (self._ended & self._retired)
        info = {"true_reward": np.where(active, true, 0.0), "_true_reward": active.copy()}
        return observations, np.where(active, proxy, 0.0), terminated, truncated, info
