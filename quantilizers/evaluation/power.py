"""What differences a study could have found."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from quantilizers.evaluation.intervals import CONFIDENCE
from quantilizers.rewards import FloatArray


def smallest_detectable(
    standard_error: float, degrees_of_freedom: float, level: float = 1 - CONFIDENCE, power: float = 0.8
) -> float:
    """Return the true difference that a two-sided t test of this precision finds significant so often.

    The t statistic of a study whose true difference is δ follows the noncentral t of noncentrality δ / SE (Cohen 1988;
    `scipy.stats.nct`, which this equals where that is not NaN). The spread is the measured one, as if it were known.

    Args:
        standard_error: of the estimated difference.
        degrees_of_freedom: infinite for a normal distribution.
        level: of the test; after Holm's correction over m tests, `level / m` is its strictest step.
        power: how often.

    Returns:
        NaN where standard error or degrees of freedom are.

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
    """Return equally likely values of √(χ² / degrees of freedom): a noncentral t is a normal of unit variance over it.

    SciPy's own noncentral t gives NaN at some arguments (1.17: with 2 degrees of freedom, at 4.3 of noncentrality 8.6).
    """
    if np.isinf(degrees_of_freedom):
        return np.ones(1)
    chis: FloatArray = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, degrees_of_freedom) / degrees_of_freedom)
    return chis
