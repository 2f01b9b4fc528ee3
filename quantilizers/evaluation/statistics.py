"""Means and how sure of them one can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4_000


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap interval; the bounds are NaN where one number is all there is."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        # Hopper's proxy return is an angle of a few tenths.
        return format(self, ".2f" if abs(self.mean) >= 1 else ".3f")

    def __format__(self, specification: str) -> str:
        """Write all three numbers as a specification of floats says, such as `.3f`."""
        if not specification:
            return str(self)
        low, high = format(self.low, specification), format(self.high, specification)
        bounds = "no interval" if np.isnan(self.low) else f"{low}, {high}"
        return f"{format(self.mean, specification)} [{bounds}]"


def mean_interval(returns: npt.NDArray[Any], seed: int = 0) -> Interval:
    """Return the mean of returns and its 95 % percentile bootstrap interval over seeds and episodes.

    Episodes of one policy are no independent evidence about the method, because another training seed gives
    another policy. So seeds are drawn with replacement, then episodes of each drawn seed (Davison & Hinkley 1997,
    section 3.8; `scipy.stats.bootstrap`). With one seed the interval is over its episodes and says nothing of
    other seeds.

    Args:
        returns: (seeds, episodes).
        seed: of the resampling: the same returns give the same interval.

    Raises:
        ValueError: the array is not (seeds, episodes) or empty.
    """
    if returns.ndim != 2 or returns.size == 0:
        raise ValueError(f"returns have shape {returns.shape}, not (seeds, episodes)")
    seeds, episodes = returns.shape
    mean = float(returns.mean())
    if returns.size == 1:
        return Interval(mean, np.nan, np.nan)
    if np.ptp(returns) == 0:
        return Interval(mean, mean, mean)
    generator = np.random.default_rng(seed)

    def mean_of(drawn_seeds: npt.NDArray[np.intp], axis: int) -> npt.NDArray[np.float64]:
        drawn_episodes = generator.integers(episodes, size=(*drawn_seeds.shape, episodes))
        means: npt.NDArray[np.float64] = returns[drawn_seeds[..., None], drawn_episodes].mean(axis=(axis - 1, -1))
        return means

    arguments: dict[str, Any] = {
        "confidence_level": CONFIDENCE, "n_resamples": RESAMPLES, "method": "percentile", "batch": 200,
        "rng": generator,
    }  # fmt: skip
    if seeds == 1:
        bounds = stats.bootstrap((returns[0],), np.mean, **arguments).confidence_interval
    else:
        bounds = stats.bootstrap((np.arange(seeds),), mean_of, axis=-1, **arguments).confidence_interval
    return Interval(mean, float(bounds.low), float(bounds.high))
