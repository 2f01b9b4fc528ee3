"""Quantilizing: prefer what scores high, but stay near what people do.

Take N samples of a base distribution D: episodes that people played, or anything else that was sampled. Each has a
score, the proxy, that can be gamed. An optimiser takes the sample with the highest score; an imitator takes any. A
quantilizer takes one of the top fraction q at random (Taylor 2016; Carey 2019). Nothing becomes more than 1/q times as
likely as under D.

That is one *rule* of several. A rule turns scores and a strength into weights, a distribution over the N samples:

| rule | weight of a sample | strength |
|---|---|---|
| `quantile` | 1/k for the best k = max(1, floor(q·N)), 0 for the others | q |
| `best_of_n` | probability of being the best of n samples, drawn with replacement | n ≥ 1 |
| `exponential` | ∝ exp(β · score) | β ≥ 0 |

>>> scores = np.array([3.0, 1.0, 2.0, 0.0])
>>> RULES["quantile"].weights(scores, 0.5)
array([0.5, 0. , 0.5, 0. ])
>>> RULES["best_of_n"].weights(scores, 3).round(2)
array([0.58, 0.11, 0.3 , 0.02])

Rules are comparable because each has a distance from D, where every sample weighs 1/N: the KL divergence, or how small
the effective sample size is. `Rule.matching` gives the strength at which a rule goes as far as a quantile:

>>> rule = RULES["best_of_n"]
>>> n = rule.matching(scores, quantile=0.5)
>>> round(n, 2), round(kl_divergence(rule.weights(scores, n)), 4)  # log 2
(4.66, 0.6931)

To add a rule, write the formula of its weights and add it to `RULES`. The table is all that flags, help, studies and
figures know of rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from quantilizers.choices import MATCHES, SELECTIONS, Match, SelectionName
from quantilizers.errors import UserError, did_you_mean

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

#: Relative precision to which strengths are matched.
PRECISION = 1e-9


# Keeping whole samples: a quantile as the reproduction counts it.


def number_kept(quantile: float, number: int) -> int:
    """Return how many of `number` samples quantile q keeps: max(1, floor(q·N)).

    The product is that of the decimal number the user wrote: 0.29 of 100 is 29, although the nearest binary fraction
    to 0.29 lies below it.

    Raises:
        UserError: the quantile is impossible.
    """
    if not 0 < quantile <= 1:
        raise UserError(f"quantile {quantile:g} is impossible; it lies above 0 and is at most 1, such as 0.25")
    return max(1, math.floor(Decimal(str(quantile)) * number))


def best_first(scores: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the order of N samples from the highest score to the lowest, as indices (N,); ties keep their order."""
    order: npt.NDArray[np.intp] = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    return order


def select(
    scores: npt.NDArray[Any], quantile: float, selection: SelectionName = "top", subset: int = 0
) -> npt.NDArray[np.intp]:
    """Return the max(1, floor(q·N)) indices of the samples that a quantile keeps, or of as many others.

    A quantilizer takes the `top`, best first. Its controls are a `random` subset, drawn without looking at the scores,
    and the `bottom`, worst first. The same subset number, q and N always give the same random subset.

    >>> select(np.array([3.0, 1.0, 2.0, 0.0]), 0.5)
    array([0, 2])

    Raises:
        UserError: the quantile is impossible, or the selection unknown.
    """
    number = number_kept(quantile, len(scores))
    if selection == "top":
        return best_first(scores)[:number]
    if selection == "bottom":
        worst_first: npt.NDArray[np.intp] = np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
        return worst_first[:number]
    if selection == "random":
        drawn: npt.NDArray[np.intp] = np.random.default_rng([subset, number, len(scores)]).permutation(len(scores))
        return drawn[:number]
    raise UserError(_unknown("selection", selection, SELECTIONS))


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


# Rules.


@dataclass(frozen=True)
class Rule:
    """A way to weight samples by their scores.

    The formula gives weights (N,), on any scale, from places (N,) and a finite strength. Places are ranks 0, 1, …,
    N − 1, the best first, or with `by_score` how far each score lies below the highest.
    """

    name: str  # of flags, keys and files
    label: str  # of legends and reports
    weighted: str  # completes "episodes weighted …"
    symbol: str  # of its strength
    neutral: float | None  # lowest strength, which weights all samples alike; None where the strength is the quantile
    formula: Callable[[npt.NDArray[Any], float], npt.NDArray[Any]]
    by_score: bool  # whether the scores' values count, not their ranks alone
    colour: str  # of its curve (Okabe & Ito 2008)
    dashes: str | tuple[float, tuple[float, ...]]  # of its curve, which also differs in grey from the others
    marker: str  # of policies that imitate by it

    @property
    def cloned(self) -> str:
        """Label of policies that imitate by it."""
        return "cloned" if self.name == "quantile" else f"cloned {self.label}"

    def weights(self, scores: npt.NDArray[Any], strength: float) -> FloatArray:
        """Return the weights of N samples with scores (N,), which sum to 1.

        Of samples that tie, a rule of ranks prefers the first. At infinite strength the best sample has all the weight,
        or the best share it.

        Raises:
            UserError: there is no such strength.
            ValueError: the scores are not (N,) or not finite.
        """
        places = self._places(scores)
        if self.neutral is None:
            number_kept(strength, len(places))  # refuses an infinite quantile, too
        elif not strength >= self.neutral:
            raise UserError(f"{self.symbol} is {strength:g}; {self.label} takes {self.neutral:g} or more")
        found = self._of_places(places, strength)
        if self.by_score:
            return found
        weights = np.empty(len(found))
        weights[best_first(scores)] = found
        return weights

    def matching(self, scores: npt.NDArray[Any], quantile: float, match: Match = "kl") -> float:
        """Return the strength at which this rule is as far from the base distribution as a quantile is.

        The quantile keeps k = max(1, floor(q·N)) of N samples. Its KL divergence (match `kl`) is log(N/k), which is
        log(1/q) but for rounding; its effective sample size (match `effective_size`) is k. The strength is infinite
        where no finite one goes as far: k is 1, or k or more samples tie for the best by score.

        Raises:
            UserError: the quantile is impossible, or the match unknown.
            ValueError: the scores are not (N,) or not finite.
        """
        places = self._places(scores)
        kept = number_kept(quantile, len(places))
        if match not in MATCHES:
            raise UserError(_unknown("match", match, MATCHES))
        if self.neutral is None:
            return quantile
        # Scores have a unit, and the search works best near 1.
        scale = (float(places.mean()) or 1.0) if self.by_score else 1.0
        places = places / scale if self.by_score else places
        target = math.log(len(places) / kept)  # also a start for the search

        def lacking(strength: float) -> float:
            found = self._of_places(places, strength)
            far = kl_divergence(found) if match == "kl" else math.log(len(places) / effective_sample_size(found))
            return target - far

        if target == 0:
            return self.neutral / scale
        if lacking(math.inf) >= -PRECISION:
            return math.inf
        return _root(lacking, self.neutral, start=target) / scale

    def _places(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if scores.ndim != 1 or scores.size == 0:
            raise ValueError(f"scores have shape {scores.shape}, not (N,)")
        if not np.isfinite(scores).all():
            raise ValueError("a score is NaN or infinite")
        precise = scores.astype(np.float64)
        return precise.max() - precise if self.by_score else np.arange(len(precise))

    def _of_places(self, places: npt.NDArray[Any], strength: float) -> FloatArray:
        raw = places == 0 if math.isinf(strength) else self.formula(places, strength)
        normalised: FloatArray = raw / raw.sum()
        return normalised


def _top(ranks: npt.NDArray[Any], quantile: float) -> npt.NDArray[Any]:
    return ranks < number_kept(quantile, len(ranks))


def _best_of_n(ranks: npt.NDArray[Any], n: float) -> npt.NDArray[Any]:
    """Weight the sample of rank r by ((N − r)/N)^n − ((N − r − 1)/N)^n, for any real n ≥ 1.

    It is the best where none of n draws ranks before it, and not all rank behind it. The KL divergence is at most
    log n − (n − 1)/n (Beirami et al. 2024), which it tends to as N grows.
    """
    exponents = n * np.log1p(-ranks / len(ranks))
    # exp(a) − exp(b) = exp(a) (1 − exp(b − a)), which loses no digits.
    falls = np.append(np.diff(exponents), -math.inf)
    weights: FloatArray = np.exp(exponents) * -np.expm1(falls)
    return weights


def _exponential(below: npt.NDArray[Any], beta: float) -> npt.NDArray[Any]:
    """Weight samples by exp(β · score).

    Of all distributions with as high a mean score it is the nearest to D in KL divergence; reinforcement learning with
    a KL penalty of 1/β tends to it (Korbak, Perez & Buckley 2022).
    """
    return np.exp(-beta * below)


#: All rules by name. The first is the quantilizer, with which the others are compared.
RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "quantile", "exact quantilizer", "by the quantile", "q", None, _top,
            by_score=False, colour="#000000", dashes="-", marker="o",
        ),
        Rule(
            "best_of_n", "best of n", "by best of n", "n", 1.0, _best_of_n,
            by_score=False, colour="#009E73", dashes=(0, (5, 1.5)), marker="P",
        ),
        Rule(
            "exponential", "exponential weights", "exponentially", "beta", 0.0, _exponential,
            by_score=True, colour="#CC79A7", dashes=(0, (1, 1)), marker="X",
        ),
    )
}  # fmt: skip
#: Rules that weight all samples, as strongly as a quantile that keeps some.
SOFTER_RULES: tuple[Rule, ...] = tuple(rule for rule in RULES.values() if rule.name != "quantile")


def rule_named(name: str) -> Rule:
    """Return the rule of a name; raise a UserError if there is none."""
    if name not in RULES:
        raise UserError(_unknown("method", name, RULES))
    return RULES[name]


def _root(lacking: Callable[[float], float], neutral: float, start: float) -> float:
    """Return where a falling function is 0."""
    from scipy import optimize

    # In the logarithm of the strength, where divergences are nearly straight.
    low = high = start
    while lacking(math.exp(high)) > 0:
        high += 1.0
    while math.exp(low) > neutral and lacking(math.exp(low)) < 0:
        low -= 1.0
    low = low if math.exp(low) > neutral or neutral == 0 else math.log(neutral)
    return math.exp(optimize.brentq(lambda power: lacking(math.exp(power)), low, high, xtol=PRECISION))


def _unknown(what: str, name: object, known: Any) -> str:
    hint = did_you_mean(str(name), known) or ";"
    return f"{what} is {name!r}{hint} it is one of {', '.join(known)}"
