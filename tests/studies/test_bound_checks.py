from __future__ import annotations

import json

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.studies.bound_checks import BoundChecks, check_bounds
from quantilizers.studies.bounds import ROUNDING, why_no_guarantee

QUANTILES = (1.0, 0.5, 0.1)


def checks_of(true: np.ndarray, proxy: np.ndarray, policy_return: float, why_not: str | None = None) -> BoundChecks:
    """Five seeds whose policies earn about the same at every q."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=(5, 20))
    return check_bounds(true, proxy, dict.fromkeys(QUANTILES, policy_return + noise), why_not)


@pytest.mark.parametrize("name", ["MountainCar-v0", "Hopper-v2", "VideoPinballNoFrameskip-v4"])
def test_the_episodes_that_are_kept_keep_the_bounds_in_what_ships(name: str) -> None:
    shipped = Demonstrations.load("demo", name)
    checks = checks_of(shipped.true_returns, shipped.proxy_returns, float(shipped.true_returns.max()))
    for bounds in checks.kept.values():
        assert bounds.kept
        # At q = 1 the two sides are the same sum, to rounding.
        assert (bounds.margins >= -ROUNDING * bounds.bounds).all()
    assert not checks.broken, "policies that are as good as the best demonstration cost nothing"
    np.testing.assert_array_equal(checks.kept["failures"].bounds, 0)


def test_policies_that_fail_where_no_demonstration_does_are_flagged(human: Demonstrations) -> None:
    """The person always reaches the flag, and policies of few of the episodes never do."""
    assert human.true_returns.min() > -200
    checks = checks_of(human.true_returns, human.proxy_returns, -199.0)
    assert [bound.finding for bound in checks.policies["failures"]] == ["broken"] * 3
    assert sum("worse than the worst demonstration" in sentence for sentence in checks.broken) == 3
    assert checks_of(human.true_returns, human.proxy_returns, -110.0).policies["failures"][0].finding == "kept"


def test_the_guarantee_is_there_where_rewards_share_a_unit_and_k_may_be_given() -> None:
    proxy = np.linspace(0, 10, 200)
    true = proxy - 0.7
    checks = check_bounds(true, proxy, {1.0: true[None, :20], 0.1: true[None, :20]}, None)
    np.testing.assert_allclose(checks.guarantee.values, [5 - 0.7, proxy[180:].mean() - 0.7 * 10])
    given = check_bounds(true, proxy, {1.0: true[None, :20], 0.1: true[None, :20]}, None, implicit_loss=0.1)
    np.testing.assert_allclose(given.guarantee.values, [5 - 0.1, proxy[180:].mean() - 0.1 * 10])
    assert (checks.guarantee.best_quantile, given.guarantee.best_quantile) == (1.0, 0.1)
    json.dumps(checks.as_numbers(), allow_nan=False)


def test_mountain_cars_rewards_do_not_share_a_unit() -> None:
    why_not = why_no_guarantee(*load_environment("MountainCar-v0").rewards())
    checks = checks_of(np.array([-120.0, -150.0, -200.0, -200.0]), np.arange(4.0), -150.0, why_not)
    assert checks.guarantee.why_not == why_not
    assert not checks.guarantee.applies
