from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantilizers.envs.mountain_car import MountainCarVector
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.measuring import MeasuredRewards, measure_policies
from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.rollouts import Rollouts

CAR = load_environment("MountainCar-v0")


class Drivers:
    """Policies that swing, and push at random with a frequency of their quantile, and more with each seed."""

    def __init__(self, policies: Sequence[tuple[float, int]]) -> None:
        self.policies = policies

    def begin(self, episodes: int) -> None:
        pass

    def act(
        self, observations: np.ndarray, generators: Sequence[np.random.Generator], running: np.ndarray
    ) -> np.ndarray:
        random = np.array([quantile / 2 + seed / 20 for quantile, seed in self.policies])
        drawn = np.stack([generator.random(observations.shape[1]) for generator in generators])
        return np.where(drawn < random[:, None], 1, np.where(observations[..., 1] < 0, 0, 2))[..., None]


def measure(
    quantiles: Sequence[float] = (1.0, 0.5), seeds: Sequence[int] = (3, 4), **changes: Any
) -> list[SeedResults]:
    environment = changes.pop("environment", CAR)
    return measure_policies(environment, Drivers, quantiles, seeds, 5, 120, {}, **changes)


def test_results_do_not_depend_on_how_policies_are_batched() -> None:
    together, apart = (measure(environment=replace(CAR, parallel_episodes=number)) for number in (1000, 5))
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.proxy_rewards, other.proxy_rewards)
        np.testing.assert_array_equal(one.lengths, other.lengths)


def test_batches_that_run_at_the_same_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantilizers.evaluation.measuring.available_cores", lambda: 2)
    made: list[tuple[int, int | None]] = []

    def threaded(num_envs: int, threads: int | None = None, **arguments: Any) -> MountainCarVector:
        made.append((num_envs, threads))
        return MountainCarVector(num_envs, **arguments)

    several = replace(CAR, vector=threaded, threaded=True)
    counted: list[int] = []
    beside, after_another = measure(environment=several, on_step=counted.append), measure()
    assert made == [(10, 1), (10, 1)]
    for one, other in zip(beside, after_another, strict=True):
        np.testing.assert_array_equal(one.proxy_rewards, other.proxy_rewards)
        np.testing.assert_array_equal(one.lengths, other.lengths)
    assert sum(counted) == sum(of_seed.lengths.sum() for of_seed in beside)
    measure([0.5], [4], environment=several)
    assert made[2:] == [(5, None)], "a policy alone has all processors"


def test_each_policy_is_asked_for_once_however_its_episodes_are_cut() -> None:
    asked: list[list[tuple[float, int]]] = []

    def stack(policies: Sequence[tuple[float, int]]) -> Drivers:
        asked.append(list(policies))
        return Drivers(policies)

    few = replace(CAR, parallel_episodes=2)
    results = measure_policies(few, stack, [1.0, 0.5], [3, 4], 5, 120, {})
    assert asked == [[(1.0, 3)], [(1.0, 4)], [(0.5, 3)], [(0.5, 4)]]
    assert (results[0].lengths > 0).all()


def test_a_policy_is_measured_alike_beside_others_and_alone() -> None:
    beside, alone = measure()[1], measure([0.5], [4])[0]
    np.testing.assert_array_equal(alone.true_returns[0], beside.true_returns[1])
    np.testing.assert_array_equal(alone.proxy_returns[0], beside.proxy_returns[1])


def test_progress_counts_every_step() -> None:
    counted: list[int] = []
    results = measure(on_step=counted.append)
    assert sum(counted) == sum(of_seed.lengths.sum() for of_seed in results)


def test_the_conditions_stand_in_the_results() -> None:
    first = measure()[0]
    assert (first.environment, first.max_steps, first.options) == ("MountainCar-v0", 120, {})
    assert first.quantiles.tolist() == [1.0, 0.5]
    assert first.true_returns == pytest.approx(first.true_rewards.sum(axis=2))


RANDOM = np.random.default_rng(0)


def batch(policies: int, episodes: int, steps: int) -> Rollouts:
    shape = (policies, episodes, steps)
    lengths = np.full(shape[:2], steps)
    return Rollouts(RANDOM.normal(size=shape), RANDOM.normal(size=shape), lengths)


def test_returns_are_the_sums_that_all_rewards_together_have() -> None:
    whole, measured = Rollouts.empty(3, 7, 300), MeasuredRewards(3, 7, 300)
    for episodes, steps in ((slice(0, 5), 300), (slice(5, 7), 130)):
        part = batch(3, episodes.stop - episodes.start, steps)
        whole.put(slice(0, 3), episodes, part)
        measured.put(episodes, part)
    for kind, rewards in enumerate((whole.true_rewards, whole.proxy_rewards)):
        assert np.array_equal(measured.returns[kind], rewards.sum(axis=-1))
        assert np.array_equal(measured.rewards[kind], rewards.astype(np.float32))
    assert np.array_equal(measured.lengths, whole.lengths)
    assert measured.described() == {}


def test_a_step_takes_eight_bytes() -> None:
    assert MeasuredRewards(2, 50, 100).rewards.nbytes == 8 * 2 * 50 * 100


@pytest.mark.parametrize("first", [np.nan, np.inf])
def test_where_nan_or_infinity_begins_is_described_true_rewards_before_proxy_ones(first: float) -> None:
    measured = MeasuredRewards(2, 4, 10)
    early, late = batch(2, 2, 10), batch(2, 2, 6)
    early.proxy_rewards[1, 0, 3] = -np.inf
    late.true_rewards[1, 1, 2] = late.true_rewards[1, 1, 4] = first
    measured.put(slice(0, 2), early)
    assert measured.described() == {1: "proxy reward -inf at step 4 of episode 1"}
    measured.put(slice(2, 4), late)
    assert measured.described() == {1: f"true reward {first:g} at step 3 of episode 4"}
