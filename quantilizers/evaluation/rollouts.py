"""Rollouts: episodes of policies side by side in one vectorised environment, and the rewards of each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from quantilizers.envs.actions import environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_vector
from quantilizers.policies.policy import Policies
from quantilizers.rewards import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Rollouts:
    """E episodes of each of P policies, at most T steps long.

    Attributes:
        true_rewards: (P, E, T), zero after an episode's end.
        proxy_rewards: (P, E, T), likewise.
        lengths: (P, E), steps of each episode.
    """

    true_rewards: FloatArray
    proxy_rewards: FloatArray
    lengths: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, policies: int, episodes: int, steps: int) -> Rollouts:
        """Return zeros, for `put` to fill."""
        rewards = (policies, episodes, steps)
        return cls(np.zeros(rewards), np.zeros(rewards), np.zeros((policies, episodes), dtype=np.int64))

    def put(self, policies: slice, episodes: slice, part: Rollouts) -> None:
        """Write the rollouts of some policies and episodes into their places."""
        steps = part.true_rewards.shape[2]
        self.true_rewards[policies, episodes, :steps] = part.true_rewards
        self.proxy_rewards[policies, episodes, :steps] = part.proxy_rewards
        self.lengths[policies, episodes] = part.lengths


def episode_seeds(seed: int, episodes: slice) -> list[int]:
    """Return the reset seeds of some test episodes of a policy, which depend on its seed only.

    Policies of the same seed and different quantiles start alike, which makes their difference less noisy.
    """
    return [
        int(np.random.SeedSequence([seed, episode]).generate_state(1)[0] >> 1)
        for episode in range(episodes.start, episodes.stop)
    ]


def episode_batches(episodes: int, limit: int) -> list[slice]:
    """Divide a policy's test episodes into batches of at most `limit`, which run side by side.

    A policy's random draws depend on this division, so it must depend on these two numbers only.
    """
    return [slice(start, min(start + limit, episodes)) for start in range(0, episodes, limit)]


def randomness_of(
    policy_seeds: Sequence[int], episodes: slice
) -> tuple[npt.NDArray[np.int64], list[np.random.Generator]]:
    """Return reset seeds (P, E) of test episodes and P generators of the policies' draws, as `roll_out` takes them.

    Args:
        policy_seeds: P of them.
        episodes: E of them, one of `episode_batches`.
    """
    seeds = np.array([episode_seeds(seed, episodes) for seed in policy_seeds])
    return seeds, [np.random.default_rng([seed, episodes.start]) for seed in policy_seeds]


def roll_out(
    environment: EnvironmentDefinition,
    policies: Policies,
    seeds: npt.NDArray[np.int64],
    generators: Sequence[np.random.Generator],
    max_steps: int,
    options: Mapping[str, Any],
    on_step: Callable[[int], object] | None = None,
) -> Rollouts:
    """Run one episode for each policy and seed, all side by side.

    Args:
        environment: where.
        policies: P of them.
        seeds: (P, E) reset seeds.
        generators: P of them, for policies that sample their actions.
        max_steps: episodes are cut after this number of steps.
        options: of the environment.
        on_step: called after each step with the number of episodes that took it.

    Raises:
        UserError: the environment cannot be made.
    """
    vector = make_vector(environment, seeds.size, max_steps=max_steps, **options)
    try:
        observations, _ = vector.reset(seed=seeds.ravel().tolist())  # type: ignore[arg-type]
        episodes = RunningEpisodes(vector, max_steps)
        policies.begin(seeds.shape[1])
        while episodes.running.any():
            seen = observations.reshape(*seeds.shape, *observations.shape[1:])
            actions = policies.act(seen, generators, episodes.running.reshape(seeds.shape))
            observations, *outcome = vector.step(environment_actions(actions, vector.single_action_space))
            stepped = int(episodes.running.sum())
            episodes.record(*outcome)
            if on_step is not None:
                on_step(stepped)
    finally:
        vector.close()
    steps = int(episodes.lengths.max())
    shape = (*seeds.shape, steps)
    true, proxy = episodes.true_rewards[:, :steps], episodes.proxy_rewards[:, :steps]
    return Rollouts(true.reshape(shape), proxy.reshape(shape), episodes.lengths.reshape(seeds.shape))


class RunningEpisodes:
    """One episode in each of N environments: whether it still runs, and its rewards so far.

    Environments whose episode has ended rest if the vectorised environment has a `retire`; those of Gymnasium start
    a new episode, which is ignored.

    Args:
        vector: N environments that were just reset.
        max_steps: T, after which each episode has ended.
        running: (N,) the environments whose episode counts; None is all.

    Attributes:
        running: (N,) whether the episode still runs.
        proxy_rewards: (N, T), zero after an episode's end.
        true_rewards: (N, T), likewise.
        lengths: (N,) steps so far.
    """

    def __init__(self, vector: VectorEnv[Any, Any, Any], max_steps: int, running: BoolArray | None = None) -> None:
        number = vector.num_envs
        self._retire: Callable[[BoolArray], None] | None = getattr(vector.unwrapped, "retire", None)
        self._step = 0
        self.running = np.ones(number, dtype=np.bool_) if running is None else running.copy()
        self.proxy_rewards: FloatArray = np.zeros((number, max_steps))
        self.true_rewards: FloatArray = np.zeros((number, max_steps))
        self.lengths = np.zeros(number, dtype=np.int64)
        self._rest(~self.running)

    def record(self, proxy: FloatArray, terminated: BoolArray, truncated: BoolArray, info: Mapping[str, Any]) -> None:
        """Record a step, as the vectorised environment returned it."""
        self.proxy_rewards[:, self._step] = np.where(self.running, proxy, 0.0)
        self.true_rewards[:, self._step] = np.where(self.running, info["true_reward"], 0.0)
        self.lengths += self.running
        self._step += 1
        ended = self.running & (terminated | truncated)
        self.running &= ~ended
        # There is no further step when all have ended.
        if self.running.any():
            self._rest(ended)

    def _rest(self, environments: BoolArray) -> None:
        if self._retire is not None and environments.any():
            self._retire(environments)
