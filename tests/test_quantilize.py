from __future__ import annotations

import math

import numpy as np
import pytest

from quantilizers.choices import MATCHES, SELECTIONS, Match
from quantilizers.errors import UserError
from quantilizers.matching import matched_strength
from quantilizers.quantilize import (
    METHODS,
    RULES,
    SOFTER_RULES,
    Rule,
    effective_sample_size,
    kl_divergence,
    number_kept,
    rule_named,
    selected,
)

QUANTILE, BEST_OF_N, EXPONENTIAL = (RULES[name] for name in ("quantile", "best_of_n", "exponential"))
PROXY = np.random.default_rng(3).normal(-80.0, 15.0, 200)


def matched(rule: Rule, scores: np.ndarray, quantile: float, match: Match = "kl") -> np.ndarray:
    return rule.weights(scores, matched_strength(rule, scores, quantile, match))


@pytest.mark.parametrize(
    ("quantile", "number", "kept"),
    [(1.0, 20, 20), (0.5, 7, 3), (0.01, 20, 1), (1e-9, 5, 1), (0.29, 100, 29), (0.07, 100, 7), (0.999, 10, 9)],
)
def test_number_kept_is_the_floor_of_the_decimal_product_and_at_least_one(
    quantile: float, number: int, kept: int
) -> None:
    """With fewer than 1/q episodes the reference implementation's `[-0:]` kept them all."""
    assert number_kept(quantile, number) == kept


def test_best_episodes_are_the_best_by_proxy_in_the_order_of_ties() -> None:
    returns = np.array([0.0, 5.0, 1.0, 5.0, -1.0, 1.0])
    assert selected(returns, 0.5).tolist() == [1, 3, 2]
    assert selected(returns, 0.01).tolist() == [1]
    assert selected(returns, 1.0).tolist() == [1, 3, 2, 5, 0, 4]


def test_selections_have_one_size_and_the_bottom_is_the_top_of_the_negative() -> None:
    players = np.arange(200) % 7
    assert {len(selected(PROXY, 0.1, selection, players=players)) for selection in SELECTIONS} == {20}
    assert selected(PROXY, 0.1, "bottom").tolist() == selected(-PROXY, 0.1).tolist()
    drawn = [selected(PROXY, 0.1, "random", subset).tolist() for subset in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_players_are_chosen_by_their_means_and_episodes_by_their_rank_within_players() -> None:
    """Player 2 has the best mean, player 1 the best episode."""
    scores = np.array([0.0, 1.0, 2.0, 3.0, 90.0, -99.0, 4.0, 5.0, 50.0, 51.0, 52.0, 53.0])
    players = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    of_best = selected(scores, 0.34, "top_players", players=players)
    assert sorted(of_best) == [8, 9, 10, 11]
    two = selected(scores, 0.5, "top_players", players=players)
    assert set(of_best) < set(two)
    assert {players[one] for one in set(two) - set(of_best)} == {"a"}  # mean 1.5, and 0 of the player with the 90
    assert sorted(selected(scores, 0.5, "within_players", players=players)) == [2, 3, 4, 7, 10, 11]
    # A share that is not whole is rounded at random for each player, and the sum is as many as of the others.
    many = np.repeat(np.arange(50), 5)
    kept = selected(np.tile(np.arange(5.0), 50), 0.25, "within_players", players=many)
    assert len(kept) == 62
    assert np.bincount(many[kept], minlength=50).tolist().count(2) == 12
    assert set(kept % 5) == {3, 4}
    assert selected(np.tile(np.arange(5.0), 50), 0.25, "within_players", players=many).tolist() == kept.tolist()
    with pytest.raises(UserError, match="the selection top_players needs the player of each sample"):
        selected(scores, 0.5, "top_players")


def test_unknown_words_are_refused_by_name() -> None:
    """An unknown selection once counted as random, and an unknown rule as exponential."""
    with pytest.raises(UserError, match="selection is 'tpo'; did you mean top"):
        selected(PROXY, 0.5, "tpo")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="method is 'exponent'; did you mean exponential"):
        rule_named("exponent")
    for rule in SOFTER_RULES:
        with pytest.raises(UserError, match="match is 'size'; it is one of kl, effective_size"):
            matched_strength(rule, PROXY, 0.5, "size")  # type: ignore[arg-type]


def test_each_rule_looks_different_and_has_its_own_words() -> None:
    for attribute in ("name", "label", "weighted", "colour", "dashes", "marker", "cloned"):
        assert len({getattr(rule, attribute) for rule in RULES.values()}) == len(RULES), attribute


def test_a_quantile_weighs_the_kept_episodes_alike() -> None:
    weights = QUANTILE.weights(PROXY, 0.29)
    assert set(np.flatnonzero(weights)) == set(selected(PROXY, 0.29))
    assert set(weights[weights > 0]) == {1 / 58}
    assert kl_divergence(weights) == pytest.approx(math.log(200 / 58))


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_best_of_n_weights_are_the_shares_of_simulated_draws(n: int) -> None:
    returns = np.array([1.0, 4.0, 4.0, -2.0, 0.0, 3.0])
    drawn = np.random.default_rng(0).integers(len(returns), size=(200_000, n))
    rank = np.argsort(np.argsort(-returns, kind="stable"), kind="stable")
    best = drawn[np.arange(len(drawn)), rank[drawn].argmin(axis=1)]
    shares = np.bincount(best, minlength=len(returns)) / len(drawn)
    np.testing.assert_allclose(BEST_OF_N.weights(returns, n), shares, atol=0.004)


def test_of_episodes_that_tie_the_first_in_the_file_counts_as_the_best() -> None:
    weights = BEST_OF_N.weights(np.array([1.0, 2.0, 2.0]), 2)
    np.testing.assert_allclose(weights, np.array([1, 5, 3]) / 9)


@pytest.mark.parametrize("n", [1.0, 1.5, 4.0, 33.3])
def test_the_divergence_of_best_of_n_tends_to_the_known_formula_from_below(n: float) -> None:
    formula = math.log(n) - (n - 1) / n
    few, many = (kl_divergence(BEST_OF_N.weights(-np.arange(number), n)) for number in (300, 200_000))
    assert few <= formula + 1e-12
    assert many == pytest.approx(formula, abs=1e-4)


def test_huge_n_loses_no_digits() -> None:
    weights = BEST_OF_N.weights(-np.arange(30_000), 1e9)
    assert weights[0] == 1.0
    assert (weights >= 0).all()
    assert BEST_OF_N.weights(-np.arange(4), math.inf).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_exponential_weights_by_hand() -> None:
    np.testing.assert_allclose(EXPONENTIAL.weights(np.array([0.0, math.log(3.0)]), 1.0), [0.25, 0.75])
    np.testing.assert_allclose(EXPONENTIAL.weights(np.array([0.0, math.log(3.0)]), 2.0), [0.1, 0.9])
    assert EXPONENTIAL.weights(np.array([1e6, 0.0, 1e6]), math.inf).tolist() == [0.5, 0.0, 0.5]
    assert EXPONENTIAL.weights(np.array([1e6, 0.0]), 50.0).tolist() == [1.0, 0.0]


def test_exponential_weights_are_the_nearest_of_as_high_a_mean() -> None:
    """Against a step off them that keeps sum and mean."""
    weights = EXPONENTIAL.weights(PROXY, 0.05)
    step = np.random.default_rng(0).normal(size=200)
    constraints = np.stack([np.ones(200), PROXY])
    step -= constraints.T @ np.linalg.lstsq(constraints.T, step, rcond=None)[0]
    step *= 0.5 * (weights / np.abs(step)).min()
    assert (weights + step) @ PROXY == pytest.approx(weights @ PROXY)
    assert kl_divergence(weights + step) > kl_divergence(weights)


@pytest.mark.parametrize("quantile", [1.0, 0.7, 0.25, 0.1, 0.02])
@pytest.mark.parametrize("rule", [RULES[name] for name in METHODS], ids=METHODS)
def test_rules_are_matched_in_divergence_or_in_effective_size(rule: Rule, quantile: float) -> None:
    kept = round(200 * quantile)
    by_divergence, by_size = (matched(rule, PROXY, quantile, match) for match in MATCHES)
    assert kl_divergence(by_divergence) == pytest.approx(math.log(1 / quantile), abs=1e-7)
    assert effective_sample_size(by_size) == pytest.approx(kept, rel=1e-7)
    assert by_divergence.sum() == pytest.approx(1)


def test_imitation_is_imitation_whatever_the_method() -> None:
    for rule in map(RULES.get, METHODS):
        assert matched_strength(rule, PROXY, 1.0) == (1.0 if rule.neutral is None else rule.neutral)
        np.testing.assert_allclose(matched(rule, PROXY, 1.0), 1 / 200, rtol=1e-12)


def test_beta_has_the_unit_of_one_over_the_proxy() -> None:
    beta = matched_strength(EXPONENTIAL, PROXY, 0.25)
    for unit in (1e-9, 1e9):
        assert matched_strength(EXPONENTIAL, PROXY * unit, 0.25) == pytest.approx(beta / unit, rel=1e-6)


def test_no_strength_exceeds_all_weight_on_the_best() -> None:
    assert matched_strength(BEST_OF_N, np.arange(200), 0.005) == math.inf
    assert matched_strength(BEST_OF_N, np.arange(200), 0.001) == math.inf
    tied = np.array([3.0, 3.0, 3.0, 1.0, 0.0, 2.0, 1.0, 1.0])
    assert matched_strength(EXPONENTIAL, tied, 0.25) == math.inf
    assert matched(EXPONENTIAL, tied, 0.25).tolist() == [1 / 3, 1 / 3, 1 / 3, 0, 0, 0, 0, 0]
    assert 0 < matched_strength(EXPONENTIAL, tied, 0.5) < math.inf
    assert matched(EXPONENTIAL, np.full(4, 7.0), 0.5).tolist() == [0.25] * 4


@pytest.mark.parametrize("quantile", [0.0, -0.1, 1.1, math.nan, math.inf, True, "0.5", None])
@pytest.mark.parametrize("rule", [RULES[name] for name in METHODS], ids=METHODS)
def test_impossible_quantiles_are_refused(rule: Rule, quantile: float) -> None:
    with pytest.raises(UserError, match="is impossible"):
        matched_strength(rule, PROXY, quantile)


def test_one_rule_is_the_quantilizer_and_the_others_weight_all_samples() -> None:
    whole = [name for name in METHODS if RULES[name].is_quantile]
    assert whole == ["quantile"]
    assert [rule.name for rule in SOFTER_RULES] == [n for n in METHODS if n not in whole]
    for rule in SOFTER_RULES:
        assert (rule.weights(PROXY, matched_strength(rule, PROXY, 0.5)) > 0).all()


def test_impossible_strengths_and_arrays_are_refused() -> None:
    with pytest.raises(UserError, match=r"n is 0\.5"):
        BEST_OF_N.weights(PROXY, 0.5)
    with pytest.raises(UserError, match="beta is -1"):
        EXPONENTIAL.weights(PROXY, -1.0)
    for returns in (np.zeros((2, 2)), np.zeros(0), np.array([1.0, math.nan])):
        with pytest.raises(ValueError):
            matched(BEST_OF_N, returns, 0.5)
