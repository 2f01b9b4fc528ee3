"""Measuring policies: episodes of each quantile and seed, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, randomness_of, roll_out
from quantilizers.policies.policy import Policies


class NotFiniteError(UserError):
    """The environment paid some policies NaN or infinity.

    Attributes:
        results: of each seed, what was measured of its other policies; None where there are none.
    """

    def __init__(self, message: str, results: Sequence[SeedResults | None]) -> None:
        super().__init__(message)
        self.results = results


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
        NotFiniteError: the environment paid some policies NaN or infinity; the others were measured.
        UserError: the environment cannot be made, or fails.
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

    paid = np.stack([rollouts.true_rewards, rollouts.proxy_rewards])
    finite = np.isfinite(paid).all(axis=(0, 2, 3)).reshape(len(quantiles), len(seeds))
    results = [
        _results_of_seed(
            environment, rollouts, quantiles, len(seeds), position, max_steps, options, finite[:, position]
        )
        for position in range(len(seeds))
    ]
    if finite.all():
        return [of_seed for of_seed in results if of_seed is not None]
    raise NotFiniteError(_told(environment, policies, paid), results)


def _results_of_seed(
    environment: EnvironmentDefinition,
    rollouts: Rollouts,
    quantiles: Sequence[float],
    seeds: int,
    position: int,
    max_steps: int,
    options: Mapping[str, Any],
    chosen: npt.NDArray[np.bool_],
) -> SeedResults | None:
    """Return the results of one seed's policies that were chosen, (Q,); None where none is."""
    if not chosen.any():
        return None

    def of_seed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        by_quantile: npt.NDArray[Any] = array.reshape(len(quantiles), seeds, *array.shape[1:])[chosen, position]
        return by_quantile

    return SeedResults.of_rewards(
        environment=environment.name,
        max_steps=max_steps,
        options=options,
        quantiles=[quantile for quantile, is_chosen in zip(quantiles, chosen, strict=True) if is_chosen],
        true_rewards=of_seed(rollouts.true_rewards),
        proxy_rewards=of_seed(rollouts.proxy_rewards),
        lengths=of_seed(rollouts.lengths),
    )


def _told(
    environment: EnvironmentDefinition, policies: Sequence[tuple[float, int]], paid: npt.NDArray[np.float64]
) -> str:
    """Say which policies were paid what is no number, and where that began: paid is (2, P, E, T), true and proxy."""
    said = []
    for (quantile, seed), of_policy in zip(policies, np.moveaxis(paid, 1, 0), strict=True):
        places = np.argwhere(~np.isfinite(of_policy))
        if len(places):
            kind, episode, step = places[0]
            reward = "proxy reward" if kind else "true reward"
            value = of_policy[kind, episode, step]
            said.append(
                f"q = {quantile:g} seed {seed} ({reward} {value:g} at step {step + 1} of episode {episode + 1})"
            )
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    return f"{environment.name} paid NaN or infinity to {', '.join(said[:3])}{more}"
