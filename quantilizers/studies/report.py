"""The report of a study of controls: numbers for each q, and a verdict for each claim.

The primary question of a study is whether policies of the top episodes earn more than those of as many random ones: it
alone asks for an effect of the choice of episodes, with the luck of a choice as part of the null hypothesis. Holm's
correction is over all its tests, of every quantile under every budget, so at most 5 % of studies in which the proxy
chooses as chance does have a false primary verdict. All other questions are secondary, and one further family. So are
all questions about another quantity than the true return.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import BUDGETS, PLAYER_SELECTIONS, Budget
from quantilizers.evaluation.comparisons import (
    Difference,
    paired_difference,
    probability_of_improvement,
    probability_of_selection,
    selection_effect,
    unpaired_difference,
)
from quantilizers.evaluation.intervals import CONFIDENCE, Interval, mean_interval
from quantilizers.evaluation.verdicts import TRUE_RETURN, Claim, Verdict, judge
from quantilizers.numbers_in_words import counted
from quantilizers.quantilize import RULES, SOFTER_RULES
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, ArmResults

#: The primary question.
PRIMARY = "selection"
#: The questions that a study answers at each q, the primary one first.
QUESTIONS = {
    PRIMARY: "policies of the top episodes against those of as many random ones",
    "imitation": "policies of the top episodes against imitation of all",
    "top_players": "policies of episodes of the top players against those of as many random ones",
    "within_players": "policies of the top episodes within each player against those of as many random ones",
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
    players: Mapping[str, ArmResults]  # of as many episodes chosen by player, by selection; empty where unknown
    # Number of random subsets whose policies earn more than imitation at p < 0.05, by the test of the top ones without
    # correction; None at q = 1, and with a single seed.
    random_higher: int | None
    proxy_percentile: float  # share of all demonstrations whose proxy return is below the policies' mean, in per cent

    @property
    def random_true_returns(self) -> FloatArray:
        """True returns of the random subsets' policies, (subsets, seeds, episodes)."""
        return np.stack([results.true_returns for results in self.random])


@dataclass(frozen=True, eq=False)
class StudyReport:
    """A whole study."""

    rows: tuple[Row, ...]  # of each budget, of each q, the largest first
    # By budget and question, one for each q below 1. Holm's correction is over a family.
    verdicts: Mapping[tuple[Budget, str], tuple[Verdict, ...]]
    optimiser: FloatArray | None  # true returns of the optimiser, (seeds, episodes), if it was measured
    possible: tuple[float, float] = (-math.inf, math.inf)  # range of true returns; intervals of means end there
    quantity: str = TRUE_RETURN  # what is compared

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
                {
                    "budget": budget,
                    "question": QUESTIONS[question],
                    "family": family_of_question(question, self.quantity),
                    **_verdict_numbers(verdict),
                }
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
        numbers["random_higher_than_imitation"] = row.random_higher
        numbers["softer"] = {rule: numbers_of(results) for rule, results in row.softer.items()}
        numbers["players"] = {selection: numbers_of(results) for selection, results in row.players.items()}
        return numbers


def report(
    results: Mapping[Arm, ArmResults],
    all_proxy_returns: npt.NDArray[Any],
    optimiser: npt.NDArray[Any] | None = None,
    same_seeds: bool = True,
    possible: tuple[float, float] = (-math.inf, math.inf),
    quantity: str = TRUE_RETURN,
) -> StudyReport:
    """Compare the arms of a study.

    The optimiser's true returns are (seeds, episodes), None if it was not measured. The comparison with it is paired if
    it has the policies' seeds. No interval of a mean true return leaves the possible range. Another quantity may stand
    for the true returns in the results.
    """
    rows = []
    budgets = [budget for budget in BUDGETS if any(arm.budget == budget for arm in results)]
    for budget in budgets:
        quantiles = sorted({arm.quantile for arm in results if arm.budget == budget}, reverse=True)
        rows += [_row(results, quantile, budget, all_proxy_returns) for quantile in quantiles]
    claims: dict[tuple[Budget, str], list[Claim]] = {}
    for budget in budgets:
        imitation, *others = [row for row in rows if row.budget == budget]
        for question in QUESTIONS:
            if question == "optimiser" and optimiser is None:
                continue
            arms: Mapping[str, Sequence[object]] = {
                **{rule: [row for row in others if rule in row.softer] for rule in RULES},
                **{selection: [row for row in others if selection in row.players] for selection in PLAYER_SELECTIONS},
            }
            if len(arms.get(question, others)) < len(others):
                continue
            claims[budget, question] = [_claim(question, row, imitation, optimiser, same_seeds) for row in others]
            if quantity != TRUE_RETURN:
                claims[budget, question] = [
                    replace(claim, quantity=quantity, note="") for claim in claims[budget, question]
                ]
    verdicts = judge_families(claims, quantity)
    returns = None if optimiser is None else np.asarray(optimiser, dtype=np.float64)
    return StudyReport(tuple(rows), verdicts, returns, possible, quantity)


def family_of_question(question: str, quantity: str = TRUE_RETURN) -> str:
    """Return the name of the family in which a question's tests are corrected; none of another quantity is primary."""
    return "primary" if (question, quantity) == (PRIMARY, TRUE_RETURN) else "secondary"


def judge_families(
    claims: Mapping[tuple[Budget, str], Sequence[Claim]], quantity: str = TRUE_RETURN
) -> dict[tuple[Budget, str], tuple[Verdict, ...]]:
    """Judge the claims of a whole study, by budget and question: those of a family together."""
    judged: dict[tuple[Budget, str], tuple[Verdict, ...]] = dict.fromkeys(claims, ())
    for family in ("primary", "secondary"):
        asked = [key for key in claims if family_of_question(key[1], quantity) == family]
        verdicts = iter(judge([claim for key in asked for claim in claims[key]]))
        judged |= {key: tuple(itertools.islice(verdicts, len(claims[key]))) for key in asked}
    return judged


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
    imitation = results[Arm(1.0, "top", 0, budget)].true_returns
    higher = [paired_difference(found.true_returns, imitation) for found in random]
    return Row(
        quantile=quantile,
        budget=budget,
        top=top,
        bottom=results.get(Arm(quantile, "bottom", 0, budget)),
        random=tuple(sorted(random, key=lambda found: found.arm.subset)),
        softer=softer,
        players={
            selection: results[arm]
            for selection in PLAYER_SELECTIONS
            if (arm := Arm(quantile, selection, 0, budget)) in results
        },
        random_higher=(
            sum(one.estimate > 0 and one.p < 1 - CONFIDENCE for one in higher)
            if higher and not higher[0].one_seed_only
            else None
        ),
        proxy_percentile=float(100 * (np.asarray(proxies) < top.proxy_returns.mean()).mean()),
    )


def _claim(question: str, row: Row, imitation: Row, optimiser: npt.NDArray[Any] | None, same_seeds: bool) -> Claim:
    if question in RULES:
        soft, hard = row.softer[question].true_returns, row.top.true_returns
        name = f"policies of {RULES[question].label} as strong as q = {row.quantile:g}"
        difference, probability = paired_difference(soft, hard), probability_of_improvement(soft, hard)
        return Claim(name, "policies of the top episodes", difference, probability)
    top, first, note = row.top.true_returns, f"policies of the top {row.quantile:g}", ""
    if question in PLAYER_SELECTIONS:
        top = row.players[question].true_returns
        which = "episodes of the top players" if question == "top_players" else "the top episodes within each player"
        first = f"policies of {which} at q = {row.quantile:g}"
    if question in (PRIMARY, *PLAYER_SELECTIONS):
        random = row.random_true_returns
        difference = selection_effect(top, random)
        return Claim(first, "policies of as many random episodes", difference, probability_of_selection(top, random))
    if question == "imitation":
        other, second, paired = imitation.top.true_returns, "imitation", True
        if row.random_higher is not None:
            choices = counted(len(row.random), "random choice")
            note = f"Of {choices} of as many episodes, {row.random_higher} earn more than imitation at p < 0.05."
    else:
        assert optimiser is not None
        other, second, paired = np.asarray(optimiser), "the optimiser", same_seeds
    compare = paired_difference if paired else unpaired_difference
    return Claim(first, second, compare(top, other), probability_of_improvement(top, other), note=note)


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
    earn = "earn more" if verdict.claim.quantity == TRUE_RETURN else f"have a higher {verdict.claim.quantity}"
    return {
        "claim": f"{verdict.claim.first} {earn} than {verdict.claim.second}",
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
