"""Several proxies, alone and together: which one tolerates the most pressure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from quantilizers.errors import UserError, shown
from quantilizers.evaluation.intervals import CONFIDENCE, Interval, difference_limits, student
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray
from quantilizers.scores.curves import ROUNDING, ScoreCurve, few_labels, short_interval, short_score


def with_combinations(proxies: Mapping[str, FloatArray], penalty: float) -> dict[str, FloatArray]:
    """Return proxies (R,) by name, and their mean, worst case, and mean less a penalty times their variance.

    They are combined after each has been standardised over all rows. Source: Coste et al. (2023).

    Raises:
        UserError: a proxy is constant, or the penalty is negative or not finite.
    """
    if not 0 <= penalty < math.inf:
        raise UserError(f"--penalty is {penalty:g}; it is finite and not negative")
    for name, column in proxies.items():
        if np.ptp(column) == 0:
            raise UserError(f"proxy {name!r} is constant and cannot be standardised")
    scores = np.stack([(column - column.mean()) / column.std() for column in proxies.values()])
    combined = {
        "mean": scores.mean(axis=0),
        "worst case": scores.min(axis=0),
        f"mean - {penalty:g} var": scores.mean(axis=0) - penalty * scores.var(axis=0),
    }
    taken = " of all" if combined.keys() & proxies.keys() else ""
    return {**proxies, **{f"{name}{taken}": column for name, column in combined.items()}}


@dataclass(frozen=True, eq=False)
class ProxyComparison:
    """Curves of several proxies of one table, compared at the strongest selection.

    Attributes:
        curves: by the proxy's name; the first is the one with which the others are compared.
        differences: true score at the strongest selection, minus the first proxy's, paired over groups, or over the
            samples of a single group.
        largest: the proxy with the largest true score there.
        undecided: proxies whose true score there cannot be distinguished from the largest. Intervals of all differences
            from the largest hold together with 95 % (Bonferroni), because the largest of several is compared.
    """

    curves: Mapping[str, ScoreCurve]
    differences: Mapping[str, Interval]
    largest: str
    undecided: tuple[str, ...]

    @classmethod
    def of(cls, curves: Mapping[str, ScoreCurve]) -> ProxyComparison:
        """Compare curves of one table with known true scores, at strengths of one rule.

        Raises:
            UserError: no true score is known at the strongest selection.
        """
        ends = {name: curve.true[-1].estimate if curve.true else math.nan for name, curve in curves.items()}
        if not all(map(math.isfinite, ends.values())):
            raise UserError("proxies are compared by the true score, which is unknown at the strongest selection")
        first = next(iter(curves.values()))
        largest = max(ends, key=lambda name: ends[name])
        others = [name for name in curves if name != largest]
        level = 1 - (1 - CONFIDENCE) / len(others)
        undecided = []
        for name in others:
            estimate, error, freedom = paired_difference(curves[largest], curves[name])
            reach = float(special.stdtrit(freedom, (1 + level) / 2)) * error if freedom > 0 else math.nan
            likely = _widened(Interval(estimate, estimate - reach, estimate + reach), curves[largest], curves[name])
            if not likely.low > 0:
                undecided.append(name)
        differences = {}
        for name, curve in curves.items():
            over = curve.true[-1].over
            paired = student(*paired_difference(curve, first), over)
            differences[name] = paired if curve is first else _widened(paired, curve, first)
        return cls(curves, differences, largest, tuple(undecided))

    def sentence(self) -> str:
        """Return in a sentence which proxy tolerates the most pressure, if the intervals show one."""
        curve, largest = self.curves[self.largest], shown(self.largest)
        there = f"at {curve.strengths[-1].label} its true score is {short_score(curve.true[-1].estimate)}"
        if not self.undecided:
            return f"proxy {largest} tolerates the most pressure: {there}, larger than any other proxy's"
        return (
            f"cannot tell which proxy tolerates the most pressure: {largest} has the largest true score at "
            f"{curve.strengths[-1].label}, {short_score(curve.true[-1].estimate)}, and "
            f"{counted(len(self.undecided), 'other')} cannot be distinguished from it: "
            f"{', '.join(map(shown, self.undecided))}"
        )

    def remarks(self) -> list[str]:
        """Return the remarks of all curves, each once, with the proxy's name where not all have it."""
        found: dict[str, list[str]] = {}
        for name, curve in self.curves.items():
            for remark in curve.remarks():
                found.setdefault(remark, []).append(name)
        return [
            remark if len(names) == len(self.curves) else f"proxy {', '.join(map(shown, names))}: {remark}"
            for remark, names in found.items()
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table, its head first."""
        first = next(iter(self.curves))
        rows: list[tuple[str, ...]] = [("proxy", "largest at", "true at the end [95 %]", "minus the first [95 %]")]
        for name, curve in self.curves.items():
            best = "" if curve.turn is None else curve.strengths[curve.turn.best].label
            difference = short_interval(self.differences[name]) if name != first else ""
            rows.append((name, best, short_interval(curve.true[-1]), difference))
        return rows

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {
            "curves": {name: curve.as_numbers() for name, curve in self.curves.items()},
            "minus_the_first_at_the_end": {name: one.as_numbers() for name, one in self.differences.items()},
            "largest_at_the_end": self.largest,
            "not_distinguished_from_it": list(self.undecided),
            "sentence": self.sentence(),
            "remarks": self.remarks(),
        }


def _widened(difference: Interval, left: ScoreCurve, right: ScoreCurve) -> Interval:
    """Return the interval of left − right as wide as those of both at the strongest selection make it.

    It is wider where few groups show how much a true score varies, and unknown where one's interval is.
    """
    one, other = left.true[-1], right.true[-1]
    if left.resampled.size:
        values = np.stack([left.resampled[:, -1], right.resampled[:, -1]])
        values = values[:, np.isfinite(values).all(axis=0)]
    else:
        pairs = ((left.table.sums[1:, -1], one), (right.table.sums[1:, -1], other))
        values = np.stack([sums - mean.estimate * weights for (sums, weights), mean in pairs])
    vary = np.ptp(values, axis=1) > ROUNDING * np.abs(values).max()
    if vary.any() and difference.low == difference.high:
        return difference  # both select the same
    if not (one.known and other.known):
        return replace(difference, low=math.nan, high=math.nan)
    if left.table.ends is None:
        return difference
    correlation = np.array([np.corrcoef(*values)[0, 1] if vary.all() else 0.0])
    (a, b, c), (d, e, f) = ([np.array([x]) for x in (it.estimate, it.low, it.high)] for it in (one, other))
    low, high = difference_limits(a, (b, c), d, (e, f), correlation)
    return replace(difference, low=min(difference.low, float(low[0])), high=max(difference.high, float(high[0])))


def paired_difference(left: ScoreCurve, right: ScoreCurve) -> tuple[float, float, float]:
    """Return the difference of two curves' true scores at the strongest selection, its standard error and degrees.

    Both are of the same rows. With several groups each counts alike, and influences are paired by group; with a single
    one, and where samples of all groups are ranked together, resamples are paired.
    """
    difference = left.true[-1].estimate - right.true[-1].estimate
    scale = max(abs(left.true[-1].estimate), abs(right.true[-1].estimate))
    if left.resampled.size:
        between = left.resampled[:, -1] - right.resampled[:, -1]
        error, freedom = float(np.nanstd(between, ddof=1)), min(left.freedom, right.freedom)
    else:
        influences = []
        for curve in (left, right):
            _, sums, weights = curve.table.sums[:, -1]
            influences.append((sums - curve.true[-1].estimate * weights) / weights.mean())
        between = influences[0] - influences[1]
        freedoms, factors = few_labels(np.stack([curve.table.sums[2, -1] for curve in (left, right)]))
        error = float(between.std(ddof=1) * factors.max()) / math.sqrt(len(between))
        freedom = float(freedoms.min())
    rounded = abs(difference) <= ROUNDING * scale and error <= ROUNDING * scale
    return (0.0, 0.0, freedom) if rounded else (difference, error, freedom)
