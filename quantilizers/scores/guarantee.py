"""Bounds of costs and of the true score by a rule's largest density ratio, with their conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.rewards import FloatArray
from quantilizers.scores.curves import ScoreCurve
from quantilizers.scores.samples import Samples

#: Conditions that no table can show.
CONDITIONS = (
    "fresh samples come from the distribution that the table was sampled from",
    "the density ratio is that of fresh draws by this rule",
)


@dataclass(frozen=True, eq=False)
class ScoreGuarantee:
    """Mean costs at each strength of a curve, and their bounds (Taylor 2016).

    Attributes:
        base_cost: mean cost of the base distribution.
        costs: (P,), mean cost at each strength.
        bounds: (P,), base cost times the density ratio; no cost can be larger in the mean.
        true_bounds: (P,), E[U] − ratio · E[U − V], below which the mean true score V cannot fall; empty unless the cost
            is what the proxy U promises too much.
    """

    base_cost: float
    costs: FloatArray
    bounds: FloatArray
    true_bounds: FloatArray

    def conditions(self) -> str:
        """Return the conditions in one sentence."""
        more = ["the cost is never negative"]
        if len(self.true_bounds):
            more = ["both scores have one unit", "the true score never exceeds the proxy"]
        *others, last = [*CONDITIONS, *more]
        return f"the bounds hold if {', '.join(others)}, and {last}"


def cost_guarantee(curve: ScoreCurve, cost: npt.ArrayLike) -> ScoreGuarantee:
    """Return the cost bound of a curve: at most `ratio` times the base's cost.

    Args:
        curve: from `quantilizers.curve`.
        cost: (R,) cost of each row of the table, in its order.

    Raises:
        UserError: a cost is negative, or not finite.
    """
    costs = np.asarray(cost, dtype=np.float64)
    if not np.isfinite(costs).all():
        raise UserError(f"{int((~np.isfinite(costs)).sum()):,} costs are missing, NaN or infinite")
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
    above = samples.true > samples.proxy + 1e-9 * np.maximum(1.0, np.abs(samples.proxy))
    if above.any():
        raise UserError(
            f"the true score exceeds the proxy in {int(above.sum()):,} of {samples.number:,} rows, and the guarantee "
            "holds only where it never does; give a cost with --cost"
        )
    promised = np.array([one.estimate for one in curve.proxy])
    return _guarantee(curve, np.maximum(samples.proxy - samples.true, 0.0), promised)


def _guarantee(curve: ScoreCurve, costs: FloatArray, promised: FloatArray) -> ScoreGuarantee:
    means = _samples(curve).weighted(costs, curve.strengths).mean(axis=1)
    bounds = curve.ratios * means[0]
    return ScoreGuarantee(float(means[0]), means, bounds, promised - bounds if len(promised) else promised)


def _samples(curve: ScoreCurve) -> Samples:
    if curve.samples is None:
        raise UserError("a table that is read in parts has no guarantee; give one file")
    return curve.samples
