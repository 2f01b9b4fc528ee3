from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.improvement import probability_interval, probability_of_improvement, wins


def test_the_probability_of_improvement_is_mann_and_whitneys_u_over_the_number_of_pairs() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.5, 1, (6, 20)), generator.normal(0, 1, (9, 20))
    found = probability_of_improvement(first, second)
    expected = stats.mannwhitneyu(first.mean(axis=1), second.mean(axis=1)).statistic / 54
    assert found.estimate == pytest.approx(expected)
    assert 0 < found.low < found.estimate < found.high < 1
    opposite = probability_of_improvement(second, first)
    assert (opposite.low, opposite.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_equal_runs_count_half() -> None:
    """Of 4 pairs, 2 > 1 is won, 1 < 2 is lost and two are equal."""
    assert wins(np.array([2.0, 1.0]), np.array([1.0, 2.0])) == 0.5
    assert wins(np.array([2.0, 3.0]), np.array([2.0, 1.0])) == 0.875


def test_the_bounds_of_a_probability_are_those_that_the_estimate_does_not_contradict() -> None:
    interval = probability_interval(0.8, 5, 7, "")
    for theta in (interval.low, interval.high):
        variance = theta * (1 - theta) / 35 * (1 + 5 * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        assert abs(0.8 - theta) == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(variance), abs=1e-9)


def test_winning_every_pair_does_not_make_a_probability_certain() -> None:
    """A bootstrap of the runs would give [1, 1]."""
    found = probability_of_improvement(np.arange(5.0)[:, None] + 10, np.arange(5.0)[:, None])
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 0.8
    opposite = probability_of_improvement(np.arange(5.0)[:, None], np.arange(5.0)[:, None] + 10)
    assert (opposite.estimate, opposite.low, opposite.high) == (0.0, 0.0, pytest.approx(1 - found.low))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_the_interval_of_a_probability_covers(seeds: int, shift: float) -> None:
    generator = np.random.default_rng(seeds)
    truth, held = stats.norm.cdf(shift / math.sqrt(2)), 0
    for _ in range(2000):
        first, second = generator.normal(shift, 1, (seeds, 1)), generator.normal(0, 1, (seeds, 1))
        found = probability_of_improvement(first, second)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 2000 <= 0.985


def test_wrong_returns_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        probability_of_improvement(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        probability_of_improvement(np.full((2, 2), np.inf), np.zeros((2, 2)))
