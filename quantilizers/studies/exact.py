"""The exact quantilizer, which plays one of the top q episodes of the base distribution, and its softer relatives.

Cloning approximates it. It needs no training: its returns are means over weighted episodes. These are sampled in any
number where the base distribution is known, and are the demonstrations where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from quantilizers.choices import Match
from quantilizers.evaluation.intervals import CONFIDENCE
from quantilizers.evaluation.weighted_means import WeightedMeans, ranked_means, top_means, weighted_means
from quantilizers.matching import matched_strength
from quantilizers.numbers_in_words import short
from quantilizers.quantilize import METHODS, Rule, best_first, kl_divergence, number_kept, rule_named
from quantilizers.rewards import FloatArray

#: Twenty a decade from 1 to 1/1000: the preferred numbers R20 (ISO 3), among which are 0.5, 0.25 and 0.125.
QUANTILES: tuple[float, ...] = (
    1.0,
    *(
        round(number * 10.0**-decade, 3 + decade)
        for decade in (1, 2, 3)
        for number in (9, 8, 7.1, 6.3, 5.6, 5, 4.5, 4, 3.55, 3.15, 2.8, 2.5, 2.24, 2, 1.8, 1.6, 1.4, 1.25, 1.12, 1)
    ),
)
#: Least effective number of episodes of a point that may be the turn; means of fewer jump about.
FEWEST_EPISODES = 20.0
#: Fewest degrees of freedom of an interval over players: about two effective players, less one.
LEAST_FREEDOM = 0.9
RESAMPLES = 1000
#: Numbers drawn at a time, 32 MB of them.
NUMBERS_AT_ONCE = 4_000_000


class Resampling:
    """Bootstrap means of many weightings at once: resamples of N episodes that are ranked by proxy return.

    N of the N episodes are drawn with replacement (Efron 1979), or whole players where several episodes are of one
    (Davison & Hinkley 1997, section 3.8). Weights by rank go to the ranks of the resample; an episode's own weight
    stays with it. Every weighting sees the same resamples, which makes curves comparable.

    Args:
        proxy_returns: (N,); ties keep their order.
        players: (N,) who played each episode; whole players are drawn. None draws episodes.
    """

    def __init__(
        self,
        proxy_returns: npt.NDArray[Any],
        players: npt.NDArray[Any] | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        if proxy_returns.ndim != 1 or proxy_returns.size == 0:
            raise ValueError(f"proxy returns have shape {proxy_returns.shape}, not (N,)")
        if players is not None and players.shape != proxy_returns.shape:
            raise ValueError(f"players have shape {players.shape}, not {proxy_returns.shape}")
        if resamples < 2:
            raise ValueError(f"{resamples} resamples tell nothing")
        self.resamples = resamples
        self._seed = seed
        self._number = len(proxy_returns)
        self._order = np.argsort(-proxy_returns.astype(np.float64), kind="stable")
        groups = np.arange(self._number) if players is None else np.unique(players, return_inverse=True)[1]
        self._groups = groups[self._order]

    def ranked_means(self, values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> FloatArray:
        """Return means under weights by rank, (K, B, M).

        Quantities of the episodes (K, N) are in the order of the file; weights (M, N) have the best rank's first, and
        rows that sum to 1.
        """
        ranked = values[:, self._order].astype(np.float64)
        # Where players have unequal numbers of episodes, a resample does not have N; read it at N evenly spaced ranks.
        middles = np.arange(self._number) + 0.5
        means = np.empty((len(values), self.resamples, len(weights)))
        for rows, counts in self._counts():
            drawn = np.empty(counts.shape, dtype=np.intp)
            for row, of_one in zip(drawn, counts, strict=True):
                total = int(of_one.sum())
                episodes = np.repeat(np.arange(self._number), of_one)
                row[:] = episodes if total == self._number else episodes[(middles * (total / self._number)).astype(int)]
            for row, of_quantity in zip(means, ranked, strict=True):
                row[rows] = of_quantity[drawn] @ weights.T
        return means

    def weighted_means(self, values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> FloatArray:
        """Return means under the episodes' own weights, (K, B, M).

        Quantities of the episodes (K, N) and weights (M, N), on any scale, are in the order of the file. A resample
        without any weight has a mean of NaN.
        """
        ranked, own = values[:, self._order].astype(np.float64), weights[:, self._order].astype(np.float64)
        means = np.empty((len(values), self.resamples, len(weights)))
        for rows, counts in self._counts():
            times = counts.astype(np.float64)
            totals = times @ own.T
            for row, of_quantity in zip(means, ranked, strict=True):
                sums = times @ (own * of_quantity).T
                row[rows] = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
        return means

    def _counts(self) -> Iterator[tuple[slice, npt.NDArray[np.intp]]]:
        """Yield how often each episode, the best first, is in each resample, some resamples at a time."""
        generator = np.random.default_rng(self._seed)
        number = int(self._groups.max()) + 1
        at_once = max(1, NUMBERS_AT_ONCE // self._number)
        for first in range(0, self.resamples, at_once):
            several = min(at_once, self.resamples - first)
            drawn = generator.integers(number, size=(several, number))
            counts = np.stack([np.bincount(row, minlength=number) for row in drawn])
            yield slice(first, first + several), counts[:, self._groups]


@dataclass(frozen=True)
class TurningPoint:
    """Where more optimisation pressure begins to cost true return."""

    quantile: float  # q at which the true return is largest
    low: float  # lower bound of its 95 % interval
    high: float
    pressure: float  # √KL there
    true_return: float  # there; as the largest of many it is biased upwards
    at_the_start: float  # share of resamples in which the first q, usually 1, is the best: pressure only harms
    at_the_end: float  # share of resamples in which the smallest q is the best: no turn within reach
    smallest_quantile: float  # the smallest with enough episodes

    @property
    def found(self) -> bool:
        """Whether the true return rises and then falls: its maximum is at neither end in 95 % of the resamples."""
        return self.at_the_start < (1 - CONFIDENCE) / 2 and self.at_the_end < (1 - CONFIDENCE) / 2

    def sentence(self) -> str:
        """Return a sentence on where the true return turns, if a turn is established."""
        highest = f"q = {self.quantile:g} [{self.low:g}, {self.high:g}], where it is {short(self.true_return)}"
        if self.found:
            return f"the true return turns at {highest}"
        reasons = []
        if self.at_the_start >= (1 - CONFIDENCE) / 2:
            reasons.append(f"in {100 * self.at_the_start:.0f} % of the resamples it only falls")
        if self.at_the_end >= (1 - CONFIDENCE) / 2:
            reasons.append(
                f"in {100 * self.at_the_end:.0f} % of them it is highest at q = {self.smallest_quantile:g}, the "
                "smallest considered"
            )
        return f"the true return is highest at {highest}; no turn is established: {', '.join(reasons)}"


@dataclass(frozen=True, eq=False)
class ExactCurve:
    """Returns under a rule as optimisation pressure grows."""

    method: str  # name of the rule; `quantile` is the exact quantilizer
    quantiles: FloatArray  # (M,), q that each strength is matched with
    strengths: FloatArray  # (M,), of `Rule.matching`; infinite where no finite one is as strong
    divergences: FloatArray  # (M,), KL from the base distribution, in nats
    density_ratios: FloatArray  # (M,), largest ratio of an episode's weight to its weight under the base distribution
    true: WeightedMeans  # returns, M means
    proxy: WeightedMeans  # returns, M means
    turning_point: TurningPoint | None  # of the true return; None where episodes are too few for two points

    @property
    def pressures(self) -> FloatArray:
        """√KL (M,), against which Gao, Schulman & Hilton (2023) draw returns."""
        pressures: FloatArray = np.sqrt(self.divergences)
        return pressures

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON; None stands for NaN and infinity."""
        numbers: dict[str, Any] = {"method": self.method}
        for name in ("quantiles", "strengths", "divergences", "density_ratios"):
            numbers[name] = plain(getattr(self, name))
        for name in ("true", "proxy"):
            numbers[name] = {key: plain(value) for key, value in vars(getattr(self, name)).items()}
        turn = self.turning_point
        numbers["turning_point"] = None if turn is None else {**vars(turn), "found": turn.found}
        return numbers


@dataclass(frozen=True, eq=False)
class Frontier:
    """The exact quantilizer and softer rules along the same pressure."""

    curves: tuple[ExactCurve, ...]  # one for each rule
    episodes: int
    players: int | None  # their number; None where episodes count as independent
    match: Match  # distance in which strengths are matched with quantiles
    starts: int | None = None  # number of starts within which episodes are ranked; None where they are pooled

    def curve(self, method: str) -> ExactCurve:
        """Return the curve of a rule; raise KeyError if it was not asked for."""
        for curve in self.curves:
            if curve.method == method:
                return curve
        raise KeyError(method)

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON; None stands for NaN and infinity."""
        curves = [curve.as_numbers() for curve in self.curves]
        about = {"episodes": self.episodes, "players": self.players, "starts": self.starts, "match": self.match}
        return {**about, "curves": curves}

    def within(self, low: float, high: float) -> Frontier:
        """Return it with intervals of the true return cut at the lowest and the highest possible one."""
        return replace(self, curves=tuple(replace(curve, true=curve.true.within(low, high)) for curve in self.curves))


def distinct_quantiles(number: int, quantiles: Sequence[float] = QUANTILES) -> tuple[float, ...]:
    """Return the quantiles that select different numbers, at least one, of N episodes, the largest first.

    >>> distinct_quantiles(4, (1.0, 0.9, 0.8, 0.5, 0.25, 0.1))
    (1.0, 0.9, 0.5, 0.25)
    """
    chosen: dict[int, float] = {}
    for quantile in sorted(quantiles, reverse=True):
        if quantile * number >= 1 or not chosen:
            chosen.setdefault(number_kept(quantile, number), quantile)
    return tuple(chosen.values())


def trace_frontier(
    true_returns: npt.NDArray[Any],
    proxy_returns: npt.NDArray[Any],
    quantiles: Sequence[float] | None = None,
    methods: Sequence[str] = METHODS,
    match: Match = "kl",
    players: npt.NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Frontier:
    """Compute true and proxy return as optimisation pressure grows, for the exact quantilizer and softer rules.

    Intervals are those of `quantilizers.evaluation.weighted_means`, for the mean that infinitely many episodes would
    give. With `players` they hold for other players of the kind: Student's, with the standard error from resamples
    of whole players and one degree of freedom less than the players' effective number. The turning point's interval
    holds the middle 95 % of the resamples; for the place of a maximum that is rough, and wide if the curve is flat.

    30,000 episodes at 61 quantiles take seconds.

    Args:
        true_returns: (N,).
        proxy_returns: (N,); ties keep the order of the file, which must be random for the intervals to hold.
        quantiles: M of them; None is `distinct_quantiles` of N.
        match: how strengths are matched with the quantiles: by KL divergence, or by effective sample size.
        players: (N,), who played each episode. Without them the episodes count as independent.
    """
    if quantiles is None:
        quantiles = distinct_quantiles(len(proxy_returns))
    resampling = Resampling(proxy_returns, players, resamples, seed)
    curves = [
        _trace(rule_named(method), quantiles, match, true_returns, proxy_returns, players, resampling)
        for method in methods
    ]
    number_of_players = None if players is None else len(np.unique(players))
    return Frontier(tuple(curves), len(proxy_returns), number_of_players, match)


def plain(values: npt.NDArray[Any]) -> list[float | None]:
    """Return numbers (M,) for JSON; None stands for NaN and infinity."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _trace(
    rule: Rule,
    quantiles: Sequence[float],
    match: Match,
    true_returns: npt.NDArray[Any],
    proxy_returns: npt.NDArray[Any],
    players: npt.NDArray[Any] | None,
    resampling: Resampling,
) -> ExactCurve:
    """Return the curve of one rule, of increasing pressure."""
    strengths = [matched_strength(rule, proxy_returns, quantile, match) for quantile in quantiles]
    weights = np.stack([rule.weights(proxy_returns, strength) for strength in strengths])
    both = np.stack([true_returns, proxy_returns])
    if rule.by_score:
        true, proxy = (weighted_means(returns, weights) for returns in both)
        resampled = resampling.weighted_means(both, weights)
    else:
        by_rank = weights[:, best_first(proxy_returns)]
        if rule.is_quantile:
            true, proxy = (top_means(returns, proxy_returns, quantiles) for returns in both)
        else:
            true, proxy = (ranked_means(returns, proxy_returns, by_rank) for returns in both)
        resampled = resampling.ranked_means(both, by_rank)
    if players is not None:
        true, proxy = (
            _over_players(means, of_resamples, weights, players)
            for means, of_resamples in zip((true, proxy), resampled, strict=True)
        )
    divergences = np.array([kl_divergence(row) for row in weights])
    enough = true.effective_sizes >= FEWEST_EPISODES * (1 - 1e-9)
    turn = turning_point(np.array(quantiles), np.sqrt(divergences), true.means, resampled[0], enough)
    ratios = weights.max(axis=1) * weights.shape[1]
    return ExactCurve(rule.name, np.array(quantiles), np.array(strengths), divergences, ratios, true, proxy, turn)


def _over_players(
    means: WeightedMeans, resampled: FloatArray, weights: FloatArray, players: npt.NDArray[Any]
) -> WeightedMeans:
    """Return the same means with intervals from resamples (B, M) of whole players."""
    _, player_of = np.unique(players, return_inverse=True)
    shares = np.stack([np.bincount(player_of, weights=row) for row in weights])
    freedom = 1 / (shares**2).sum(axis=1) - 1
    # With less than about two players' worth of episodes, Student's interval is as wide as anything.
    freedom[freedom < LEAST_FREEDOM] = np.nan
    errors = np.where(np.isnan(freedom), np.nan, resampled.std(axis=0, ddof=1))
    reach = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * errors
    return WeightedMeans(means.means, means.means - reach, means.means + reach, errors, means.effective_sizes)


def turning_point(
    quantiles: FloatArray, pressures: FloatArray, means: FloatArray, resampled: FloatArray, enough: npt.NDArray[Any]
) -> TurningPoint | None:
    """Return where means (M,) are largest, with an interval from resamples (B, M), among points of enough episodes."""
    if enough.sum() < 2:
        return None
    quantiles, pressures, means, resampled = quantiles[enough], pressures[enough], means[enough], resampled[:, enough]
    best = int(means.argmax())
    places = np.nan_to_num(resampled, nan=-np.inf).argmax(axis=1)
    low = np.quantile(quantiles[places], (1 - CONFIDENCE) / 2, method="lower")
    high = np.quantile(quantiles[places], (1 + CONFIDENCE) / 2, method="higher")
    return TurningPoint(
        quantile=float(quantiles[best]),
        low=float(low),
        high=float(high),
        pressure=float(pressures[best]),
        true_return=float(means[best]),
        at_the_start=float((places == 0).mean()),
        at_the_end=float((places == len(means) - 1).mean()),
        smallest_quantile=float(quantiles[-1]),
    )
