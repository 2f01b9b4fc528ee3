"""Environments for stable-baselines3: actions that count from 0, and many environments that step together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.wrappers import TransformAction
from stable_baselines3.common.vec_env import VecEnv

from quantilizers.envs.actions import environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_vector
from quantilizers.policies.encoding import rounded


def lowest_action(space: spaces.Space[Any]) -> npt.NDArray[np.int64]:
    """Return the lowest action (A,) of an environment; agents count from 0."""
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return np.ravel(space.start).astype(np.int64)
    return np.zeros(1, dtype=np.int64)


def agents_space(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space of an agent's actions: in one dimension, counting from 0; a `Box` of whole numbers as floats.

    The library's agents choose real numbers in every `Box`; those of whole numbers are rounded (`nearest_whole`).
    """
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.ravel())
    if isinstance(space, spaces.MultiBinary):
        return spaces.MultiBinary(int(np.prod(space.shape)))
    if is_whole(space):
        assert isinstance(space, spaces.Box)
        return spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)
    return space


def is_whole(space: spaces.Space[Any]) -> bool:
    """Return whether a space is a `Box` of whole numbers."""
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.integer)


def nearest_whole(actions: npt.NDArray[Any], space: spaces.Space[Any]) -> npt.NDArray[Any]:
    """Round actions (n, A) to those of a `Box` of whole numbers; return those of other spaces unchanged."""
    if not is_whole(space):
        return actions
    assert isinstance(space, spaces.Box)
    return np.clip(rounded(np.asarray(actions, dtype=np.float64), space), space.low.ravel(), space.high.ravel())


def counting_from_zero(game: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Wrap an environment to take an agent's actions."""
    space = game.action_space
    ours = agents_space(space)
    if ours == space:
        return game
    if is_whole(space):

        def whole(action: Any) -> Any:
            return environment_actions(nearest_whole(np.reshape(action, (1, -1)), space), space)[0]

        return TransformAction(game, whole, ours)
    lowest = lowest_action(space)
    if isinstance(space, spaces.Discrete):
        return TransformAction(game, lambda action: action + lowest[0], ours)
    return TransformAction(game, lambda action: (np.asarray(action) + lowest).reshape(space.shape), ours)


class SideBySide(VecEnv):
    """N copies of an environment as a `VecEnv`, by the vectorised form of this library.

    Gymnasium's vectorised environments start a new episode at the step after the last one, stable-baselines3's at the
    last step itself; here ended episodes are reset at once. `infos` have what the `Monitor` of stable-baselines3
    reports, and the proxy and true return.

    A cut counts as an end. These environments give at a cut all reward that is due, so there is no remaining value to
    estimate: `TimeLimit.truncated`, which makes stable-baselines3 add one, is not set.

    """

    def __init__(self, environment: EnvironmentDefinition, num_envs: int, max_steps: int, **options: Any) -> None:
        self._vector = make_vector(environment, num_envs, max_steps=max_steps, **options)
        self._lowest = lowest_action(environment.action_space)
        self._began = time.time()
        self._lengths = np.zeros(num_envs, dtype=np.int64)
        self._returns = np.zeros(num_envs)
        self._chosen: npt.NDArray[Any] | None = None
        super().__init__(num_envs, environment.observation_space, agents_space(environment.action_space))

    def reset(self) -> npt.NDArray[Any]:
        """Start an episode in every environment, with the seeds of `seed` if it was called."""
        observations, _ = self._vector.reset(seed=self._seeds)  # type: ignore[arg-type]
        self._lengths[:], self._returns[:] = 0, 0.0
        self._reset_seeds()
        return np.asarray(observations)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Set the seeds of the next `reset`; no two seeds share any."""
        self._seeds = [int(number) >> 1 for number in np.random.SeedSequence(seed).generate_state(self.num_envs)]
        return self._seeds

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Store the actions (N, …) for `step_wait`."""
        space = self._vector.single_action_space
        vectors = nearest_whole(actions.reshape(self.num_envs, -1) + self._lowest, space)
        self._chosen = environment_actions(vectors, space)

    def step_wait(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Step; where an episode ends, the observation is the first of the next one.

        Returns:
            Observations (N, …), proxy rewards (N,), which episodes ended (N,), and the infos.
        """
        observations, rewards, terminated, truncated, about = self._vector.step(self._chosen)
        ended = np.asarray(terminated | truncated)
        self._lengths += 1
        self._returns += rewards
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(ended):
            infos[index]["terminal_observation"] = np.array(observations[index])
            infos[index]["episode"] = {
                "r": float(self._returns[index]),
                "l": int(self._lengths[index]),
                "t": time.time() - self._began,
                "proxy_return": float(about["proxy_return"][index]),
                "true_return": float(about["true_return"][index]),
            }
        if ended.any():
            observations, _ = self._vector.reset(options={"reset_mask": ended})
            self._lengths[ended], self._returns[ended] = 0, 0.0
        return np.asarray(observations), np.asarray(rewards, dtype=np.float32), ended, infos

    def close(self) -> None:
        """Close all environments."""
        self._vector.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute that all environments share, once for each of them."""
        return [getattr(self._vector, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Raise `NotImplementedError`: environments cannot be changed one by one."""
        raise NotImplementedError(f"cannot set {attr_name} of environments that step together")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Raise `NotImplementedError`: there are no methods of single environments."""
        raise NotImplementedError(f"cannot call {method_name} of environments that step together")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Return False for each environment: none is wrapped."""
        return [False for _ in self._get_indices(indices)]
