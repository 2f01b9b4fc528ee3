"""Bounds of costs, which hold for the distribution that a table is a sample of."""

from __future__ import annotations

import numpy as np
import pytest

from quantilizers import UserError, curve
from quantilizers.scores.guarantee import bounded_mean, cost_guarantee, score_guarantee


def test_costs_of_0_in_all_rows_allow_some() -> None:
    """30 groups without any allow a mean of 1 − 0.025^(1/30), Clopper and Pearson's limit."""
    group = np.repeat(np.arange(30), 4)
    proxy = np.random.default_rng(0).normal(size=120)
    limit = 1 - 0.025 ** (1 / 30)
    for pooled in (False, True):
        found = cost_guarantee(curve(proxy, group=group, pooled=pooled), np.zeros(120))
        assert (found.base.estimate, found.base.high) == pytest.approx((0, limit))
        assert found.bounds[0] == pytest.approx(limit)
        assert "97.5 % confidence" in found.conditions()
        assert found.conditions().endswith("no cost exceeds 1.000")
    alone = cost_guarantee(curve(proxy), np.zeros(120))
    assert alone.base.high == pytest.approx(1 - 0.025 ** (1 / 120))
    with pytest.raises(UserError, match="too small; rescale"):
        cost_guarantee(curve(proxy), np.full(120, 1e-200))


def test_bounds_are_of_the_limits_of_both_means() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=400)
    proxy = true + rng.exponential(size=400)
    group = np.repeat(np.arange(50), 8)
    traced = curve(proxy, true, group)
    found = score_guarantee(traced)
    assert found.base.estimate == pytest.approx((proxy - true).mean())
    assert found.base.low < found.base.estimate < found.base.high
    np.testing.assert_allclose(found.bounds, traced.ratios * found.base.high)
    np.testing.assert_allclose(found.true_bounds, [one.low for one in traced.proxy] - found.bounds)
    numbers = found.as_numbers()
    assert numbers["at_most"] == found.bounds.tolist()
    assert numbers["conditions"] == found.conditions()


@pytest.mark.parametrize(("groups", "rate"), [(30, 0.02), (100, 0.01), (30, 0.3)])
def test_the_limit_holds_the_mean_cost(groups: int, rate: float) -> None:
    """Groups of 4 rows, in which either all have a cost of 3 or none."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        costs = 3.0 * (rng.random(groups) < rate)
        held.append(3 * rate <= bounded_mean(costs, np.ones(groups), costs.max() or 3.0, "groups").high)
    assert np.mean(held) >= 0.96
