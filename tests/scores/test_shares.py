"""Intervals of true scores with two values, near one of them, and of true scores that do not vary."""

from __future__ import annotations

import numpy as np
import pytest

from quantilizers import UserError, choose, curve
from quantilizers.evaluation.intervals import Interval, difference_limits, share_limits
from quantilizers.rewards import FloatArray
from quantilizers.scores.comparison import ProxyComparison
from quantilizers.scores.curves import strengths_of, trace, with_base
from quantilizers.scores.samples import Samples

GROUP = np.repeat(np.arange(30), 4)
PROXY = np.tile(np.arange(4.0), 30)
#: 1 in all best rows of 30 groups, and in half of the others.
TRUE = ((PROXY == 3) | ((GROUP + PROXY) % 2 == 0)).astype(float)


def logistic(
    rng: np.random.Generator, groups: int, samples: int, at_zero: float, slope: float, spread: float
) -> tuple[FloatArray, FloatArray]:
    """Return a proxy, and a true score of 0 or 1 that is more often 1 where it is high (groups, samples)."""
    proxy = rng.normal(size=(groups, samples))
    level = at_zero + slope * proxy + spread * rng.normal(size=(groups, 1))
    return proxy, (rng.random(proxy.shape) < 1 / (1 + np.exp(-level))).astype(float)


def held(
    table: tuple[float, float, float], groups: int, samples: int, share: float, number: int, *, one: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Return how often intervals hold mean and gain at each strength; of `one` problem, with groups · samples rows."""
    rng = np.random.default_rng(groups)
    shape = (1, groups * samples) if one else (groups, samples)
    many = (1, 1_000_000) if one else (50_000, samples)

    def drawn(size: tuple[int, int], known: float) -> Samples:
        proxy, true = logistic(rng, *size, *table)
        true = np.where(rng.random(size) < known, true, np.nan)
        return Samples.of(proxy.ravel(), true.ravel(), None if one else np.repeat(np.arange(size[0]), size[1]))

    large = drawn(many, 1.0)
    strengths = with_base(strengths_of(large, None, [1.0, 0.25, 0.05, 0.02] if one else None))
    truth = large.weighted(large.columns[1], strengths).mean(axis=1)
    found = [trace(drawn(shape, share), strengths, resamples=100 if one else 2) for _ in range(number)]
    assert not any(mean.low == mean.high for one_curve in found for mean in one_curve.true)

    def inside(intervals: tuple[Interval, ...], values: FloatArray) -> list[float]:
        """Return whether each holds its value; NaN where it is unknown, because too few labels are in the selection."""
        return [
            float(one.low <= value <= one.high) if one.known else np.nan
            for one, value in zip(intervals, values, strict=True)
        ]

    means = [inside(one.true, truth) for one in found]
    gains = [inside(one.gains[1:], truth[1:] - truth[0]) for one in found]
    return np.nanmean(means, axis=0), np.nanmean(gains, axis=0)


def test_limits_are_those_of_clopper_and_pearson_for_one_trial_a_group() -> None:
    """Of 30 trials 30, 29 and 15 succeed."""
    counts = np.array([30.0, 29.0, 15.0])
    share = counts / 30
    errors = np.sqrt(share * (1 - share) / 30)
    low, high = share_limits(share, errors, np.full(3, 30.0), 30 - counts, counts)
    np.testing.assert_allclose(low, [0.88430, 0.82783, 0.31297], atol=1e-5)
    np.testing.assert_allclose(high, [1.0, 0.99916, 0.68703], atol=1e-5)
    assert np.isnan(share_limits(np.array([1.0]), np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1))[0]).all()


def test_limits_of_differences_are_newcombe_s() -> None:
    """56 of 70 less 48 of 80, from Wilson's limits, is 0.2 [0.0524, 0.3339] (Newcombe 1998, table II, a, method 10)."""
    left, right = (np.array([0.8]), np.array([0.6]))
    low, high = difference_limits(
        left, (np.array([0.6918]), np.array([0.8770])), right, (np.array([0.4906]), np.array([0.7003])), np.zeros(1)
    )
    np.testing.assert_allclose([low[0], high[0]], [0.0524, 0.3339], atol=2e-4)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (-3.0, 7.0), (2.0, -5.0)])
def test_a_selection_of_one_value_alone_has_an_interval(scale: tuple[float, float]) -> None:
    """All 30 of 30 allow a share of 0.884, in any unit."""
    least, factor = scale
    found = curve(PROXY, least + factor * TRUE, GROUP)
    ends = sorted([least + factor, least + factor * 0.884297])
    assert found.true[-1].as_numbers() == pytest.approx((least + factor, *ends), abs=1e-5)
    assert found.gains[-1].low < found.gains[-1].estimate < found.gains[-1].high
    choice = choose(PROXY, least + factor * TRUE, GROUP)
    assert choice.earned["best of 4"] == found.true[-1]
    assert choice.cost.low < choice.cost.estimate < choice.cost.high
    assert all(one.low < one.high for one in choice.earned.values())
    if factor > 0:
        assert choice.earned["chosen"].low <= found.true[-1].low + 1e-9
        assert choice.gains["best of 4"].as_numbers() == (0, 0, 0)


def test_single_problems_and_pooled_selections_have_intervals_too() -> None:
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=200)
    alone = curve(proxy, (proxy > -1).astype(float), strengths=[1.0, 0.02]).true[-1]
    assert alone.as_numbers() == pytest.approx((1, 1 - 0.602365, 1), abs=1e-5)  # 4 of 4 rows
    pooled = curve(PROXY, TRUE, GROUP, pooled=True, strengths=[1.0, 0.25]).true[-1]
    assert pooled.as_numbers() == pytest.approx((1, 0.884297, 1), abs=1e-5)


def test_a_true_score_of_one_value_has_no_interval_unless_it_is_a_share() -> None:
    levels = np.where(PROXY == 3, 5.0, GROUP + PROXY)
    found, choice = curve(PROXY, levels, GROUP), choose(PROXY, levels, GROUP)
    assert found.true[-1].as_numbers() == (5, None, None)
    assert found.gains[-1].bounds == (None, None)
    assert found.true[0].known
    assert choice.earned["best of 4"].bounds == choice.cost.bounds == (None, None)
    assert "5.000 [no interval]" in str(found)
    same = curve(PROXY, np.full(120, 0.7), GROUP)
    assert same.true[-1].bounds == (None, None)
    assert same.sentence() == "selection does not change the true score: all that are known are 0.700"
    assert curve(PROXY, np.ones(120), GROUP).true[-1].low == pytest.approx(0.884297)


def test_proxies_that_select_one_value_alone_are_not_distinguished() -> None:
    rng = np.random.default_rng(0)
    other = np.where(PROXY == 3, 3, rng.permuted(np.tile([0.0, 1.0, 2.0, 2.5], (30, 1)), axis=1).ravel())
    found = ProxyComparison.of({name: curve(proxy, TRUE, GROUP) for name, proxy in (("a", PROXY), ("b", other))})
    assert found.undecided == ("b",)
    assert found.differences["b"].low < 0 < found.differences["b"].high
    again = ProxyComparison.of({name: curve(PROXY, GROUP + TRUE, GROUP) for name in "ab"})
    assert again.differences["b"].as_numbers() == (0, 0, 0)


def test_a_rare_truth_without_a_trend_is_seldom_said_to_move() -> None:
    """Of 20 groups of 8, 5 % of rows; 2.5 % are promised for either direction."""
    kinds = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        true = (rng.random(160) < 0.05).astype(float)
        found = curve(rng.normal(size=160), true, np.repeat(np.arange(20), 8))
        assert found.turn is not None
        kinds.append(found.turn.kind)
    assert kinds.count("falls") <= 5
    assert kinds.count("rises") <= 5
    assert kinds.count("turns") + kinds.count("changes") <= 10


@pytest.mark.parametrize(("groups", "at_zero"), [(30, 0.5), (30, 2.0), (100, 2.0)])
def test_intervals_near_one_hold_the_share(groups: int, at_zero: float) -> None:
    means, gains = held((at_zero, 2.0, 0.0), groups, 8, 1.0, 120)
    assert min(means.min(), gains.min()) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("groups", [15, 30, 100])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize(
    "table", [(0.0, 2.6, 0.0), (2.0, 2.0, 0.0), (2.0, 2.0, 1.5), (3.0, 0.0, 0.0), (-3.0, 0.0, 1.5)]
)
def test_intervals_of_shares_hold_them_as_often_as_they_say(
    table: tuple[float, float, float], groups: int, share: float
) -> None:
    means, gains = held(table, groups, 8, share, 600)
    assert min(means.min(), gains.min()) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("at_zero", [0.0, 2.0])
def test_intervals_of_shares_of_one_problem_hold_them(at_zero: float) -> None:
    means, gains = held((at_zero, 1.5, 0.0), 25, 8, 1.0, 300, one=True)
    assert min(means.min(), gains.min()) >= 0.93


@pytest.mark.parametrize("unit", [1e-162, 1e-300, 5e-324])
def test_scores_whose_squares_underflow_are_refused(unit: float) -> None:
    for proxy, true in ((PROXY * unit, TRUE), (PROXY, TRUE * unit)):
        with pytest.raises(UserError, match="rescale the scores"):
            curve(proxy, true, GROUP)
    small = curve(PROXY, (TRUE + PROXY) * 1e-130, GROUP).true[0]
    assert small.high - small.low > 1e-132


@pytest.mark.parametrize("rare", [0.0, 0.5])
def test_a_choice_that_equals_another_selection_in_all_resamples_may_differ_in_another_table(rare: float) -> None:
    """One row of 240 is not right, so folds choose differently, and earn the same by chance."""
    proxy, groups = np.random.default_rng(0).normal(size=240), np.repeat(np.arange(30), 8)
    true = np.ones(240)
    true[proxy.argmin()] = rare
    found = choose(proxy, true, groups, n=8)
    assert 0 < found.shares.max() < 1
    gain = found.gains["base"]
    assert gain.estimate == 0
    assert gain.low <= -0.03
    assert gain.high >= 0.03


def test_the_same_selection_differs_by_nothing() -> None:
    generator = np.random.default_rng(1)
    proxy, groups = generator.normal(size=240), np.repeat(np.arange(30), 8)
    for true, n, names in (
        (np.ones(240), 1, ("base", "best of 1", "HedgeTune")),
        (generator.normal(size=240), 1, ("base", "best of 1", "HedgeTune")),
        (proxy, 8, ("best of 8", "HedgeTune")),
    ):
        found = choose(proxy, true, groups, n=n)
        for name in names:
            assert (found.gains[name].low, found.gains[name].high) == (0, 0), name
