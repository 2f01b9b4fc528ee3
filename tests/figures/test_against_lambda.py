from __future__ import annotations

import numpy as np
import pytest

from quantilizers.evaluation.intervals import mean_interval
from quantilizers.figures.against_lambda import AgentReturns, draw_penalties, penalties_rows


@pytest.fixture
def arms() -> list[AgentReturns]:
    """Imitation; a quantilizer that earns 1,000 more and loses 0.1 more; an optimiser of two seeds that farms."""
    random = np.random.default_rng(0)

    def returns(mean: float, seeds: int = 3) -> np.ndarray:
        return mean + random.normal(0, 1, size=(seeds, 4))

    return [
        AgentReturns("imitation", returns(5000), np.full((3, 4), 0.02), 5500.0, 0.03),
        AgentReturns("q = 0.25", returns(6000), np.full((3, 4), 0.12), 7000.0, 0.2),
        AgentReturns("PPO", returns(9000, 2), np.full((2, 4), 0.42)),
    ]


def test_each_arm_falls_with_its_loss_and_crosses_where_both_earn_the_same(arms: list[AgentReturns]) -> None:
    figure, numbers = draw_penalties(arms, 1.0, "title", "true return (score − λ × something)")
    axes = figure.axes[0]
    penalties = np.asarray(numbers["lambda"])
    assert penalties[0] < 1 < 10_000 < penalties[-1]
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    for arm, about in zip(arms, numbers["arms"], strict=True):
        expected = arm.proxy_returns.mean() - penalties * arm.losses.mean()
        np.testing.assert_allclose(about["true_return"], expected)
        np.testing.assert_allclose(drawn[arm.label], expected)
        interval = mean_interval(arm.proxy_returns - penalties[5] * arm.losses)
        assert about["interval_95"][5] == (interval.low, interval.high)
    np.testing.assert_allclose(numbers["arms"][1]["demonstrations"], 7000 - penalties * 0.2)
    assert numbers["arms"][1]["even_with_first"]["lambda"] == pytest.approx(10_000, rel=0.01)
    assert numbers["arms"][2]["even_with_first"]["lambda"] == pytest.approx(10_000, rel=0.01)
    # Different seeds cannot be paired.
    assert numbers["arms"][2]["even_with_first"]["low"] is None
    assert axes.get_ylabel() == "true return (score − λ × something)"


def test_without_a_crossing_the_first_arm_is_seen_until_it_earns_nothing(arms: list[AgentReturns]) -> None:
    dominated = AgentReturns("q = 0.5", arms[0].proxy_returns - 10, arms[0].losses + 0.01, 1.0, 1.0)
    _, numbers = draw_penalties([arms[0], dominated], 1.0, "title", "label")
    assert numbers["lambda"][-1] > 5000 / 0.02
    assert numbers["arms"][0]["true_return"][-1] < 0


def test_rows_say_where_arms_are_even_or_that_they_never_are(arms: list[AgentReturns]) -> None:
    better = AgentReturns("q = 0.5", arms[0].proxy_returns + 10, arms[0].losses - 0.01, 1.0, 1.0)
    rows = penalties_rows([arms[0], arms[1], better])
    assert rows[0][0] == "q = 0.25"
    assert rows[0][2] == "0.1000"
    assert rows[0][3].startswith(("9,9", "10,0"))
    assert rows[1][3] == "none: better or worse whatever λ is"
