"""The simulated players of Hopper: they play as documented, and the shipped file is theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.layout import shipped_log
from simulated_players import hopper as players

ENVIRONMENT = load_environment("Hopper-v2")

SHIPPED = shipped_log() / "Hopper-v2" / "demo.npz"


@pytest.fixture(scope="module")
def shipped() -> Episodes:
    return load_episodes(SHIPPED)


@pytest.fixture(scope="module")
def first_day() -> Episodes:
    return players.record(seed=0, rounds=0)


def some_attempts(habits: players.Habits, seed: int = 5) -> tuple[np.ndarray, players.Attempts]:
    random = np.random.default_rng(seed)
    skills = random.standard_normal((24, 3, 12))
    return skills, players.attempt(skills, habits, list(range(24)), 120, random)


@pytest.mark.parametrize(("reaction", "hold"), [(3, 2), (5, 3)])
def test_keys_follow_what_was_seen_late_and_are_held(monkeypatch: pytest.MonkeyPatch, reaction: int, hold: int) -> None:
    """Without slips the keys are those for the observation `reaction` steps ago, renewed every `hold` steps."""
    monkeypatch.setattr(players, "SLIP_PROBABILITY", 0.0)
    skills, attempts = some_attempts(players.Habits(reaction, hold))
    changes = 0
    for skill, observations, keys, length in zip(
        skills, attempts.observations, attempts.keys, attempts.lengths, strict=True
    ):
        seen = observations[np.maximum(np.arange(length) - reaction, 0)]
        wanted = players.wanted_keys(np.repeat(skill[None], length, axis=0), seen)
        followed = []
        for rhythm in range(hold):
            chosen = np.arange(length) - (np.arange(length) + rhythm) % hold
            expected = np.where((chosen >= 0)[:, None], wanted[np.maximum(chosen, 0)], 0)
            followed.append(np.array_equal(expected, keys[:length]))
        assert any(followed)
        changes += (keys[1:length] != keys[: length - 1]).any(axis=1).sum()
    assert changes > 30


def test_keys_slip_as_often_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A player who wants nothing presses something after two slips in three."""
    monkeypatch.setattr(players, "SLIP_PROBABILITY", 0.3)
    attempts = players.attempt(
        np.zeros((60, 3, 12)), players.Habits(3, 1), list(range(60)), 100, np.random.default_rng(0)
    )
    pressed = attempts.keys[~attempts.padding] != 0
    assert pressed.mean() == pytest.approx(0.3 * 2 / 3, abs=0.02)


def test_distance_is_how_far_the_hopper_got() -> None:
    """Worked out from rewards and keys, it is Gymnasium's x when the keys are replayed."""
    _, attempts = some_attempts(players.Habits(3, 2))
    assert np.ptp(attempts.distances) > 0.05
    for seed in range(24):
        hopper = make_environment(ENVIRONMENT, all_info=True)
        hopper.reset(seed=seed)
        start = hopper.unwrapped.data.qpos[0]
        for keys in attempts.keys[seed, : attempts.lengths[seed]]:
            info = hopper.step(keys)[4]
        assert attempts.distances[seed] == pytest.approx(info["x_position"] - start, abs=1e-9)


def test_practice_takes_players_further() -> None:
    """After twenty rounds of practice a player gets much further than at the beginning."""
    habits = players.Habits(3, 2)
    random = np.random.default_rng(1)
    skills = list(players.practise(habits, 20, random))
    assert len(skills) == 21
    before, after = (
        players.attempt(
            np.repeat(skill[None], 20, axis=0), habits, list(range(20)), 400, np.random.default_rng(2)
        ).distances.mean()
        for skill in (skills[0], skills[-1])
    )
    assert after > before + 0.2


def test_the_seed_decides_everything(first_day: Episodes) -> None:
    again, other = players.record(seed=0, rounds=0), players.record(seed=1, rounds=0)
    for one, two in (
        (first_day.observations, again.observations),
        (first_day.actions, again.actions),
        (first_day.true_rewards, again.true_rewards),
        (first_day.done, again.done),
    ):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first_day.lengths, other.lengths)
    assert first_day.number == 6 * players.ATTEMPTS


def test_shipped_file_is_what_the_players_play(shipped: Episodes, first_day: Episodes) -> None:
    """The attempts before any practice, which take no time to repeat, are in the file."""
    found = shipped.select(np.flatnonzero(shipped.extras["rounds_practised"] == 0))
    for key, expected in first_day.extras.items():
        np.testing.assert_array_equal(found.extras[key], expected)
    np.testing.assert_array_equal(found.done, first_day.done)
    np.testing.assert_array_equal(found.actions, first_day.actions)
    np.testing.assert_array_equal(found.observations, first_day.observations)


def test_shipped_episodes_can_be_replayed(shipped: Episodes) -> None:
    """Reset seed and keys give the same observations, true rewards and end in the scalar environment."""
    for episode in range(0, shipped.number, 9):
        hopper = make_environment(ENVIRONMENT)
        observation, _ = hopper.reset(seed=int(shipped.extras["seed"][episode]))
        length = shipped.lengths[episode]
        for step in range(length):
            np.testing.assert_array_equal(shipped.observations[episode, step], observation.astype(np.float32))
            # Gymnasium works out the cost of control in the keys' precision, and the players pressed in float64.
            keys = shipped.actions[episode, step].astype(np.float64)
            observation, _, terminated, truncated, info = hopper.step(keys)
            assert shipped.true_rewards[episode, step] == np.float32(info["true_reward"])
            assert (terminated or truncated) == (step == length - 1)


def test_shipped_file_is_small_and_its_skill_spreads(shipped: Episodes) -> None:
    """Somebody falls at once and somebody hops many times; all are called simulated."""
    assert SHIPPED.stat().st_size < 2_000_000
    assert shipped.number >= 150
    assert shipped.lengths.min() < 30
    assert shipped.lengths.max() > 300
    assert all(str(player).startswith("simulated") for player in shipped.extras["player"])
    assert len(set(shipped.extras["player"].tolist())) == 6


@pytest.mark.slow
def test_shipped_file_is_made_anew_byte_for_byte(tmp_path: Path) -> None:
    players.record(seed=0).save(tmp_path / "demo.npz")
    assert (tmp_path / "demo.npz").read_bytes() == SHIPPED.read_bytes()
