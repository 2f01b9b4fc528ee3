from __future__ import annotations

import json

import numpy as np
import pytest

from quantilizers.choices import BUDGETS, PLAYER_SELECTIONS, Budget
from quantilizers.evaluation.comparisons import Difference, paired_difference, selection_effect
from quantilizers.evaluation.verdicts import Claim
from quantilizers.figures.study import verdict_tables
from quantilizers.studies.controls import Arm, ArmResults, arms_of
from quantilizers.studies.report import QUESTIONS, judge_families, report

SEEDS, EPISODES = 5, 20


def results_of(arm: Arm, mean: float, random: np.random.Generator) -> ArmResults:
    seeds = np.random.default_rng(0).normal(size=(SEEDS, 1))  # what a seed does to every policy
    true = mean + seeds + random.normal(scale=0.3, size=(SEEDS, EPISODES))
    kept = np.full(10, mean + 1.0)
    return ArmResults(arm, true, true / 2, np.full(true.shape, 7), kept, kept / 2, np.full(10, 100))


def study(top: float, others: float, imitation: float) -> dict[Arm, ArmResults]:
    random = np.random.default_rng(1)
    means = {
        "top": top,
        "bottom": others,
        "random": others,
        "top_players": (top + others) / 2,
        "within_players": others,
    }
    return {
        arm: results_of(arm, imitation if arm.quantile == 1 else means[arm.selection], random)
        for arm in arms_of([0.5, 0.25], subsets=10, controls=PLAYER_SELECTIONS)
    }


@pytest.mark.parametrize(
    ("top", "others", "imitation", "selection", "against_imitation"),
    [
        (10.0, 5.0, 5.0, "supported", "supported"),
        (10.0, 10.0, 5.0, "undecided", "supported"),  # fewer episodes help, whichever they are
        (2.0, 5.0, 5.0, "contradicted", "contradicted"),
        (5.0, 5.0, 5.0, "undecided", "undecided"),
    ],
)
def test_verdicts_tell_selection_from_having_less_data(
    top: float, others: float, imitation: float, selection: str, against_imitation: str
) -> None:
    found = report(study(top, others, imitation), np.linspace(-10, 10, 100))
    for budget in ("epochs", "updates"):
        assert [verdict.decision for verdict in found.verdicts[budget, "selection"]] == [selection] * 2
        assert [verdict.decision for verdict in found.verdicts[budget, "imitation"]] == [against_imitation] * 2
        assert (budget, "optimiser") not in found.verdicts
    effect = found.verdicts["epochs", "selection"][0]
    assert effect.estimate == pytest.approx(top - others, abs=0.3)
    assert effect.interval.low <= effect.estimate <= effect.interval.high


def test_the_optimiser_is_compared_where_it_was_measured() -> None:
    optimiser = np.random.default_rng(3).normal(8.0, 0.2, size=(SEEDS, EPISODES))
    found = report(study(10.0, 5.0, 5.0), np.zeros(3), optimiser, same_seeds=False)
    verdict = found.verdicts["updates", "optimiser"][1]
    assert verdict.decision == "supported"
    assert verdict.estimate == pytest.approx(2.0, abs=1.0)


def test_it_is_json_with_what_was_kept_beside_what_was_earned() -> None:
    found = report(study(10.0, 5.0, 5.0), np.linspace(-10, 10, 100))
    numbers = json.loads(json.dumps(found.as_numbers(), allow_nan=False))
    row = next(row for row in numbers["rows"] if row["quantile"] == 0.5)
    assert row["top"]["kept"] == {
        "episodes": 10,
        "effective_episodes": 10,
        "steps": 1000,
        "true_return": 11.0,
        "proxy_return": 5.5,
    }
    assert row["top"]["cloning_gap"] == pytest.approx(-1.0, abs=1.0)
    assert len(row["random"]) == 10
    assert row["proxy_percentile"] == pytest.approx(75, abs=6)
    decided = {(verdict["question"], verdict["family"]): verdict["decision"] for verdict in numbers["verdicts"]}
    assert decided == {
        (QUESTIONS["selection"], "primary"): "supported",
        (QUESTIONS["imitation"], "secondary"): "supported",
        (QUESTIONS["top_players"], "secondary"): "supported",
        (QUESTIONS["within_players"], "secondary"): "undecided",
    }
    # Two quantiles under two budgets, and three secondary questions of them.
    assert {(verdict["family"], verdict["tests"]) for verdict in numbers["verdicts"]} == {
        ("primary", 4), ("secondary", 12)
    }  # fmt: skip
    assert set(row["players"]) == {"top_players", "within_players"}


@pytest.mark.parametrize(("others", "higher"), [(10.0, 10), (5.0, None), (2.0, 0)])
def test_better_than_imitation_stands_beside_how_many_random_choices_are(others: float, higher: int | None) -> None:
    found = report(study(10.0, others, 5.0), np.zeros(3))
    row = found.rows_of("epochs")[1]
    assert row.random_higher is not None
    assert row.random_higher == higher if higher is not None else row.random_higher < 10
    verdict = found.verdicts["epochs", "imitation"][0]
    said = f"Of 10 random choices of as many episodes, {row.random_higher} earn more than imitation at p < 0.05."
    assert verdict.sentence().endswith(said)
    assert "random choices" not in found.verdicts["epochs", "selection"][0].sentence()
    assert f"{row.random_higher} of 10" in verdict_tables(found, wide=True)


def null_study(
    generator: np.random.Generator, seeds: int, subsets: int, luck: float
) -> dict[tuple[Budget, str], list[Claim]]:
    """Claims of a study of four q under two budgets in which the top is one more random choice.

    Choices of episodes have a standard deviation `luck`, half of the variance under both budgets; policies' own is 1.
    """
    claims: dict[tuple[Budget, str], list[Claim]] = {}
    of_seed = generator.normal(size=seeds)
    shared = generator.normal(size=(4, subsets + 1))
    for budget in BUDGETS:
        imitation = of_seed + generator.normal(size=seeds)
        for place in range(4):
            choices = luck * (shared[place] + generator.normal(size=subsets + 1)) / np.sqrt(2)
            means = choices[:, None] + of_seed + generator.normal(size=(subsets + 1, seeds))
            top, random = means[0][:, None], means[1:][..., None]
            for question, difference in (
                ("selection", selection_effect(top, random)),
                ("imitation", paired_difference(top, imitation[:, None])),
            ):
                claims.setdefault((budget, question), []).append(Claim("top", "others", difference))
    return claims


@pytest.mark.parametrize(("seeds", "subsets", "luck"), [(5, 10, 2.0), (10, 20, 1.0)])
def test_a_study_without_an_effect_has_a_false_primary_verdict_in_at_most_5_per_cent(
    seeds: int, subsets: int, luck: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holm's correction is over all of a study's tests of the primary question, so they are one family."""
    monkeypatch.setattr(Difference, "smallest_detectable", lambda *_: np.nan)  # most of the time
    generator = np.random.default_rng([seeds, subsets, round(luck)])
    studies, false, any_test, imitation = 200, 0, 0, 0
    for _ in range(studies):
        verdicts = judge_families(null_study(generator, seeds, subsets, luck))
        primary = [one for key, several in verdicts.items() if key[1] == "selection" for one in several]
        assert {one.tests for one in primary} == {8}
        false += any(one.decision != "undecided" for one in primary)
        any_test += any(one.p < 0.05 for one in primary)
        of_imitation = [one for key, several in verdicts.items() if key[1] == "imitation" for one in several]
        imitation += any(one.decision != "undecided" for one in of_imitation)
    assert false / studies <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / studies)
    assert any_test / studies > 0.08, "without a correction over the study there are more"
    # The luck of a choice belongs to no null hypothesis of "better than imitation", hence it is secondary.
    assert imitation / studies > 0.1
