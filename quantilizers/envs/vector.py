"""The base class of vectorised environments with two rewards: seeds, horizon, rewards, autoreset, retirement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from quantilizers.envs.actions import in_form_of
from quantilizers.envs.two_rewards import RewardName, reset_seed
from quantilizers.errors import guarded
from quantilizers.rewards import BoolArray, FloatArray, Meter, Reward, Steps, own

IndexArray = npt.NDArray[np.intp]


class TwoRewardVectorEnv(VectorEnv[Any, Any, Any]):
    """Many copies of one environment that step together, each with a random generator.

    Behaves like a `gymnasium.vector.SyncVectorEnv` of `quantilizers.envs.two_rewards.TwoRewards`: a sub-environment
    whose episode has ended is reset by the next step, which ignores its action and returns a reward of 0
    (`AutoresetMode.NEXT_STEP`). The info has `proxy_reward` and `true_reward`, and their sums over the episode so far,
    `proxy_return` and `true_return`, (num_envs,) float64 each; zeros after a reset.

    A subclass holds the states and implements `_start`, `_advance` and `_observe`.

    Args:
        num_envs: the number of sub-environments.
        max_steps: steps after which an episode is truncated.
        observation_space: the space of one sub-environment.
        action_space: the space of one sub-environment.
        proxy: the observed reward.
        true: the wanted reward.
        reward: the reward that `step` returns.

    Raises:
        ValueError: a count is below 1, or `reward` is neither `proxy` nor `true`.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    #: The names of the further quantities that `_advance` returns.
    step_info: tuple[str, ...] = ()

    def __init__(
        self,
        num_envs: int,
        max_steps: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        *,
        proxy: Reward = own,
        true: Reward = own,
        reward: RewardName = "proxy",
    ) -> None:
        super().__init__()
        if num_envs < 1 or max_steps < 1:
            raise ValueError(f"num_envs ({num_envs}) and max_steps ({max_steps}) must be at least 1")
        if reward not in ("proxy", "true"):
            raise ValueError(f"reward is {reward!r}, neither 'proxy' nor 'true'")
        self.num_envs = num_envs
        self.max_steps = max_steps
        self.render_mode = None
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.steps = np.zeros(num_envs, dtype=np.int64)
        self._reward = reward
        self._meters = {"proxy": Meter(proxy, num_envs), "true": Meter(true, num_envs)}
        self._returns = {kind: np.zeros(num_envs) for kind in self._meters}
        self._generators: list[np.random.Generator] = []
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._retired = np.zeros(num_envs, dtype=np.bool_)

    @abstractmethod
    def _start(self, indices: IndexArray) -> None:
        """Put sub-environments into new starting states, each drawn from its `self._generators[index]`."""

    @abstractmethod
    def _advance(self, actions: Any, active: BoolArray) -> tuple[FloatArray, BoolArray, dict[str, npt.NDArray[Any]]]:
        """Step the active sub-environments with their actions (num_envs, …) and leave the others unchanged.

        Returns:
            The environments' own rewards, whether their episodes terminated, and further quantities of the step by
            name, (num_envs,) each; the values of inactive sub-environments are ignored.
        """

    @abstractmethod
    def _observe(self) -> Any:
        """Return the observations (num_envs, …) as a new array."""

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: None keeps the generators (the first reset draws new ones); a number s seeds sub-environment i with
                s + i; a sequence gives each its seed.
            options: `reset_mask`, (num_envs,) bool, selects the sub-environments to reset, as in Gymnasium's own
                vectorised environments; there are no other options.

        Raises:
            ValueError: the number of seeds or the mask does not fit the number of sub-environments.
        """
        seeds: Sequence[int | None]
        if seed is None:
            seeds = [None] * self.num_envs
        elif np.ndim(seed) == 0:  # type: ignore[arg-type]
            first = reset_seed(seed)
            seeds = [first + index for index in range(self.num_envs)]
        else:
            seeds = [None if one is None else reset_seed(one) for one in seed]  # type: ignore[union-attr]
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} sub-environments")
        fresh = not self._generators
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, dtype=np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or (fresh and not mask.all()):
            raise ValueError(f"reset_mask is a bool for each of {self.num_envs} sub-environments that were started")
        generators = []
        for index, number in enumerate(seeds):
            keep = not fresh and (number is None or not mask[index])
            generators.append(self._generators[index] if keep else seeding.np_random(number)[0])
        self._generators = generators
        self._ended[mask] = False
        self._retired[mask] = False
        self._begin(np.flatnonzero(mask))
        info: dict[str, Any] = {}
        for name in (*self.step_info, *(f"{kind}_{sums}" for sums in ("reward", "return") for kind in self._meters)):
            info |= {name: np.zeros(self.num_envs), f"_{name}": mask.copy()}
        return self._call("_observe"), info

    def retire(self, finished: BoolArray) -> None:
        """Stop stepping the given sub-environments, (num_envs,) bool, until the next `reset`.

        Their states freeze and their rewards are 0. This saves work if one episode of each is needed.
        """
        self._retired |= finished

    def step(self, actions: Any) -> tuple[Any, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Step every sub-environment that is neither retired nor due for a reset.

        Raises:
            ValueError: the actions are not one for each, or none of the space's.
        """
        if not self._generators:
            raise gymnasium.error.ResetNeeded("call reset before step")
        self._check_actions(actions)
        resetting = self._ended & ~self._retired
        active = ~(self._ended | self._retired)
        if resetting.any():
            self._begin(np.flatnonzero(resetting))
        self.steps += active
        own_rewards, terminated, about = self._call("_advance", actions, active)
        observations = self._call("_observe")
        terminated = terminated & active
        truncated = (self.steps >= self.max_steps) & active
        last = terminated | truncated
        steps = Steps(observations, in_form_of(actions, self.num_envs, self.single_action_space), about)
        rewards = {kind: meter.pay(own_rewards, steps, last, active) for kind, meter in self._meters.items()}
        info: dict[str, Any] = {}
        present = active | resetting
        for kind, values in rewards.items():
            self._returns[kind] += values
        for name, values in (
            *about.items(),
            *((f"{kind}_reward", values) for kind, values in rewards.items()),
            *((f"{kind}_return", np.where(present, returns, 0.0)) for kind, returns in self._returns.items()),
        ):
            info |= {name: values, f"_{name}": present.copy()}
        self._ended = last | (self._ended & self._retired)
        return observations, rewards[self._reward], terminated, truncated, info

    def _check_actions(self, actions: Any) -> None:
        """Refuse actions that the space does not have, which would be rounded or broadcast."""
        given, space = np.asarray(actions), self.single_action_space
        if given.shape != (self.num_envs, *(space.shape or ())):
            raise ValueError(f"actions of shape {given.shape} are not one for each of {self.num_envs} environments")
        if isinstance(space, Discrete) and given.size:
            low, high = int(space.start), int(space.start + space.n)
            wrong = (given < low) | (given >= high) | (given != np.floor(given))
            if wrong.any():
                raise ValueError(f"actions hold {given[wrong].flat[0]}, which is not in {space}")

    def _begin(self, indices: IndexArray) -> None:
        self.steps[indices] = 0
        for kind, meter in self._meters.items():
            meter.restart(indices)
            self._returns[kind][indices] = 0.0
        self._call("_start", indices)

    def _call(self, method: str, *values: Any) -> Any:
        """Call a subclass's method; a `UserError` names one of a user's class that fails."""
        if type(self).__module__.startswith("quantilizers."):
            return getattr(self, method)(*values)
        with guarded(f"{method} of {type(self).__name__}, at step {int(self.steps.max(initial=0))},"):
            return getattr(self, method)(*values)
