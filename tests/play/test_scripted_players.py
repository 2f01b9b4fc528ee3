"""`quantilizers.record`: episodes of players who are programs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from quantilizers import Demonstrations, Episodes, UserError, make_environment, record
from quantilizers.demonstrations.episodes import concatenate
from quantilizers.envs.actions import environment_action, file_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.rewards import each_step, own
from support import ROOT

LEANING = EnvironmentDefinition(
    "CartPole-v1", own + each_step(lambda steps: steps.observations[:, 2].astype(float)), max_steps=40, name="leaning"
)


def follow(observation: Any) -> int:
    return int(observation[2] > 0)


def drift(observation: Any, random: np.random.Generator) -> int:
    return int(random.integers(2)) if random.random() < 0.5 else follow(observation)


def test_the_recorded_episodes_are_those_that_were_played() -> None:
    recorded = record(LEANING, drift, 3, player="simulated drifter", seed=7)
    game = make_environment(LEANING)
    for index in range(3):
        game.reset(seed=int(recorded.extras["seed"][index]))
        for step in range(int(recorded.lengths[index])):
            _, proxy, terminated, truncated, info = game.step(int(recorded.actions[index, step, 0]))
            assert info["true_reward"] == recorded.true_rewards[index, step]
            assert proxy == pytest.approx(float(Demonstrations(recorded, LEANING).proxy_rewards[index, step]), abs=1e-6)
        assert terminated or truncated
    assert recorded.extras["player"].tolist() == ["simulated drifter"] * 3


def test_the_same_seed_gives_the_same_file_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a.npz", 1), ("b.npz", 1), ("c.npz", 2)):
        record(LEANING, drift, 2, seed=seed).save(str(tmp_path / name))
    files = [(tmp_path / name).read_bytes() for name in ("a.npz", "b.npz", "c.npz")]
    assert files[0] == files[1] != files[2]


def test_reset_seeds_names_and_further_arrays_are_kept() -> None:
    players = [follow, drift]
    recorded = record(LEANING, players, player=["Ada", "Ben"], seed=[5, 2**62], extras={"group": ["a", "b"]})
    assert recorded.number == 2
    assert recorded.extras["seed"].tolist() == [5, 2**62]
    assert recorded.extras["player"].tolist() == ["Ada", "Ben"]
    assert recorded.extras["group"].tolist() == ["a", "b"]


def test_a_recording_is_cut_and_takes_options() -> None:
    weighed = EnvironmentDefinition(
        "CartPole-v1", lambda weight: weight * own, max_steps=40, name="weighed", options={"weight": 2.0}
    )
    assert record(weighed, follow, 2, max_steps=3).lengths.tolist() == [3, 3]
    with pytest.raises(UserError, match="no option 'wait'; did you mean weight"):
        record(weighed, follow, 2, options={"wait": 3})


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda _: 2, r"in step 1 from seed 3, returned 2, which is not in Discrete\(2\)"),
        (lambda _: 0.5, "returned 0.5, which is not in"),
        (lambda _: None, "returned None, which is not in"),
        (lambda _: [0, 1], r"returned \[0, 1\], which is not in"),
        (lambda seen: seen["x"], r"failed: IndexError: only integers.*test_scripted_players.py, line \d+"),
        (lambda _: sys.exit(4), r"failed: SystemExit: 4 \(test_scripted_players.py"),
    ],
)
def test_a_player_who_fails_is_named_with_the_step(act: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        record(LEANING, act, 1, player="simulated fool", seed=[3])
    assert "act of simulated fool" in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "episodes is 0; give a whole number from 1 on"),
        ({}, "episodes is None"),
        ({"episodes": True}, "episodes is True"),
        ({"episodes": 2, "player": ["a", "b", "c"]}, "3 names for 2 episodes"),
        ({"episodes": 2, "seed": [1]}, "a reset seed from 0 on for each of 2 episodes"),
        ({"episodes": 1, "seed": [-1]}, "a reset seed from 0 on"),
        ({"episodes": 2, "extras": {"group": ["a"]}}, r"group has shape \(1,\)"),
    ],
)
def test_impossible_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        record(LEANING, follow, **arguments)


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (spaces.Discrete(3, start=-1), -1),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), [[1, 2], [3, 4]]),
        (spaces.MultiBinary(3), np.array([0, 1, 1])),
        (spaces.Box(-1, 1, (2,)), [0.5, -0.25]),
        (spaces.Box(0, 9, (), dtype=np.int64), 4),
    ],
)
def test_an_action_in_the_form_of_files_becomes_the_environments_again(space: Any, action: Any) -> None:
    assert np.array_equal(environment_action(file_action(action, space), space), action)


class _Counting(gymnasium.Env[Any, Any]):
    """Three steps; its two actions are numbers in a Box."""

    observation_space = spaces.Box(0, 3, (1,))
    action_space = spaces.Box(-1, 1, (2,))

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        moved = float(np.sum(action))
        return np.full(1, self.steps, dtype=np.float32), moved, self.steps == 3, False, {"moved": moved}


def test_fields_of_the_info_that_rewards_read_are_recorded() -> None:
    moving = EnvironmentDefinition(
        _Counting, each_step(lambda steps: steps.info["moved"], info=("moved",)), max_steps=10, name="counting"
    )
    recorded = record(moving, lambda _: [0.5, 0.25], 2)
    assert recorded.step_info["moved"].tolist() == [[0.75] * 3] * 2
    assert Demonstrations(recorded, moving).proxy_returns.tolist() == [2.25, 2.25]


def test_the_example_records_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    example = importlib.import_module("hurried_cart_pole_players")
    monkeypatch.setattr(example, "PLAYERS", 3)
    recorded: Episodes = example.episodes_of_all(seed=0)
    assert recorded.number == 12
    assert len(np.unique(recorded.extras["player"])) == 3


def test_an_episode_that_was_cut_is_told_from_one_that_ended() -> None:
    fallen = record(LEANING, lambda _: 0, 1)
    cut = record(LEANING, lambda _: 0, 1, max_steps=3)
    assert fallen.extras["terminated"].tolist() == [True]
    assert cut.extras["terminated"].tolist() == [False]
    assert concatenate([fallen, cut]).extras["terminated"].tolist() == [True, False]
    older = replace(cut, extras={key: value for key, value in cut.extras.items() if key != "terminated"})
    assert "terminated" not in concatenate([fallen, older]).extras


@pytest.mark.parametrize("act", [None, 3, [], [None], "left"])
def test_what_is_no_player_is_named(act: Any) -> None:
    with pytest.raises(UserError, match=r"act is .*; give a function of an observation, or a list with one for each"):
        record("MountainCar-v0", act, 1)
