"""Cuts softer than a quantile: weights of whole episodes, by what the proxy says of them.

| method | an episode's weight | strength |
|---|---|---|
| `quantile` | 1/k for each of the k best episodes, 0 for the others | q |
| `best_of_n` | the chance of being the best of n episodes drawn with replacement | n ≥ 1 |
| `exponential` | ∝ exp(β · proxy return) | β ≥ 0 |

Each is a distribution over the N episodes, so that all of them are compared by how far they are from the base
distribution, where each episode weighs 1/N: by KL divergence or by effective sample size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Match, Method, Unit
from quantilizers.demonstrations.selecting import best_episodes, number_kept
from quantilizers.errors import UserError
from quantilizers.rewards import FloatArray

#: Strengths are found to this precision, relative to themselves.
PRECISION = 1e-9


@dataclass(frozen=True, eq=False)
class Cut:
    """A distribution over N episodes, chosen so that it is as far from the base distribution as a quantile is.

    Attributes:
        method: by which episodes are weighted.
        quantile: q that it is matched with.
        strength: q itself, n or β; infinite where no finite one is as far as that.
        weights: (N,), in the order of the file; they sum to 1.
    """

    method: Method
    quantile: float
    strength: float
    weights: FloatArray


def cut(method: Method, proxy_returns: npt.NDArray[Any], quantile: float, match: Match = "kl") -> Cut:
    """Weight episodes by a method, as strongly as a quantile.

    >>> proxy_returns = np.array([3.0, 1.0, 2.0, 0.0])
    >>> cut("quantile", proxy_returns, 0.5).weights
    array([0.5, 0. , 0.5, 0. ])
    >>> cut("best_of_n", proxy_returns, 0.5).weights.round(2)
    array([0.74, 0.04, 0.22, 0.  ])

    Args:
        method: one of `METHODS`.
        proxy_returns: (N,).
        quantile: q, 0 < q ≤ 1.
        match: see `matching_n`.

    Raises:
        UserError: the quantile is impossible.
        ValueError: the returns are not (N,) or not finite.
    """
    if method == "quantile":
        return Cut(method, quantile, quantile, quantile_weights(proxy_returns, quantile))
    if method == "best_of_n":
        strength = matching_n(len(_checked(proxy_returns)), quantile, match)
        return Cut(method, quantile, strength, best_of_n_weights(proxy_returns, strength))
    strength = matching_beta(proxy_returns, quantile, match)
    return Cut(method, quantile, strength, exponential_weights(proxy_returns, strength))


def quantile_weights(proxy_returns: npt.NDArray[Any], quantile: float) -> FloatArray:
    """Return 1/k for the best k = max(1, floor(q·N)) of N episodes, and 0 for the others, (N,).

    Args:
        proxy_returns: (N,); ties keep the order of the file.
        quantile: q, 0 < q ≤ 1.

    Raises:
        UserError: the quantile is impossible.
        ValueError: the returns are not (N,) or not finite.
    """
    kept = best_episodes(_checked(proxy_returns), _checked_quantile(quantile))
    weights = np.zeros(len(proxy_returns))
    weights[kept] = 1 / len(kept)
    return weights


def best_of_n_weights(proxy_returns: npt.NDArray[Any], n: float) -> FloatArray:
    """Return the chance of each of N episodes to be the best of n drawn with replacement, (N,).

    The episode of rank r, from 1, is the best if none of the n ranks lower and not all of them rank higher than r:
    ((N − r + 1) / N)^n − ((N − r) / N)^n, which has a meaning for every n ≥ 1. Its divergence from the base
    distribution is at most log n − (n − 1)/n (Beirami et al. 2024), and tends to that as N grows.

    Args:
        proxy_returns: (N,); of episodes that tie, the first in the file counts as the best.
        n: draws, any number from 1 on; at infinity the best episode has all the weight.

    Raises:
        UserError: n is below 1.
        ValueError: the returns are not (N,) or not finite.
    """
    order = best_episodes(_checked(proxy_returns), 1.0)
    weights = np.empty(len(order))
    weights[order] = best_of_n_by_rank(len(order), n)
    return weights


def best_of_n_by_rank(number: int, n: float) -> FloatArray:
    """Return the same weights by rank, the best episode's first, (N,).

    Args:
        number: N.
        n: see `best_of_n_weights`.

    Raises:
        UserError: n is below 1.
    """
    if not n >= 1:
        raise UserError(f"n is {n:g}; the best of n needs at least 1, such as 4")
    if math.isinf(n):
        return _normalised((np.arange(number) == 0).astype(np.float64))
    # ((N − r) / N)^n in logarithms, of the ranks r = 0 to N − 1; it is 0 at N.
    exponents = n * np.log1p(-np.arange(number) / number)
    # exp(a) − exp(b) = exp(a) (1 − exp(b − a)), without loss of digits.
    falls = np.append(np.diff(exponents), -math.inf)
    return _normalised(np.exp(exponents) * -np.expm1(falls))


def exponential_weights(proxy_returns: npt.NDArray[Any], beta: float) -> FloatArray:
    """Return weights proportional to exp(β · proxy return), (N,), that sum to 1.

    Of all distributions with as high a mean proxy return, it is the nearest to the base distribution in KL divergence;
    reinforcement learning with a KL penalty of 1/β tends to it (Korbak, Perez & Buckley 2022).

    Args:
        proxy_returns: (N,).
        beta: from 0 on, per unit of proxy return; at infinity the best episodes share all the weight.

    Raises:
        UserError: β is negative.
        ValueError: the returns are not (N,) or not finite.
    """
    below = _below_the_best(proxy_returns)
    if not beta >= 0:
        raise UserError(f"beta is {beta:g}; it must not be negative")
    return _exponential(below, beta)


def matching_n(number: int, quantile: float, match: Match = "kl") -> float:
    """Return the n whose best-of-n is as far from the base distribution as a quantile is.

    Args:
        number: N, the number of episodes.
        quantile: q, 0 < q ≤ 1, which keeps k = max(1, floor(q·N)) of them.
        match: `kl` is a KL divergence of log(N/k), which is log(1/q) but for rounding; `effective_size` is an
            effective sample size of k.

    Returns:
        n ≥ 1; infinite where k is 1.

    Raises:
        UserError: the quantile is impossible.
    """
    return _matching(lambda n: best_of_n_by_rank(number, n), number, quantile, match, start=1.0)


def matching_beta(proxy_returns: npt.NDArray[Any], quantile: float, match: Match = "kl") -> float:
    """Return the β whose exponential weights are as far from the base distribution as a quantile is.

    Args:
        proxy_returns: (N,).
        quantile: see `matching_n`.
        match: see `matching_n`.

    Returns:
        β ≥ 0; infinite where more episodes tie for the best than the quantile keeps, or as many.

    Raises:
        UserError: the quantile is impossible.
        ValueError: the returns are not (N,) or not finite.
    """
    below = _below_the_best(proxy_returns)
    scale = float(below.mean()) or 1.0
    strength = _matching(lambda b: _exponential(below / scale, b), len(below), quantile, match, start=0.0)
    return strength / scale


def kl_divergence(weights: npt.NDArray[Any]) -> float:
    """Return the KL divergence of weighted episodes from equally weighted ones, Σ w log(N w), in nats.

    Of the top q it is log(1/q), of best-of-n log n − (n − 1)/n if N is large.

    >>> round(kl_divergence(np.array([0.5, 0.5, 0.0, 0.0])), 4)  # log 2
    0.6931

    Args:
        weights: (N,), not negative, that sum to 1.
    """
    positive = weights[weights > 0].astype(np.float64)
    return max(0.0, float(positive @ np.log(positive * len(weights))))


def effective_sample_size(weights: npt.NDArray[Any]) -> float:
    """Return how many equally weighted episodes vary as little: (Σ w)² / Σ w² (Kish 1965).

    >>> effective_sample_size(np.array([3.0, 3.0, 0.0]))
    2.0

    Args:
        weights: (N,), not negative, on any scale.

    Raises:
        ValueError: they are negative, all zero, or not finite.
    """
    return shares(weights, len(weights))[1]


def shares(weights: npt.NDArray[Any], number: int) -> tuple[FloatArray, float]:
    """Return weights that sum to 1, and their effective sample size.

    Args:
        weights: (N,), not negative, on any scale.
        number: N.

    Raises:
        ValueError: they are not (N,), negative, all zero, or not finite.
    """
    if weights.shape != (number,):
        raise ValueError(f"weights have shape {weights.shape}, not ({number},)")
    largest = weights.max()
    if not (np.isfinite(weights).all() and weights.min() >= 0 and largest > 0):
        raise ValueError("weights must be finite, not negative, and not all zero")
    # By the largest first, for the squares of small ones are zero.
    scaled = weights.astype(np.float64) / largest
    total = float(scaled.sum())
    return scaled / total, total**2 / float((scaled**2).sum())


def step_weights(weights: npt.NDArray[Any], lengths: npt.NDArray[Any], unit: Unit = "episodes") -> FloatArray:
    """Return what each step weighs in cloning weighted episodes.

    Behavioural cloning adds up a loss over steps, so that an episode twice as long counts twice. The theory speaks of
    episodes. With `episodes` a step weighs its episode's weight over its episode's length, so that the steps of an
    episode together have the episode's weight. With `steps` a step weighs its episode's weight.

    >>> step_weights(np.array([0.5, 0.5]), np.array([1, 3]))
    array([2.        , 0.66666667, 0.66666667, 0.66666667])

    Args:
        weights: (N,) of episodes, on any scale.
        lengths: (N,), steps of each.
        unit: what counts alike.

    Returns:
        (sum of the lengths,), episode after episode. Their mean is 1, so that the loss keeps its size beside a
        regulariser; equal episodes in the unit `steps` give exactly 1 everywhere.

    Raises:
        ValueError: the arrays do not fit, a weight is negative, or all are zero.
    """
    if weights.ndim != 1 or weights.shape != lengths.shape:
        raise ValueError(f"weights {weights.shape} and lengths {lengths.shape} are not (N,) both")
    if not (np.isfinite(weights).all() and weights.min() >= 0 and (weights * lengths).max() > 0):
        raise ValueError("weights must be finite, not negative, and not all zero")
    of_one_step = weights.astype(np.float64) / weights.max()
    if unit == "episodes":
        of_one_step = np.divide(of_one_step, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    steps = np.repeat(of_one_step, lengths)
    scaled: FloatArray = steps * (len(steps) / steps.sum())
    return scaled


def _matching(
    weights: Callable[[float], FloatArray], number: int, quantile: float, match: Match, start: float
) -> float:
    """Return the strength, from `start` on, at which weights are as concentrated as a quantile's."""
    # Only for this: it takes a while to import, and settings are made of the names above.
    from scipy import optimize

    kept = number_kept(_checked_quantile(quantile), number)
    target = math.log(number / kept)

    def lacking(strength: float) -> float:
        found = weights(strength)
        return target - (kl_divergence(found) if match == "kl" else math.log(number / effective_sample_size(found)))

    if target == 0:
        return start
    if lacking(math.inf) >= -PRECISION:
        return math.inf
    # In the logarithm of the strength, in which divergences are nearly straight.
    low = high = math.log(number / kept)
    while lacking(math.exp(high)) > 0:
        high += 1.0
    while math.exp(low) > start and lacking(math.exp(low)) < 0:
        low -= 1.0
    low = low if math.exp(low) > start or start == 0 else math.log(start)
    return math.exp(optimize.brentq(lambda power: lacking(math.exp(power)), low, high, xtol=PRECISION))


def _exponential(below: FloatArray, beta: float) -> FloatArray:
    return _normalised(np.exp(-beta * below) if math.isfinite(beta) else (below == 0).astype(np.float64))


def _normalised(weights: FloatArray) -> FloatArray:
    shares: FloatArray = weights / weights.sum()
    return shares


def _below_the_best(proxy_returns: npt.NDArray[Any]) -> FloatArray:
    returns = _checked(proxy_returns)
    below: FloatArray = returns.max() - returns
    return below


def _checked(proxy_returns: npt.NDArray[Any]) -> FloatArray:
    if proxy_returns.ndim != 1 or proxy_returns.size == 0:
        raise ValueError(f"proxy returns have shape {proxy_returns.shape}, not (N,)")
    if not np.isfinite(proxy_returns).all():
        raise ValueError("a proxy return is NaN or infinite")
    return proxy_returns.astype(np.float64)


def _checked_quantile(quantile: float) -> float:
    if not 0 < quantile <= 1:
        raise UserError(f"quantile {quantile:g} is impossible; it lies above 0 and is at most 1, such as 0.25")
    return quantile
