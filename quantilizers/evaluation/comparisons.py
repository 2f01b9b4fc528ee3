"""Differences between two agents' returns, the probability that one is better, and the effect of a selection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from quantilizers.evaluation.intervals import (
    CONFIDENCE,
    FEWEST_SEEDS_OF_A_MEDIAN,
    Interval,
    median_bounds,
    seed_means,
    student,
)
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray

Average = Literal["mean", "median"]
#: Differences that vary by less than this share of their size differ by rounding alone.
ROUNDING = 1e-12
#: An interval with fewer degrees of freedom is useless; Satterthwaite's formula may give any number above 0.
FEWEST_DEGREES_OF_FREEDOM = 2.0


@dataclass(frozen=True)
class Difference:
    """The difference between the returns of two agents.

    Attributes:
        estimate: first minus second.
        low: lower bound of its 95 % interval, NaN where there are too few numbers for one.
        high: upper bound, likewise.
        p: two-sided p-value of "no difference"; NaN with a single seed, or a single subset.
        test: name of the test that gave it.
        standard_error: of the estimate; NaN where the test has none (the sign test).
        degrees_of_freedom: of Student's t; infinite for a normal distribution, NaN where neither is used.
        over: the sample, such as "5 pairs of seeds".
        one_seed_only: whether it compares two trained policies, and says nothing about other seeds.
    """

    estimate: float
    low: float
    high: float
    p: float
    test: str
    standard_error: float
    degrees_of_freedom: float
    over: str
    one_seed_only: bool = False

    @property
    def interval(self) -> Interval:
        """The estimate with its bounds."""
        return Interval(self.estimate, self.low, self.high, self.over, self.one_seed_only)

    def smallest_detectable(self, level: float = 1 - CONFIDENCE, power: float = 0.8) -> float:
        """Return the true difference that this study would have detected with some power; see the function."""
        return smallest_detectable(self.standard_error, self.degrees_of_freedom, level, power)


def paired_difference(first: npt.NDArray[Any], second: npt.NDArray[Any], average: Average = "mean") -> Difference:
    """Compare two agents that share their seeds: row s of both was trained and tested with the same seed.

    The differences between the seeds' mean returns are the data. Their mean has Student's interval and the paired t
    test (Student 1908; `scipy.stats.ttest_rel`). Their median, which is not the difference of the medians, has the
    interval of `median_interval` and the exact sign test, in which ties do not count (Dixon & Mood 1946;
    `scipy.stats.binomtest`); with 5 seeds its smallest p-value is 0.0625, so it decides nothing at 0.05. The
    interval lies between those of two sign tests, so that it may exclude 0 where p is a little above 0.05.

    If every seed differs by the same amount, t is not defined, and p is that of the sign test. With one seed the
    interval is Welch's, over episodes, and there is no p.

    Args:
        first: (seeds, episodes).
        second: (seeds, episodes), of the same seeds in the same order; the numbers of episodes may differ.
        average: over seeds.

    Raises:
        ValueError: the numbers of seeds differ, or an array is not (seeds, episodes), empty, or not finite.
    """
    means, others = seed_means(first), seed_means(second)
    if len(means) != len(others):
        raise ValueError(f"{len(means)} and {len(others)} seeds cannot be paired")
    if len(means) == 1:
        return _of_one_seed(first[0], second[0])
    differences = means - others
    over = f"{counted(len(means), 'pair')} of seeds"
    if average == "median":
        low, high = median_bounds(differences)
        estimate = float(np.median(differences))
        return Difference(estimate, low, high, sign_test(differences), "sign test", np.nan, np.nan, over)
    estimate, freedom = float(differences.mean()), len(differences) - 1
    if _equal(differences):
        p = sign_test(differences)
        return Difference(estimate, estimate, estimate, p, "sign test", 0.0, freedom, over)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return t_difference(estimate, error, freedom, "paired t test", over)


def unpaired_difference(first: npt.NDArray[Any], second: npt.NDArray[Any], average: Average = "mean") -> Difference:
    """Compare two agents with different seeds.

    The difference between the means of the seeds' mean returns has Welch's interval and test, for which the variances
    of the two agents may differ (Welch 1947; `scipy.stats.ttest_ind`). The difference between their medians has that
    of Bonett & Price (2002), if both have at least five seeds: a normal test, with standard errors from order
    statistics. It assumes no common shape and covers 94 to 97 %, with normal and exponential means.

    If neither agent's seeds vary, t is not defined, and p is that of the permutation test, 2 / C(m + n, m); where
    most seeds are equal, so that a median has no standard error, it is Mann & Whitney's (1947). With one seed of each
    the interval is Welch's over episodes; with one seed of either there is no p.

    Args:
        first: (seeds, episodes).
        second: (other seeds, episodes).
        average: over seeds.

    Raises:
        ValueError: an array is not (seeds, episodes), empty, or not finite.
    """
    means, others = seed_means(first), seed_means(second)
    if len(means) == len(others) == 1:
        return _of_one_seed(first[0], second[0])
    over = f"{len(means)} and {counted(len(others), 'seed')}"
    if average == "median":
        estimate = float(np.median(means) - np.median(others))
        if min(len(means), len(others)) < FEWEST_SEEDS_OF_A_MEDIAN:
            error, freedom = np.nan, np.nan
        else:
            error, freedom = math.hypot(_error_of_median(means), _error_of_median(others)), np.inf
        test = "Bonett and Price's test"
    else:
        estimate = float(means.mean() - others.mean())
        error, freedom = _welch(means, others)
        test = "Welch's t test"
    if _equal(means) and _equal(others) and min(len(means), len(others)) > 1:
        p = 1.0 if _equal(np.concatenate([means, others])) else 2 / math.comb(len(means) + len(others), len(means))
        return Difference(estimate, estimate, estimate, p, "permutation test", 0.0, freedom, over)
    if error == 0:
        p = 1.0 if estimate == 0 else float(stats.mannwhitneyu(means, others).pvalue)
        return Difference(estimate, estimate, estimate, p, "Mann and Whitney's test", 0.0, freedom, over)
    return t_difference(estimate, error, freedom, test, over)


def t_difference(estimate: float, standard_error: float, degrees_of_freedom: float, test: str, over: str) -> Difference:
    """Return a difference whose error follows Student's t; without degrees of freedom bounds and p are NaN."""
    bounds = student(estimate, standard_error, degrees_of_freedom, over)
    p = float(2 * stats.t.sf(abs(estimate) / standard_error, degrees_of_freedom)) if bounds.known else np.nan
    return Difference(estimate, bounds.low, bounds.high, p, test, standard_error, degrees_of_freedom, over)


def sign_test(differences: FloatArray) -> float:
    """Return the two-sided p-value that differences (n,) are as often above 0 as below; zeros do not count."""
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(above, above + below).pvalue) if above + below else 1.0


def _equal(values: FloatArray) -> bool:
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _welch(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[float, float]:
    """Return standard error and Welch's degrees of freedom of a difference of means; NaN if one has a single value."""
    if min(len(first), len(second)) < 2:
        return np.nan, np.nan
    one, other = (values.var(ddof=1, dtype=np.float64) / len(values) for values in (first, second))
    if one + other == 0:
        return 0.0, len(first) + len(second) - 2
    freedom = (one + other) ** 2 / (one**2 / (len(first) - 1) + other**2 / (len(second) - 1))
    return math.sqrt(one + other), float(freedom)


def _error_of_median(values: FloatArray) -> float:
    """Return the standard error of a median from the distance of two order statistics (Bonett & Price 2002)."""
    number = len(values)
    rank = max(1, round((number + 1) / 2 - math.sqrt(number)))
    ordered = np.sort(values)
    quantile = stats.norm.isf(stats.binom.cdf(rank - 1, number, 0.5))
    return float((ordered[-rank] - ordered[rank - 1]) / (2 * quantile))


def _of_one_seed(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Difference:
    """Compare two policies by their episodes: (episodes,) each."""
    error, freedom = _welch(first, second)
    estimate = float(first.mean(dtype=np.float64) - second.mean(dtype=np.float64))
    over = f"{len(first)} and {counted(len(second), 'episode')} of one seed each"
    bounds = student(estimate, error, freedom, over)
    return Difference(estimate, bounds.low, bounds.high, np.nan, "no test", error, freedom, over, one_seed_only=True)


def smallest_detectable(
    standard_error: float, degrees_of_freedom: float, level: float = 1 - CONFIDENCE, power: float = 0.8
) -> float:
    """Return the true difference that a two-sided t test of this precision detects with some power.

    The t statistic of a study whose true difference is δ follows the noncentral t of noncentrality δ / SE (Cohen 1988;
    `scipy.stats.nct`, which this equals where that is not NaN). The measured spread counts as the true one. The result
    is NaN where the standard error or the degrees of freedom are.

    Args:
        standard_error: of the estimated difference.
        degrees_of_freedom: infinite for a normal distribution.
        level: of the test; after Holm's correction over m tests, `level / m` is its strictest step.
        power: probability of detecting the difference.

    Raises:
        ValueError: level or power is not between 0 and 1, or the power is below the level.
    """
    if not 0 < level < power < 1:
        raise ValueError(f"level {level} and power {power} must be in order between 0 and 1")
    if np.isnan(standard_error) or not degrees_of_freedom > 0:
        return np.nan
    quantile = float(stats.t.isf(level / 2, degrees_of_freedom))
    chis = _chis(degrees_of_freedom)

    def lacking(noncentrality: float) -> float:
        found = special.ndtr(noncentrality - quantile * chis) + special.ndtr(-noncentrality - quantile * chis)
        return float(found.mean()) - power

    largest = quantile * float(chis.max()) + 10
    return standard_error * float(optimize.brentq(lacking, 0.0, largest))


@lru_cache
def _chis(degrees_of_freedom: float) -> FloatArray:
    """Return equally likely values of √(χ² / degrees of freedom): a noncentral t is a normal variable divided by it.

    SciPy's noncentral t gives NaN at some arguments (1.17: with 2 degrees of freedom, at 4.3 of noncentrality 8.6).
    """
    if np.isinf(degrees_of_freedom):
        return np.ones(1)
    chis: FloatArray = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, degrees_of_freedom) / degrees_of_freedom)
    return chis


def probability_of_improvement(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Interval:
    """Return P(a run of the first earns more than a run of the second), and its interval.

    A run is a seed's mean return. The estimate is the share of all pairs that the first wins; ties count half: Mann &
    Whitney's U over m·n, as in Agarwal et al. (2021). Their percentile bootstrap covers 21 to 93 % with 5 seeds each,
    least where nearly every run wins, because it then resamples one value. The interval is therefore Newcombe's
    (2006, part 2, method 5), which inverts a test of each probability, and covers 92 to 98 % in the same simulations.
    Runs count as independent; if both agents share seeds that affect them alike, it is wider than necessary.

    Args:
        first: (seeds, episodes).
        second: (seeds, episodes).

    Raises:
        ValueError: an array is not (seeds, episodes), empty, or not finite.
    """
    means, others = seed_means(first), seed_means(second)
    over = f"{len(means)} and {counted(len(others), 'seed')}"
    return probability_interval(wins(means, others), len(means), len(others), over)


def wins(first: FloatArray, second: FloatArray) -> float:
    """Return the share of pairs of (m,) and (n,) in which the first is larger; ties count half."""
    return float((np.sign(first[:, None] - second[None, :]).mean() + 1) / 2)


def probability_interval(share: float, number: int, others: int, over: str) -> Interval:
    """Return Newcombe's interval (2006, part 2, method 5) of a probability of improvement.

    It holds each θ with |share − θ| ≤ z √V(θ), where V(θ) = θ(1 − θ)/(mn) · (1 + M((1 − θ)/(2 − θ) + θ/(1 + θ))) and
    M = (m + n)/2 − 1: Hanley & McNeil's variance (1982) with one M in place of m − 1 and n − 1.

    Args:
        share: of pairs won.
        number: m, independent runs of the first.
        others: n, of the second.
        over: see `Interval`.
    """
    quantile = float(special.ndtri((1 + CONFIDENCE) / 2))
    mean_number = (number + others) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) / (number * others)
        variance *= 1 + mean_number * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (share - theta) ** 2 - quantile**2 * variance

    # At 0 and 1 there is no variance, and a share of 0 or 1 is itself a root; the bound is the other one.
    low = 0.0 if share == 0 else float(optimize.brentq(excess, 0.0, min(share, 1 - 1e-9)))
    high = 1.0 if share == 1 else float(optimize.brentq(excess, max(share, 1e-9), 1.0))
    return Interval(share, low, high, over)


def selection_effect(top: npt.NDArray[Any], random: npt.NDArray[Any], *, given_top: bool = False) -> Difference:
    """Compare policies of the top episodes with those of K random subsets of the same size, with the same S seeds each.

    The model is a two-way layout, subsets by seeds, of the policies' mean returns:

        random[k, s] = μ + subset[k] + seed[s] + both[k, s],  top[s] = μ + effect + luck + seed[s] + own[s].

    The estimate is the mean over seeds of top[s] − mean_k random[k, s], in which the effects of seeds cancel. `subset`
    is the effect of a choice of episodes on all policies trained on them, and `luck` is that of the top episodes: even
    if the proxy were uninformative, the top would be one subset among others, as far from their mean as any. Therefore
    SE² = S² / S + (1 + 1/K) · V: S² is the variance over seeds of the differences, to which the policies of the top and
    of the random subsets may contribute unequally, and V that of `subset`, estimated from the mean squares,
    max(0, variance over k of random[k] − MSE / S) (Searle, Casella & McCulloch 1992, chapter 4). Degrees of freedom are
    Satterthwaite's (1946), at least 2.

    In 20,000 simulated studies with K = 10 and S = 5 it covers the effect in 95 to 97 % if the top's own variance is at
    least that of the random subsets, 92 to 98 % if it is a twenty-fifth of it.

    With `given_top` the question is whether these top episodes teach more than the average subset of these
    demonstrations. Their luck is then a part of the effect and V counts 1/K times; it covers 94 to 97 %. This does not
    distinguish selection from chance.

    If nothing varies, p is that of the top's rank among the K + 1, 2 / (K + 1). With one seed the interval is over
    subsets alone, and there is no p.

    Args:
        top: (seeds, episodes). Any other selection can stand here, such as the bottom.
        random: (subsets, seeds, episodes), of the same seeds in the same order.
        given_top: see above.

    Raises:
        ValueError: the shapes do not fit, or an array is empty or not finite.
    """
    of_top, of_random = _selection_means(top, random)
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

    It is the share of all pairs, as in `probability_of_improvement`; the random policies count as K runs, one for each
    subset, because the policies of one subset are alike. The top episodes count as given. The interval is wide: it
    covers 98 % or more, and more still if seeds affect all policies alike.

    Args:
        top: (seeds, episodes).
        random: (subsets, seeds, episodes).

    Raises:
        ValueError: the shapes do not fit, or an array is empty or not finite.
    """
    of_top, of_random = _selection_means(top, random)
    subsets, seeds = of_random.shape
    over = f"{counted(seeds, 'seed')} and {counted(subsets, 'random subset')}"
    return probability_interval(wins(of_top, of_random.ravel()), seeds, subsets, over)


def _selection_means(top: npt.NDArray[Any], random: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return the policies' mean returns (seeds,) and (subsets, seeds)."""
    if random.ndim != 3 or random.size == 0:
        raise ValueError(f"returns of random subsets have shape {random.shape}, not (subsets, seeds, episodes)")
    of_top, of_random = seed_means(top), np.stack([seed_means(subset) for subset in random])
    if of_random.shape[1] != len(of_top):
        raise ValueError(f"{len(of_top)} and {of_random.shape[1]} seeds cannot be paired")
    return of_top, of_random


def _interaction(means: FloatArray) -> float:
    """Return the mean square of the interaction of (subsets, seeds)."""
    left = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    return float((left**2).sum() / ((means.shape[0] - 1) * (means.shape[1] - 1)))
