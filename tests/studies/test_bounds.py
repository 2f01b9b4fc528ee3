from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval
from quantilizers.evaluation.weighted_means import top_means
from quantilizers.matching import matched_strength
from quantilizers.quantilize import METHODS, RULES, density_ratio
from quantilizers.rewards import each_step, mean_at_end, own
from quantilizers.studies.bounds import (
    ROUNDING,
    BoundChecks,
    check_bounds,
    cost_bounds,
    failures,
    guarantee,
    implicit_losses,
    policy_bound,
    top_cost_bounds,
    why_no_guarantee,
)
from quantilizers.studies.exact import distinct_quantiles


def data_sets() -> list[tuple[np.ndarray, np.ndarray]]:
    """Random true and proxy returns of all kinds: ties, heavy tails, costs that sit where the proxy is highest."""
    generator = np.random.default_rng(11)
    found = []
    for _ in range(60):
        number = int(generator.integers(1, 80))
        proxy = generator.normal(size=number) * 10.0 ** generator.integers(-3, 4)
        if generator.random() < 0.3:
            proxy = np.round(proxy)
        true = generator.choice([-1.0, 0.0, 1.0]) * proxy + generator.standard_t(1.5, size=number)
        if generator.random() < 0.3:
            true[proxy.argmax()] -= 1000.0
        found.append((true, proxy))
    return found


def test_the_cost_bound_holds_exactly_for_the_episodes_kept() -> None:
    for true, proxy in data_sets():
        quantiles = distinct_quantiles(len(proxy), tuple(np.linspace(1, 0.005, 41)))
        least, median = true.max() - true, failures(true, float(np.median(true)))
        for costs in (least, median, implicit_losses(true, proxy)):
            bounds = top_cost_bounds(costs, proxy, quantiles)
            assert bounds.kept
            assert (bounds.margins >= -1e-9 * bounds.bounds).all()
            np.testing.assert_allclose(bounds.costs, top_means(costs, proxy, quantiles).means, atol=1e-9 * costs.max())


def test_the_cost_bound_holds_for_softer_cuts_too() -> None:
    for true, proxy in data_sets():
        weights = [
            rule.weights(proxy, matched_strength(rule, proxy, quantile))
            for rule in map(RULES.__getitem__, METHODS)
            for quantile in (1.0, 0.4, 0.05)
        ]
        assert cost_bounds(true.max() - true, np.stack(weights)).kept


def test_the_guarantee_holds_exactly_for_the_episodes_kept() -> None:
    for true, proxy in data_sets():
        quantiles = distinct_quantiles(len(proxy))
        promised = guarantee(proxy, quantiles, true_returns=true, resamples=20)
        scale = np.abs(np.concatenate([true, proxy])).max() / min(quantiles)
        assert (promised.margins(top_means(true, proxy, quantiles).means) >= -1e-12 * scale).all()


def test_the_bound_is_reached_where_all_of_the_cost_is_at_the_top() -> None:
    """One in ten episodes costs 5, and it is the best by proxy."""
    costs, proxy = np.array([0.0] * 9 + [5.0]), np.arange(10.0)
    bounds = top_cost_bounds(costs, proxy, (1.0, 0.5, 0.25, 0.1))
    assert bounds.base_cost == 0.5
    # A quarter of ten is two.
    np.testing.assert_allclose(bounds.density_ratios, [1, 2, 5, 10])
    np.testing.assert_allclose(bounds.costs, [0.5, 1.0, 2.5, 5.0])
    np.testing.assert_allclose(bounds.margins, 0, atol=1e-12)
    assert bounds.kept
    assert not replace(bounds, costs=bounds.costs + 0.01).kept
    assert json.loads(json.dumps(bounds.as_numbers(), allow_nan=False))["kept"]


def test_no_episode_is_played_more_than_n_times_as_often_by_the_best_of_n() -> None:
    proxy = np.random.default_rng(0).normal(size=5000)
    rule = RULES["best_of_n"]
    n = matched_strength(rule, proxy, 0.25)
    assert n * 0.99 < density_ratio(rule.weights(proxy, n)) < n


@pytest.mark.parametrize("environment", ["MountainCar-v0", "Hopper-v2", "VideoPinballNoFrameskip-v4"])
def test_the_bounds_hold_for_the_demonstrations_that_ship(environment: str) -> None:
    demonstrations = Demonstrations.load("demo", environment)
    true, proxy = demonstrations.true_returns, demonstrations.proxy_returns
    quantiles = distinct_quantiles(demonstrations.number)
    assert top_cost_bounds(true.max() - true, proxy, quantiles).kept
    promised = guarantee(proxy, quantiles, true_returns=true, resamples=20)
    assert (promised.margins(top_means(true, proxy, quantiles).means) >= -1e-9 * np.abs(true).max()).all()


def test_the_best_quantile_balances_proxy_and_loss() -> None:
    """A uniform proxy has E_q[U] = 1 − q/2; 1 − q/2 − k/q is highest at q = √(2k)."""
    proxy = (np.arange(10_000) + 0.5) / 10_000
    quantiles = tuple(np.round(np.linspace(0.01, 1, 100), 2).tolist())
    promised = guarantee(proxy, quantiles, implicit_loss=0.02, resamples=20)
    assert promised.best_quantile == pytest.approx(0.2)
    np.testing.assert_allclose(promised.values, 1 - promised.quantiles / 2 - 0.02 / promised.quantiles, atol=1e-9)
    assert promised.best_low <= 0.2 <= promised.best_high
    assert promised.applies
    assert guarantee(proxy, quantiles, implicit_loss=0.0, resamples=20).best_quantile == 0.01
    assert guarantee(proxy, quantiles, implicit_loss=10.0, resamples=20).best_quantile == 1.0


def test_an_estimated_loss_widens_the_interval() -> None:
    generator = np.random.default_rng(0)
    proxy = generator.normal(size=500)
    true = proxy - generator.exponential(size=500)
    given, estimated = (
        guarantee(proxy, (1.0, 0.1), loss, None if loss is not None else true)
        for loss in (float((proxy - true).mean()), None)
    )
    np.testing.assert_allclose(given.values, estimated.values)
    assert estimated.highs[1] - estimated.lows[1] > 1.2 * (given.highs[1] - given.lows[1])
    assert estimated.implicit_loss.known
    assert not given.implicit_loss.known


def test_intervals_of_the_guarantee_hold_it() -> None:
    """U is normal and the loss exponential of mean 0.1: E_q[U] − k/q at q = 0.2 is φ(z)/0.2 − 0.5."""
    truth, held = 1.3998 - 0.5, 0
    for study in range(200):
        generator = np.random.default_rng([5, study])
        proxy = generator.normal(size=300)
        promised = guarantee(
            proxy, (1.0, 0.2), true_returns=proxy - 0.1 * generator.exponential(size=300), resamples=200
        )
        held += promised.lows[1] <= truth <= promised.highs[1]
    assert 0.91 <= held / 200 <= 0.99


def test_policies_are_held_to_the_guarantee() -> None:
    promised = guarantee(np.arange(10.0), (1.0, 0.5), implicit_loss=1.0, resamples=20)
    assert promised.values.tolist() == pytest.approx([3.5, 5.0])
    assert promised.finding(0.5, Interval(6.0, 5.5, 6.5)) == "kept"
    assert promised.finding(0.5, Interval(4.0, 3.5, 4.5)) == "broken"
    assert promised.finding(0.5, Interval(4.9, 4.5, 5.5)) == "undecided"
    with pytest.raises(ValueError, match=r"no guarantee at q = 0\.25"):
        promised.finding(0.25, Interval(4.9, 4.5, 5.5))
    with pytest.raises(ValueError, match="two units"):
        replace(promised, why_not="two units").finding(0.5, Interval(4.9, 4.5, 5.5))
    assert json.loads(json.dumps(promised.as_numbers(), allow_nan=False))["k"] == [1.0, None, None]


def test_a_policy_that_fails_where_no_demonstration_did_breaks_the_bound() -> None:
    """The person always reaches the flag, as a quantilizer would at every q; clones of few episodes do not."""
    demonstrated = failures(np.linspace(-190.0, -120.0, 20), -199.5)
    tested = failures(np.random.default_rng(0).choice([-200.0, -150.0], p=[0.8, 0.2], size=(5, 100)), -199.5)
    found = policy_bound(tested, demonstrated, 0.25)
    assert (found.base_cost.estimate, found.bound.estimate) == (0.0, 0.0)
    assert found.finding == "broken"
    # None of 20 may be one in six of the person's, four times as many at a quarter, which is 0.67.
    assert found.bound.high == pytest.approx(4 * (1 - 0.025 ** (1 / 20)))
    assert found.finding_for_players == "broken"
    assert found.margin.estimate == pytest.approx(-0.8, abs=0.05)
    assert found.sentence("share that misses the flag").startswith(
        "Broken: the share that misses the flag of policies at q = 0.25 is 0."
    )
    at_a_tenth = policy_bound(tested, demonstrated, 0.1)
    assert (at_a_tenth.finding, at_a_tenth.finding_for_players) == ("broken", "undecided")
    assert "For the players the bound may be as high as 1.68" in at_a_tenth.sentence()
    assert json.loads(json.dumps(found.as_numbers(), allow_nan=False))["finding"] == "broken"


def test_policies_that_keep_the_bound_or_cannot_tell() -> None:
    base = np.array([0.0, 1.0, 2.0, 3.0])
    steady = np.full((5, 10), 1.4) + 0.01 * np.arange(5)[:, None]
    kept, shaky = policy_bound(steady, base, 0.5), policy_bound(steady * np.arange(5)[:, None], base, 0.5)
    assert kept.bound.estimate == 3.0
    assert (kept.finding, shaky.finding) == ("kept", "undecided")
    assert kept.sentence().startswith("Kept: ")
    assert shaky.sentence().startswith("Undecided: ")
    assert policy_bound(np.zeros((3, 4)), np.zeros(9), 0.5).finding == "kept"
    assert policy_bound(np.ones((1, 1)), np.zeros(9), 0.5).finding == "undecided"


def test_the_guarantee_applies_where_the_true_reward_is_the_proxy_and_something_more() -> None:
    lean = each_step(lambda steps: steps.observations[:, 2])
    cheat = mean_at_end(lambda steps: steps.info["cheat"], info=("cheat",))
    for proxy, true in ((own, own), (own, own - 3 * cheat), (lean + own, own + lean + cheat), (2 * own, own + own)):
        assert why_no_guarantee(proxy, true) is None
    for proxy, true in ((lean, own), (2 * own, own), (lean + own, own), (lean, 2 * lean - cheat)):
        reason = why_no_guarantee(proxy, true)
        assert reason is not None
        assert "not on one scale" in reason


@pytest.mark.parametrize(
    ("environment", "applies"),
    [("MountainCar-v0", False), ("Hopper-v2", False), ("VideoPinballNoFrameskip-v4", True)],
)
def test_which_environments_that_ship_have_a_guarantee(environment: str, applies: bool) -> None:
    assert (why_no_guarantee(*load_environment(environment).rewards()) is None) == applies


def test_what_is_no_cost_is_refused() -> None:
    for costs in (np.array([1.0, -0.1]), np.array([1.0, math.nan]), np.zeros(0)):
        with pytest.raises(ValueError, match="costs must be"):
            top_cost_bounds(costs, np.zeros(len(costs)), (1.0,)) if len(costs) else cost_bounds(costs, np.ones((1, 0)))
    with pytest.raises(ValueError, match="costs must be"):
        policy_bound(np.array([[1.0, -0.5]]), np.array([1.0, 2.0]), 0.5)
    with pytest.raises(ValueError, match="not"):
        cost_bounds(np.ones(3), np.ones((1, 4)))
    with pytest.raises(ValueError, match="give k"):
        guarantee(np.ones(3), (1.0,))
    with pytest.raises(ValueError, match="k is -1"):
        guarantee(np.ones(3), (1.0,), implicit_loss=-1.0)
    with pytest.raises(ValueError, match="demonstrations"):
        policy_bound(np.ones((2, 2)), np.ones((2, 2)), 0.5)
    with pytest.raises(UserError, match="quantile 2 is impossible"):
        policy_bound(np.ones((2, 2)), np.ones(2), 2.0)


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


def test_the_interval_of_a_share_of_failures_ends_at_all_of_them() -> None:
    true = np.arange(20.0)
    returns = np.full((3, 4), -1.0)
    returns[0, :2] = 1.0
    checks = check_bounds(true, true, {1.0: true[None], 0.5: returns}, "another unit")
    at_half = checks.policies["failures"][1].cost
    assert at_half.estimate == pytest.approx(10 / 12)
    assert at_half.high == 1.0
    assert 0 < at_half.low < at_half.estimate - 0.7
    assert checks.policies["shortfall"][1].cost.high > 20


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
