"""What a penalty on something that agents do changes about who earns more: returns U − λ·L as functions of λ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.intervals import Interval, mean_interval, student
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray


def penalised(
    proxy_returns: npt.NDArray[np.float64], losses: npt.NDArray[np.float64], penalties: npt.NDArray[np.float64]
) -> list[Interval]:
    """Return the mean of U − λ·L with its 95 % interval for each λ: of the same episodes, so that nothing is played.

    Args:
        proxy_returns: U, (seeds, episodes).
        losses: L, likewise.
        penalties: λ, (K,).
    """
    return [mean_interval(proxy_returns - penalty * losses) for penalty in penalties]


def even_penalty(more_proxy: FloatArray, more_loss: FloatArray) -> Interval:
    """Return the λ at which two agents earn the same, mean ΔU / mean ΔL, with its 95 % interval.

    The bounds are Fieller's (1954), of a ratio of two means of pairs that are normal. Where ΔL might be zero there is
    no interval that is finite, and the bounds are NaN.

    Args:
        more_proxy: ΔU, how much more one agent's proxy return is than the other's, for each of n pairs such as seeds.
        more_loss: ΔL, how much more its loss is, likewise.

    Returns:
        NaN where the losses do not differ. Above the estimate, the agent with the smaller loss earns more.
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
