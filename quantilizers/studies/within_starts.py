"""Exact rules within decision problems: an agent is given its start, and selects among episodes from there.

Ranked together, episodes of all starts also select the starts that are easy, which no agent can choose. Here each start
has as many episodes, rules rank them within their start, and every start counts alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import CONFIDENCE
from quantilizers.evaluation.weighted_means import WeightedMeans
from quantilizers.matching import matched_within
from quantilizers.quantilize import METHODS, Rule, Strength, best_first, rule_named, share_ties
from quantilizers.rewards import FloatArray
from quantilizers.studies.bounds import CostBounds
from quantilizers.studies.exact import LEAST_FREEDOM, QUANTILES, ExactCurve, Frontier, turning_point

#: Of starts and players; those of 150,000 episodes take seconds.
RESAMPLES = 400
#: Fewest episodes of a start that a quantile keeps by default.
FEWEST_KEPT = 5
#: Ranks of a start at which resampled tail means are read, for rules that weight all ranks.
RANKS_READ = 80
#: Resamples for which rules by score are computed at a time.
_AT_ONCE = 50


@dataclass(frozen=True, eq=False)
class StartSamples:
    """Episodes of S starts, m of each, the highest proxy return of a start first.

    Attributes:
        true: (S, m) returns; episodes of a start that tie share theirs.
        proxy: (S, m) returns.
        players: (S, m), number of each episode's player from 0 on; None where episodes of a start are independent.
    """

    true: FloatArray
    proxy: FloatArray
    players: npt.NDArray[np.intp] | None

    @classmethod
    def of(
        cls,
        true_returns: npt.NDArray[Any],
        proxy_returns: npt.NDArray[Any],
        starts: npt.NDArray[Any],
        players: npt.NDArray[Any] | None = None,
    ) -> StartSamples:
        """Rank episodes within their starts.

        Args:
            true_returns: (N,), or any other quantity of the episodes.
            proxy_returns: (N,).
            starts: (N,), from which start each episode is.
            players: (N,), who played it.

        Raises:
            UserError: starts have unequal numbers of episodes.
            ValueError: the arrays do not fit, or a return is NaN or infinite.
        """
        arrays = [true_returns, proxy_returns, starts, *([] if players is None else [players])]
        if proxy_returns.ndim != 1 or not len(proxy_returns) or len({one.shape for one in arrays}) > 1:
            raise ValueError(f"arrays of shapes {', '.join(str(one.shape) for one in arrays)} are not (N,) all")
        if not (np.isfinite(true_returns).all() and np.isfinite(proxy_returns).all()):
            raise ValueError("a return is NaN or infinite")
        _, codes, sizes = np.unique(starts, return_inverse=True, return_counts=True)
        if sizes.min() < sizes.max():
            raise UserError(
                f"starts have {sizes.min():,} to {sizes.max():,} episodes; sample as many from each, because every "
                "start counts alike"
            )
        order = np.argsort(codes, kind="stable").reshape(len(sizes), -1)
        order = np.stack([row[best_first(proxy_returns[row])] for row in order])
        proxy = proxy_returns[order].astype(np.float64)
        true = true_returns[order].astype(np.float64)
        for row in np.flatnonzero((np.diff(proxy, axis=1) == 0).any(axis=1)):
            true[row] = share_ties(true[row], proxy[row])
        who = None if players is None else np.unique(players, return_inverse=True)[1][order]
        return cls(true, proxy, who)

    @property
    def starts(self) -> int:
        """S."""
        return len(self.proxy)

    @property
    def each(self) -> int:
        """m, episodes of a start."""
        return int(self.proxy.shape[1])

    @cached_property
    def number_of_players(self) -> int | None:
        """Number of players; None without them."""
        return None if self.players is None else int(self.players.max()) + 1

    def means(self, strengths: Sequence[Strength]) -> tuple[FloatArray, FloatArray]:
        """Return mean true and proxy returns (P,) at each strength of one rule."""
        if strengths[0].rule.by_score:
            weights = np.stack([one.of_scores(self.proxy) for one in strengths])
            true, proxy = (np.einsum("psm,sm->p", weights, one) / self.starts for one in (self.true, self.proxy))
            return true, proxy
        by_rank = np.stack([one.of_ranks(self.each) for one in strengths])
        return by_rank @ self.true.mean(axis=0), by_rank @ self.proxy.mean(axis=0)

    def shares(self, strengths: Sequence[Strength]) -> FloatArray:
        """Return the shares (P, players) of each player in what a rule plays, at each strength."""
        assert self.players is not None
        number = self.number_of_players or 1
        if strengths[0].rule.by_score:
            rows = [one.of_scores(self.proxy) / self.starts for one in strengths]
            return np.stack([np.bincount(self.players.ravel(), row.ravel(), number) for row in rows])
        ranks = np.broadcast_to(np.arange(self.each), self.players.shape)
        counts = np.bincount((ranks * number + self.players).ravel(), minlength=self.each * number)
        return np.stack([one.of_ranks(self.each) for one in strengths]) @ counts.reshape(-1, number) / self.starts


class StartResampling:
    """Bootstrap means of rules within starts: starts are drawn with replacement, and players independently of them.

    Starts and players are crossed, so both are resampled, and an episode counts as often as its start times its player
    (the pigeonhole bootstrap, Owen 2007, whose variance is a little too large). Without players only starts are drawn.
    """

    def __init__(self, samples: StartSamples, resamples: int = RESAMPLES, seed: int = 0) -> None:
        if resamples < 2:
            raise ValueError(f"{resamples} resamples tell nothing")
        self._samples, generator = samples, np.random.default_rng(seed)
        self.resamples = resamples
        self._starts = _counts(generator, samples.starts, resamples)
        players = samples.number_of_players
        self._players = None if players is None else _counts(generator, players, resamples)

    def means(self, strengths: Sequence[Strength]) -> FloatArray:
        """Return resampled mean true and proxy returns of one rule, (2, B, P)."""
        rule = strengths[0].rule
        if rule.by_score:
            return self._by_score(strengths)
        if rule.is_quantile:
            return self._tails(np.array([one.value for one in strengths]))
        # A rule by rank weights ranks nearly alike between two levels that are near each other.
        each = self._samples.each
        ranks = np.unique(np.rint(np.geomspace(1, each, min(RANKS_READ, each))).astype(np.intp))
        levels = ranks / each
        tails = self._tails(levels) * levels
        between = np.diff(tails, prepend=0.0) / np.diff(ranks, prepend=0)
        masses = np.stack([np.add.reduceat(one.of_ranks(each), np.concatenate([[0], ranks[:-1]])) for one in strengths])
        found: FloatArray = between @ masses.T * each
        return found

    def _tails(self, levels: FloatArray) -> FloatArray:
        """Return resampled means (2, B, K) of the top of each start, at K levels above 0."""
        samples = self._samples
        values = np.stack([samples.true, samples.proxy])
        if samples.players is None:
            means = _tail_means(values, np.ones(samples.proxy.shape), levels)
            return np.stack([_average(self._starts, one) for one in means])
        assert self._players is not None
        found = np.empty((2, self.resamples, len(levels)))
        for resample, (of_starts, of_players) in enumerate(zip(self._starts, self._players, strict=True)):
            means = _tail_means(values, of_players[samples.players], levels)
            found[:, resample] = [_average(of_starts[None], one)[0] for one in means]
        return found

    def _by_score(self, strengths: Sequence[Strength]) -> FloatArray:
        samples, number = self._samples, self._samples.number_of_players or 1
        who = np.zeros(samples.proxy.shape, np.intp) if samples.players is None else samples.players
        places = (np.arange(samples.starts)[:, None] * number + who).ravel()
        found = np.empty((2, self.resamples, len(strengths)))
        for place, strength in enumerate(strengths):
            weights = strength.of_scores(samples.proxy)
            columns = [weights, weights * samples.true, weights * samples.proxy]
            # Of each start and player, because an episode's weight has nothing else of its own.
            sums = [np.bincount(places, one.ravel(), samples.starts * number).reshape(-1, number) for one in columns]
            for first in range(0, self.resamples, _AT_ONCE):
                rows = slice(first, first + _AT_ONCE)
                players = np.ones((1, 1)) if self._players is None else self._players[rows]
                totals, *of_values = (players @ one.T for one in sums)
                for row, of_value in zip(found, of_values, strict=True):
                    means = np.divide(of_value, totals, out=np.full(of_value.shape, np.nan), where=totals > 0)
                    drawn = self._starts[rows] * np.isfinite(means)
                    with np.errstate(invalid="ignore"):
                        row[rows, place] = (drawn * np.nan_to_num(means)).sum(axis=1) / drawn.sum(axis=1)
        return found


def trace_within_starts(
    true_returns: npt.NDArray[Any],
    proxy_returns: npt.NDArray[Any],
    starts: npt.NDArray[Any],
    players: npt.NDArray[Any] | None = None,
    quantiles: Sequence[float] | None = None,
    methods: Sequence[str] = METHODS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Frontier:
    """Compute true and proxy return as optimisation pressure grows, of rules that rank episodes within their start.

    Intervals hold for other starts, and with `players` for other players of the kind: Student's, with the standard
    error of `StartResampling`, and one degree of freedom less than starts or the players' effective number, whichever
    is smaller. Best of n is traced at whole n, exponential weights where their mean divergence is log(1/q).

    Args:
        true_returns: (N,).
        proxy_returns: (N,).
        starts: (N,), from which start each episode is; as many from each.
        players: (N,), who played each episode.
        quantiles: None is the part of `QUANTILES` that keeps at least 5 episodes of each start.
        methods: names of rules.

    Raises:
        UserError: starts have unequal numbers of episodes, or a quantile or rule is impossible.
    """
    samples = StartSamples.of(true_returns, proxy_returns, starts, players)
    if quantiles is None:
        quantiles = [one for one in QUANTILES if one == 1 or one * samples.each >= FEWEST_KEPT * (1 - 1e-9)]
    resampling = StartResampling(samples, resamples, seed)
    curves = tuple(_trace(rule_named(method), quantiles, samples, resampling) for method in methods)
    return Frontier(curves, samples.proxy.size, samples.number_of_players, "kl", samples.starts)


def bounds_within_starts(
    costs: npt.NDArray[Any], proxy_returns: npt.NDArray[Any], starts: npt.NDArray[Any], quantiles: Sequence[float]
) -> CostBounds:
    """Compare mean costs (N,) of the top q of each start with their bounds, 1/q times the mean of all.

    The bound holds from each start, and so on average.

    Raises:
        ValueError: a cost is negative, or the arrays do not fit.
    """
    if not (np.isfinite(costs).all() and costs.min() >= 0):
        raise ValueError("costs must be finite and not negative")
    samples = StartSamples.of(costs, proxy_returns, starts)
    found, _ = samples.means([rule_named("quantile").at(one) for one in quantiles])
    base, ratios = float(costs.mean()), 1 / np.array(quantiles)
    return CostBounds(base, ratios, found, ratios * base)


def _trace(rule: Rule, quantiles: Sequence[float], samples: StartSamples, resampling: StartResampling) -> ExactCurve:
    strengths = _strengths(rule, quantiles, samples)
    means, resampled = samples.means(strengths), resampling.means(strengths)
    freedom = np.full(len(strengths), samples.starts - 1.0)
    if samples.players is not None:
        freedom = np.minimum(freedom, 1 / (samples.shares(strengths) ** 2).sum(axis=1) - 1)
    freedom[freedom < LEAST_FREEDOM] = np.nan
    if rule.by_score:
        weights = [one.of_scores(samples.proxy) for one in strengths]
        sizes = np.array([samples.starts**2 / (row**2).sum() for row in weights])
        ratios = np.array([row.max() * samples.each for row in weights])
        logs = [row * np.log(np.maximum(row * samples.each, 1e-300)) for row in weights]
        divergences = np.array([max(0.0, float(row.sum())) / samples.starts for row in logs])
    else:
        sizes = np.array([samples.starts / (one.of_ranks(samples.each) ** 2).sum() for one in strengths])
        ratios = np.array([one.ratio for one in strengths], dtype=np.float64)
        divergences = np.array([one.divergence for one in strengths], dtype=np.float64)
    true, proxy = (
        _with_intervals(of_all, of_resamples, freedom, sizes)
        for of_all, of_resamples in zip(means, resampled, strict=True)
    )
    matched = np.array(quantiles) if rule.is_quantile else np.exp(-divergences)
    turn = turning_point(matched, np.sqrt(divergences), true.means, resampled[0], np.ones(len(matched), np.bool_))
    values = np.array([one.value for one in strengths], dtype=np.float64)
    return ExactCurve(rule.name, matched, values, divergences, ratios, true, proxy, turn)


def _strengths(rule: Rule, quantiles: Sequence[float], samples: StartSamples) -> list[Strength]:
    """Return the strengths of a rule that match quantiles in KL divergence, within reach of a start's episodes."""
    if rule.is_quantile:
        return [rule.at(quantile) for quantile in quantiles]
    if rule.by_score:
        found = [matched_within(rule, samples.proxy, float(-np.log(quantile))) for quantile in quantiles]
        return [rule.at(value) for value in found if np.isfinite(value)]
    whole = [rule.at(number) for number in range(1, samples.each + 1)]
    divergences = np.array([one.divergence for one in whole], dtype=np.float64)
    nearest = [int(np.abs(divergences + np.log(quantile)).argmin()) for quantile in quantiles]
    return [whole[place] for place in dict.fromkeys(nearest)]


def _with_intervals(means: FloatArray, resampled: FloatArray, freedom: FloatArray, sizes: FloatArray) -> WeightedMeans:
    errors = np.where(np.isnan(freedom), np.nan, np.nanstd(resampled, axis=0, ddof=1))
    reach = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * errors
    return WeightedMeans(means, means - reach, means + reach, errors, sizes)


def _counts(generator: np.random.Generator, number: int, resamples: int) -> FloatArray:
    """Return how often each of n is drawn in each resample, (B, n)."""
    return generator.multinomial(number, np.full(number, 1 / number), size=resamples).astype(np.float64)


def _tail_means(values: FloatArray, weights: FloatArray, levels: FloatArray) -> FloatArray:
    """Return means (V, S, K) of values (V, S, m) over the top of the weights (S, m) of each start; NaN without any."""
    number, each = weights.shape
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    first, totals = sums[:-1:each], np.diff(sums[::each])
    # Sums of values are linear in the weights' sum between two episodes, of which a part may be kept.
    kept = totals[:, None] * levels
    found = np.empty((len(values), number, len(levels)))
    for row, of_value in zip(found, values, strict=True):
        of_sums = np.concatenate([[0.0], np.cumsum(weights * of_value)])
        tails = np.interp(first[:, None] + kept, sums, of_sums) - of_sums[:-1:each, None]
        row[:] = np.divide(tails, kept, out=np.full(kept.shape, np.nan), where=kept > 0)
    return found


def _average(counts: FloatArray, means: FloatArray) -> FloatArray:
    """Return means (B, K) over starts that are drawn so often (B, S), of means (S, K) of each, some of them NaN."""
    known = np.isfinite(means).all(axis=1)
    totals = counts[:, known].sum(axis=1, keepdims=True)
    sums = counts[:, known] @ means[known]
    averaged: FloatArray = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
    return averaged
