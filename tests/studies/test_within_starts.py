from __future__ import annotations

import json
import math

import numpy as np
import pytest

from quantilizers.errors import UserError
from quantilizers.matching import matched_within
from quantilizers.quantilize import RULES, quantilize_scores
from quantilizers.studies.exact import trace_frontier
from quantilizers.studies.within_starts import (
    StartResampling,
    StartSamples,
    bounds_within_starts,
    trace_within_starts,
)


def sampled(
    generator: np.random.Generator, starts: int = 20, each: int = 200, ease: float = 10.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True return, proxy return and start: u − u²/2 and u within a start, whose ease is added to both."""
    start = np.repeat(np.arange(starts), each)
    inner = generator.normal(size=starts * each)
    easy = ease * generator.normal(size=starts)[start]
    return inner - inner**2 / 2 + easy, inner + easy, start


def test_the_quantilizer_takes_the_top_of_each_start() -> None:
    true, proxy, start = sampled(np.random.default_rng(0), 5, 40)
    mixed = np.random.default_rng(1).permutation(200)
    curve = trace_within_starts(
        true[mixed], proxy[mixed], start[mixed], quantiles=(1.0, 0.25, 0.125), resamples=20
    ).curve("quantile")
    rows = np.argsort(-proxy.reshape(5, 40), axis=1)
    ranked = np.take_along_axis(true.reshape(5, 40), rows, axis=1)
    np.testing.assert_allclose(curve.true.means, [ranked[:, :kept].mean() for kept in (40, 10, 5)])
    np.testing.assert_allclose(curve.divergences, np.log([1, 4, 8]))
    np.testing.assert_allclose(curve.density_ratios, [1, 4, 8])


def test_pooled_the_easy_starts_are_selected_and_within_starts_they_are_not() -> None:
    true, proxy, start = sampled(np.random.default_rng(2), starts=50)
    frontier = trace_within_starts(true, proxy, start, resamples=100)
    curve = frontier.curve("quantile")
    pooled = trace_frontier(true, proxy, curve.quantiles.tolist(), ["quantile"], resamples=2).curve("quantile")
    # Of u − u²/2 the top q gains φ(z)/q · (1 − z/2), at most 0.86 near q = 0.33.
    gained, gained_pooled = (one.true.means - one.true.means[0] for one in (curve, pooled))
    assert 0.8 < gained.max() < 0.9
    assert gained_pooled.max() > 10
    turn = curve.turning_point
    assert turn is not None
    assert turn.found
    assert turn.low <= 0.33 <= turn.high
    assert frontier.starts == 50


def test_best_of_n_is_what_draws_of_a_start_earn_on_average() -> None:
    true, proxy, start = sampled(np.random.default_rng(3), 3, 30)
    curve = trace_within_starts(true, proxy, start, quantiles=(1.0, 0.5, 0.25), resamples=20).curve("best_of_n")
    # log n − (n − 1)/n is nearest to log 2 and log 4 at 4 and 10.
    assert curve.strengths.tolist() == [1, 4, 10]
    generator = np.random.default_rng(0)
    for place, n in enumerate((1, 4, 10)):
        drawn = [
            true[30 * of_start + quantilize_scores(proxy[30 * of_start : 30 * of_start + 30], n=n, rng=generator)]
            for of_start in range(3)
            for _ in range(2000)
        ]
        by_start = np.array(drawn).reshape(3, 2000)
        error = math.sqrt(by_start.var(axis=1).sum() / 2000) / 3
        assert abs(by_start.mean() - curve.true.means[place]) < 4 * error
    np.testing.assert_allclose(curve.quantiles, np.exp(-curve.divergences))


def test_one_tilt_holds_for_all_starts_and_has_the_divergence_of_the_quantile() -> None:
    true, proxy, start = sampled(np.random.default_rng(4), 6, 50)
    curve = trace_within_starts(true, proxy, start, quantiles=(1.0, 0.5, 0.2), resamples=20).curve("exponential")
    np.testing.assert_allclose(curve.divergences, np.log([1, 2, 5]), atol=1e-6)
    weights = np.exp(curve.strengths[-1] * proxy.reshape(6, 50))
    weights /= weights.sum(axis=1, keepdims=True)
    assert curve.true.means[-1] == pytest.approx((weights * true.reshape(6, 50)).sum() / 6)
    assert (weights * np.log(50 * weights)).sum() / 6 == pytest.approx(math.log(5))
    # Two of three tie for the best: log 1.5 is the most that any tilt reaches.
    assert matched_within(RULES["exponential"], np.array([[1.0, 1.0, 0.0]]), 0.5) == math.inf


def test_intervals_are_over_starts_and_players() -> None:
    """The mean of S × P × … returns with effects of starts and players varies by σ_s²/S + σ_p²/P."""
    generator = np.random.default_rng(5)
    starts, players, each = 40, 30, 90
    start = np.repeat(np.arange(starts), each)
    player = generator.integers(players, size=starts * each)
    of_start, of_player = 3 * generator.normal(size=starts), 2 * generator.normal(size=players)
    true = of_start[start] + of_player[player]
    proxy = generator.normal(size=starts * each)
    both, starts_alone = (trace_within_starts(true, proxy, start, who, (1.0, 0.3)) for who in (player, None))
    expected = math.sqrt(of_start.var() / starts + of_player.var() / players)
    for method in ("quantile", "best_of_n", "exponential"):
        errors = both.curve(method).true.standard_errors
        assert errors[0] == pytest.approx(expected, rel=0.15)
        assert errors[1] == pytest.approx(expected, rel=0.25)
    alone = starts_alone.curve("quantile").true.standard_errors
    assert alone[0] == pytest.approx(of_start.std() / math.sqrt(starts), rel=0.15)
    assert (both.players, starts_alone.players) == (30, None)


def test_resampled_means_scatter_around_the_means() -> None:
    true, proxy, start = sampled(np.random.default_rng(6), 30, 60, ease=1.0)
    players = np.random.default_rng(0).integers(25, size=len(true))
    samples = StartSamples.of(true, proxy, start, players)
    resampling = StartResampling(samples, 300)
    for name, values in (("quantile", (1.0, 0.2)), ("best_of_n", (1, 6)), ("exponential", (0.0, 1.0))):
        strengths = [RULES[name].at(value) for value in values]
        means, resampled = np.stack(samples.means(strengths)), resampling.means(strengths)
        errors = resampled.std(axis=1)
        assert (np.abs(resampled.mean(axis=1) - means) < 0.5 * errors + 0.02).all()
        shares = samples.shares(strengths)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        np.testing.assert_allclose(shares[0], np.bincount(players) / len(players))


def test_episodes_that_tie_share_their_true_return() -> None:
    true, proxy = np.array([0.0, 1.0, 4.0, 8.0]), np.array([1.0, 1.0, 2.0, 2.0])
    curve = trace_within_starts(true, proxy, np.array([0, 0, 1, 1]), quantiles=(1.0, 0.5), resamples=5)
    np.testing.assert_allclose(curve.curve("quantile").true.means, [3.25, 3.25])


def test_bounds_hold_within_starts() -> None:
    generator = np.random.default_rng(7)
    true, proxy, start = sampled(generator, 10, 100)
    grid = (1.0, 0.4, 0.1, 0.015)
    for costs in (np.maximum(0, proxy - true), (true < -3).astype(float), generator.exponential(size=1000)):
        found = bounds_within_starts(costs, proxy, start, grid)
        assert found.kept
        np.testing.assert_allclose(found.bounds, costs.mean() / np.array(grid))
        assert found.costs[0] == pytest.approx(costs.mean())
    # A cost of the top alone reaches the bound.
    top = np.zeros(1000)
    for of_start in range(10):
        rows = np.flatnonzero(start == of_start)
        top[rows[np.argsort(-proxy[rows])[:10]]] = 1.0
    reached = bounds_within_starts(top, proxy, start, (0.1,))
    np.testing.assert_allclose(reached.costs, reached.bounds)
    with pytest.raises(ValueError):
        bounds_within_starts(-top, proxy, start, grid)


def test_intervals_stay_within_what_is_possible() -> None:
    true, proxy, start = sampled(np.random.default_rng(8), 4, 20)
    frontier = trace_within_starts(true, proxy, start, quantiles=(1.0, 0.5), resamples=20)
    low, high = true.min(), float(frontier.curve("quantile").true.means.max())
    for curve in frontier.within(low, high).curves:
        assert (curve.true.lows >= low).all()
        assert (curve.true.highs <= high).all()
    json.dumps(frontier.as_numbers(), allow_nan=False)


def test_what_does_not_fit_is_refused() -> None:
    true, proxy, start = sampled(np.random.default_rng(9), 4, 20)
    with pytest.raises(UserError, match="starts have 19 to 20 episodes"):
        trace_within_starts(true[1:], proxy[1:], start[1:])
    with pytest.raises(ValueError):
        trace_within_starts(true, proxy, start[:-1])
    with pytest.raises(ValueError):
        trace_within_starts(np.where(start, true, np.nan), proxy, start)
    with pytest.raises(UserError, match="did you mean exponential"):
        trace_within_starts(true, proxy, start, methods=["exponent"])
