"""Bounds of costs and of the true score by a rule's largest density ratio, with their conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval, share_limits, student
from quantilizers.rewards import FloatArray
from quantilizers.scores.curves import ROUNDING, ScoreCurve, effective_groups, short_score
from quantilizers.scores.samples import LEAST, Samples

#: Conditions that no table can show.
CONDITIONS = (
    "fresh samples come from the distribution that the table was sampled from",
    "the density ratio is that of fresh draws by this rule",
)


@dataclass(frozen=True, eq=False)
class ScoreGuarantee:
    """Mean costs at each strength of a curve, and their bounds (Taylor 2016).

    Attributes:
        base: mean cost of the base distribution, with its 95 % interval.
        largest: cost that none exceeds, the largest of the table; 1 if all are 0.
        costs: (P,), mean cost at each strength.
        bounds: (P,), upper limit of the base's cost times the density ratio; the mean cost of fresh samples is at most
            that in 97.5 % of tables. NaN where the base's interval is unknown.
        true_bounds: (P,), lower limit of E[U] − ratio · upper limit of E[U − V], below which the mean true score V does
            not fall in 95 %; empty unless the cost is what the proxy U promises too much.
    """

    base: Interval
    largest: float
    costs: FloatArray
    bounds: FloatArray
    true_bounds: FloatArray

    def conditions(self) -> str:
        """Return the conditions in one sentence."""
        what, confidence = "cost", "97.5 %"
        more = ["the cost is never negative"]
        if len(self.true_bounds):
            what, confidence = "difference", "95 %"
            more = ["both scores have one unit", "the true score never exceeds the proxy"]
        *others, last = [*CONDITIONS, *more, f"no {what} exceeds {short_score(self.largest)}"]
        return f"the bounds hold with {confidence} confidence if {', '.join(others)}, and {last}"

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""

        def numbers(values: FloatArray) -> list[float | None]:
            return [float(one) if np.isfinite(one) else None for one in values]

        return {
            "base": self.base.as_numbers(),
            "mean_costs": numbers(self.costs),
            "at_most": numbers(self.bounds),
            **({"true_score_at_least": numbers(self.true_bounds)} if len(self.true_bounds) else {}),
            "conditions": self.conditions(),
        }


def cost_guarantee(curve: ScoreCurve, cost: npt.ArrayLike) -> ScoreGuarantee:
    """Return the cost bound of a curve: at most `ratio` times the upper limit of the base's cost.

    Args:
        curve: from `quantilizers.curve`.
        cost: (R,) cost of each row of the table, in its order.

    Raises:
        UserError: a cost is negative, or not finite.
    """
    costs = np.asarray(cost, dtype=np.float64)
    if not np.isfinite(costs).all():
        raise UserError(f"{int((~np.isfinite(costs)).sum()):,} costs are missing, NaN or infinite")
    if 0 < np.abs(costs).max(initial=0.0) < LEAST:
        raise UserError(f"all costs are below {LEAST:g}, where their differences are too small; rescale them")
    if (costs < 0).any():
        raise UserError(
            f"{int((costs < 0).sum()):,} of {len(costs):,} costs are negative; the bound needs costs from 0 on"
        )
    return _guarantee(curve, costs[_samples(curve).order], np.empty(0))


def score_guarantee(curve: ScoreCurve) -> ScoreGuarantee:
    """Return the bound of the true score V where the proxy U promises too much: E[V] ≥ E[U] − ratio · E_base[U − V].

    Raises:
        UserError: the two scores are not of one unit, or V exceeds U somewhere, or V is unknown somewhere.
    """
    samples = _samples(curve)
    if samples.true is None or not samples.known.all():
        raise UserError("the guarantee needs the true score of every row")
    if set(np.unique(samples.true)) <= {0.0, 1.0} and (samples.proxy.min() < 0 or samples.proxy.max() > 1):
        raise UserError(
            f"the true score is 0 or 1, and the proxy is from {samples.proxy.min():g} to {samples.proxy.max():g}: "
            "they have no common unit, and the guarantee says nothing; give a cost with --cost"
        )
    above = samples.true > samples.proxy + 1e-9 * np.abs(samples.proxy).max()
    if above.any():
        raise UserError(
            f"the true score exceeds the proxy in {int(above.sum()):,} of {samples.number:,} rows, and the guarantee "
            "holds only where it never does; give a cost with --cost"
        )
    promised = np.array([one.low for one in curve.proxy])
    return _guarantee(curve, np.maximum(samples.proxy - samples.true, 0.0), promised)


def _guarantee(curve: ScoreCurve, costs: FloatArray, promised: FloatArray) -> ScoreGuarantee:
    samples = _samples(curve)
    means = samples.weighted(costs, curve.strengths).mean(axis=1)
    # Groups count alike, rows of a single problem, and groups by their rows where all are ranked together.
    if samples.groups > 1:
        sums, sizes = samples.weighted(costs, curve.strengths[:1])[0], np.ones(samples.groups)
    elif curve.clusters is None:
        sums, sizes = costs, np.ones(len(costs))
    else:
        clusters = curve.clusters[samples.order]
        sums, sizes = np.bincount(clusters, weights=costs), np.bincount(clusters).astype(np.float64)
    base = bounded_mean(sums, sizes, float(costs.max()) or 1.0, curve.proxy[0].over)
    bounds = curve.ratios * base.high
    return ScoreGuarantee(
        base, float(costs.max()) or 1.0, means, bounds, promised - bounds if len(promised) else promised
    )


def bounded_mean(sums: FloatArray, sizes: FloatArray, largest: float, over: str) -> Interval:
    """Return the mean of values from 0 to `largest`, with sums and sizes (G,) of groups, and its 95 % interval.

    It is Student's, or that of a share where this is wider, as near 0, where few groups show how large values get.
    """
    mean, number = float(sums.sum() / sizes.sum()), len(sums)
    if number < 2:
        return Interval(mean, np.nan, np.nan, over)
    error = float(((sums - mean * sizes) / sizes.mean()).std(ddof=1)) / np.sqrt(number)
    deviations = np.stack([sizes, largest * sizes - sums, sums])
    groups, below, above = effective_groups(np.where(deviations > ROUNDING * largest, deviations, 0.0))
    found = student(mean, error, number - 1, over)
    low, high = share_limits(*(np.array([one]) for one in (mean / largest, error / largest, groups, below, above)))
    return replace(
        found, low=min(found.low, largest * float(low[0])), high=max(found.high, largest * float(high[0]))
    ).within(0.0, largest)


def _samples(curve: ScoreCurve) -> Samples:
    if curve.samples is None:
        raise UserError("a table that is read in parts has no guarantee; give one file")
    return curve.samples
