from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.mountain_car import advance
from quantilizers.envs.people_play import to_episodes
from quantilizers.errors import UserError


def original_recording(human: Demonstrations, steps: int = 130) -> npt.NDArray[Any]:
    """Build the recording back from the episodes; after the flag the player does nothing."""
    rows = []
    for episode, length in enumerate(human.lengths):
        positions, velocities = human.episodes.observations[episode, : int(length), :].astype(np.float64).T
        actions = [*human.episodes.actions[episode, : int(length), 0], *[1.0] * (steps - int(length))]
        states = list(zip(positions[1:], velocities[1:], strict=True))
        position, velocity = np.array([positions[-1]]), np.array([velocities[-1]])
        for action in actions[int(length) - 1 :]:
            position, velocity = advance(position, velocity, np.array([action]))
            states.append((position[0], velocity[0]))
        rows.append([[*state, action] for state, action in zip(states, actions, strict=True)])
    return np.array(rows)


def gymnasium_recording(actions: list[int], episodes: int = 3) -> npt.NDArray[Any]:
    """Play Gymnasium's car and return rows as lets-do-irl records them: state after the action, action."""
    rows = []
    for seed in range(episodes):
        car = gymnasium.make("MountainCar-v0").unwrapped
        car.reset(seed=seed)
        rows.append([[*car.step(action)[0], action] for action in actions])
    return np.array(rows, dtype=np.float64)


def test_what_ships_is_what_the_recording_becomes(human: Demonstrations) -> None:
    recording = original_recording(human)
    assert recording.shape == (20, 130, 3)
    converted = to_episodes(recording)
    assert np.array_equal(converted.done, human.episodes.done)
    assert np.array_equal(converted.actions, human.episodes.actions)
    assert np.array_equal(converted.true_rewards, human.episodes.true_rewards)
    np.testing.assert_allclose(converted.observations, human.episodes.observations, rtol=0, atol=1e-12)
    assert converted.observations.dtype == human.episodes.observations.dtype
    assert np.array_equal(converted.true_returns, human.true_returns)


def test_the_first_state_is_where_gymnasium_started() -> None:
    recording = gymnasium_recording([2, 2, 0, 1, 0])
    starts = [gymnasium.make("MountainCar-v0").reset(seed=seed)[0] for seed in range(3)]
    converted = to_episodes(recording)
    np.testing.assert_allclose(converted.observations[:, 0], starts, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(converted.observations[:, 1:], recording[:, :-1, :2])
    assert converted.lengths.tolist() == [5, 5, 5]


def test_an_episode_ends_at_the_flag() -> None:
    swing = [0] * 35 + [2] * 95
    recording = gymnasium_recording(swing, episodes=1)
    reached = int(np.argmax(recording[0, :, 0] >= 0.5))
    assert 0 < reached < 129, "this swing is meant to reach the flag"
    converted = to_episodes(recording)
    assert converted.lengths.tolist() == [reached + 1]
    assert converted.true_returns.tolist() == [-(reached + 1.0)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a[:, :, :2], "shape"),
        (lambda a: a[0], "shape"),
        (lambda a: np.where(np.arange(3) == 2, 3.0, a), "actions"),
        (lambda a: np.where(np.arange(3) == 0, np.nan, a), "finite"),
        (lambda a: a + np.array([0.001, 0.0, 0.0]), "do not follow"),
        (lambda a: a[:, 2:], "do not"),
        (lambda a: a.astype(str), "finite numbers"),
    ],
)
def test_another_recording_is_refused(change: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        to_episodes(change(gymnasium_recording([2, 2, 0, 1, 0])))
