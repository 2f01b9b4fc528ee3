"""Verdicts: whether a study supports a claim, contradicts it, or cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantilizers.evaluation.comparisons import Difference
from quantilizers.evaluation.intervals import CONFIDENCE, Interval
from quantilizers.rewards import FloatArray

Decision = Literal["supported", "contradicted", "undecided"]
#: What claims compare by default.
TRUE_RETURN = "true return"


@dataclass(frozen=True)
class Claim:
    """The claim that one agent earns more than another, and the measurements.

    Attributes:
        first: name of the agent that should earn more, such as "policies at q = 0.1".
        second: name of the other.
        difference: first minus second.
        probability: that a run of the first beats a run of the second, if it was estimated.
        quantity: name of the return.
        note: a sentence that belongs to the verdict's.
    """

    first: str
    second: str
    difference: Difference
    probability: Interval | None = None
    quantity: str = TRUE_RETURN
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """The decision about a claim.

    Attributes:
        claim: with estimate, interval, p and probability of improvement.
        decision: "supported" or "contradicted" if the adjusted p is below the level, by the sign of the estimate.
        adjusted_p: by Holm's correction; NaN where there was no test.
        tests: number of tests in the correction.
        level: of the decision.
        power: see `smallest_detectable`.
        smallest_detectable: the true difference that the study would have detected with this power, at the strictest
            step of Holm's correction (level / tests), if seeds vary as measured; NaN where that is not defined.
    """

    claim: Claim
    decision: Decision
    adjusted_p: float
    tests: int
    level: float
    power: float
    smallest_detectable: float

    @property
    def estimate(self) -> float:
        """First minus second."""
        return self.claim.difference.estimate

    @property
    def interval(self) -> Interval:
        """The difference's interval, not corrected for the number of tests."""
        return self.claim.difference.interval

    @property
    def p(self) -> float:
        """The p-value without correction."""
        return self.claim.difference.p

    @property
    def probability_of_improvement(self) -> Interval | None:
        """The probability that a run of the first beats a run of the second."""
        return self.claim.probability

    def sentence(self) -> str:
        """Return the verdict in plain English."""
        claim, difference = self.claim, self.claim.difference
        what = f"the {claim.quantity} of {claim.first} is"
        if self.decision == "undecided":
            text = f"Undecided: whether {what} higher than that of {claim.second}; the difference is {self.interval}"
        elif self.decision == "supported":
            text = f"Supported: {what} higher than that of {claim.second}, by {self.interval}"
        else:
            text = f"Contradicted: {what} lower than that of {claim.second}, by {-self.interval}"
        text += f" ({self._tested()}; {difference.over})."
        if difference.one_seed_only:
            text += " It speaks of these trained policies only, and says nothing of other seeds."
        if claim.probability is not None:
            text += f" A run of {claim.first} beats a run of {claim.second} with probability {claim.probability:.2f}."
        if self.smallest_detectable > 0 and not difference.one_seed_only:
            text += (
                f" A true difference of {_written(self.smallest_detectable)} would have been found with "
                f"{100 * self.power:.0f} % power."
            )
        return f"{text} {claim.note}".rstrip()

    def _tested(self) -> str:
        if math.isnan(self.adjusted_p):
            return "no test is possible"
        p = "p < 0.001" if self.adjusted_p < 0.001 else f"p = {self.adjusted_p:.3f}"
        corrected = f" after Holm's correction over {self.tests} tests" if self.tests > 1 else ""
        return f"{p}{corrected}, {self.claim.difference.test}"


def judge(claims: Sequence[Claim], level: float = 1 - CONFIDENCE, power: float = 0.8) -> list[Verdict]:
    """Judge claims that were made together by two-sided tests with Holm's correction.

    If none of the differences exists, at most 5 % of studies call one or more "supported" or "contradicted", whatever
    the number of claims. Claims without a test stay undecided and do not count.

    Args:
        claims: all tests of a family, fixed before the study.
        level: the acceptable share of studies with a false finding.
        power: of the smallest detectable difference.
    """
    adjusted = holm([claim.difference.p for claim in claims])
    tests = int(np.isfinite(adjusted).sum())
    verdicts = []
    for claim, p in zip(claims, adjusted.tolist(), strict=True):
        decision: Decision = "undecided"
        if p < level:
            decision = "supported" if claim.difference.estimate > 0 else "contradicted"
        smallest = claim.difference.smallest_detectable(level / max(tests, 1), power)
        verdicts.append(Verdict(claim, decision, p, tests, level, power, smallest))
    return verdicts


def holm(p_values: Sequence[float]) -> FloatArray:
    """Return p-values adjusted for their number: the smallest times m, the next times m − 1, …, never decreasing.

    Rejecting all that are below the level then keeps the probability of a false rejection below it, however the tests
    depend on each other (Holm 1979). NaN stands for a test that was impossible, stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]

    Raises:
        ValueError: one is not between 0 and 1.
    """
    p = np.array(p_values, dtype=np.float64)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"{p_values} are not p-values")
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def _written(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"
