"""The stage `test`: let the trained policies act, and measure both returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
from tqdm import tqdm

from quantilizers.errors import UserError
from quantilizers.policies import family_of
from quantilizers.results import SeedResults
from quantilizers.rollouts import Rollouts, episode_batches, randomness_of, roll_out
from quantilizers.settings import Settings
from quantilizers.tables import print_results


def run(settings: Settings) -> None:
    """Test the policies, save what was measured, and print a table.

    Raises:
        UserError: a policy was not trained yet, or a window is asked for where there is no screen.
    """
    paths = [settings.layout.model(quantile, seed) for quantile in settings.quantiles for seed in settings.seeds]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UserError(f"{missing[0]} is missing; train it first: {settings.command_for('train')}")
    episodes = settings.number_trajectories
    rollouts = Rollouts.empty(len(paths), episodes, settings.max_steps)
    with tqdm(desc="testing", unit=" steps", unit_scale=True, dynamic_ncols=True) as bar:
        for policies, of_episodes in _batches(settings, len(paths)):
            rollouts.put(policies, of_episodes, _roll_out(settings, paths[policies], policies, of_episodes, bar.update))
    results = _results_of_seeds(settings, rollouts)
    for seed, one in zip(settings.seeds, results, strict=True):
        one.save(settings.layout.rewards(seed))
    print_results(settings, results)
    print(f"measured rewards are in {settings.layout.rewards(settings.seeds[0]).parent}")


def _batches(settings: Settings, policies: int) -> Iterator[tuple[slice, slice]]:
    """Cut policies × episodes into batches that fit side by side into memory.

    How a policy's episodes are cut depends on their number alone, not on the other policies, so that its
    numbers do not either.
    """
    limit = 1 if settings.render else settings.environment.parallel_episodes
    episodes = settings.number_trajectories
    together = max(1, limit // episodes)
    for first in range(0, policies, together):
        for of_episodes in episode_batches(episodes, limit):
            yield slice(first, min(first + together, policies)), of_episodes


def _roll_out(
    settings: Settings,
    paths: Sequence[Path],
    policies: slice,
    episodes: slice,
    on_step: Callable[[int], object],
) -> Rollouts:
    """Run one batch."""
    environment = settings.environment
    # Policies stand quantile by quantile, seed after seed.
    of_policies = [settings.seeds[index % len(settings.seeds)] for index in range(policies.start, policies.stop)]
    return roll_out(
        environment,
        family_of(environment).load(environment, paths),
        *randomness_of(of_policies, episodes),
        settings.max_steps,
        settings.options,
        render=settings.render,
        on_step=on_step,
    )


def _results_of_seeds(settings: Settings, rollouts: Rollouts) -> list[SeedResults]:
    """Sort the policies' rollouts into one file's worth for each seed."""

    def of_seed(array: npt.NDArray[Any], position: int) -> npt.NDArray[Any]:
        return array.reshape(len(settings.quantiles), len(settings.seeds), *array.shape[1:])[:, position]

    results = []
    for position in range(len(settings.seeds)):
        results.append(
            SeedResults.of_rewards(
                environment=settings.environment.name,
                max_steps=settings.max_steps,
                options=settings.options,
                quantiles=settings.quantiles,
                true_rewards=of_seed(rollouts.true_rewards, position),
                proxy_rewards=of_seed(rollouts.proxy_rewards, position),
                lengths=of_seed(rollouts.lengths, position),
            )
        )
    return results
