from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from quantilizers.envs import load_environment
from quantilizers.rollouts import Rollouts, environment_actions, episode_seeds, roll_out

CAR = load_environment("MountainCar-v0")


class Swing:
    """P policies: policy p swings, but pushes right whenever a draw of its own is below p/4."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers

    def act(
        self, observations: np.ndarray, generators: Sequence[np.random.Generator], running: np.ndarray
    ) -> np.ndarray:
        drawn = np.stack([generator.random(observations.shape[1]) for generator in generators])
        right = drawn < np.array(self.numbers)[:, None] / 4
        return np.where(right | (observations[..., 1] >= 0), 2, 0)[..., None]


def run(numbers: Sequence[int], episodes: int = 6, **changes: Any) -> Rollouts:
    environment = changes.pop("environment", CAR)
    seeds = np.array([episode_seeds(number, slice(0, episodes)) for number in numbers])
    generators = [np.random.default_rng(number) for number in numbers]
    return roll_out(environment, Swing(numbers), seeds, generators, changes.pop("max_steps", 150), {}, **changes)


def test_rollouts_are_what_gymnasiums_environment_pays_one_episode_at_a_time() -> None:
    together = run([0, 1, 2])
    for policy in range(3):
        generator = np.random.default_rng(policy)
        draws = np.array([generator.random(6) for _ in range(150)])
        for episode, seed in enumerate(episode_seeds(policy, slice(0, 6))):
            car = gymnasium.make(CAR.gymnasium_id, max_steps=150)
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


def test_an_environment_without_a_vectorised_form_gives_the_same() -> None:
    """Gymnasium then steps the scalar ones in turn; nothing can be retired, and ended ones start again."""
    gymnasium.register(id="ScalarOnly-v0", entry_point="quantilizers.envs.mountain_car:MountainCarRR")
    try:
        scalar = run([0, 2], environment=replace(CAR, gymnasium_id="ScalarOnly-v0"))
    finally:
        del gymnasium.registry["ScalarOnly-v0"]
    vector = run([0, 2])
    np.testing.assert_array_equal(scalar.lengths, vector.lengths)
    np.testing.assert_allclose(scalar.proxy_rewards, vector.proxy_rewards, atol=1e-6)


def test_episode_seeds_depend_on_the_seed_and_the_episode_only() -> None:
    assert episode_seeds(3, slice(2, 5)) == episode_seeds(3, slice(0, 10))[2:5]
    assert len(set(episode_seeds(3, slice(0, 1000))) | set(episode_seeds(4, slice(0, 1000)))) == 2000
    assert all(0 <= seed < 2**31 for seed in episode_seeds(0, slice(0, 100)))


def test_actions_take_the_form_that_the_space_has() -> None:
    actions = np.arange(12.0).reshape(2, 3, 2)
    assert environment_actions(actions, spaces.Discrete(13)).tolist() == [0, 2, 4, 6, 8, 10]
    box = environment_actions(actions, spaces.Box(0, 12, (2,), dtype=np.float32))
    assert box.shape == (6, 2)
    assert box.dtype == np.float32


def test_parts_are_put_into_their_places() -> None:
    whole = Rollouts.empty(3, 4, 10)
    part = Rollouts(np.full((2, 2, 5), 1.0), np.full((2, 2, 5), 2.0), np.full((2, 2), 5))
    whole.put(slice(1, 3), slice(2, 4), part)
    assert whole.true_rewards.sum() == 20
    assert whole.proxy_rewards[1:, 2:, :5].sum() == 40
    assert whole.lengths.tolist() == [[0, 0, 0, 0], [0, 0, 5, 5], [0, 0, 5, 5]]
