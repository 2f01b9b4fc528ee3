from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantilizers.errors import UserError
from quantilizers.rewards import Meter, Reward, Steps, each_step, mean_at_end, own


def first(steps: Steps) -> np.ndarray:
    return steps.observations[:, 0]


def paid_step_by_step(
    reward: Reward, own_rewards: np.ndarray, observations: np.ndarray, done: np.ndarray
) -> np.ndarray:
    """Return the rewards of a meter in N environments side by side, whose episodes end where padding begins."""
    number, steps = done.shape
    meter = Meter(reward, number)
    lengths = (~done).sum(axis=1)
    rewards = np.zeros(done.shape)
    for step in range(steps):
        seen = Steps(observations[:, step], np.zeros(number), {"speed": observations[:, step, 1]})
        rewards[:, step] = meter.pay(own_rewards[:, step], seen, lengths == step + 1, active=~done[:, step])
    return rewards


@pytest.mark.parametrize(
    "reward",
    [
        own,
        each_step(first),
        mean_at_end(first),
        own - 0.3 * mean_at_end(lambda steps: steps.info["speed"], info=("speed",)),
        2 * own + each_step(first) * 0.5 - mean_at_end(first) + mean_at_end(lambda steps: steps.actions + 1.0),
    ],
)
def test_recorded_episodes_are_paid_the_same_bits_as_running_ones(reward: Reward) -> None:
    random = np.random.default_rng(1)
    done = np.arange(60) >= random.integers(1, 61, size=40)[:, None]
    observations, own_rewards = random.normal(size=(40, 60, 2)), random.normal(size=(40, 60))
    steps = Steps(observations[~done], np.zeros((~done).sum()), {"speed": observations[~done][:, 1]})
    np.testing.assert_array_equal(
        reward.over_episodes(own_rewards, steps, done), paid_step_by_step(reward, own_rewards, observations, done)
    )


def test_a_mean_is_paid_once_and_begins_anew_with_each_episode() -> None:
    meter = Meter(mean_at_end(first), 1)
    for values in ([1.0, 2.0, 6.0], [10.0]):
        meter.restart()
        paid = [
            meter.pay(np.zeros(1), Steps(np.array([[value]]), np.zeros(1)), np.array([step == len(values) - 1]))[0]
            for step, value in enumerate(values)
        ]
        assert paid == [0.0] * (len(values) - 1) + [sum(values) / len(values)]


def test_who_does_not_step_is_paid_nothing_and_counts_nothing() -> None:
    meter = Meter(mean_at_end(first), 2)
    steps = Steps(np.array([[4.0], [100.0]]), np.zeros(2))
    active = np.array([True, False])
    assert meter.pay(np.zeros(2), steps, np.array([False, False]), active).tolist() == [0.0, 0.0]
    assert meter.pay(np.zeros(2), steps, np.array([True, True])).tolist() == [4.0, 100.0]


def test_what_a_reward_is_made_of() -> None:
    reward = 3 * own - mean_at_end(first, info=("a", "b")) + each_step(first, info=("b",))
    assert reward.info == ("a", "b")
    assert reward.own_weight == 3
    assert [part.kind for part in reward.without_own.parts] == ["mean_at_end", "each_step"]
    assert (own - own).own_weight == 0


def test_a_function_that_does_not_give_a_number_a_step_is_named() -> None:
    meter = Meter(each_step(lambda steps: steps.observations), 2)
    with pytest.raises(UserError, match="not one number a step"):
        meter.pay(np.zeros(2), Steps(np.zeros((2, 3)), np.zeros(2)), np.array([False, False]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: own + 3, r"the number 3 cannot be added to a reward.* write each_step\(lambda steps: np.full"),
        (lambda: 0.5 + own, r"the number 0.5 cannot be added to a reward"),
        (lambda: own - np.float64(2), r"cannot be subtracted from a reward"),
        (lambda: 1 - own, r"the number 1 cannot be subtracted from a reward"),
        (lambda: own + first, r"the function first cannot be added to a reward; write each_step\(first\)"),
        (lambda: first + own, r"the function first cannot be added to a reward"),
        (lambda: own + "score", r"score cannot be added to a reward; build rewards from own, each_step and"),
        (lambda: own * own, r"a reward is multiplied by numbers, not by own; a product"),
        (lambda: own * first, r"a reward is multiplied by numbers, not by <function first"),
        (lambda: own * float("nan"), r"a reward is multiplied by numbers, not by nan"),
        (lambda: own * np.array([1.0, 2.0]), r"a reward is multiplied by numbers, not by \[1. 2.\]"),
        (lambda: np.array([1.0, 2.0]) * own, r"a reward is multiplied by numbers, not by \[1. 2.\]"),
        (lambda: own / 0, r"a reward is divided by numbers, not by 0"),
        (lambda: own / np.inf, r"a reward is divided by numbers, not by inf"),
    ],
)
def test_what_is_no_sum_of_rewards_says_how_it_is_written(build: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()


def test_numbers_of_numpy_scale_rewards() -> None:
    for reward in (own * np.float64(2), np.float64(2) * own, np.int64(4) * own / np.float32(2), sum([own, own])):
        assert isinstance(reward, Reward)
        assert reward.own_weight == 2


@pytest.mark.parametrize(
    "mixing",
    [
        lambda steps: np.diff(steps.observations[:, 0], prepend=0.0),
        lambda steps: np.cumsum(steps.observations[:, 0]),
        lambda steps: np.abs(steps.observations[:, 0] - steps.observations[:, 0].mean()),
        lambda steps: np.random.random(len(steps.observations)),
        lambda steps: np.full(len(steps.observations), float(len(steps.observations))),
    ],
)
def test_a_function_that_gives_a_step_among_others_another_value_than_alone_is_refused(
    mixing: Callable[[Steps], np.ndarray],
) -> None:
    """In play it is given steps one at a time, so demonstrations would be ranked by other rewards than are paid."""
    observations = np.random.default_rng(2).normal(size=(12, 2))
    done = np.zeros((3, 4), dtype=bool)
    for reward in (each_step(mixing), own - 2 * mean_at_end(mixing)):
        with pytest.raises(UserError, match="it may neither combine steps nor draw at random"):
            reward.over_episodes(np.zeros((3, 4)), Steps(observations, np.zeros(12)), done)


def test_rounding_and_steps_that_are_not_numbers_are_no_combination_of_steps() -> None:
    observations = np.random.default_rng(3).normal(size=(6, 400)).astype(np.float32)
    observations[:, 1::2] = -observations[:, ::2]
    weights = np.ones(400, dtype=np.float32)
    done = np.zeros((2, 3), dtype=bool)
    cancelled = each_step(lambda steps: steps.observations @ weights + steps.observations[:, 0])
    assert np.isfinite(cancelled.over_episodes(None, Steps(observations, np.zeros(6)), done)).all()
    missing = each_step(lambda steps: np.full(len(steps.observations), np.nan))
    assert np.isnan(missing.over_episodes(None, Steps(observations, np.zeros(6)), done)).all()


def test_a_function_cannot_change_the_steps() -> None:
    def doubled(steps: Steps) -> np.ndarray:
        steps.observations[:] *= 2
        return first(steps)

    observations = np.ones((3, 2))
    with pytest.raises(UserError, match=r"the reward's function .*doubled failed: ValueError: .*read-only"):
        each_step(doubled).over_episodes(None, Steps(observations, np.zeros(3)), np.zeros((1, 3), dtype=bool))
    assert (observations == 1).all()
