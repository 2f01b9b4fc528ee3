from __future__ import annotations

import numpy as np
import pytest

from quantilizers.evaluation.weighted_means import ranked_means, weighted_means
from quantilizers.quantilize import RULES
from quantilizers.studies import resampling
from quantilizers.studies.resampling import Resampling

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
    """Ten players of one true return each: the mean varies as ten numbers do, and not as four hundred."""
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
    monkeypatch.setattr(resampling, "NUMBERS_AT_ONCE", 800)
    np.testing.assert_allclose(Resampling(PROXY, resamples=7).ranked_means(TRUE[None], rank_weights()), first)
    assert not np.allclose(Resampling(PROXY, resamples=7, seed=1).ranked_means(TRUE[None], rank_weights()), first)


def test_what_does_not_fit_is_refused() -> None:
    for proxy, players, number in ((np.zeros((2, 2)), None, 10), (PROXY, np.zeros(3), 10), (PROXY, None, 1)):
        with pytest.raises(ValueError):
            Resampling(proxy, players, number)
