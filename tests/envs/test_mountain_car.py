from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.utils.env_checker import check_env

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.making import make_environment, start_from
from quantilizers.envs.registry import load_environment

ENVIRONMENT = load_environment("MountainCar-v0")


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped.*:UserWarning")
def test_check_env_passes() -> None:
    check_env(make_environment(ENVIRONMENT))


def swings(observations: np.ndarray, generator: np.random.Generator, randomness: np.ndarray) -> np.ndarray:
    """Push the way the car moves, or at random: some cars arrive, some do not."""
    random = generator.random(len(observations)) < randomness
    return np.where(random, generator.integers(3, size=len(observations)), np.where(observations[:, 1] < 0, 0, 2))


def test_the_vectorised_form_equals_gymnasiums_environment_over_hundreds_of_episodes() -> None:
    number = 250
    scalar = gymnasium.make_vec(ENVIRONMENT.gymnasium_id, num_envs=number, vectorization_mode="sync")
    vector = gymnasium.make_vec(ENVIRONMENT.gymnasium_id, num_envs=number)
    generator = np.random.default_rng(0)
    randomness = np.linspace(0, 1, number)
    expected, _ = scalar.reset(seed=12)
    observed, _ = vector.reset(seed=12)
    np.testing.assert_array_equal(observed, expected)
    terminations = truncations = 0
    for _ in range(450):
        actions = swings(expected, generator, randomness)
        expected, expected_proxy, expected_end, expected_cut, expected_info = scalar.step(actions)
        observed, proxy, end, cut, info = vector.step(actions)
        np.testing.assert_allclose(observed, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(proxy, expected_proxy, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(end, expected_end)
        np.testing.assert_array_equal(cut, expected_cut)
        if "true_reward" in expected_info:
            np.testing.assert_array_equal(info["true_reward"], expected_info["true_reward"])
        terminations += int(end.sum())
        truncations += int(cut.sum())
    assert terminations > 125
    assert terminations + truncations > 500
    assert observed.dtype == expected.dtype
    assert vector.observation_space == scalar.observation_space
    assert vector.action_space == scalar.action_space


def test_the_rewards_are_the_papers() -> None:
    """True: the wrapped environment's own. Proxy: the position after the step."""
    plain, two_rewards = MountainCarEnv(), make_environment(ENVIRONMENT)
    plain.reset(seed=3)
    two_rewards.reset(seed=3)
    for action in [0, 2, 2, 1, 0] * 40:
        observation, reward, terminated, _, _ = plain.step(action)
        same, proxy, ended, _, info = two_rewards.step(action)
        np.testing.assert_array_equal(same, observation)
        assert ended == terminated
        assert info["true_reward"] == reward == -1.0
        assert proxy == observation[0]


@pytest.mark.parametrize("max_steps", [1, 7, 200])
def test_an_episode_is_cut_at_the_horizon_and_pays_at_the_cut(max_steps: int) -> None:
    car = gymnasium.make(ENVIRONMENT.gymnasium_id, max_steps=max_steps)
    car.reset(seed=0)
    for step in range(1, max_steps + 1):
        _, proxy, terminated, truncated, _ = car.step(1)
        assert proxy != 0
        assert (terminated, truncated) == (False, step == max_steps)


def test_proxy_rewards_of_demonstrations_are_those_that_the_environment_paid(
    car_demonstrations: Demonstrations,
) -> None:
    rewards, episodes = car_demonstrations.proxy_rewards, car_demonstrations.episodes
    for episode, length in enumerate(car_demonstrations.lengths):
        car = make_environment(ENVIRONMENT)
        car.reset()
        # Kept in float32, a state is off by its rounding: 3e-8.
        assert start_from(ENVIRONMENT, car, episodes.observations[episode, 0])
        for step in range(length):
            _, proxy, *_ = car.step(int(episodes.actions[episode, step, 0]))
            assert rewards[episode, step] == pytest.approx(proxy, abs=2e-6)
        assert not rewards[episode, length:].any()


def test_people_s_episodes_replay(human: Demonstrations) -> None:
    """Replaying a person's actions gives the recorded states, true return and proxy return."""
    rewards = human.proxy_rewards
    for episode in range(human.number):
        car = make_environment(ENVIRONMENT)
        car.reset()
        assert start_from(ENVIRONMENT, car, human.episodes.observations[episode, 0])
        proxy_return = 0.0
        for step in range(int(human.lengths[episode])):
            np.testing.assert_allclose(car.unwrapped.state, human.episodes.observations[episode, step], atol=1e-6)
            _, proxy, terminated, *_ = car.step(int(human.episodes.actions[episode, step, 0]))
            proxy_return += proxy
        assert terminated
        assert rewards[episode].sum() == pytest.approx(proxy_return, abs=1e-4)
