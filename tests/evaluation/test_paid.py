from __future__ import annotations

import numpy as np
import pytest

from quantilizers.evaluation.paid import Paid
from quantilizers.evaluation.rollouts import Rollouts

RANDOM = np.random.default_rng(0)


def batch(policies: int, episodes: int, steps: int) -> Rollouts:
    shape = (policies, episodes, steps)
    lengths = np.full(shape[:2], steps)
    return Rollouts(RANDOM.normal(size=shape), RANDOM.normal(size=shape), lengths)


def test_returns_are_the_sums_that_all_rewards_together_have() -> None:
    whole, paid = Rollouts.empty(3, 7, 300), Paid(3, 7, 300)
    for policies in (slice(0, 2), slice(2, 3)):
        for episodes, steps in ((slice(0, 5), 300), (slice(5, 7), 130)):
            part = batch(policies.stop - policies.start, episodes.stop - episodes.start, steps)
            whole.put(policies, episodes, part)
            paid.put(policies, episodes, part)
    for kind, rewards in enumerate((whole.true_rewards, whole.proxy_rewards)):
        assert np.array_equal(paid.returns[kind], rewards.sum(axis=-1))
        assert np.array_equal(paid.rewards[kind], rewards.astype(np.float32))
    assert np.array_equal(paid.lengths, whole.lengths)
    assert paid.told() == {}


def test_a_step_takes_eight_bytes() -> None:
    assert Paid(2, 50, 100).rewards.nbytes == 8 * 2 * 50 * 100


@pytest.mark.parametrize("first", [np.nan, np.inf])
def test_where_a_policy_is_first_paid_what_is_no_number_is_told_true_rewards_before_proxy_ones(first: float) -> None:
    paid = Paid(2, 4, 10)
    early, late = batch(2, 2, 10), batch(2, 2, 6)
    early.proxy_rewards[1, 0, 3] = -np.inf
    late.true_rewards[1, 1, 2] = late.true_rewards[1, 1, 4] = first
    paid.put(slice(0, 2), slice(0, 2), early)
    assert paid.told() == {1: "proxy reward -inf at step 4 of episode 1"}
    paid.put(slice(0, 2), slice(2, 4), late)
    assert paid.told() == {1: f"true reward {first:g} at step 3 of episode 4"}
    assert [paid.is_finite(policy) for policy in (0, 1)] == [True, False]
