from __future__ import annotations

import numpy as np
import pytest

from quantilizers.evaluation.statistics import mean_interval


def coverage(seeds: int, episodes: int, between: float, within: float, studies: int = 200) -> float:
    """How often the interval holds the true mean 0 of simulated seeds and episodes."""
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(studies):
        returns = generator.normal(0, between, (seeds, 1)) + generator.normal(0, within, (seeds, episodes))
        interval = mean_interval(returns)
        held += interval.low <= 0 <= interval.high
    return held / studies


def test_the_interval_covers_the_mean_when_seeds_differ_more_than_episodes() -> None:
    """An interval over pooled episodes would hold it in about a quarter of the studies."""
    assert 0.86 <= coverage(seeds=10, episodes=20, between=1.0, within=1.0) <= 0.99


def test_the_interval_covers_the_mean_when_all_seeds_are_alike() -> None:
    assert coverage(seeds=10, episodes=20, between=0.0, within=1.0) >= 0.9


def test_the_same_returns_give_the_same_interval_around_their_mean() -> None:
    returns = np.random.default_rng(0).normal(size=(5, 30))
    one, two = mean_interval(returns), mean_interval(returns.copy())
    assert one == two
    assert one.mean == pytest.approx(returns.mean())
    assert one.low < one.mean < one.high


def test_one_seed_gives_the_interval_over_its_episodes() -> None:
    returns = np.random.default_rng(0).normal(size=(1, 400))
    interval = mean_interval(returns)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * returns.std() / 20, rel=0.1)


def test_one_number_has_no_interval_and_equal_numbers_an_empty_one() -> None:
    one = mean_interval(np.array([[3.0]]))
    assert one.mean == 3.0
    assert np.isnan(one.low)
    assert str(one) == "3.00 [no interval]"
    assert str(mean_interval(np.full((2, 2), -200.0))) == "-200.00 [-200.00, -200.00]"


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        mean_interval(np.zeros(shape))
