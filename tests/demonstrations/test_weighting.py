from __future__ import annotations

import math

import numpy as np
import pytest

from quantilizers.choices import METHODS, Match, Method, Unit
from quantilizers.demonstrations.selecting import best_episodes
from quantilizers.demonstrations.weighting import (
    best_of_n_by_rank,
    best_of_n_weights,
    cut,
    effective_sample_size,
    exponential_weights,
    kl_divergence,
    matching_beta,
    matching_n,
    quantile_weights,
    step_weights,
)
from quantilizers.errors import UserError

PROXY = np.random.default_rng(3).normal(-80.0, 15.0, 200)


def test_a_quantile_weighs_the_kept_episodes_alike() -> None:
    weights = quantile_weights(PROXY, 0.29)
    assert set(np.flatnonzero(weights)) == set(best_episodes(PROXY, 0.29))
    assert set(weights[weights > 0]) == {1 / 58}
    assert kl_divergence(weights) == pytest.approx(math.log(200 / 58))


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_best_of_n_weights_are_the_shares_of_simulated_draws(n: int) -> None:
    returns = np.array([1.0, 4.0, 4.0, -2.0, 0.0, 3.0])
    drawn = np.random.default_rng(0).integers(len(returns), size=(200_000, n))
    rank = np.argsort(np.argsort(-returns, kind="stable"), kind="stable")
    best = drawn[np.arange(len(drawn)), rank[drawn].argmin(axis=1)]
    shares = np.bincount(best, minlength=len(returns)) / len(drawn)
    np.testing.assert_allclose(best_of_n_weights(returns, n), shares, atol=0.004)


def test_of_episodes_that_tie_the_first_in_the_file_counts_as_the_best() -> None:
    weights = best_of_n_weights(np.array([1.0, 2.0, 2.0]), 2)
    np.testing.assert_allclose(weights, np.array([1, 5, 3]) / 9)


@pytest.mark.parametrize("n", [1.0, 1.5, 4.0, 33.3])
def test_the_divergence_of_best_of_n_tends_to_the_known_formula_from_below(n: float) -> None:
    formula = math.log(n) - (n - 1) / n
    few, many = (kl_divergence(best_of_n_by_rank(number, n)) for number in (300, 200_000))
    assert few <= formula + 1e-12
    assert many == pytest.approx(formula, abs=1e-4)


def test_huge_n_loses_no_digits() -> None:
    weights = best_of_n_by_rank(30_000, 1e9)
    assert weights[0] == 1.0
    assert (weights >= 0).all()
    assert best_of_n_by_rank(4, math.inf).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_exponential_weights_by_hand() -> None:
    np.testing.assert_allclose(exponential_weights(np.array([0.0, math.log(3.0)]), 1.0), [0.25, 0.75])
    np.testing.assert_allclose(exponential_weights(np.array([0.0, math.log(3.0)]), 2.0), [0.1, 0.9])
    assert exponential_weights(np.array([1e6, 0.0, 1e6]), math.inf).tolist() == [0.5, 0.0, 0.5]
    assert exponential_weights(np.array([1e6, 0.0]), 50.0).tolist() == [1.0, 0.0]


def test_exponential_weights_are_the_nearest_of_as_high_a_mean() -> None:
    """Against a step off them that keeps sum and mean."""
    weights = exponential_weights(PROXY, 0.05)
    step = np.random.default_rng(0).normal(size=200)
    constraints = np.stack([np.ones(200), PROXY])
    step -= constraints.T @ np.linalg.lstsq(constraints.T, step, rcond=None)[0]
    step *= 0.5 * (weights / np.abs(step)).min()
    assert (weights + step) @ PROXY == pytest.approx(weights @ PROXY)
    assert kl_divergence(weights + step) > kl_divergence(weights)


@pytest.mark.parametrize("quantile", [1.0, 0.7, 0.25, 0.1, 0.02])
@pytest.mark.parametrize("method", METHODS)
def test_cuts_are_matched_in_divergence_or_in_effective_size(method: Method, quantile: float) -> None:
    kept = round(200 * quantile)
    matches: tuple[Match, ...] = ("kl", "effective_size")
    by_divergence, by_size = (cut(method, PROXY, quantile, match) for match in matches)
    assert kl_divergence(by_divergence.weights) == pytest.approx(math.log(1 / quantile), abs=1e-7)
    assert effective_sample_size(by_size.weights) == pytest.approx(kept, rel=1e-7)
    assert by_divergence.weights.sum() == pytest.approx(1)
    assert by_divergence.quantile == quantile


def test_imitation_is_imitation_whatever_the_method() -> None:
    for method, strength in zip(METHODS, (1.0, 1.0, 0.0), strict=True):
        whole = cut(method, PROXY, 1.0)
        assert whole.strength == strength
        np.testing.assert_allclose(whole.weights, 1 / 200, rtol=1e-12)


def test_beta_has_the_unit_of_one_over_the_proxy() -> None:
    beta = matching_beta(PROXY, 0.25)
    for unit in (1e-9, 1e9):
        assert matching_beta(PROXY * unit, 0.25) == pytest.approx(beta / unit, rel=1e-6)


def test_more_than_all_weight_on_the_best_is_not_to_be_had() -> None:
    assert matching_n(200, 0.005) == math.inf
    assert matching_n(200, 0.001) == math.inf
    tied = np.array([3.0, 3.0, 3.0, 1.0, 0.0, 2.0, 1.0, 1.0])
    assert matching_beta(tied, 0.25) == math.inf
    assert cut("exponential", tied, 0.25).weights.tolist() == [1 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0, 0]
    assert 0 < matching_beta(tied, 0.5) < math.inf
    assert cut("exponential", np.full(4, 7.0), 0.5).weights.tolist() == [0.25] * 4


@pytest.mark.parametrize("unit", ["episodes", "steps"])
def test_what_steps_weigh(unit: Unit) -> None:
    weights, lengths = np.array([0.5, 0.2, 0.0, 0.3]), np.array([10, 40, 5, 20])
    steps = step_weights(weights, lengths, unit)
    assert steps.shape == (75,)
    assert steps.mean() == pytest.approx(1)
    ends = np.cumsum(lengths)
    of_episodes = np.add.reduceat(steps, ends - lengths) / 75
    expected = weights if unit == "episodes" else weights * lengths / (weights @ lengths)
    np.testing.assert_allclose(of_episodes, expected, atol=1e-15)
    assert set(steps[50:55]) == {0.0}


def test_equal_episodes_by_the_step_leave_every_step_at_exactly_1() -> None:
    for number in (3, 7, 49):
        steps = step_weights(np.full(number, 1 / number), np.arange(1, number + 1), "steps")
        assert set(steps.tolist()) == {1.0}


@pytest.mark.parametrize("quantile", [0.0, -0.1, 1.1, math.nan])
@pytest.mark.parametrize("method", METHODS)
def test_impossible_quantiles_are_refused(method: Method, quantile: float) -> None:
    with pytest.raises(UserError, match="is impossible"):
        cut(method, PROXY, quantile)


def test_impossible_strengths_and_arrays_are_refused() -> None:
    with pytest.raises(UserError, match=r"n is 0\.5"):
        best_of_n_weights(PROXY, 0.5)
    with pytest.raises(UserError, match="beta is -1"):
        exponential_weights(PROXY, -1.0)
    for returns in (np.zeros((2, 2)), np.zeros(0), np.array([1.0, math.nan])):
        with pytest.raises(ValueError):
            cut("best_of_n", returns, 0.5)
    for weights in (np.zeros(2), np.array([1.0, -1.0]), np.ones(3)):
        with pytest.raises(ValueError):
            step_weights(weights, np.array([3, 4]))
