"""Measuring policies: episodes of each quantile and seed, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.evaluation.concurrently import each_done
from quantilizers.evaluation.paid import Paid
from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.rollouts import episode_batches, randomness_of, roll_out
from quantilizers.policies.policy import Policies
from quantilizers.processors import available_cores

#: Where batches of policies are tested at the same time: so many for each processor, for some end before others, and so
#: many episodes in each at least, for a step of few takes as long in Python as one of many.
_BATCHES, _EPISODES = 8, 100


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
    on_batch: Callable[[Mapping[int, SeedResults]], object] | None = None,
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
        on_batch: called whenever some policies have been measured, with their results by seed.

    Returns:
        The results of each seed.

    Raises:
        NotFiniteError: the environment paid some policies NaN or infinity; the others were measured.
        UserError: the environment cannot be made, or fails.
    """
    policies = [(quantile, seed) for quantile in quantiles for seed in seeds]
    paid = Paid(len(policies), episodes, max_steps)
    limit = 1 if render else environment.parallel_episodes
    cores = available_cores() if environment.threaded and not render else 1
    # How a policy's episodes are cut depends on their number alone, not on the other policies, so that what it
    # earns does not either.
    together = max(1, limit // episodes)
    if cores > 1:
        fair, enough = -(-len(policies) // (_BATCHES * cores)), -(-_EPISODES // episodes)
        together = min(together, max(fair, enough), -(-len(policies) // cores))
    batches = [range(first, min(first + together, len(policies))) for first in range(0, len(policies), together)]
    workers = min(cores, len(batches))
    # One batch alone has all processors.
    share = {"threads": cores // workers} if workers > 1 else {}

    def results_of(among: range) -> dict[int, SeedResults]:
        """Return the results of some policies by their seeds, without those that were paid NaN or infinity."""
        by_seed: dict[int, list[int]] = {}
        for index in among:
            if paid.is_finite(index):
                by_seed.setdefault(policies[index][1], []).append(index)
        return {
            seed: SeedResults.of_paid(
                environment=environment.name,
                max_steps=max_steps,
                options=options,
                quantiles=[policies[index][0] for index in indices],
                rewards=paid.rewards[:, places],
                returns=paid.returns[:, places],
                lengths=paid.lengths[places],
            )
            for seed, indices in by_seed.items()
            for places in [_without_copy(indices)]
        }

    def measure(batch: range, on_step: Callable[[int], object] | None) -> None:
        of_batch = policies[batch.start : batch.stop]
        stacked = stack(of_batch)
        for of_episodes in episode_batches(episodes, limit):
            randomness = randomness_of([seed for _, seed in of_batch], of_episodes)
            part = roll_out(environment, stacked, *randomness, max_steps, {**options, **share}, render, on_step)
            paid.put(slice(batch.start, batch.stop), of_episodes, part)

    for batch in each_done(measure, batches, workers, on_step):
        if on_batch is not None:
            on_batch(results_of(batch))
    results = results_of(range(len(policies)))
    told = paid.told()
    if told:
        said = [f"q = {policies[index][0]:g} seed {policies[index][1]} ({where})" for index, where in told.items()]
        more = f" and {len(said) - 3} more" if len(said) > 3 else ""
        message = f"{environment.name} paid NaN or infinity to {', '.join(said[:3])}{more}"
        raise NotFiniteError(message, [results.get(seed) for seed in seeds])
    return [results[seed] for seed in seeds]


def _without_copy(indices: list[int]) -> list[int] | slice:
    """Return evenly spaced indices as a slice, which NumPy takes without a copy; others as they are."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    even = slice(indices[0], indices[-1] + 1, step)
    return even if [*range(even.start, even.stop, step)] == indices else indices
