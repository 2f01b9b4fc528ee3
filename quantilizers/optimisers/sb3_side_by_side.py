"""Environments that step together, as stable-baselines3 wants them: one process drives them all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from quantilizers.envs.actions import environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_vector
from quantilizers.optimisers.sb3_actions import agents_space, lowest_action


class SideBySide(VecEnv):
    """N environments of this library's vectorised form.

    Gymnasium's vectorised environments begin a new episode with the step after its last one, those of the library
    with the last step itself; here it begins by a `reset` of those that have ended. `infos` have what the library's
    `Monitor` tells of an episode, and its proxy and true return.

    A cut is an end. These environments pay at a cut whatever is due, so that nothing is left to be estimated: the
    library is not told `TimeLimit.truncated`, at which it would add the value of going on.

    Args:
        environment: which.
        num_envs: N.
        max_steps: episodes are cut after so many steps.
        **options: the environment's own.

    Raises:
        UserError: they cannot be made.
    """

    def __init__(self, environment: EnvironmentDefinition, num_envs: int, max_steps: int, **options: Any) -> None:
        self._vector = make_vector(environment, num_envs, max_steps=max_steps, **options)
        self._lowest = lowest_action(environment.action_space)
        self._began = time.time()
        self._lengths = np.zeros(num_envs, dtype=np.int64)
        self._paid = np.zeros(num_envs)
        self._chosen: npt.NDArray[Any] | None = None
        super().__init__(num_envs, environment.observation_space, agents_space(environment.action_space))

    def reset(self) -> npt.NDArray[Any]:
        """Begin an episode everywhere; with the seeds that `seed` has set, if it has."""
        observations, _ = self._vector.reset(seed=self._seeds)  # type: ignore[arg-type]
        self._lengths[:], self._paid[:] = 0, 0.0
        self._reset_seeds()
        return np.asarray(observations)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Set the seeds of the next `reset`: those of one seed's environments are no other's."""
        self._seeds = [int(number) >> 1 for number in np.random.SeedSequence(seed).generate_state(self.num_envs)]
        return self._seeds

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Note the actions (N, …) of `step_wait`."""
        vectors = actions.reshape(self.num_envs, -1) + self._lowest
        self._chosen = environment_actions(vectors, self._vector.single_action_space)

    def step_wait(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Step; where an episode ends, the observation is the next one's first.

        Returns:
            Observations (N, …), proxy rewards (N,), who has ended (N,), and the infos.
        """
        observations, rewards, terminated, truncated, about = self._vector.step(self._chosen)
        ended = np.asarray(terminated | truncated)
        self._lengths += 1
        self._paid += rewards
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(ended):
            infos[index]["terminal_observation"] = np.array(observations[index])
            infos[index]["episode"] = {
                "r": float(self._paid[index]),
                "l": int(self._lengths[index]),
                "t": time.time() - self._began,
                "proxy_return": float(about["proxy_return"][index]),
                "true_return": float(about["true_return"][index]),
            }
        if ended.any():
            observations, _ = self._vector.reset(options={"reset_mask": ended})
            self._lengths[ended], self._paid[ended] = 0, 0.0
        return np.asarray(observations), np.asarray(rewards, dtype=np.float32), ended, infos

    def close(self) -> None:
        """Close all environments."""
        self._vector.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, which all have in common, once for each of the environments."""
        return [getattr(self._vector, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: the environments are not to be changed one by one.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"cannot set {attr_name} of environments that step together")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Refuse: they have no methods one by one.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"cannot call {method_name} of environments that step together")

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Return that none is wrapped."""
        return [False for _ in self._get_indices(indices)]
