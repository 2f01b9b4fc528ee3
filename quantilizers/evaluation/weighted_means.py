"""Means of returns over weighted episodes of the base distribution, such as its top fraction q.

N episodes are drawn independently from the base distribution, and weighted by their proxy return. The intervals are
for the mean of infinitely many episodes: the exact quantilizer's. If the episodes are not independent, such as several
of one player, the intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from quantilizers.evaluation.intervals import CONFIDENCE
from quantilizers.quantilize import number_kept, shares
from quantilizers.rewards import FloatArray


@dataclass(frozen=True, eq=False)
class WeightedMeans:
    """Means under M weightings of the same episodes, with 95 % intervals.

    Attributes:
        means: (M,).
        lows: (M,), NaN where one episode has all the weight.
        highs: (M,), likewise.
        standard_errors: (M,), likewise.
        effective_sizes: (M,), Kish's number of equally weighted episodes; for the top q, the number kept.
    """

    means: FloatArray
    lows: FloatArray
    highs: FloatArray
    standard_errors: FloatArray
    effective_sizes: FloatArray

    def within(self, low: float, high: float) -> WeightedMeans:
        """Return them with intervals cut at the lowest and the highest possible mean."""
        lowest, highest = np.minimum(self.means, low), np.maximum(self.means, high)
        return replace(self, lows=np.maximum(self.lows, lowest), highs=np.minimum(self.highs, highest))


def top_means(returns: npt.NDArray[Any], proxy_returns: npt.NDArray[Any], quantiles: Sequence[float]) -> WeightedMeans:
    """Return for each q the mean return of the top q of the episodes by proxy return: a tail mean.

    Its variance is ((1 − q) (mean − edge)² + variance of the episodes kept) / number kept, where `edge` is the mean
    return of episodes at the cut, because the place of the cut varies, too (Yang 1981, on means of concomitants of
    order statistics; for the proxy return itself it is the trimmed mean's, Stigler 1973). The interval is Student's,
    with one degree of freedom less than episodes kept.

    It covers 94 to 96 % where some hundreds are kept, and less where few are kept and returns are skewed: for a true
    return that is often the worst possible, 90 % with 20 kept and 78 % with 5.

    Args:
        returns: (N,), any quantity of the episodes: true return, proxy return or a cost.
        proxy_returns: (N,), which rank them; ties keep their order, which must be random.
        quantiles: M of them; q keeps max(1, floor(q·N)) episodes.

    Raises:
        ValueError: the arrays do not fit, or hold NaN.
    """
    number = len(returns)

    def weights() -> Iterator[FloatArray]:
        for quantile in quantiles:
            row = np.zeros(number)
            row[: number_kept(quantile, number)] = 1.0
            yield row

    return ranked_means(returns, proxy_returns, weights())


def ranked_means(
    returns: npt.NDArray[Any], proxy_returns: npt.NDArray[Any], weights: Iterable[npt.NDArray[Any]]
) -> WeightedMeans:
    """Return means of returns under weights by rank in proxy return, such as best-of-n's.

    With J the weights over their mean and V the returns, best first, episode i contributes
    J[i] V[i] + sum over j ≥ i of (J[j + 1] − J[j]) V[j] to the mean: by its own return, and by the ranks that it takes
    from those below it. The variance of these over N is that of the mean (Yang 1981; Davison & Hinkley 1997,
    section 2.7). V is smoothed over √(effective size) ranks either side in the sum. The interval is Student's, with
    one degree of freedom less than the effective size.

    Args:
        returns: (N,), any quantity of the episodes.
        proxy_returns: (N,), which rank them; ties keep their order, which must be random.
        weights: M rows of (N,), the best episode's first, not negative, on any scale.

    Raises:
        ValueError: the arrays do not fit, or hold NaN, or weights are negative or all zero.
    """
    values, proxies = _checked(returns, proxy_returns)
    ranked = values[np.argsort(-proxies, kind="stable")]
    sums = np.concatenate([[0.0], np.cumsum(ranked - values.mean())])

    def influences() -> Iterator[tuple[float, FloatArray, float]]:
        for row in weights:
            share, size = shares(row, len(ranked))
            mean = float(share @ ranked)
            smooth = _smooth(sums, int(np.ceil(np.sqrt(size)))) + (values.mean() - mean)
            between = np.diff(share) * (smooth[:-1] + smooth[1:]) / 2
            below = np.concatenate([np.cumsum(between[::-1])[::-1], [0.0]])
            yield mean, share * (ranked - mean) + below, size

    return _gathered(influences())


def weighted_means(returns: npt.NDArray[Any], weights: Iterable[npt.NDArray[Any]]) -> WeightedMeans:
    """Return means of returns under weights of single episodes, such as exp(β · proxy return).

    The variance is that of a ratio of means, Σ w² (V − mean)² / (Σ w)² (Hájek 1971), times n / (n − 1) with n the
    effective size, so that equal weights give Student's interval. For weights by rank see `ranked_means`.

    Args:
        returns: (N,).
        weights: M rows of (N,), not negative, on any scale.

    Raises:
        ValueError: the arrays do not fit, or hold NaN, or weights are negative or all zero.
    """
    values, _ = _checked(returns, returns)

    def influences() -> Iterator[tuple[float, FloatArray, float]]:
        for row in weights:
            share, size = shares(row, len(values))
            mean = float(share @ values)
            yield mean, share * (values - mean), size

    return _gathered(influences())


def _checked(returns: npt.NDArray[Any], proxy_returns: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    if returns.ndim != 1 or returns.size == 0 or returns.shape != proxy_returns.shape:
        raise ValueError(f"returns {returns.shape} and proxy returns {proxy_returns.shape} are not (N,) both")
    if not (np.isfinite(returns).all() and np.isfinite(proxy_returns).all()):
        raise ValueError("a return is NaN or infinite")
    return returns.astype(np.float64), proxy_returns.astype(np.float64)


def _smooth(sums: FloatArray, reach: int) -> FloatArray:
    """Return means over `reach` neighbours on either side, from the running sums (N + 1,) of values."""
    places = np.arange(len(sums) - 1)
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(sums) - 1)
    means: FloatArray = (sums[last] - sums[first]) / (last - first)
    return means


def _gathered(rows: Iterable[tuple[float, FloatArray, float]]) -> WeightedMeans:
    """Return the intervals of rows of (mean, influence of each episode (N,), effective size)."""
    means, errors, sizes = [], [], []
    for mean, influence, size in rows:
        # By rounding, a size of 1 may be a little more.
        several = size > 1 + 1e-9
        variance = float(((influence - influence.mean()) ** 2).sum()) * size / (size - 1) if several else np.nan
        means.append(mean)
        errors.append(np.sqrt(variance))
        sizes.append(size)
    center, error, effective = np.array(means), np.array(errors), np.array(sizes)
    reach = special.stdtrit(np.where(np.isnan(error), np.nan, effective - 1), (1 + CONFIDENCE) / 2) * error
    return WeightedMeans(center, center - reach, center + reach, error, effective)
