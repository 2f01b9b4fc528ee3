from __future__ import annotations

import numpy as np
import pytest

from quantilizers.demonstrations.selecting import best_episodes, number_kept


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
    assert best_episodes(returns, 0.5).tolist() == [1, 3, 2]
    assert best_episodes(returns, 0.01).tolist() == [1]
    assert best_episodes(returns, 1.0).tolist() == [1, 3, 2, 5, 0, 4]
