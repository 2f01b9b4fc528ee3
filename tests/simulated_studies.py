"""Simulated studies, of which the true averages are known, to test how often intervals contain them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quantilizers.evaluation.intervals import Interval
from quantilizers.rewards import FloatArray

EPISODES = 100


def normal_study(generator: np.random.Generator, seeds: int, share: float, episodes: int = EPISODES) -> FloatArray:
    """Returns (seeds, episodes) of mean 0 and variance 1, a share of it between seeds, all normal."""
    of_seeds = np.sqrt(share) * generator.normal(size=(seeds, 1))
    return of_seeds + np.sqrt(1 - share) * generator.normal(size=(seeds, episodes))


def car_study(generator: np.random.Generator, seeds: int, share: float, episodes: int = EPISODES) -> FloatArray:
    """Returns as Mountain Car's: those that would be below −200 are −200, about an eighth of them.

    The shares are those before the cut.
    """
    return np.maximum(-200.0, -165.0 + 30.0 * normal_study(generator, seeds, share, episodes))


def skewed_study(generator: np.random.Generator, seeds: int, share: float, episodes: int = EPISODES) -> FloatArray:
    """Returns of mean 0 and variance 1, a share of it between seeds, all exponential."""
    of_seeds = np.sqrt(share) * (generator.exponential(size=(seeds, 1)) - 1)
    return of_seeds + np.sqrt(1 - share) * (generator.exponential(size=(seeds, episodes)) - 1)


Study = Callable[[np.random.Generator, int, float], FloatArray]


def true_averages(study: Study, share: float) -> tuple[float, float]:
    """The mean, and the median over seeds of the mean of 100 episodes, of a kind of study."""
    generator = np.random.default_rng(1000)
    means = np.concatenate([study(generator, 20_000, share).mean(axis=1) for _ in range(10)])
    return float(means.mean()), float(np.median(means))


def coverage(
    interval: Callable[[FloatArray], Interval], study: Study, truth: float, seeds: int, share: float, studies: int
) -> float:
    """Return the share of simulated studies whose interval contains the true value."""
    generator = np.random.default_rng([seeds, round(100 * share)])
    held = 0
    for _ in range(studies):
        found = interval(study(generator, seeds, share))
        held += found.low <= truth <= found.high
    return held / studies
