"""What the top demonstrations teach more than as many random ones do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.comparisons import Difference, probability_interval, t_difference, wins
from quantilizers.evaluation.intervals import Interval, seed_means, student
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray

#: With fewer degrees of freedom an interval says nothing; Satterthwaite's formula may give any number above 0.
FEWEST_DEGREES_OF_FREEDOM = 2.0


def selection_effect(top: npt.NDArray[Any], random: npt.NDArray[Any], *, given_top: bool = False) -> Difference:
    """Compare policies of the top episodes with those of K random subsets of as many, by the same S seeds each.

    The model is a two-way layout, subsets by seeds, of the policies' mean returns:

        random[k, s] = μ + subset[k] + seed[s] + both[k, s],  top[s] = μ + effect + luck + seed[s] + own[s].

    The estimate is the mean over seeds of top[s] − mean_k random[k, s], so that what a seed does to all policies
    cancels. `subset` is what the choice of episodes does to every policy trained on them, and `luck` is the same for
    the top episodes: even if the proxy knew nothing, the top would be one subset among others, as far from their
    mean as any. So that its variance counts, SE² = S² / S + (1 + 1/K) · V: S² is the variance over seeds of the
    differences, to which the policies of the top and of the random subsets may contribute unequally, and V that of
    `subset`, estimated from the mean squares, max(0, variance over k of random[k] − MSE / S) (Searle, Casella &
    McCulloch 1992, chapter 4). Degrees of freedom are Satterthwaite's (1946), at least 2.

    In 20,000 simulated studies with K = 10 and S = 5 it covers the effect in 95 to 97 % if the top's own variance is
    that of the random subsets or more, 92 to 98 % if it is a twenty-fifth of it.

    With `given_top` the question is another: do these top episodes teach more than the average subset of these
    demonstrations? Their luck is then a part of the effect and V counts 1/K times; it covers 94 to 97 %. That
    does not tell selection from chance.

    If nothing varies, p is that of the top's rank among the K + 1, 2 / (K + 1). With one seed the interval is over
    subsets alone, and there is no p.

    Args:
        top: (seeds, episodes). Any other selection can stand here, such as the bottom.
        random: (subsets, seeds, episodes), of the same seeds in the same order.
        given_top: see above.

    Raises:
        ValueError: the shapes do not fit, or an array is empty or not finite.
    """
    of_top, of_random = _means(top, random)
    subsets, seeds = of_random.shape
    over = f"{counted(subsets, 'random subset')}, {counted(seeds, 'seed')} each"
    differences = of_top - of_random.mean(axis=0)
    estimate = float(differences.mean())
    factor = (0.0 if given_top else 1.0) + 1 / subsets
    test = "two-way layout of subsets and seeds"
    if subsets == 1:
        return Difference(estimate, np.nan, np.nan, np.nan, test, np.nan, np.nan, over, seeds == 1)
    between = float(of_random.mean(axis=1).var(ddof=1))
    if seeds == 1:
        error = math.sqrt(factor * between)
        bounds = student(estimate, error, subsets - 1, over)
        return Difference(estimate, bounds.low, bounds.high, np.nan, "no test", error, subsets - 1, over, True)
    within = _interaction(of_random) / seeds
    of_differences = float(differences.var(ddof=1)) / seeds
    variance = of_differences + factor * max(0.0, between - within)
    if variance == 0:
        p = 1.0 if estimate == 0 else min(1.0, 2 / (subsets + 1))
        return Difference(estimate, estimate, estimate, p, "rank among the subsets", 0.0, np.nan, over)
    uncertainty = of_differences**2 / (seeds - 1)
    if between > within:
        uncertainty += (factor * between) ** 2 / (subsets - 1)
        uncertainty += (factor * within) ** 2 / ((subsets - 1) * (seeds - 1))
    freedom = max(FEWEST_DEGREES_OF_FREEDOM, variance**2 / uncertainty)
    return t_difference(estimate, math.sqrt(variance), freedom, test, over)


def probability_of_selection(top: npt.NDArray[Any], random: npt.NDArray[Any]) -> Interval:
    """Return P(a policy of the top episodes earns more than one of a random subset), and its interval.

    The mean over all pairs, as in `probability_of_improvement`; the random policies count as K runs, one for each
    subset, since the policies of one subset are alike. The top episodes count as given. It is wide: it covers 98 % or
    more, and more still if seeds pull all policies alike.

    Args:
        top: (seeds, episodes).
        random: (subsets, seeds, episodes).

    Raises:
        ValueError: the shapes do not fit, or an array is empty or not finite.
    """
    of_top, of_random = _means(top, random)
    subsets, seeds = of_random.shape
    over = f"{counted(seeds, 'seed')} and {counted(subsets, 'random subset')}"
    return probability_interval(wins(of_top, of_random.ravel()), seeds, subsets, over)


def _means(top: npt.NDArray[Any], random: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return the policies' mean returns (seeds,) and (subsets, seeds)."""
    if random.ndim != 3 or random.size == 0:
        raise ValueError(f"returns of random subsets have shape {random.shape}, not (subsets, seeds, episodes)")
    of_top, of_random = seed_means(top), np.stack([seed_means(subset) for subset in random])
    if of_random.shape[1] != len(of_top):
        raise ValueError(f"{len(of_top)} and {of_random.shape[1]} seeds cannot be paired")
    return of_top, of_random


def _interaction(means: FloatArray) -> float:
    """Return the mean square of what is left of (subsets, seeds) without the effects of each."""
    left = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    return float((left**2).sum() / ((means.shape[0] - 1) * (means.shape[1] - 1)))
