"""Intervals of a method's return, over its training seeds.

Another training seed gives another policy, so a method's sample has one number for each seed: its policy's mean return.
More episodes of a policy make its number less noisy, and the sample no larger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray

CONFIDENCE = 0.95
#: Fewer seeds give no distribution-free interval of a median: the range of four holds it in 87.5 % of studies.
FEWEST_SEEDS_OF_A_MEDIAN = 5


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval; the bounds are NaN where there are too few numbers for one.

    Attributes:
        estimate: a mean, a median, a difference or a probability.
        low: lower bound.
        high: upper bound.
        over: the sample, such as "5 seeds".
        one_seed_only: whether it is about one trained policy, and says nothing about other seeds.
    """

    estimate: float
    low: float
    high: float
    over: str = ""
    one_seed_only: bool = False

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return not (np.isnan(self.low) or np.isnan(self.high))

    def as_numbers(self) -> tuple[float | None, float | None, float | None]:
        """Return the estimate and both bounds as JSON can hold them: None for NaN and infinity."""
        estimate, low, high = (float(one) if np.isfinite(one) else None for one in (self.estimate, self.low, self.high))
        return estimate, low, high

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The bounds as JSON can hold them."""
        return self.as_numbers()[1:]

    def within(self, low: float, high: float) -> Interval:
        """Return it with bounds cut at the lowest and the highest possible value; it always holds the estimate.

        Unknown bounds stay NaN.
        """
        bounds = (
            np.minimum(np.maximum(self.low, low), self.estimate),
            np.maximum(np.minimum(self.high, high), self.estimate),
        )
        return replace(self, low=float(bounds[0]), high=float(bounds[1]))

    def __neg__(self) -> Interval:
        """Return the interval of the opposite: of B − A instead of A − B."""
        return Interval(-self.estimate, -self.high, -self.low, self.over, self.one_seed_only)

    def __str__(self) -> str:
        # Some returns are angles of a few tenths.
        return format(self, ".2f" if abs(self.estimate) >= 1 else ".3f")

    def __format__(self, specification: str) -> str:
        """Write all three numbers in a format of floats, such as `.3f`."""
        if not specification:
            return str(self)
        bounds = f"{self.low:{specification}}, {self.high:{specification}}" if self.known else "no interval"
        return f"{self.estimate:{specification}} [{bounds}]"


def mean_interval(returns: npt.NDArray[Any]) -> Interval:
    """Return the mean return and its 95 % interval: Student's t on the means of the seeds.

    It estimates the mean over all training seeds. It covers that mean in 95 % of studies if the means of seeds are
    normal, whatever share of the variance lies between seeds, with two seeds or more (Student 1908; `scipy.stats.t`).
    It covers less if they are skewed: with exponential means, 88 % with 5 seeds and 92 % with 20; where three seeds in
    ten fail altogether, 84 % with 5 seeds, because in every sixth study none fails. No interval without further
    assumptions does better (Bahadur & Savage 1956); that of the median is not affected.

    With one seed the interval is over its episodes and says nothing about other seeds. If all means are equal, so are
    both bounds.

    Args:
        returns: (seeds, episodes).

    Raises:
        ValueError: the array is not (seeds, episodes), empty, or not finite.
    """
    means = seed_means(returns)
    if len(means) == 1:
        return _over_episodes(returns[0])
    # The mean of equal numbers may differ from them by rounding.
    error = float(means.std(ddof=1)) / np.sqrt(len(means)) if np.ptp(means) else 0.0
    return student(float(means.mean()), error, len(means) - 1, counted(len(means), "seed"))


def median_interval(returns: npt.NDArray[Any]) -> Interval:
    """Return the median of the seeds' mean returns and its 95 % interval, which assumes no distribution.

    It estimates the median over all training seeds of a policy's mean return: half of all seeds give a policy that
    earns less. It is not the median over episodes. The bounds are interpolated between order statistics (Hettmansperger
    & Sheather 1986), which covers 93.75 % with 5 seeds (their range) and 94 to 96 % with more, skewed or not. Two to
    four seeds have no such interval. With one seed it is `mean_interval`, over that seed's episodes.

    Args:
        returns: (seeds, episodes).

    Raises:
        ValueError: the array is not (seeds, episodes), empty, or not finite.
    """
    means = seed_means(returns)
    if len(means) == 1:
        return _over_episodes(returns[0])
    low, high = median_bounds(means)
    return Interval(float(np.median(means)), low, high, counted(len(means), "seed"))


def median_bounds(values: FloatArray) -> tuple[float, float]:
    """Return the 95 % interval of a median by interpolated order statistics; NaNs for fewer than five values (n,).

    With d the largest rank for which P(d ≤ B ≤ n − d) ≥ 0.95, where B is binomial of n and ½, each bound lies between
    the order statistics d and d + 1, counted from its end (Hettmansperger & Sheather 1986).
    """
    if len(values) < FEWEST_SEEDS_OF_A_MEDIAN:
        return np.nan, np.nan
    rank, share = _order_statistics(len(values))
    ordered = np.sort(values)
    low = (1 - share) * ordered[rank - 1] + share * ordered[rank]
    high = (1 - share) * ordered[-rank] + share * ordered[-rank - 1]
    return float(low), float(high)


@lru_cache
def _order_statistics(number: int) -> tuple[int, float]:
    """Return the rank d, counted from 1, and the weight of the order statistic d + 1."""
    # It takes as long to import as matplotlib, and figures of means do not need it.
    from scipy import stats

    def coverage(rank: int) -> float:
        return float(1 - 2 * stats.binom.cdf(rank - 1, number, 0.5))

    if coverage(1) <= CONFIDENCE:
        return 1, 0.0
    rank = 1
    while coverage(rank + 1) >= CONFIDENCE:
        rank += 1
    part = (coverage(rank) - CONFIDENCE) / (coverage(rank) - coverage(rank + 1))
    return rank, (number - rank) * part / (rank + (number - 2 * rank) * part)


def student(
    estimate: float, standard_error: float, degrees_of_freedom: float, over: str, *, one_seed_only: bool = False
) -> Interval:
    """Return the 95 % interval of an estimate whose error follows Student's t; NaNs without degrees of freedom."""
    if not degrees_of_freedom > 0:
        return Interval(estimate, np.nan, np.nan, over, one_seed_only)
    # scipy.stats.t is much slower, which simulated studies would notice.
    reach = float(special.stdtrit(degrees_of_freedom, (1 + CONFIDENCE) / 2)) * standard_error
    return Interval(estimate, estimate - reach, estimate + reach, over, one_seed_only)


def share_limits(
    share: FloatArray, errors: FloatArray, groups: FloatArray, below: FloatArray, above: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return 95 % limits (P,) of mean shares (P,), whose values lie from 0 to 1, also where all are 0 or all 1.

    They are those of Clopper & Pearson (1934) with an effective number of trials. A sampled group tells as much as
    p(1 − p)/se² trials, the design effect; a group of the other kind that was not drawn would deviate as a whole. The
    trial's size is averaged over the groups that deviate and one such group, so it is a group where none deviates.

    Args:
        share: mean shares.
        errors: their standard errors.
        groups: effective number of groups of each.
        below: effective number of groups whose values are below 1.
        above: effective number of groups whose values are above 0.
    """

    def upper(share: FloatArray, deviate: FloatArray) -> FloatArray:
        share = np.clip(share, 0.0, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            trial = np.where(deviate > 0, np.nan_to_num(errors**2 / (share * (1 - share)), posinf=0.0), 0.0)
            size = (deviate * trial + 1 / groups) / (deviate + 1)
            found = special.betaincinv(share / size + 1, (1 - share) / size, (1 + CONFIDENCE) / 2)
        limits: FloatArray = np.where(share < 1, found, np.where(np.isnan(share), np.nan, 1.0))
        return np.where(groups > 0, limits, np.nan)

    return 1 - upper(1 - share, below), upper(share, above)


def difference_limits(
    left: FloatArray, left_limits: tuple[FloatArray, FloatArray],
    right: FloatArray, right_limits: tuple[FloatArray, FloatArray],
    correlation: FloatArray,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Return limits of left − right from the limits of both and their correlation.

    They are Student's where both intervals are; else they are as skewed as these (Newcombe 1998; Zou & Donner 2008).
    """
    difference = left - right

    def reach(one: FloatArray, other: FloatArray) -> FloatArray:
        found: FloatArray = np.sqrt(np.maximum(one**2 + other**2 - 2 * correlation * one * other, 0.0))
        return found

    low = difference - reach(left - left_limits[0], right_limits[1] - right)
    return low, difference + reach(left_limits[1] - left, right - right_limits[0])


def seed_means(returns: npt.NDArray[Any]) -> FloatArray:
    """Return the mean return of each seed (seeds,), of returns (seeds, episodes).

    Raises:
        ValueError: the array is not (seeds, episodes), empty, or not finite.
    """
    if returns.ndim != 2 or returns.size == 0:
        raise ValueError(f"returns have shape {returns.shape}, not (seeds, episodes)")
    if not np.isfinite(returns).all():
        raise ValueError("a return is NaN or infinite")
    means: FloatArray = returns.mean(axis=1, dtype=np.float64)
    return means


def _over_episodes(returns: npt.NDArray[Any]) -> Interval:
    number = len(returns)
    spread = float(returns.std(ddof=1, dtype=np.float64)) / np.sqrt(number) if number > 1 else np.nan
    over = f"{counted(number, 'episode')} of one seed"
    return student(float(returns.mean(dtype=np.float64)), spread, number - 1, over, one_seed_only=True)


def penalised(proxy_returns: FloatArray, losses: FloatArray, penalties: FloatArray) -> list[Interval]:
    """Return the mean of U − λ·L with its 95 % interval for each λ, of the same episodes.

    Args:
        proxy_returns: U, (seeds, episodes).
        losses: L, likewise.
        penalties: λ, (K,).
    """
    return [mean_interval(proxy_returns - penalty * losses) for penalty in penalties]


def even_penalty(more_proxy: FloatArray, more_loss: FloatArray) -> Interval:
    """Return the λ at which two agents earn the same, mean ΔU / mean ΔL, with its 95 % interval.

    The bounds are Fieller's (1954), of a ratio of two means of normal pairs; they are NaN where ΔL might be zero,
    because there is no finite interval. The estimate is NaN where the losses do not differ. Above it, the agent with
    the smaller loss earns more.

    Args:
        more_proxy: ΔU, one agent's proxy return minus the other's, for each of n pairs such as seeds.
        more_loss: ΔL, the difference of their losses, likewise.
    """
    number = len(more_proxy)
    over = counted(number, "pair")
    proxy, loss = float(more_proxy.mean()), float(more_loss.mean())
    if loss == 0 or number < 2:
        return Interval(proxy / loss if loss else np.nan, np.nan, np.nan, over)
    covariances = np.cov(more_proxy, more_loss) / number
    quantile = (student(0.0, 1.0, number - 1, "").high) ** 2
    square = loss**2 - quantile * covariances[1, 1]
    mixed = proxy * loss - quantile * covariances[0, 1]
    rest = proxy**2 - quantile * covariances[0, 0]
    inside = mixed**2 - square * rest
    if square <= 0 or inside < 0:
        return Interval(proxy / loss, np.nan, np.nan, over)
    reach = float(np.sqrt(inside))
    return Interval(proxy / loss, float((mixed - reach) / square), float((mixed + reach) / square), over)
