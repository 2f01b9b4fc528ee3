from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.registry import load_environment
from simulated_players import mountain_car as players

CAR = load_environment("MountainCar-v0")


@pytest.fixture(scope="module")
def recorded() -> Episodes:
    return players.record(0)


def test_there_are_enough_episodes_and_they_are_called_simulated(recorded: Episodes) -> None:
    assert recorded.number >= 200
    assert all(name.startswith("simulated player") for name in recorded.extras["player"])


def test_skill_spreads_from_hopeless_to_good(recorded: Episodes) -> None:
    by_player = recorded.true_returns.reshape(players.PLAYERS, players.EPISODES_EACH).mean(axis=1)
    assert by_player[:5].mean() < -190
    assert by_player[-5:].mean() > -150


def test_populations_differ_as_described(recorded: Episodes) -> None:
    means = {name: players.record(0, 50, one).true_returns.mean() for name, one in players.POPULATIONS.items()}
    assert means["shipped"] == recorded.true_returns.mean()
    assert means["poor"] < means["slow"] < means["shipped"] < means["good"]
    slow = players.record(0, 50, players.POPULATIONS["slow"])
    assert (slow.actions[:, :8] == players.NOTHING).all()
    assert (slow.actions[:, 8:17] != players.NOTHING).any()


def test_keys_are_held_and_nobody_reacts_before_having_seen_the_screen(recorded: Episodes) -> None:
    for episode in range(0, recorded.number, 7):
        keys = recorded.actions[episode, : recorded.lengths[episode], 0]
        assert (keys[: players.SHIPPED.reaction[1]] == players.NOTHING).all()
        changes = np.flatnonzero(np.diff(keys))
        assert (np.diff(changes) > players.SHORTEST_HOLD).all()


def test_episodes_replay_from_their_seeds(recorded: Episodes) -> None:
    for episode in (0, 123, 249):
        car = gymnasium.make(CAR.gymnasium_id)
        observation, _ = car.reset(seed=int(recorded.extras["seed"][episode]))
        length = int(recorded.lengths[episode])
        for step in range(length):
            np.testing.assert_allclose(observation, recorded.observations[episode, step], atol=1e-5)
            observation, _, terminated, truncated, _ = car.step(int(recorded.actions[episode, step, 0]))
            assert (terminated or truncated) == (step == length - 1)
        np.testing.assert_allclose(observation, recorded.extras["final_observation"][episode], atol=1e-5)
