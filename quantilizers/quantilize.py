"""Quantilizing: prefer what scores high, but stay near what people do.

Draw samples from a base distribution: episodes that people play, answers of a language model. Each has a score, the
proxy, that can be gamed. An optimiser takes the sample with the highest score; an imitator takes any. A quantilizer
takes one of the top fraction q at random (Taylor 2016; Carey 2019), so nothing becomes more than 1/q times as likely
as under the base distribution. To run one, draw n samples and take one of the best k at random, with k/n = q:

>>> answers = iter(["short", "a longer answer", "long, and flattering!", "fine"])
>>> quantilize(lambda: next(answers), score=len, n=4, k=2, rng=np.random.default_rng(0))
'long, and flattering!'

A *rule* is a way to select, and `RULES` is the table of all. Each has a strength, at whose lowest value it is the base
distribution. Rules meet samples in two ways:

* The N samples are all there is, such as the demonstrations that a policy learns from. `Rule.weights` gives each its
  weight. The quantile keeps max(1, floor(q·N)) whole samples, and of samples that tie the first counts as the better:
  the rule of the reproduction.
* The m samples stand for *fresh* draws of one decision problem, such as the answers to one prompt, and we ask what a
  rule would earn there. `Rule.at` gives the weights that estimate it, and samples that tie share theirs. Best of n, top
  k of n and best of Poisson are estimated without bias (`Rule.unbiased`), the others by their selection among the m.

>>> scores = np.array([3.0, 1.0, 2.0, 0.0])
>>> RULES["quantile"].weights(scores, 0.5)
array([0.5, 0. , 0.5, 0. ])
>>> RULES["top_k_of_n"].at(3, k=2).weights(scores).round(3)  # one of the best 2 of 3 fresh draws
array([0.375, 0.25 , 0.375, 0.   ])

All rules have a distance from the base distribution, `kl_divergence`, and a largest factor by which they raise a
probability, `density_ratio`. The mean of any cost, a number that is never negative, grows by that factor at most.

To add a rule, write its weights and add it to `RULES`. Flags, help, studies and figures know rules from there alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from numbers import Integral, Rational, Real
from typing import TYPE_CHECKING, Any, TypeVar

from quantilizers.choices import PLAYER_SELECTIONS, SELECTIONS, SelectionName, check_choice, shown_value, whole_number
from quantilizers.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from quantilizers.rewards import FloatArray
else:

    class _NumPy:
        """NumPy, imported when it is first used: `--help` lists the rules and does not wait for it."""

        def __getattr__(self, name: str) -> Any:
            import numpy

            return getattr(numpy, name)

    np = _NumPy()

Sample = TypeVar("Sample")


# Quantilizers that run.


def quantilize(
    sample: Callable[[], Sample],
    score: Callable[[Sample], float],
    n: int,
    k: int = 1,
    rng: np.random.Generator | int | None = None,
) -> Sample:
    """Draw n samples and return one of the best k at random.

    With k = 1 it is best of n. It tends to the exact quantilizer with q = k/n as n grows, and is at most n/k times as
    likely as the base distribution to return anything.

    Args:
        sample: draws one sample of the base distribution.
        score: the proxy of a sample.
        n: number of draws.
        k: number of the best, 1 ≤ k ≤ n.
        rng: generator, or the seed of one; None is a fresh one.

    Raises:
        UserError: k or n is impossible.
        ValueError: a score is NaN or infinite.
    """
    _check_draws(n, k)
    drawn = [sample() for _ in range(n)]
    return drawn[quantilize_scores([score(one) for one in drawn], k=k, rng=rng)]


def quantilize_scores(
    scores: npt.ArrayLike,
    q: float | None = None,
    *,
    n: int | None = None,
    k: int = 1,
    rng: np.random.Generator | int | None = None,
) -> int:
    """Return the index of one of m samples, selected by their scores.

    >>> quantilize_scores([0.1, 0.9, 0.5], k=1)
    1

    Args:
        scores: (m,) finite proxy scores. Those that tie have the same chance.
        q: take one of the top q at random, of which the sample at the edge may be a part; the best if q < 1/m.
        n: draw n of the m samples without replacement first; None takes all m.
        k: take one of the best k of those at random.
        rng: generator, or the seed of one; None is a fresh one.

    Raises:
        UserError: q, n or k is impossible, or q is given beside n or k.
        ValueError: the scores are not (m,) or not finite.
    """
    values = _checked(np.asarray(scores))
    generator = _generator(rng)
    if q is not None:
        if n is not None or k != 1:
            raise UserError("q is given beside n or k; a selection has either q, or n and k")
        return int(generator.choice(len(values), p=RULES["quantile"].at(q).weights(values)))
    n = len(values) if n is None else n
    _check_draws(n, k, len(values))
    # The order of the draws is random, which breaks ties at random.
    drawn = generator.permutation(len(values))[:n]
    return int(drawn[best_first(values[drawn])[generator.integers(k)]])


# Keeping whole samples: a quantile as the reproduction counts it.


def check_quantile(quantile: float) -> None:
    """Refuse a quantile that is no number with 0 < q ≤ 1.

    Raises:
        UserError: it is none.
    """
    if isinstance(quantile, bool) or not isinstance(quantile, Real) or not 0 < quantile <= 1:
        written = f"{quantile:.12g}" if isinstance(quantile, float) else shown_value(quantile)
        raise UserError(f"quantile {written} is impossible; it lies above 0 and is at most 1, such as 0.25")


def number_kept(quantile: float, number: int) -> int:
    """Return how many of `number` samples quantile q keeps: max(1, floor(q·N)).

    The product is that of the decimal number the user wrote: 0.29 of 100 is 29, although the nearest binary fraction
    to 0.29 lies below it.

    Raises:
        UserError: the quantile is impossible.
    """
    check_quantile(quantile)
    exact = quantile if isinstance(quantile, Rational) else Decimal(str(quantile))
    return max(1, math.floor(exact * number))


def best_first(scores: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the order of N samples from the highest score to the lowest, as indices (N,); ties keep their order."""
    order: npt.NDArray[np.intp] = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    return order


def selected(
    scores: npt.NDArray[Any],
    quantile: float,
    selection: SelectionName = "top",
    subset: int = 0,
    group: int | None = None,
    players: npt.NDArray[Any] | None = None,
) -> npt.NDArray[np.intp]:
    """Return the max(1, floor(q·N)) indices of the samples that a quantile keeps, or of as many others.

    A quantilizer takes the `top`, best first. Its controls are a `random` subset, drawn without looking at the scores,
    and the `bottom`, worst first. The same subset number, q and N always give the same random subset; the number of a
    group gives each group another.

    Two further controls need `players`, (N,) names or numbers: `top_players` takes the samples of the players with the
    highest mean scores, and `within_players` takes the share q of each player's samples, the best of them. Samples of
    the last player that fits in part, and the rounding of a player's share, are drawn at random, always the same ones.

    >>> selected(np.array([3.0, 1.0, 2.0, 0.0]), 0.5)
    array([0, 2])

    >>> selected(np.array([3.0, 1.0, 2.0, 0.0]), 0.5, "within_players", players=np.array(["a", "a", "b", "b"]))
    array([2, 0])

    Raises:
        UserError: the quantile is impossible, the selection unknown, or it needs players.
    """
    number = number_kept(quantile, len(scores))
    check_choice("selection", selection, SELECTIONS)
    if selection in PLAYER_SELECTIONS:
        if players is None:
            raise UserError(f"the selection {selection} needs the player of each sample")
        choose = _of_top_players if selection == "top_players" else _best_within_players
        return choose(scores, np.unique(players, return_inverse=True)[1], number)
    if selection == "top":
        return best_first(scores)[:number]
    if selection == "bottom":
        worst_first: npt.NDArray[np.intp] = np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
        return worst_first[:number]
    seed = [subset, number, len(scores), *([] if group is None else [group])]
    drawn: npt.NDArray[np.intp] = np.random.default_rng(seed).permutation(len(scores))
    return drawn[:number]


def _of_top_players(scores: npt.NDArray[Any], players: npt.NDArray[np.intp], number: int) -> npt.NDArray[np.intp]:
    """Return samples of the players with the highest mean scores; `players` (N,) numbers them from 0 on."""
    means = np.bincount(players, weights=scores) / np.bincount(players)
    places = np.empty(len(means), dtype=np.intp)
    places[best_first(means)] = np.arange(len(means))
    shuffled = np.random.default_rng(len(scores)).permutation(len(scores))
    kept: npt.NDArray[np.intp] = shuffled[np.argsort(places[players[shuffled]], kind="stable")][:number]
    return kept


def _best_within_players(scores: npt.NDArray[Any], players: npt.NDArray[np.intp], number: int) -> npt.NDArray[np.intp]:
    """Return the best samples of each player, k/N of them, by systematic sampling (Madow 1949).

    The r-th best of a player's m samples, from 0 on, stands at (r + u)/m, where u is one number from 0 to 1 for each
    player, and the k lowest are kept: each player keeps k/N of m on average, whatever the scores of others.
    """
    levels, generator = np.empty(len(scores)), np.random.default_rng(len(scores))
    for rows in rows_of_groups(players):
        levels[rows[best_first(scores[rows])]] = (np.arange(len(rows)) + generator.random()) / len(rows)
    kept: npt.NDArray[np.intp] = np.argsort(levels, kind="stable")[:number]
    return kept


def rows_of_groups(groups: npt.NDArray[Any]) -> list[npt.NDArray[np.intp]]:
    """Return the samples of each group, as indices in order; `groups` (N,) numbers each sample's from 0 to G − 1."""
    return np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])


def selected_within(
    scores: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    quantile: float,
    selection: SelectionName = "top",
    subset: int = 0,
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the samples that a quantile keeps within each group, and their weights, which sum to 1.

    Of the m samples of a group it keeps max(1, floor(q·m)): one of each group that is smaller than 1/q. Each group
    keeps its share m/N of the weight, as no selection within groups changes how often a group occurs.

    >>> selected_within(np.array([3.0, 1.0, 9.0, 8.0, 7.0, 6.0]), np.array([0, 0, 1, 1, 1, 1]), 0.5)
    (array([0, 2, 3]), array([0.33333333, 0.33333333, 0.33333333]))

    Args:
        scores: (N,).
        groups: (N,), number of each sample's group, from 0 to G − 1.
        quantile: q.
        selection: as `selected` takes it.
        subset: likewise.

    Raises:
        UserError: the quantile is impossible, or the selection unknown.
    """
    kept, weights = [], []
    for group, rows in enumerate(rows_of_groups(groups)):
        kept.append(rows[selected(scores[rows], quantile, selection, subset, group)])
        weights.append(np.full(len(kept[-1]), len(rows) / len(kept[-1]) / len(scores)))
    return np.concatenate(kept), np.concatenate(weights)


def share_between(scores: npt.NDArray[Any], groups: npt.NDArray[Any]) -> float | None:
    """Return the share of the scores' variance that lies between groups, from 0 to 1.

    It is 1 − MS_within / MS_total (Kelley 1935), which chance does not raise as it raises the ratio of sums of squares
    where groups are small. None if no group has two samples, or the scores do not vary.

    >>> share_between(np.array([1.0, 2.0, 11.0, 12.0]), np.array([0, 0, 1, 1])).__round__(3)
    0.985
    """
    sizes = np.bincount(groups)
    number = len(scores)
    if number == len(sizes) or np.ptp(scores) == 0:
        return None
    scaled = (scores - scores.mean()) / np.abs(scores - scores.mean()).max()
    means = np.bincount(groups, weights=scaled) / sizes
    inside = float(((scaled - means[groups]) ** 2).sum()) / (number - len(sizes))
    return min(1.0, max(0.0, 1 - inside / (float((scaled**2).sum()) / (number - 1))))


# How far weights are from those of the base distribution.


def kl_divergence(weights: npt.NDArray[Any]) -> float:
    """Return the KL divergence of weights from equal ones, Σ w log(N w), in nats.

    Weights (N,) are not negative and sum to 1. It is log(1/q) for the top q, and log n − (n − 1)/n for best of n if N
    is large.

    >>> round(kl_divergence(np.array([0.5, 0.5, 0.0, 0.0])), 4)  # log 2
    0.6931
    """
    positive = weights[weights > 0].astype(np.float64)
    return max(0.0, float(positive @ np.log(positive * len(weights))))


def density_ratio(weights: npt.NDArray[Any]) -> float:
    """Return the largest ratio of weights (N,), which sum to 1, to the base distribution's 1/N.

    It is N/m for the best m of N samples, and n for best of n if N is large.
    """
    return float(weights.max()) * len(weights)


def effective_sample_size(weights: npt.NDArray[Any]) -> float:
    """Return how many equally weighted samples have a mean as precise as weights on any scale: (Σ w)² / Σ w².

    Source: Kish (1965).

    >>> effective_sample_size(np.array([3.0, 3.0, 0.0]))
    2.0

    Raises:
        ValueError: weights are negative, all zero, or not finite.
    """
    return shares(weights, len(weights))[1]


def shares(weights: npt.NDArray[Any], number: int) -> tuple[FloatArray, float]:
    """Return weights (N,) on any scale as shares that sum to 1, and their effective sample size.

    Raises:
        ValueError: they are not (N,), negative, all zero, or not finite.
    """
    if weights.shape != (number,):
        raise ValueError(f"weights have shape {weights.shape}, not ({number},)")
    largest = weights.max()
    if not (np.isfinite(weights).all() and weights.min() >= 0 and largest > 0):
        raise ValueError("weights must be finite, not negative, and not all zero")
    # Divide by the largest first: squares of small weights underflow.
    scaled = weights.astype(np.float64) / largest
    total = float(scaled.sum())
    return scaled / total, total**2 / float((scaled**2).sum())


# Weights that estimate what a rule earns with fresh draws, from m samples of one decision problem.


def share_ties(values: npt.NDArray[Any], scores: npt.NDArray[Any]) -> FloatArray:
    """Return values (m,) of samples averaged over those that tie, of scores (m,) in order.

    Weights that ties share are such an average; so is what they earn, which gives the same weighted mean.

    >>> share_ties(np.array([0.6, 0.3, 0.1]), np.array([5.0, 5.0, 2.0])).round(2)
    array([0.45, 0.45, 0.1 ])
    """
    return block_means(values, np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]])))


def block_means(values: npt.NDArray[Any], starts: npt.NDArray[np.intp]) -> FloatArray:
    """Return values (…, m) with each replaced by the mean of its block; `starts` are the first indices of blocks."""
    lengths = np.diff(np.append(starts, values.shape[-1]))
    averaged: FloatArray = np.repeat(np.add.reduceat(values, starts, axis=-1) / lengths, lengths, axis=-1)
    return averaged


def quantile_weights(number: int, quantile: float, cut: float = 0.0) -> FloatArray:
    """Return the weights (m,) of ranks, the best first, for one of the top q at random.

    The sample at the edge counts by the fraction of it that lies within: min(1, max(0, qm − i))/(qm) for i = 0, 1, ….
    With a cut, the uppermost fraction c is left out, and the next q taken. If qm is a whole number k, it is the top k
    of m fresh draws, without bias; the exact quantilizer, whose q is of the base distribution, is its limit for large
    m and selects harder. No estimate of that from m samples is without bias.

    >>> quantile_weights(4, 0.375)
    array([0.66666667, 0.33333333, 0.        , 0.        ])

    Raises:
        UserError: q or c is impossible.
    """
    check_quantile(quantile)
    if not 0 <= cut < 1 or cut + quantile > 1 + 1e-12:
        raise UserError(f"the uppermost {cut:g} and the next {quantile:g} are more than all samples")
    ranks = np.arange(number)
    inside = np.clip((cut + quantile) * number - ranks, 0, 1) - np.clip(cut * number - ranks, 0, 1)
    weights: FloatArray = inside / inside.sum()
    return weights


def top_k_of_n_weights(number: int, n: int, k: int = 1) -> FloatArray:
    """Return the weights (m,) of ranks, the best first, for one of the best k of n draws at random.

    It is the mean over all subsets of n, and without bias: w_i = (1/k) Σ_{j≤k} C(i−1, j−1) C(m−i, n−j) / C(m, n). That
    is (n/mk) P(H_i < k), where H_i, the number of better samples among the other n − 1, is hypergeometric; and
    P(H_i < k) − P(H_{i+1} < k) = C(i−1, k−1) C(m−1−i, n−1−k) / C(m−1, n−1): a sum of positive terms.

    >>> top_k_of_n_weights(4, n=2).round(3)
    array([0.5  , 0.333, 0.167, 0.   ])

    Raises:
        UserError: not 1 ≤ k ≤ n ≤ m.
    """
    _check_draws(n, k, number)
    if k == n:
        return np.full(number, 1 / number)
    logarithms = np.log(np.arange(1, number + 1, dtype=np.longdouble))
    factorial = np.concatenate([np.zeros(1, np.longdouble), np.cumsum(logarithms)])  # log i!
    i = np.arange(k, number - n + k + 1)
    falls = np.zeros(number)
    falls[i - 1] = np.exp(
        factorial[i - 1] - factorial[k - 1] - factorial[i - k]
        + factorial[number - 1 - i] - factorial[n - 1 - k] - factorial[number - i - n + k]
        - factorial[number - 1] + factorial[n - 1] + factorial[number - n]
    )  # fmt: skip
    weights: FloatArray = np.cumsum(falls[::-1])[::-1] * (n / (number * k))
    return weights


def top_k_of_n_divergence(n: int, k: int = 1) -> float:
    """Return the KL divergence of one of the best k of n from the base distribution, in nats.

    For continuous scores the density at the level u, the fraction of the base distribution that scores higher, is
    (n/k) P(Bin(n − 1, u) ≤ k − 1). With ties the divergence is smaller. For k = 1 it is log n − (n − 1)/n (Beirami et
    al. 2024).

    >>> round(top_k_of_n_divergence(4), 4), round(math.log(4) - 3 / 4, 4)
    (0.6363, 0.6363)
    """
    _check_draws(n, k)
    if k == 1:
        return math.log(n) - (n - 1) / n
    if k == n:
        return 0.0
    # The density falls around u = k/n within a few standard deviations, and is flat elsewhere.
    spread = math.sqrt(k * (n - k) / n) / n
    edges = [k / n + width * spread for width in (-12, -6, -3, 0, 3, 6, 12, 40)]
    return _divergence(lambda levels: n / k * _at_most(k - 1, n - 1, levels), edges)


def best_of_poisson_weights(number: int, mean: float) -> FloatArray:
    """Return the weights (m,) of ranks, the best first, for the best of 1 + Poisson(μ) draws (Khalaf et al. 2025).

    They mix the weights of the best of 1, 2, … m draws, which have no bias. More than m draws, which are less than 1 in
    100, count as m.

    >>> best_of_poisson_weights(4, mean=0.5).round(3)
    array([0.375, 0.272, 0.202, 0.152])

    Raises:
        UserError: the rule draws more than m samples too often.
    """
    _check_draws(poisson_draws(mean), 1, number)
    first, shares_of_n = _poisson(mean)
    logarithms = np.log(np.arange(1, number + 1, dtype=np.longdouble))
    factorial = np.concatenate([np.zeros(1, np.longdouble), np.cumsum(logarithms)])  # log i!
    draws = min(first + 1, number)
    # None of n draws is among the i best with probability C(m − i, n) / C(m, n), for i = 0, 1, … m − n.
    behind = np.arange(number - draws + 1)
    none = np.exp(
        factorial[number - behind] - factorial[number - draws - behind] - factorial[number]
        + factorial[number - draws]
    ).astype(np.float64)  # fmt: skip
    mixed = np.zeros(number + 1)
    for share in shares_of_n:
        mixed[: len(none)] += share * none
        if draws < number:
            none = none[: number - draws]
            none = none * (1 - np.arange(len(none)) / (number - draws))
            none = none[: max(1, int(np.searchsorted(-none, -1e-18)))]  # the rest is rounding
            draws += 1
    weights: FloatArray = mixed[:-1] - mixed[1:]
    return weights


def poisson_draws(mean: float) -> int:
    """Return the smallest n that 1 + Poisson(μ) draws exceed with a probability of at most 1 in 100.

    >>> [poisson_draws(mean) for mean in (0, 1, 8)]
    [1, 5, 16]
    """
    if mean > 1e12:
        return math.ceil(mean)
    first, shares_of_n = _poisson(mean)
    return first + 1 + int(np.argmax(np.cumsum(shares_of_n) >= 0.99))


def _poisson(mean: float) -> tuple[int, FloatArray]:
    """Return probabilities of successive numbers of a Poisson distribution, and the first of the numbers."""
    if mean == 0:
        return 0, np.ones(1)
    reach = 9 * math.sqrt(mean) + 20
    first = max(0, math.floor(mean - reach))
    steps = math.log(mean) - np.log(np.arange(first + 1, math.ceil(mean + reach)))
    logarithms = np.concatenate([[0.0], np.cumsum(steps)])
    raw = np.exp(logarithms - logarithms.max())
    return first, raw / raw.sum()


def exponential_weights(scores: npt.NDArray[Any], beta: float) -> FloatArray:
    """Return the weights (…, m) of samples with scores (…, m), ∝ exp(β · score).

    Of all distributions with as high a mean score it is the nearest in KL divergence; reinforcement learning with a KL
    penalty of 1/β tends to it (Korbak, Perez & Buckley 2022). From m samples it is estimated with a bias of order 1/m.
    """
    with np.errstate(over="ignore"):  # exp(−∞) is 0
        raw = np.exp(beta * (scores - scores.max(axis=-1, keepdims=True)))
    weights: FloatArray = raw / raw.sum(axis=-1, keepdims=True)
    return weights


def soft_best_of_n_weights(scores: npt.NDArray[Any], n: int, temperature: float) -> FloatArray:
    """Return the weights (…, m) of samples with scores (…, m) for one of n draws, taken ∝ exp(score / T).

    Draws are with replacement (Verdun et al. 2025): the weight is (n/m) E[a_i / (a_i + a_2 + … + a_n)] with
    a = exp(score / T). As 1/x = ∫ e^{−tx} dt, that is (n/m) ∫ a_i e^{−t a_i} L(t)^{n−1} dt, L(t) the mean of e^{−ta}.

    Scores are in order, the best first.
    """
    number = scores.shape[-1]
    if n == 1:
        return np.full(scores.shape, 1 / number)
    rows = scores.reshape(-1, number)
    batch = max(1, _IN_CACHE // number)
    parts = [_soft_weights(rows[begin : begin + batch], n, temperature) for begin in range(0, len(rows), batch)]
    return np.concatenate(parts).reshape(scores.shape)


#: Samples of soft best of n that are weighted at a time, which limits memory.
_IN_CACHE = 2**12


def _soft_weights(scores: FloatArray, n: int, temperature: float) -> FloatArray:
    """Return the weights (G, m) of `soft_best_of_n_weights` for scores (G, m)."""
    groups, number = scores.shape
    # Of two samples whose scores differ by 40 T one always wins, however much more they differ.
    with np.errstate(over="ignore"):
        below = np.minimum(-np.diff(scores, axis=1, prepend=scores[:, :1]) / temperature, 40.0).cumsum(axis=1)
    # The integrand is analytic in log t within π/2 of the real line, where an even grid converges geometrically. On it
    # e^{−ta} differs from 1 and from 0 within a window alone, whose place depends on the score.
    step, lowest = 0.25, -37.0 - math.log(n)
    window = np.arange(math.ceil((7.0 - lowest) / step))
    starts = np.ceil((below + lowest) / step)
    before = (starts * step - below).ravel()  # log ta at the start of the window
    spans = (starts[:, -1] - starts[:, 0]).astype(np.intp) + len(window)
    offsets = np.cumsum(spans) - spans
    places = (starts - starts[:, :1]).astype(np.intp).ravel() + np.repeat(offsets, number)
    # Samples whose window begins later add 1 to m·L(t).
    total = np.repeat(number * np.arange(1.0, groups + 1), spans)
    total -= np.cumsum(np.bincount(places, minlength=len(total)))
    for node in window:
        total += np.bincount(places + node, weights=np.exp(-np.exp(before + node * step)), minlength=len(total))
    total = (total / number) ** (n - 1)
    raw = np.zeros(groups * number)
    for node in window:
        logarithms = before + node * step
        raw += np.exp(logarithms - np.exp(logarithms)) * total[places + node]
    raw = raw.reshape(scores.shape)
    weights: FloatArray = raw / raw.sum(axis=1, keepdims=True)
    return weights


# Rules.


@dataclass(frozen=True)
class Rule:
    """A way to select by scores.

    Attributes:
        name: of flags, keys and files.
        label: of legends and reports.
        weighted: completes "episodes weighted …".
        symbol: of its strength.
        neutral: the lowest strength, which weights all samples alike; None where the strength is the quantile.
        formula: weights (N,), on any scale, of N samples that are all there is, from places (N,) and a finite strength.
            Places are ranks 0, 1, …, N − 1, the best first, or how far each score lies below the highest. None where
            nothing imitates by this rule.
        by_score: whether the scores' values count, not their ranks alone.
        fresh: weights for fresh draws, from m, or from scores (…, m) in order, the best first; the strength; the extra.
        divergence: KL divergence for continuous scores, of the strength and the extra; None where scores decide.
        ratio: largest ratio of densities, likewise.
        extra: name of a second number, which a curve leaves alone.
        unbiased: whether `fresh` has no bias. If not, a mean is that of the selection among the m samples, as if they
            were all there are; that of fresh samples differs by an order of 1/m.
        colour: of its curve (Okabe & Ito 2008).
        dashes: of its curve, which also differs in grey from the others.
        marker: of policies that imitate by it.
    """

    name: str
    label: str
    weighted: str
    symbol: str
    neutral: float | None
    formula: Callable[[npt.NDArray[Any], float], npt.NDArray[Any]] | None
    by_score: bool
    fresh: Callable[..., FloatArray]
    divergence: Callable[..., float] | None
    ratio: Callable[..., float] | None
    colour: str
    dashes: str | tuple[float, tuple[float, ...]]
    marker: str
    extra: str | None = None
    unbiased: bool = False

    @property
    def is_quantile(self) -> bool:
        """Whether it is the quantilizer, which keeps the best samples and weights them alike.

        The other rules weight all samples, and are compared with it.
        """
        return self.name == "quantile"

    @property
    def cloned(self) -> str:
        """Label of policies that imitate by it."""
        return "cloned" if self.is_quantile else f"cloned {self.label}"

    def weights(self, scores: npt.NDArray[Any], strength: float) -> FloatArray:
        """Return the weights of N samples with scores (N,), which sum to 1; the samples are all there is.

        Of samples that tie, a rule of ranks prefers the first. At infinite strength the best sample has all the weight,
        or the best share it.

        Raises:
            UserError: there is no such strength.
            ValueError: the scores are not (N,) or not finite.
        """
        places = self.places(scores)
        self._check(strength)
        found = self.weights_of_places(places, strength)
        if self.by_score:
            return found
        weights = np.empty(len(found))
        weights[best_first(scores)] = found
        return weights

    def at(self, strength: float, **extra: float) -> Strength:
        """Return this rule at a strength, for fresh draws.

        Raises:
            UserError: the strength or the extra number is impossible.
        """
        self._check(strength)
        if math.isinf(strength):
            raise UserError(f"{self.symbol} is {strength:g}; fresh draws need a finite one")
        whole = isinstance(strength, Integral) or (self.symbol == "n" and strength == int(strength))
        value = int(strength) if whole else float(strength)
        return Strength(self, value, check_extra(self, extra))

    def places(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the places (N,) of samples with scores (N,), from which `formula` makes weights.

        Raises:
            ValueError: the scores are not (N,) or not finite.
        """
        precise = _checked(scores)
        return precise.max() - precise if self.by_score else np.arange(len(precise))

    def weights_of_places(self, places: npt.NDArray[Any], strength: float) -> FloatArray:
        """Return the weights (N,) of places (N,), which sum to 1.

        Raises:
            UserError: nothing imitates by this rule.
        """
        check_choice("method", self.name, METHODS)
        assert self.formula is not None
        raw = places == 0 if math.isinf(strength) else self.formula(places, strength)
        normalised: FloatArray = raw / raw.sum()
        return normalised

    def _check(self, strength: float) -> None:
        if self.neutral is None:
            check_quantile(strength)
        elif not real_number(self.symbol, strength) >= self.neutral:
            raise UserError(f"{self.symbol} is {strength:g}; {self.label} takes {self.neutral:g} or more")


@dataclass(frozen=True)
class Strength:
    """A rule at one strength, for fresh draws of a decision problem.

    Attributes:
        rule: the rule.
        value: its strength, such as q or n.
        extra: its second number, such as k; None where the rule has none.
    """

    rule: Rule
    value: float
    extra: float | None = None

    @property
    def label(self) -> str:
        """Short description, such as `q = 0.25` or `top 2 of 8`."""
        if self.rule.name in ("best_of_n", "top_k_of_n"):
            k = self.extra or 1
            return f"best of {self.value:g}" if k == 1 else f"top {k:g} of {self.value:g}"
        more = "" if self.extra is None else f", {self.rule.extra} {self.extra:g}"
        return f"{self.rule.symbol} = {self.value:g}{more}"

    @property
    def draws(self) -> int:
        """Number of samples that an estimate needs of a decision problem: n draws, or one sample in the top q."""
        if self.rule.name == "best_of_poisson":
            return poisson_draws(self.value)
        if self.rule.symbol == "q":
            needed = 1 / self.value * (1 - 1e-12)
            return math.ceil(needed if math.isfinite(needed) else 1 / Fraction(self.value))
        return int(self.value) if self.rule.symbol == "n" else 1

    @property
    def divergence(self) -> float | None:
        """KL divergence from the base distribution in nats, an upper bound with ties; None where scores decide."""
        return None if self.rule.divergence is None else self.rule.divergence(self.value, *self._extra)

    @property
    def ratio(self) -> float | None:
        """Largest factor by which a probability, and so the mean of any cost, grows; None where scores decide."""
        return None if self.rule.ratio is None else self.rule.ratio(self.value, *self._extra)

    def of_ranks(self, number: int) -> FloatArray:
        """Return the weights (m,) of ranks, the best first.

        Raises:
            UserError: the rule draws more than m samples.
        """
        return self.rule.fresh(number, self.value, *self._extra)

    def of_scores(self, ranked: npt.NDArray[Any]) -> FloatArray:
        """Return the weights (…, m) of samples with scores (…, m), for a rule by score."""
        return self.rule.fresh(ranked, self.value, *self._extra)

    def weights(self, scores: npt.NDArray[Any]) -> FloatArray:
        """Return the weights (m,) of samples with scores (m,), which sum to 1; samples that tie share theirs.

        Raises:
            UserError: the rule draws more than m samples.
            ValueError: the scores are not (m,) or not finite.
        """
        values = _checked(scores)
        order = best_first(values)
        ranked = values[order]
        found = self.of_scores(ranked) if self.rule.by_score else share_ties(self.of_ranks(len(ranked)), ranked)
        weights = np.empty(len(values))
        weights[order] = found
        return weights

    @property
    def _extra(self) -> tuple[float, ...]:
        return () if self.extra is None else (self.extra,)


def _top(ranks: npt.NDArray[Any], quantile: float) -> npt.NDArray[Any]:
    return ranks < number_kept(quantile, len(ranks))


def _best_of_n(ranks: npt.NDArray[Any], n: float) -> npt.NDArray[Any]:
    """Weight the sample of rank r by ((N − r)/N)^n − ((N − r − 1)/N)^n, for any real n ≥ 1.

    It is the best where none of n draws, with replacement, ranks before it, and not all rank behind it.
    """
    exponents = n * np.log1p(-ranks / len(ranks))
    # exp(a) − exp(b) = exp(a) (1 − exp(b − a)), which loses no digits.
    falls = np.append(np.diff(exponents), -math.inf)
    weights: FloatArray = np.exp(exponents) * -np.expm1(falls)
    return weights


def _exponential(below: npt.NDArray[Any], beta: float) -> npt.NDArray[Any]:
    return np.exp(-beta * below)


def _poisson_divergence(mean: float) -> float:
    """Integrate the density exp(−μu) (1 + μ(1 − u)) at the level u, counted from the highest score."""
    edges = [width / max(mean, 1.0) for width in (1, 3, 8, 20, 40)]
    return _divergence(lambda levels: np.exp(-mean * levels) * (1 + mean * (1 - levels)), edges)


#: All rules by name. The first is the quantilizer, with which the others are compared.
RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "quantile", "exact quantilizer", "by the quantile", "q", None, _top, False,
            quantile_weights, lambda q: math.log(1 / q), lambda q: 1 / q,
            colour="#000000", dashes="-", marker="o",
        ),
        Rule(
            "best_of_n", "best of n", "by best of n", "n", 1.0, _best_of_n, False,
            top_k_of_n_weights, top_k_of_n_divergence, lambda n: n,
            colour="#009E73", dashes=(0, (5, 1.5)), marker="P", unbiased=True,
        ),
        Rule(
            "exponential", "exponential weights", "exponentially", "beta", 0.0, _exponential, True,
            exponential_weights, None, None,
            colour="#CC79A7", dashes=(0, (1, 1)), marker="X",
        ),
        Rule(
            "top_k_of_n", "top k of n", "by top k of n", "n", 1.0, None, False,
            top_k_of_n_weights, top_k_of_n_divergence, lambda n, k: n / k,
            colour="#0072B2", dashes=(0, (5, 1.5, 1, 1.5)), marker="s", extra="k",
            unbiased=True,
        ),
        Rule(
            "soft_best_of_n", "soft best of n", "by soft best of n", "n", 1.0, None, True,
            soft_best_of_n_weights, None, None,
            colour="#E69F00", dashes=(0, (3, 1)), marker="D", extra="temperature",
        ),
        Rule(
            "best_of_poisson", "best of Poisson", "by best of Poisson", "mu", 0.0, None, False,
            best_of_poisson_weights, _poisson_divergence, lambda mu: 1 + mu,
            colour="#56B4E9", dashes=(0, (7, 1, 1, 1, 1, 1)), marker="v", unbiased=True,
        ),
        Rule(
            "trimmed", "trimmed quantilizer", "by the trimmed quantile", "q", None, None, False,
            quantile_weights, lambda q, cut: math.log(1 / q), lambda q, cut: 1 / q,
            colour="#D55E00", dashes=(0, (2, 2)), marker="^", extra="cut",
        ),
    )
}  # fmt: skip
#: Names of the rules by which policies imitate.
METHODS: tuple[str, ...] = tuple(rule.name for rule in RULES.values() if rule.formula is not None)
#: Rules that weight all samples, as strongly as a quantile that keeps some.
SOFTER_RULES: tuple[Rule, ...] = tuple(RULES[name] for name in METHODS if not RULES[name].is_quantile)


def rule_named(name: str) -> Rule:
    """Return the rule of a name by which policies imitate; raise a UserError if there is none."""
    check_choice("method", name, METHODS)
    return RULES[name]


def _checked(scores: npt.NDArray[Any]) -> FloatArray:
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"scores have shape {scores.shape}, not (N,)")
    precise: FloatArray = scores.astype(np.float64)
    if not np.isfinite(precise).all():
        raise ValueError("a score is NaN or infinite")
    return precise


def real_number(name: str, value: Any) -> float:
    """Return a number; refuse other values, such as True and "1"; raise a UserError."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UserError(f"{name} is {shown_value(value)}; give a number")
    try:
        return float(value)
    except OverflowError:
        raise UserError(f"{name} is larger than any floating-point number") from None


def implied_rule(rule: str | None, extra: Mapping[str, float]) -> str | None:
    """Return a rule's name; None is top k of n where k is given, which other rules do not take."""
    return "top_k_of_n" if rule is None and "k" in extra else rule


def _generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    return np.random.default_rng(whole_number("rng", rng, 0) if isinstance(rng, (Real, str)) else rng)


def check_extra(rule: Rule, given: Mapping[str, float]) -> float | None:
    """Return a rule's second number; raise a UserError if it is missing or impossible."""
    unknown = [name for name in given if name != rule.extra]
    if unknown or (rule.extra and not given):
        takes = f"it takes {rule.extra}" if rule.extra else "it takes no second number"
        raise UserError(f"{rule.label} is given {', '.join(unknown) or 'its strength alone'}; {takes}")
    extra = None if rule.extra is None else real_number(rule.extra, given[rule.extra])
    if rule.extra == "temperature" and not (extra is not None and 0 < extra < math.inf):
        raise UserError(f"temperature is {extra:g}; it must be above 0")
    if rule.extra == "k" and extra is not None:
        if not 1 <= extra < math.inf or extra != int(extra):
            raise UserError(f"k is {extra:g}; it is a whole number from 1 on")
        return int(extra)
    if rule.extra == "cut" and not (extra is not None and 0 <= extra < 1):
        raise UserError(f"cut is {extra:g}; it lies from 0 to below 1")
    return extra


def _check_draws(n: int, k: int, number: float = math.inf) -> None:
    """Refuse numbers of draws that are no whole numbers, or impossible; raise a UserError."""
    if not whole_number("k", k) <= whole_number("n", n):
        raise UserError(f"the best {k} of {n} draws are impossible; k is from 1 to n")
    if n > number:
        raise UserError(f"{n:,} draws need {n:,} samples, and there are {number:,}")


def _divergence(density: Callable[[FloatArray], FloatArray], edges: list[float]) -> float:
    """Return ∫ f log f of a density on [0, 1], which is smooth between edges (those outside are ignored)."""
    within = sorted({0.0, 1.0, *(edge for edge in edges if 0 < edge < 1)})
    nodes, weights = _gauss()
    total = 0.0
    for low, high in itertools.pairwise(within):
        densities = np.maximum(density((low + high) / 2 + (high - low) / 2 * nodes), 1e-300)
        total += (high - low) / 2 * float(weights @ (densities * np.log(densities)))
    return max(0.0, total)


@cache
def _gauss() -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return nodes, weights


def _at_most(successes: int, trials: int, probability: FloatArray) -> FloatArray:
    """Return P(Bin(trials, p) ≤ successes)."""
    counts = np.arange(successes + 1)
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    choose = factorial[trials] - factorial[counts] - factorial[trials - counts]
    terms = choose + counts * np.log(probability)[:, None] + (trials - counts) * np.log1p(-probability)[:, None]
    summed: FloatArray = np.minimum(np.exp(terms).sum(axis=1), 1.0)
    return summed
