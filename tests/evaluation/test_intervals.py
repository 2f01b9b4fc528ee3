from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.intervals import (
    Interval,
    even_penalty,
    mean_interval,
    median_interval,
    penalised,
    seed_means,
)
from quantilizers.rewards import FloatArray
from simulated_studies import car_study, coverage, normal_study, skewed_study, true_averages

Average = Callable[[FloatArray], Interval]
CELLS = [(seeds, share) for seeds in (5, 10, 20) for share in (0.0, 0.5, 0.9)]


@pytest.mark.slow
@pytest.mark.parametrize("average", [mean_interval, median_interval])
@pytest.mark.parametrize(("seeds", "share"), CELLS)
def test_intervals_cover_in_95_percent_of_2000_studies(average: Average, seeds: int, share: float) -> None:
    assert 0.93 <= coverage(average, normal_study, 0.0, seeds, share, 2000) <= 0.97


@pytest.mark.parametrize("average", [mean_interval, median_interval])
@pytest.mark.parametrize(("seeds", "share"), CELLS)
def test_intervals_cover(average: Average, seeds: int, share: float) -> None:
    """In 300 studies a coverage of 0.95 is 0.91 to 0.99 by chance; a bootstrap had 0.82 to 0.86 with five seeds."""
    assert 0.91 <= coverage(average, normal_study, 0.0, seeds, share, 300) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "share"), CELLS)
def test_a_pile_at_the_worst_return_spoils_neither_interval(seeds: int, share: float) -> None:
    mean, median = true_averages(car_study, share)
    assert 0.92 <= coverage(mean_interval, car_study, mean, seeds, share, 2000) <= 0.97
    assert 0.92 <= coverage(median_interval, car_study, median, seeds, share, 2000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "share"), CELLS)
def test_skewed_seeds_spoil_the_interval_of_the_mean_but_not_of_the_median(seeds: int, share: float) -> None:
    mean, median = true_averages(skewed_study, share)
    covered = coverage(mean_interval, skewed_study, mean, seeds, share, 2000)
    assert (0.93 if share == 0 else 0.86) <= covered <= 0.97
    assert covered < 0.93 or share < 0.9 or seeds == 20
    assert 0.92 <= coverage(median_interval, skewed_study, median, seeds, share, 2000) <= 0.97


def test_the_interval_of_a_mean_is_that_of_scipys_t_test_on_the_means_of_seeds() -> None:
    returns = np.random.default_rng(0).normal(3.0, 2.0, (7, 30))
    interval = mean_interval(returns)
    expected = stats.ttest_1samp(returns.mean(axis=1), 0.0).confidence_interval(0.95)
    assert interval.estimate == pytest.approx(returns.mean())
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))
    assert (interval.over, interval.one_seed_only) == ("7 seeds", False)


def test_a_mean_by_hand() -> None:
    """Seeds of mean 1, 2, 3: 2 ± 4.3027 · 1/√3."""
    interval = mean_interval(np.array([[0.0, 2.0], [2.0, 2.0], [1.0, 5.0]]))
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((2.0, -0.48414, 4.48414), abs=1e-4)


def test_the_interval_of_a_median_of_five_seeds_is_their_range() -> None:
    interval = median_interval(np.array([[3.0], [-1.0], [10.0], [2.0], [7.0]]))
    assert (interval.estimate, interval.low, interval.high) == (3.0, -1.0, 10.0)


def test_the_interval_of_a_median_of_ten_seeds_lies_between_order_statistics() -> None:
    """Ranks 2 and 3 cover 97.85 % and 89.06 %: I = 0.3244, so λ = 8 I / (2 + 6 I) = 0.6577."""
    interval = median_interval(np.arange(1.0, 11.0)[::-1, None])
    part = (0.978515625 - 0.95) / (0.978515625 - 0.890625)
    weight = 8 * part / (2 + 6 * part)
    assert weight == pytest.approx(0.6577, abs=1e-3)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((5.5, 2 + weight, 9 - weight))


def test_the_median_is_over_the_means_of_seeds_not_over_episodes() -> None:
    returns = np.tile([-200.0, -200.0, -100.0], (5, 1))
    assert median_interval(returns).estimate == pytest.approx(-500 / 3)


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_fewer_than_five_seeds_have_a_median_without_an_interval(seeds: int) -> None:
    interval = median_interval(np.random.default_rng(0).normal(size=(seeds, 30)))
    assert not interval.known
    assert "[no interval]" in str(interval)
    assert mean_interval(np.random.default_rng(0).normal(size=(seeds, 30))).known


@pytest.mark.parametrize("average", [mean_interval, median_interval])
def test_one_seed_gives_the_interval_over_its_episodes_and_says_so(average: Average) -> None:
    returns = np.random.default_rng(0).normal(size=(1, 400))
    interval = average(returns)
    expected = stats.ttest_1samp(returns[0], 0.0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))
    assert interval.one_seed_only
    assert interval.over == "400 episodes of one seed"


@pytest.mark.parametrize("average", [mean_interval, median_interval])
def test_one_number_has_no_interval_and_equal_numbers_an_empty_one(average: Average) -> None:
    assert str(average(np.array([[3.0]]))) == "3.00 [no interval]"
    assert str(average(np.full((5, 2), -200.0))) == "-200.00 [-200.00, -200.00]"
    tenth = average(np.full((7, 3), 0.1))
    assert tenth.low == tenth.high == pytest.approx(0.1)


def test_whole_and_short_numbers_are_averaged_as_floats() -> None:
    whole = np.array([[1, 2], [4, 5]])
    assert mean_interval(whole) == mean_interval(whole.astype(np.float32))
    assert mean_interval(whole).estimate == 3.0


def test_the_opposite_of_an_interval() -> None:
    assert -Interval(1.0, 0.5, 3.0, "5 seeds") == Interval(-1.0, -3.0, -0.5, "5 seeds")
    assert f"{Interval(0.25, 0.125, 0.5):.1f}" == "0.2 [0.1, 0.5]"


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 0)])
@pytest.mark.parametrize("of", [mean_interval, median_interval, seed_means])
def test_other_shapes_are_refused(of: Callable[..., object], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        of(np.zeros(shape))


@pytest.mark.parametrize("of", [mean_interval, median_interval])
def test_returns_that_are_not_finite_are_refused(of: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="NaN"):
        of(np.array([[1.0, np.nan]]))


def test_returns_at_another_price_are_those_of_the_same_episodes() -> None:
    random = np.random.default_rng(0)
    proxy, losses = random.normal(1000, 50, size=(3, 4)), random.uniform(size=(3, 4))
    found = penalised(proxy, losses, np.array([0.0, 200.0]))
    assert found == [mean_interval(proxy), mean_interval(proxy - 200 * losses)]


def test_the_even_price_is_more_proxy_for_more_loss() -> None:
    even = even_penalty(np.array([990.0, 1000.0, 1010.0]), np.array([0.1, 0.11, 0.09]))
    assert even.estimate == pytest.approx(10_000)
    assert 7_000 < even.low < 10_000 < even.high < 15_000
    # At each bound, the difference between the two agents is just about to exclude zero.
    for bound in (even.low, even.high):
        difference = mean_interval((np.array([990.0, 1000, 1010]) - bound * np.array([0.1, 0.11, 0.09]))[:, None])
        assert min(abs(difference.low), abs(difference.high)) == pytest.approx(0, abs=1e-6)


def test_where_the_losses_may_be_alike_there_is_no_finite_interval() -> None:
    even = even_penalty(np.array([990.0, 1000.0, 1010.0]), np.array([0.1, -0.1, 0.03]))
    assert not even.known
    assert even.estimate == pytest.approx(100_000)
    assert np.isnan(even_penalty(np.ones(3), np.zeros(3)).estimate)
    assert not even_penalty(np.ones(1), np.ones(1)).known


@pytest.mark.slow
def test_its_interval_covers_as_it_says() -> None:
    random = np.random.default_rng(0)
    studies = [random.normal([500.0, 0.1], [300.0, 0.02], size=(5, 2)) for _ in range(2000)]
    evens = [even_penalty(*study.T) for study in studies]
    assert np.mean([even.low <= 5000 <= even.high for even in evens if even.known]) == pytest.approx(0.95, abs=0.015)


def test_bounds_are_cut_at_what_is_possible_and_never_cross_the_estimate() -> None:
    interval = Interval(-190.0, -230.0, -150.0)
    assert interval.within(-200.0, 0.0) == Interval(-190.0, -200.0, -150.0)
    assert interval.within(-np.inf, np.inf) == interval
    assert interval.within(-180.0, -185.0) == Interval(-190.0, -190.0, -185.0)
    unknown = Interval(0.5, np.nan, np.nan).within(0.0, 1.0)
    assert not unknown.known
