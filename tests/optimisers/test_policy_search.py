from __future__ import annotations

import numpy as np

from quantilizers.optimisers.policy_search import EvolutionStrategy


def test_it_finds_the_top_of_a_narrow_tilted_ridge() -> None:
    """Whose widths differ by a thousand, which no distribution that keeps its shape would climb in so few trials."""
    rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))
    widths, top = np.logspace(0, 3, 8), np.arange(8.0)
    strategy = EvolutionStrategy(8, 20, 0.5)
    for generation in range(250):
        tried = strategy.draw(np.random.default_rng([0, generation]))
        assert tried.shape == (20, 8)
        strategy.learn(tried, -np.square((tried - top) @ rotation * widths).sum(axis=1))
    np.testing.assert_allclose(strategy.mean, top, atol=1e-3)
    # Its shape is the ridge's: as much wider as that is.
    lengths = np.sqrt(np.linalg.eigvalsh(strategy.covariance))
    assert 200 < lengths[-1] / lengths[0] < 5000


def test_only_the_order_of_what_is_tried_counts() -> None:
    means = []
    for change in (lambda worth: worth, lambda worth: np.exp(worth) - 7):
        strategy = EvolutionStrategy(3, 10, 0.3)
        for generation in range(5):
            tried = strategy.draw(np.random.default_rng([0, generation]))
            strategy.learn(tried, change(-np.square(tried - 1).sum(axis=1)))
        means.append(strategy.mean)
    np.testing.assert_array_equal(*means)
