"""Measuring policies: episodes of each quantile and seed, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, randomness_of, roll_out
from quantilizers.policies.policy import Policies

#: Gives the policies of several (quantile, seed), side by side in that order.
Stack = Callable[[Sequence[tuple[float, int]]], Policies]


def measure_policies(
    environment: EnvironmentDefinition,
    stack: Stack,
    quantiles: Sequence[float],
    seeds: Sequence[int],
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
    *,
    render: bool = False,
    on_step: Callable[[int], object] | None = None,
) -> list[SeedResults]:
    """Let one policy for each quantile and seed act, and measure both returns of its episodes.

    Args:
        environment: where.
        stack: gives the policies; it is asked for a batch of them at a time.
        quantiles: Q of them.
        seeds: of the policies, of which each starts its episodes by its own seed.
        episodes: E, of each policy.
        max_steps: episodes are cut after so many steps.
        options: the environment's own.
        render: show the episodes in a window, one at a time.
        on_step: called after each step with the number of episodes that took it.

    Returns:
        The results of each seed.

    Raises:
        UserError: the environment cannot be made.
    """
    policies = [(quantile, seed) for quantile in quantiles for seed in seeds]
    rollouts = Rollouts.empty(len(policies), episodes, max_steps)
    limit = 1 if render else environment.parallel_episodes
    # How a policy's episodes are cut depends on their number alone, not on the other policies, so that what it
    # earns does not either.
    together = max(1, limit // episodes)
    for first in range(0, len(policies), together):
        batch = policies[first : first + together]
        stacked = stack(batch)
        for of_episodes in episode_batches(episodes, limit):
            randomness = randomness_of([seed for _, seed in batch], of_episodes)
            part = roll_out(environment, stacked, *randomness, max_steps, options, render, on_step)
            rollouts.put(slice(first, first + len(batch)), of_episodes, part)

    def of_seed(array: npt.NDArray[Any], position: int) -> npt.NDArray[Any]:
        return array.reshape(len(quantiles), len(seeds), *array.shape[1:])[:, position]

    return [
        SeedResults.of_rewards(
            environment=environment.name,
            max_steps=max_steps,
            options=options,
            quantiles=quantiles,
            true_rewards=of_seed(rollouts.true_rewards, position),
            proxy_rewards=of_seed(rollouts.proxy_rewards, position),
            lengths=of_seed(rollouts.lengths, position),
        )
        for position in range(len(seeds))
    ]
