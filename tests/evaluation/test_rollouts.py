from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.rollouts import Rollouts, RunningEpisodes, episode_seeds, roll_out

CAR = load_environment("MountainCar-v0")


class Swing:
    """P policies: policy p swings, but pushes right whenever its draw is below p/4."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers
        self.begun: list[int] = []

    def begin(self, episodes: int) -> None:
        self.begun.append(episodes)

    def act(
        self, observations: np.ndarray, generators: Sequence[np.random.Generator], running: np.ndarray
    ) -> np.ndarray:
        drawn = np.stack([generator.random(observations.shape[1]) for generator in generators])
        right = drawn < np.array(self.numbers)[:, None] / 4
        return np.where(right | (observations[..., 1] >= 0), 2, 0)[..., None]


class AlwaysZero:
    """Policies that take the action 0."""

    def begin(self, episodes: int) -> None:
        pass

    def act(
        self, observations: np.ndarray, generators: Sequence[np.random.Generator], running: np.ndarray
    ) -> np.ndarray:
        return np.zeros((*running.shape, 1))


def run(numbers: Sequence[int], episodes: int = 6, **changes: Any) -> Rollouts:
    environment = changes.pop("environment", CAR)
    seeds = np.array([episode_seeds(number, slice(0, episodes)) for number in numbers])
    generators = [np.random.default_rng(number) for number in numbers]
    policies = changes.pop("policies", Swing(numbers))
    return roll_out(environment, policies, seeds, generators, changes.pop("max_steps", 150), {}, **changes)


def test_rollouts_are_what_gymnasiums_environment_pays_one_episode_at_a_time() -> None:
    together = run([0, 1, 2])
    for policy in range(3):
        generator = np.random.default_rng(policy)
        draws = np.array([generator.random(6) for _ in range(150)])
        for episode, seed in enumerate(episode_seeds(policy, slice(0, 6))):
            car = make_environment(CAR, max_steps=150)
            observation, _ = car.reset(seed=seed)
            steps, ended = 0, False
            while not ended:
                push = 2 if draws[steps, episode] < policy / 4 or observation[1] >= 0 else 0
                observation, proxy, terminated, truncated, info = car.step(push)
                assert together.proxy_rewards[policy, episode, steps] == pytest.approx(proxy, abs=1e-6)
                assert together.true_rewards[policy, episode, steps] == info["true_reward"]
                steps, ended = steps + 1, terminated or truncated
            assert together.lengths[policy, episode] == steps
            assert not together.true_rewards[policy, episode, steps:].any()
    assert together.lengths.min() < 150, "some arrive"


def test_a_policy_does_not_depend_on_which_others_run_beside_it() -> None:
    together, alone = run([0, 1, 3]), run([1])
    steps = alone.true_rewards.shape[2]
    np.testing.assert_array_equal(together.proxy_rewards[1, :, :steps], alone.proxy_rewards[0])
    np.testing.assert_array_equal(together.lengths[1], alone.lengths[0])


def test_episodes_are_begun_once_before_policies_act_in_them() -> None:
    policies = Swing([0, 1])
    run([0, 1], episodes=5, policies=policies, max_steps=3)
    assert policies.begun == [5]


def test_an_environment_without_a_vectorised_form_gives_the_same() -> None:
    """Gymnasium then steps the scalar ones in turn; nothing can be retired, and ended ones start again."""
    scalar, vector = run([0, 2], environment=replace(CAR, vector=None)), run([0, 2])
    np.testing.assert_array_equal(scalar.lengths, vector.lengths)
    np.testing.assert_allclose(scalar.proxy_rewards, vector.proxy_rewards, atol=1e-6)


def test_episode_seeds_depend_on_the_seed_and_the_episode_only() -> None:
    assert episode_seeds(3, slice(2, 5)) == episode_seeds(3, slice(0, 10))[2:5]
    assert len(set(episode_seeds(3, slice(0, 1000))) | set(episode_seeds(4, slice(0, 1000)))) == 2000
    assert all(0 <= seed < 2**31 for seed in episode_seeds(0, slice(0, 100)))


def test_parts_are_put_into_their_places() -> None:
    whole = Rollouts.empty(3, 4, 10)
    part = Rollouts(np.full((2, 2, 5), 1.0), np.full((2, 2, 5), 2.0), np.full((2, 2), 5))
    whole.put(slice(1, 3), slice(2, 4), part)
    assert whole.true_rewards.sum() == 20
    assert whole.proxy_rewards[1:, 2:, :5].sum() == 40
    assert whole.lengths.tolist() == [[0, 0, 0, 0], [0, 0, 5, 5], [0, 0, 5, 5]]


class Scripted:
    """Three endless environments whose reward is ten times their number plus the step; records which are retired."""

    num_envs = 3

    def __init__(self, retires: bool) -> None:
        self.unwrapped: Any = self
        self.retired: list[list[bool]] = []
        if retires:
            self.retire = lambda who: self.retired.append(who.tolist())

    def step(self, number: int, ends: list[int], cut: list[int]) -> tuple[Any, Any, Any, Any]:
        proxy = np.arange(3) * 10.0 + number
        return proxy, np.isin(np.arange(3), ends), np.isin(np.arange(3), cut), {"true_reward": -proxy}


def play(vector: Any, running: np.ndarray | None = None) -> RunningEpisodes:
    """The first environment ends at its second step, the last is cut at its third, the other at its fourth."""
    episodes = RunningEpisodes(vector, 4, running)
    episodes.record(*vector.step(1, [], []))
    episodes.record(*vector.step(2, [0], []))
    # An episode that starts after the horizon may end again; that is ignored.
    episodes.record(*vector.step(3, [0], [2]))
    episodes.record(*vector.step(4, [0], [1, 2]))
    return episodes


def test_rewards_count_until_an_episode_ends() -> None:
    for retires in (True, False):
        episodes = play(Scripted(retires))
        proxy = [[1, 2, 0, 0], [11, 12, 13, 14], [21, 22, 23, 0]]
        np.testing.assert_array_equal(episodes.proxy_rewards, proxy)
        np.testing.assert_array_equal(episodes.true_rewards, -np.array(proxy))
        np.testing.assert_array_equal(episodes.lengths, [2, 4, 3])
        assert not episodes.running.any()


def test_who_has_ended_is_retired_once_but_not_after_the_last_step() -> None:
    vector = Scripted(retires=True)
    play(vector)
    assert vector.retired == [[True, False, False], [False, False, True]]


def test_an_episode_that_nobody_wants_is_retired_at_once_and_not_counted() -> None:
    vector, wanted = Scripted(retires=True), np.array([True, False, True])
    episodes = play(vector, wanted)
    assert vector.retired == [[False, True, False], [True, False, False]]
    np.testing.assert_array_equal(episodes.lengths, [2, 0, 3])
    assert not episodes.proxy_rewards[1].any()
    assert wanted.tolist() == [True, False, True], "the caller's own array is left alone"
