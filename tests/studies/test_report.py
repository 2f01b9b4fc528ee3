from __future__ import annotations

import json

import numpy as np
import pytest

from quantilizers.studies.controls import Arm, ArmResults, arms_of
from quantilizers.studies.report import report

SEEDS, EPISODES = 5, 20


def results_of(arm: Arm, mean: float, random: np.random.Generator) -> ArmResults:
    seeds = np.random.default_rng(0).normal(size=(SEEDS, 1))  # what a seed does to every policy
    true = mean + seeds + random.normal(scale=0.3, size=(SEEDS, EPISODES))
    kept = np.full(10, mean + 1.0)
    return ArmResults(arm, true, true / 2, np.full(true.shape, 7), kept, kept / 2, np.full(10, 100))


def study(top: float, others: float, imitation: float) -> dict[Arm, ArmResults]:
    random = np.random.default_rng(1)
    means = {"top": top, "bottom": others, "random": others}
    return {
        arm: results_of(arm, imitation if arm.quantile == 1 else means[arm.selection], random)
        for arm in arms_of([0.5, 0.25], subsets=10)
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
    assert {verdict["decision"] for verdict in numbers["verdicts"]} == {"supported"}
