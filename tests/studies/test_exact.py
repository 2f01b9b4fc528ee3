from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from quantilizers.errors import UserError
from quantilizers.evaluation.weighted_means import ranked_means, top_means, weighted_means
from quantilizers.quantilize import RULES, number_kept
from quantilizers.studies import exact
from quantilizers.studies.exact import QUANTILES, Resampling, TurningPoint, distinct_quantiles, trace_frontier


def goodhart(generator: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """True and proxy returns: the true one is u − u²/2 of a normal proxy u, with noise."""
    proxy = generator.normal(size=number)
    return proxy - 0.5 * proxy**2 + generator.normal(size=number), proxy


def top_true_return(quantile: float) -> float:
    """Of the top q of that: E[u | u > z] = φ(z)/q, and E[u² | u > z] = 1 + z φ(z)/q."""
    edge = max(float(stats.norm.isf(quantile)), -40.0)
    hazard = stats.norm.pdf(edge) / quantile
    return float(hazard - 0.5 * (1 + edge * hazard))


def test_the_grid_is_fixed() -> None:
    assert len(QUANTILES) == 61
    assert (QUANTILES[0], QUANTILES[-1]) == (1.0, 0.001)
    assert {0.5, 0.25, 0.125, 0.1, 0.01, 0.00125} <= set(QUANTILES)
    assert list(QUANTILES) == sorted(set(QUANTILES), reverse=True)


def test_quantiles_that_keep_the_same_episodes_count_once() -> None:
    chosen = distinct_quantiles(250)
    kept = [number_kept(quantile, 250) for quantile in chosen]
    assert kept == sorted(set(kept), reverse=True)
    assert chosen[-1] * 250 >= 1
    assert distinct_quantiles(30_000) == QUANTILES
    assert distinct_quantiles(1) == (1.0,)


def test_the_exact_quantilizer_is_the_top_q_with_its_intervals() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 3000)
    frontier = trace_frontier(true, proxy, (1.0, 0.25, 0.01), resamples=50)
    curve, expected = frontier.curve("quantile"), top_means(true, proxy, (1.0, 0.25, 0.01))
    for name in ("means", "lows", "highs"):
        np.testing.assert_array_equal(getattr(curve.true, name), getattr(expected, name))
    np.testing.assert_allclose(curve.divergences, [0, math.log(4), math.log(100)], atol=1e-12)
    np.testing.assert_allclose(curve.pressures**2, curve.divergences)
    np.testing.assert_allclose(curve.density_ratios, [1, 4, 100])
    assert (frontier.episodes, frontier.players, frontier.match) == (3000, None, "kl")


def test_all_methods_stand_at_the_same_pressure() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 2000)
    frontier = trace_frontier(true, proxy, (1.0, 0.5, 0.1, 0.02), resamples=50)
    for curve in frontier.curves:
        np.testing.assert_allclose(curve.divergences, frontier.curves[0].divergences, atol=1e-7)
        assert (np.diff(curve.proxy.means) > 0).all()
    # At equal divergence exponential weights have the highest proxy return.
    quantile, best_of_n, exponential = (curve.proxy.means[1:] for curve in frontier.curves)
    assert (exponential > best_of_n).all()
    assert (best_of_n > quantile).all()


def test_curve_and_turn_are_those_of_the_base_distribution() -> None:
    true, proxy = goodhart(np.random.default_rng(4), 30_000)
    curve = trace_frontier(true, proxy, methods=["quantile"], resamples=200).curve("quantile")
    truth = np.array([top_true_return(quantile) for quantile in curve.quantiles])
    # Points of one curve share their episodes and so their luck.
    assert (np.abs(curve.true.means - truth) < 4 * curve.true.standard_errors).all()
    turn = curve.turning_point
    assert turn is not None
    assert turn.low <= curve.quantiles[truth.argmax()] <= turn.high
    assert turn.low <= turn.quantile <= turn.high
    assert turn.found
    assert turn.pressure == pytest.approx(math.sqrt(-math.log(turn.quantile)))
    assert turn.true_return == pytest.approx(truth.max(), abs=0.05)


def test_intervals_of_the_curve_and_of_its_turn_hold_them_in_most_studies() -> None:
    """With 150 studies, 0.95 is 0.89 or more by chance. On a grid the interval of the turn is on the safe side."""
    grid = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.04)
    truth = np.array([top_true_return(quantile) for quantile in grid])
    held, turns_held = np.zeros(len(grid)), 0
    for study in range(150):
        true, proxy = goodhart(np.random.default_rng([7, study]), 1000)
        curve = trace_frontier(true, proxy, grid, ["quantile"], resamples=200).curve("quantile")
        held += (curve.true.lows <= truth) & (truth <= curve.true.highs)
        assert curve.turning_point is not None
        turns_held += curve.turning_point.low <= grid[truth.argmax()] <= curve.turning_point.high
    assert (held / 150 >= 0.89).all()
    assert turns_held / 150 >= 0.89


def test_a_curve_that_only_rises_or_only_falls_does_not_turn() -> None:
    _, proxy = goodhart(np.random.default_rng(0), 2000)
    rising, falling = (
        trace_frontier(sign * proxy, proxy, methods=["quantile"], resamples=100).curve("quantile").turning_point
        for sign in (1, -1)
    )
    assert rising is not None
    assert falling is not None
    assert (rising.found, rising.at_the_end, rising.quantile) == (False, 1.0, rising.smallest_quantile)
    assert (falling.found, falling.at_the_start, falling.quantile) == (False, 1.0, 1.0)
    # Of 2,000 episodes 0.01 keeps 20.
    assert rising.smallest_quantile == 0.01


def test_few_episodes_have_no_turn() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 12)
    for curve in trace_frontier(true, proxy, resamples=20).curves:
        assert curve.turning_point is None
        assert np.isnan(curve.true.lows[-1])


def test_intervals_over_players_are_as_wide_as_players_differ() -> None:
    generator = np.random.default_rng(0)
    skill = generator.normal(size=60)
    players = np.repeat(np.arange(60), 5)
    true = skill[players] + 0.1 * generator.normal(size=300)
    proxy = generator.normal(size=300)
    alone, together = (
        trace_frontier(true, proxy, (1.0, 0.5), players=who).curve("quantile").true for who in (None, players)
    )
    np.testing.assert_array_equal(alone.means, together.means)
    expected = stats.ttest_1samp(true.reshape(60, 5).mean(axis=1), 0.0).confidence_interval(0.95)
    assert (together.lows[0], together.highs[0]) == pytest.approx(tuple(expected), rel=0.2)
    assert together.standard_errors[0] > 2 * alone.standard_errors[0]
    assert trace_frontier(true, proxy, (1.0,), players=players, resamples=9).players == 60


def test_players_of_one_episode_each_are_episodes() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 800)
    for one, other in zip(
        trace_frontier(true, proxy, (1.0, 0.3)).curves,
        trace_frontier(true, proxy, (1.0, 0.3), players=np.arange(800)).curves,
        strict=True,
    ):
        np.testing.assert_allclose(other.true.lows, one.true.lows, atol=0.02)
        np.testing.assert_allclose(other.true.highs, one.true.highs, atol=0.02)


def test_one_player_alone_gives_no_interval() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 50)
    curve = trace_frontier(true, proxy, (1.0, 0.5), ["quantile"], players=np.zeros(50)).curve("quantile")
    assert np.isnan(curve.true.lows).all()
    # Nor do two players where one has nearly all of the top.
    players = np.where(np.argsort(np.argsort(-proxy)) < 24, 0, 1)
    curve = trace_frontier(true, proxy, (1.0, 0.5), ["quantile"], players=players).curve("quantile")
    assert not np.isnan(curve.true.lows[0])
    assert np.isnan(curve.true.lows[1])


def test_it_can_be_written_as_json() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 30)
    frontier = trace_frontier(true, proxy, resamples=20)
    read = json.loads(json.dumps(frontier.as_numbers(), allow_nan=False))
    assert read["episodes"] == 30
    first = read["curves"][0]
    assert first["method"] == "quantile"
    assert first["true"]["means"] == frontier.curve("quantile").true.means.tolist()
    assert first["true"]["lows"][-1] is None
    assert read["curves"][1]["strengths"][-1] is None
    assert first["turning_point"]["found"] in (True, False)


def test_what_is_impossible_is_refused() -> None:
    true, proxy = goodhart(np.random.default_rng(0), 30)
    with pytest.raises(UserError, match="quantile 0 is impossible"):
        trace_frontier(true, proxy, (1.0, 0.0))
    with pytest.raises(ValueError):
        trace_frontier(true[:5], proxy)
    with pytest.raises(KeyError):
        trace_frontier(true, proxy, (1.0, 0.5), ["best_of_n"], resamples=20).curve("quantile")


def test_a_turn_is_said_in_a_sentence_and_so_is_its_absence() -> None:
    turn = TurningPoint(0.04, 0.035, 0.05, 1.8, -116.2, 0.0, 0.0, 0.001)
    assert turn.sentence() == "the true return turns at q = 0.04 [0.035, 0.05], where it is -116.20"
    falls = TurningPoint(1.0, 0.5, 1.0, 0.0, -116.2, 0.9, 0.0, 0.001).sentence()
    assert "no turn is established: in 90 % of the resamples it only falls" in falls
    rises = TurningPoint(0.001, 0.001, 0.01, 2.6, -116.2, 0.0, 0.4, 0.001).sentence()
    assert "in 40 % of them it is highest at q = 0.001, the smallest considered" in rises


GENERATOR = np.random.default_rng(1)
PROXY = GENERATOR.normal(size=400)
TRUE = 0.5 * PROXY + GENERATOR.normal(size=400)


def rank_weights() -> np.ndarray:
    top = (np.arange(400) < 100) / 100
    return np.stack([np.full(400, 1 / 400), top, RULES["best_of_n"].weights(-np.arange(400), 4.0)])


def test_the_spread_over_resamples_is_the_standard_error() -> None:
    found = Resampling(PROXY, resamples=4000).ranked_means(np.stack([TRUE, PROXY]), rank_weights())
    assert found.shape == (2, 4000, 3)
    for of_quantity, values in zip(found, (TRUE, PROXY), strict=True):
        expected = ranked_means(values, PROXY, rank_weights())
        np.testing.assert_allclose(of_quantity.mean(axis=0), expected.means, atol=0.02)
        np.testing.assert_allclose(of_quantity.std(axis=0), expected.standard_errors, rtol=0.08)


def test_weights_of_the_episodes_own_go_with_them() -> None:
    weights = np.stack([RULES["exponential"].weights(PROXY, beta) for beta in (0.0, 1.0)])
    (found,) = Resampling(PROXY, resamples=4000).weighted_means(TRUE[None], weights)
    expected = weighted_means(TRUE, weights)
    np.testing.assert_allclose(found.mean(axis=0), expected.means, atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), expected.standard_errors, rtol=0.08)


def test_a_resample_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ranks b, c, a the resample b, b, a: its best is b, its best two b and b."""
    resamples = Resampling(np.array([1.0, 3.0, 2.0]), resamples=2)
    monkeypatch.setattr(resamples, "_counts", lambda: iter([(slice(0, 2), np.array([[2, 0, 1], [1, 1, 1]]))]))
    values = np.array([[10.0, 20.0, 30.0]])
    weights = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(resamples.ranked_means(values, weights), [[[20, 20, 50 / 3], [20, 25, 20]]])
    monkeypatch.setattr(resamples, "_counts", lambda: iter([(slice(0, 2), np.array([[2, 0, 1], [0, 3, 0]]))]))
    own = resamples.weighted_means(values, np.array([[0.5, 0.5, 0.0]]))
    np.testing.assert_allclose(own, [[[50 / 3], [np.nan]]])


def test_whole_players_are_drawn() -> None:
    """Ten players with one true return each: the mean varies as that of ten numbers, not of four hundred."""
    players = np.repeat(np.arange(10), 40)
    returns = np.repeat(np.random.default_rng(0).normal(size=10), 40)
    everything = np.full((1, 400), 1 / 400)
    by_player, by_episode = (
        Resampling(PROXY, who, resamples=4000).ranked_means(returns[None], everything).std() for who in (players, None)
    )
    assert by_player == pytest.approx(returns.std() / np.sqrt(10), rel=0.05)
    assert by_episode == pytest.approx(returns.std() / np.sqrt(400), rel=0.05)


def test_players_may_have_unequal_numbers_of_episodes() -> None:
    players = np.repeat(["a", "b", "c"], [1, 3, 396])
    (found,) = Resampling(PROXY, players, resamples=50).ranked_means(np.ones((1, 400)), rank_weights())
    np.testing.assert_allclose(found, 1.0)


def test_the_same_seed_gives_the_same_resamples_however_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Resampling(PROXY, resamples=7).ranked_means(TRUE[None], rank_weights())
    monkeypatch.setattr(exact, "NUMBERS_AT_ONCE", 800)
    np.testing.assert_allclose(Resampling(PROXY, resamples=7).ranked_means(TRUE[None], rank_weights()), first)
    assert not np.allclose(Resampling(PROXY, resamples=7, seed=1).ranked_means(TRUE[None], rank_weights()), first)


def test_what_does_not_fit_is_refused() -> None:
    for proxy, players, number in ((np.zeros((2, 2)), None, 10), (PROXY, np.zeros(3), 10), (PROXY, None, 1)):
        with pytest.raises(ValueError):
            Resampling(proxy, players, number)


def test_an_unknown_rule_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="did you mean exponential"):
        trace_frontier(TRUE, PROXY, (1.0, 0.5), methods=["exponent"])
