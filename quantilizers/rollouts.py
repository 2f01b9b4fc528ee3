"""Episodes of trained policies, all of them in one vectorised environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.policies import Policies
from quantilizers.running_episodes import RunningEpisodes


@dataclass(frozen=True, eq=False)
class Rollouts:
    """E episodes of each of P policies, at most T steps long.

    Attributes:
        true_rewards: (P, E, T), zero after an episode's end.
        proxy_rewards: (P, E, T), likewise.
        lengths: (P, E), steps of each episode.
    """

    true_rewards: npt.NDArray[np.float64]
    proxy_rewards: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, policies: int, episodes: int, steps: int) -> Rollouts:
        """Return rollouts to be filled by `put`."""
        rewards = (policies, episodes, steps)
        return cls(np.zeros(rewards), np.zeros(rewards), np.zeros((policies, episodes), dtype=np.int64))

    def put(self, policies: slice, episodes: slice, part: Rollouts) -> None:
        """Write the rollouts of some policies and episodes into their places."""
        steps = part.true_rewards.shape[2]
        self.true_rewards[policies, episodes, :steps] = part.true_rewards
        self.proxy_rewards[policies, episodes, :steps] = part.proxy_rewards
        self.lengths[policies, episodes] = part.lengths


def episode_seeds(seed: int, episodes: slice) -> list[int]:
    """Return the reset seeds of some test episodes of a policy: they depend on its seed and nothing else.

    Policies of the same seed and different quantiles start alike, which makes their difference less noisy.
    """
    return [
        int(np.random.SeedSequence([seed, episode]).generate_state(1)[0] >> 1)
        for episode in range(episodes.start, episodes.stop)
    ]


def episode_batches(episodes: int, limit: int) -> list[slice]:
    """Cut a policy's test episodes into those that run side by side, at most `limit` of them.

    What a policy draws depends on where they are cut, so it depends on nothing but these two numbers.
    """
    return [slice(start, min(start + limit, episodes)) for start in range(0, episodes, limit)]


def randomness_of(
    policy_seeds: Sequence[int], episodes: slice
) -> tuple[npt.NDArray[np.int64], list[np.random.Generator]]:
    """Return what `roll_out` takes for test episodes, which are the same for everybody of the same seed.

    Args:
        policy_seeds: P of them.
        episodes: E of them, one of `episode_batches`.

    Returns:
        Reset seeds (P, E), and P generators for what policies draw.
    """
    seeds = np.array([episode_seeds(seed, episodes) for seed in policy_seeds])
    return seeds, [np.random.default_rng([seed, episodes.start]) for seed in policy_seeds]


def roll_out(
    environment: EnvironmentDefinition,
    policies: Policies,
    seeds: npt.NDArray[np.int64],
    generators: Sequence[np.random.Generator],
    max_steps: int,
    options: Mapping[str, float],
    render: bool = False,
    on_step: Callable[[int], object] | None = None,
) -> Rollouts:
    """Run one episode for each policy and seed, all side by side.

    Args:
        environment: where.
        policies: P of them.
        seeds: (P, E) reset seeds.
        generators: P of them, for policies that sample their actions.
        max_steps: episodes are cut after so many steps.
        options: further constructor arguments of the environment.
        render: show the episode in a window; for P = E = 1.
        on_step: called after each step with the number of episodes that took it.

    Returns:
        What the environment paid.
    """
    number = seeds.size
    made: dict[str, Any] = {"max_steps": max_steps, **options}
    if render:
        # The window gets a process of its own: TensorFlow and Mesa's OpenGL crash where they share one.
        alone = {"context": "spawn", "shared_memory": False}
        made |= {"render_mode": "human", "vectorization_mode": "async", "vector_kwargs": alone}
    vector = gymnasium.make_vec(environment.gymnasium_id, num_envs=number, **made)
    try:
        observations, _ = vector.reset(seed=seeds.ravel().tolist())  # type: ignore[arg-type]
        episodes = RunningEpisodes(vector, max_steps)
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
    return Rollouts(
        episodes.true_rewards[:, :steps].reshape(shape),
        episodes.proxy_rewards[:, :steps].reshape(shape),
        episodes.lengths.reshape(seeds.shape),
    )


def environment_action(action: npt.NDArray[Any], space: gymnasium.Space[Any]) -> Any:
    """Turn one action (A,), as files keep it, into an environment's: a number for a discrete space, else (A,)."""
    return environment_actions(action[None], space)[0]


def environment_actions(actions: npt.NDArray[Any], space: gymnasium.Space[Any]) -> npt.NDArray[Any]:
    """Turn actions (P, E, A) into a vectorised environment's: (P·E,) for a discrete space, else (P·E, A)."""
    flat = actions.reshape(-1, actions.shape[-1])
    return flat[:, 0].astype(np.int64) if isinstance(space, spaces.Discrete) else flat.astype(space.dtype)
