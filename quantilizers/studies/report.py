"""The report of a study of controls: numbers for each q, and a verdict for each claim."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import BUDGETS, Budget
from quantilizers.evaluation.comparisons import (
    Difference,
    paired_difference,
    probability_of_improvement,
    probability_of_selection,
    selection_effect,
    unpaired_difference,
)
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.verdicts import Claim, Verdict, judge
from quantilizers.quantilize import RULES, SOFTER_RULES
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, ArmResults

#: The questions that a study answers at each q.
QUESTIONS = {
    "imitation": "policies of the top episodes against imitation of all",
    "selection": "policies of the top episodes against those of as many random ones",
    "optimiser": "policies of the top episodes against the optimiser",
    **{
        rule.name: f"policies of all episodes weighted {rule.weighted} against those of the top episodes"
        for rule in SOFTER_RULES
    },
}


@dataclass(frozen=True, eq=False)
class Row:
    """The arms of one q under one budget."""

    quantile: float
    budget: Budget
    top: ArmResults  # of the top episodes; imitation at q = 1
    bottom: ArmResults | None  # of the bottom episodes; None at q = 1
    random: tuple[ArmResults, ...]  # of random subsets; empty at q = 1
    softer: Mapping[str, ArmResults]  # of all episodes, weighted by other rules as strongly as q, by rule
    proxy_percentile: float  # share of all demonstrations whose proxy return is below the policies' mean, in per cent

    @property
    def random_true_returns(self) -> FloatArray:
        """True returns of the random subsets' policies, (subsets, seeds, episodes)."""
        return np.stack([results.true_returns for results in self.random])


@dataclass(frozen=True, eq=False)
class StudyReport:
    """A whole study."""

    rows: tuple[Row, ...]  # of each budget, of each q, the largest first
    # By budget and question, one for each q below 1. Holm's correction is over these.
    verdicts: Mapping[tuple[Budget, str], tuple[Verdict, ...]]
    optimiser: FloatArray | None  # true returns of the optimiser, (seeds, episodes), if it was measured
    possible: tuple[float, float] = (-math.inf, math.inf)  # range of true returns; intervals of means end there

    def true_interval(self, results: ArmResults) -> Interval:
        """Return the mean true return of an arm's policies, with its 95 % interval."""
        return results.true_interval.within(*self.possible)

    def rows_of(self, budget: Budget) -> list[Row]:
        """Return the rows of one budget."""
        return [row for row in self.rows if row.budget == budget]

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {
            "rows": [self._row_numbers(row) for row in self.rows],
            "verdicts": [
                {"budget": budget, "question": QUESTIONS[question], **_verdict_numbers(verdict)}
                for (budget, question), verdicts in self.verdicts.items()
                for verdict in verdicts
            ],
        }

    def _row_numbers(self, row: Row) -> dict[str, Any]:
        def numbers_of(results: ArmResults) -> dict[str, Any]:
            return _arm_numbers(results, self.true_interval(results))

        numbers: dict[str, Any] = {
            "quantile": row.quantile,
            "budget": row.budget,
            "proxy_percentile": row.proxy_percentile,
            "top": numbers_of(row.top),
        }
        if row.bottom is not None:
            numbers["bottom"] = numbers_of(row.bottom)
        numbers["random"] = [numbers_of(results) for results in row.random]
        numbers["softer"] = {rule: numbers_of(results) for rule, results in row.softer.items()}
        return numbers


def report(
    results: Mapping[Arm, ArmResults],
    all_proxy_returns: npt.NDArray[Any],
    optimiser: npt.NDArray[Any] | None = None,
    same_seeds: bool = True,
    possible: tuple[float, float] = (-math.inf, math.inf),
) -> StudyReport:
    """Compare the arms of a study.

    The optimiser's true returns are (seeds, episodes), None if it was not measured. The comparison with it is paired if
    it has the policies' seeds. No interval of a mean true return leaves the possible range.
    """
    rows = []
    budgets = [budget for budget in BUDGETS if any(arm.budget == budget for arm in results)]
    for budget in budgets:
        quantiles = sorted({arm.quantile for arm in results if arm.budget == budget}, reverse=True)
        rows += [_row(results, quantile, budget, all_proxy_returns) for quantile in quantiles]
    verdicts: dict[tuple[Budget, str], tuple[Verdict, ...]] = {}
    for budget in budgets:
        imitation, *others = [row for row in rows if row.budget == budget]
        for question in QUESTIONS:
            if question == "optimiser" and optimiser is None:
                continue
            if question in RULES and not all(question in row.softer for row in others):
                continue
            claims = [_claim(question, row, imitation, optimiser, same_seeds) for row in others]
            verdicts[budget, question] = tuple(judge(claims))
    returns = None if optimiser is None else np.asarray(optimiser, dtype=np.float64)
    return StudyReport(tuple(rows), verdicts, returns, possible)


def _row(results: Mapping[Arm, ArmResults], quantile: float, budget: Budget, proxies: npt.NDArray[Any]) -> Row:
    top = results[Arm(quantile, "top", 0, budget)]
    random = [
        found
        for arm, found in results.items()
        if (arm.quantile, arm.selection, arm.budget) == (quantile, "random", budget)
    ]
    softer = {
        arm.method: found
        for arm, found in results.items()
        if (arm.quantile, arm.budget) == (quantile, budget) and not arm.rule.is_quantile
    }
    return Row(
        quantile=quantile,
        budget=budget,
        top=top,
        bottom=results.get(Arm(quantile, "bottom", 0, budget)),
        random=tuple(sorted(random, key=lambda found: found.arm.subset)),
        softer=softer,
        proxy_percentile=float(100 * (np.asarray(proxies) < top.proxy_returns.mean()).mean()),
    )


def _claim(question: str, row: Row, imitation: Row, optimiser: npt.NDArray[Any] | None, same_seeds: bool) -> Claim:
    if question in RULES:
        soft, hard = row.softer[question].true_returns, row.top.true_returns
        name = f"policies of {RULES[question].label} as strong as q = {row.quantile:g}"
        difference, probability = paired_difference(soft, hard), probability_of_improvement(soft, hard)
        return Claim(name, "policies of the top episodes", difference, probability)
    top, first = row.top.true_returns, f"policies of the top {row.quantile:g}"
    if question == "selection":
        random = row.random_true_returns
        difference = selection_effect(top, random)
        return Claim(first, "policies of as many random episodes", difference, probability_of_selection(top, random))
    if question == "imitation":
        other, second, paired = imitation.top.true_returns, "imitation", True
    else:
        assert optimiser is not None
        other, second, paired = np.asarray(optimiser), "the optimiser", same_seeds
    compare = paired_difference if paired else unpaired_difference
    return Claim(first, second, compare(top, other), probability_of_improvement(top, other))


def difference_numbers(difference: Difference) -> dict[str, Any]:
    """Return a difference for JSON; None stands for NaN and infinity."""
    return {
        "estimate": _plain(difference.estimate),
        "interval_95": list(difference.interval.bounds),
        "p": _plain(difference.p),
        "test": difference.test,
        "over": difference.over,
    }


def _verdict_numbers(verdict: Verdict) -> dict[str, Any]:
    probability = verdict.probability_of_improvement
    return {
        "claim": f"{verdict.claim.first} earn more than {verdict.claim.second}",
        "decision": verdict.decision,
        **difference_numbers(verdict.claim.difference),
        "adjusted_p": _plain(verdict.adjusted_p),
        "tests": verdict.tests,
        "smallest_detectable": _plain(verdict.smallest_detectable),
        "probability_of_improvement": None if probability is None else _plain(probability.estimate),
        "sentence": verdict.sentence(),
    }


def _arm_numbers(results: ArmResults, true: Interval) -> dict[str, Any]:
    proxy = mean_interval(results.proxy_returns)
    return {
        "kept": {
            "episodes": len(results.kept_true),
            "effective_episodes": results.effective_number,
            "steps": int(results.kept_lengths.sum()),
            "true_return": results.kept_true_return,
            "proxy_return": results.kept_proxy_return,
        },
        "true_return": true.estimate,
        "true_interval_95": list(true.bounds),
        "proxy_return": proxy.estimate,
        "proxy_interval_95": list(proxy.bounds),
        "seed_means": results.true_returns.mean(axis=1).tolist(),
        "cloning_gap": results.cloning_gap,
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
