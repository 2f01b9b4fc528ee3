"""Differences between what two agents earn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from quantilizers.evaluation.intervals import (
    CONFIDENCE,
    FEWEST_SEEDS_OF_A_MEDIAN,
    Interval,
    median_bounds,
    seed_means,
    student,
)
from quantilizers.evaluation.power import smallest_detectable
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray

Average = Literal["mean", "median"]
#: Differences that vary by less than this share of their size differ by rounding alone.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """What one agent earns more than another.

    Attributes:
        estimate: first less second.
        low: lower bound of its 95 % interval, NaN where the numbers are too few for one.
        high: upper bound, likewise.
        p: two-sided p-value of "no difference"; NaN where one seed, or one subset, is all there is.
        test: the test that gave it, in words.
        standard_error: of the estimate; NaN where the test has none (the sign test).
        degrees_of_freedom: of Student's t; infinite for a normal distribution, NaN where neither is used.
        over: what was drawn at random, in words, such as "5 pairs of seeds".
        one_seed_only: whether it compares two trained policies, and says nothing of other seeds.
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
        """Return the difference that this study would have found significant so often, were it the true one.

        See `power.smallest_detectable`.

        Args:
            level: of the two-sided test.
            power: how often.
        """
        return smallest_detectable(self.standard_error, self.degrees_of_freedom, level, power)


def paired_difference(first: npt.NDArray[Any], second: npt.NDArray[Any], average: Average = "mean") -> Difference:
    """Compare two agents that share their seeds: row s of both was trained and tested by the same seed.

    The differences between the seeds' mean returns are the data. Their mean has Student's interval and the paired t
    test (Student 1908; `scipy.stats.ttest_rel`). Their median, which is not the difference of the medians, has the
    interval of `median_interval` and the exact sign test, in which ties do not count (Dixon & Mood 1946;
    `scipy.stats.binomtest`); with 5 seeds its smallest p-value is 0.0625, so it decides nothing at 0.05. The
    interval lies between those of two sign tests, so that it may exclude 0 where p is a little above 0.05.

    If every seed differs by the same amount, t is not defined, and p is that of the sign test. With one seed the
    interval is Welch's over episodes and there is no p.

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
    """Compare two agents that have seeds of their own.

    The difference between the means of the seeds' mean returns has Welch's interval and test, for which the variances
    of the two agents may differ (Welch 1947; `scipy.stats.ttest_ind`). The difference between their medians has that
    of Bonett & Price (2002), from five seeds each on: a normal test, with standard errors from order statistics. It
    assumes no common shape and covers 94 to 97 %, of normal and exponential means.

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
    """Return a difference whose error follows Student's t; without degrees of freedom bounds and p are NaN.

    Args:
        estimate: first less second.
        standard_error: of it.
        degrees_of_freedom: infinite for a normal distribution.
        test: its name.
        over: see `Difference`.
    """
    bounds = student(estimate, standard_error, degrees_of_freedom, over)
    p = float(2 * stats.t.sf(abs(estimate) / standard_error, degrees_of_freedom)) if bounds.known else np.nan
    return Difference(estimate, bounds.low, bounds.high, p, test, standard_error, degrees_of_freedom, over)


def sign_test(differences: FloatArray) -> float:
    """Return the two-sided p of "as many differences above 0 as below"; those equal to 0 do not count.

    Args:
        differences: (n,).
    """
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(above, above + below).pvalue) if above + below else 1.0


def _equal(values: FloatArray) -> bool:
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _welch(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[float, float]:
    """Return standard error and Welch's degrees of freedom of a difference of means; NaN if one is of one value."""
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
