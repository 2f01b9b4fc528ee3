from __future__ import annotations

import json

import numpy as np
import pytest

from quantilizers.figures.study import losses_tables
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, ArmResults, arms_of
from quantilizers.studies.penalties import Losses, losses_of

SEEDS, EPISODES = 5, 40
RATE = "cheat rate"


def rate_of(true: FloatArray, proxy: FloatArray) -> FloatArray:
    """Of returns measured at λ = 2."""
    return (proxy - true) / 2


def arm_results(arm: Arm, proxy: float, rate: float, random: np.random.Generator) -> ArmResults:
    proxies = proxy + random.normal(scale=1.0, size=(SEEDS, EPISODES))
    rates = rate + random.normal(scale=0.01, size=(SEEDS, EPISODES))
    kept, kept_rate = np.full(4, proxy + 10), np.full(4, rate + 0.1)
    return ArmResults(
        arm, proxies - 2 * rates, proxies, np.full(proxies.shape, 7), kept - 2 * kept_rate, kept, np.full(4, 9)
    )


def losses(farming: float) -> Losses:
    """A study whose top arms earn 20 more than others, and cheat as given where others cheat 0.1."""
    random = np.random.default_rng(1)
    results = {}
    for arm in arms_of([1.0, 0.5], subsets=3, budgets=["epochs"]):
        top = arm.quantile < 1 and arm.selection == "top"
        results[arm] = arm_results(arm, 120 if top else 100, farming if top else 0.1, random)
    return losses_of(results, rate_of, RATE, np.zeros(9))


@pytest.mark.parametrize(("farming", "decision"), [(0.3, "supported"), (0.1, "undecided"), (0.05, "contradicted")])
def test_losses_have_verdicts(farming: float, decision: str) -> None:
    found = losses(farming)
    for question in ("imitation", "selection"):
        (verdict,) = found.found.verdicts["epochs", question]
        assert verdict.decision == decision
        assert verdict.estimate == pytest.approx(farming - 0.1, abs=0.005)
        assert f"the {RATE} of policies of the top 0.5 is" in verdict.sentence()
    assert {verdict["family"] for verdict in found.as_numbers()["verdicts"]} == {"secondary"}
    (row,) = [row for row in found.found.rows if row.quantile < 1]
    assert row.top.kept_true_return == pytest.approx(farming + 0.1)


def test_the_penalty_at_which_top_and_imitation_earn_the_same() -> None:
    found = losses(0.3)
    even = found.evens["epochs", 0.5]
    assert even.estimate == pytest.approx(20 / 0.2, rel=0.05)
    assert 90 < even.low < even.estimate < even.high < 110
    numbers = json.loads(json.dumps(found.as_numbers(), allow_nan=False))
    assert numbers["even_with_imitation"][0]["lambda"] == even.estimate
    assert numbers["rows"][1]["top"][0] == pytest.approx(0.3, abs=0.005)
    assert numbers["verdicts"][1]["claim"].endswith(f"have a higher {RATE} than imitation")
    table = losses_tables(found, wide=True)
    assert "| higher 0.198 [0.195, 0.202]" in table
    assert f"{even:,.0f}" in table
