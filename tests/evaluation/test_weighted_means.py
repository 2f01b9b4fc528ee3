from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.weighted_means import ranked_means, top_means, weighted_means
from quantilizers.quantilize import effective_sample_size
from quantilizers.rewards import FloatArray


def episodes(generator: np.random.Generator, number: int) -> tuple[FloatArray, FloatArray]:
    """True and proxy returns: alike for most, and true returns fall where the proxy is gamed."""
    proxy = generator.normal(size=number)
    return proxy - 0.3 * proxy**2 + generator.normal(size=number), proxy


def best_of(count: int, number: int) -> FloatArray:
    """Return the probability that each of N ranks, best first, is the best of `count` drawn without replacement."""
    ranks = np.arange(number)
    return np.array([math.comb(number - rank - 1, count - 1) for rank in ranks.tolist()], dtype=float)


def bootstrap_error(returns: FloatArray, proxy_returns: FloatArray, weights: FloatArray) -> float:
    generator = np.random.default_rng(0)
    means = []
    for _ in range(1500):
        drawn = generator.integers(len(returns), size=len(returns))
        ranked = returns[drawn][np.argsort(-proxy_returns[drawn], kind="stable")]
        means.append(ranked @ weights / weights.sum())
    return float(np.std(means, ddof=1))


def test_the_whole_is_students_interval() -> None:
    returns, proxy = episodes(np.random.default_rng(0), 50)
    expected = stats.ttest_1samp(returns, 0.0).confidence_interval(0.95)
    for found in (top_means(returns, proxy, [1.0]), weighted_means(returns, [np.full(50, 0.3)])):
        assert found.means[0] == pytest.approx(returns.mean())
        assert (found.lows[0], found.highs[0]) == pytest.approx(tuple(expected))
        assert found.effective_sizes[0] == pytest.approx(50)


def test_the_top_is_ranked_by_the_proxy() -> None:
    found = top_means(np.array([1.0, 2.0, 3.0, 10.0]), np.array([5.0, 9.0, 7.0, 1.0]), [1.0, 0.75, 0.5, 0.25, 0.01])
    assert found.means.tolist() == pytest.approx([4.0, 2.0, 2.5, 2.0, 2.0])
    assert found.effective_sizes.tolist() == pytest.approx([4, 3, 2, 1, 1])
    assert np.isnan(found.lows[3:]).all()
    assert np.isfinite(found.lows[:3]).all()


def test_the_error_of_a_top_mean_is_that_of_its_formula() -> None:
    """((1 − q) (mean − edge)² + variance of those kept) / number kept."""
    returns, proxy = episodes(np.random.default_rng(0), 4000)
    ranked = returns[np.argsort(-proxy)]
    found = top_means(returns, proxy, [0.1])
    edge = ranked[380:420].mean()
    variance = 0.9 * (ranked[:400].mean() - edge) ** 2 + ranked[:400].var()
    assert found.standard_errors[0] == pytest.approx(math.sqrt(variance / 400), rel=0.01)


@pytest.mark.parametrize("quantile", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("of_proxy", [False, True])
def test_the_error_of_a_top_mean_is_the_bootstraps(quantile: float, of_proxy: bool) -> None:
    """Without the part of the cut, that of the proxy return itself would be half or less."""
    returns, proxy = episodes(np.random.default_rng(1), 3000)
    returns = proxy if of_proxy else returns
    weights = np.zeros(3000)
    weights[: int(3000 * quantile)] = 1.0
    found = top_means(returns, proxy, [quantile])
    assert found.standard_errors[0] == pytest.approx(bootstrap_error(returns, proxy, weights), rel=0.12)


@pytest.mark.parametrize("count", [2, 10, 100])
def test_the_error_of_the_best_of_n_is_the_bootstraps(count: int) -> None:
    returns, proxy = episodes(np.random.default_rng(2), 3000)
    weights = best_of(count, 3000)
    found = ranked_means(returns, proxy, [weights])
    assert found.standard_errors[0] == pytest.approx(bootstrap_error(returns, proxy, weights), rel=0.1)


def test_the_best_of_two_by_hand() -> None:
    """Of the proxy returns 1, 2, 3, pairs have the best 2, 3, 3."""
    values = np.array([1.0, 2.0, 3.0])
    assert ranked_means(values, values, [best_of(2, 3)]).means[0] == pytest.approx(8 / 3)


def test_adding_a_constant_moves_a_mean_and_not_its_error() -> None:
    returns, proxy = episodes(np.random.default_rng(3), 500)
    weights = [best_of(5, 500), (np.arange(500) < 50).astype(float)]
    here, there = ranked_means(returns, proxy, weights), ranked_means(returns + 1000, proxy, weights)
    assert there.means == pytest.approx(here.means + 1000)
    assert there.standard_errors == pytest.approx(here.standard_errors)


def test_weights_of_each_episode_by_hand() -> None:
    """Weights 1 and 3: mean 3/4 · 4, effective size 16 / 10, Σ w² (V − 3)² / 16 = 18 / 16, times 1.6 / 0.6."""
    found = weighted_means(np.array([0.0, 4.0]), [np.array([1.0, 3.0])])
    assert (found.means[0], found.effective_sizes[0]) == pytest.approx((3.0, 1.6))
    assert found.standard_errors[0] == pytest.approx(math.sqrt(18 / 16 * 1.6 / 0.6))
    assert effective_sample_size(np.array([1.0, 3.0])) == pytest.approx(1.6)


def test_weights_too_small_to_square_do_no_harm() -> None:
    weights = 1e-200 * np.array([1.0, 3.0])
    assert effective_sample_size(weights) == pytest.approx(1.6)
    assert weighted_means(np.array([0.0, 4.0]), [weights]).means[0] == pytest.approx(3.0)


COVERED = [(0.5, 0.93, 0.97), (0.1, 0.93, 0.97), (0.02, 0.92, 0.98)]


@pytest.mark.slow
@pytest.mark.parametrize(("quantile", "least", "most"), COVERED)
def test_top_means_cover_in_95_percent_of_2000_studies(quantile: float, least: float, most: float) -> None:
    """The truth is that of a normal proxy above its cut c: E[U] = φ(c)/q, E[U²] = 1 + c φ(c)/q."""
    cut = stats.norm.isf(quantile)
    truth = stats.norm.pdf(cut) / quantile * (1 - 0.3 * cut) - 0.3
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        found = top_means(*episodes(generator, 1000), [quantile])
        held += found.lows[0] <= truth <= found.highs[0]
    assert least <= held / 2000 <= most


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_exponential_weights_cover_in_95_percent_of_2000_studies(slope: float) -> None:
    """Under weights exp(β U) a standard normal proxy is normal around β."""
    truth = slope - 0.3 * (1 + slope**2)
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        returns, proxy = episodes(generator, 1000)
        found = weighted_means(returns, [np.exp(slope * proxy)])
        held += found.lows[0] <= truth <= found.highs[0]
    assert 0.925 <= held / 2000 <= 0.97


def test_a_hundred_quantiles_of_30000_episodes_are_the_same_as_one_by_one() -> None:
    returns, proxy = episodes(np.random.default_rng(0), 30_000)
    quantiles = np.geomspace(1, 1 / 1000, 100).tolist()
    found, ranked = top_means(returns, proxy, quantiles), returns[np.argsort(-proxy, kind="stable")]
    expected = [ranked[: max(1, math.floor(quantile * 30_000))].mean() for quantile in quantiles]
    np.testing.assert_allclose(found.means, expected)
    last = top_means(returns, proxy, quantiles[-1:])
    assert (last.lows[0], last.highs[0]) == (found.lows[-1], found.highs[-1])
    assert (found.lows < found.means).all()
    assert (found.means < found.highs).all()


def test_what_does_not_fit_is_refused() -> None:
    values = np.arange(3.0)
    with pytest.raises(ValueError, match=r"not \(N,\) both"):
        top_means(values, np.arange(4.0), [0.5])
    with pytest.raises(ValueError, match="NaN"):
        top_means(np.array([1.0, np.nan, 2.0]), values, [0.5])
    with pytest.raises(ValueError, match="weights have shape"):
        weighted_means(values, [np.ones(2)])
    for weights in (np.zeros(3), np.array([1.0, -1.0, 3.0]), np.array([1.0, np.inf, 3.0])):
        with pytest.raises(ValueError, match="not negative"):
            weighted_means(values, [weights])
