"""Video Pinball observed by the console's memory: the games, rewards and recordings of those observed by pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from ale_py import ALEInterface, roms
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import quantilizer
import quantilizers
from quantilizers.commands.command_line import parse, settings_of
from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.registry import environment_and_options, load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.envs.video_pinball import memory
from quantilizers.envs.video_pinball.environment import scores
from quantilizers.envs.video_pinball.memory import (
    NEAR_COLUMNS,
    NEAR_LINES,
    VideoPinballMemory,
    VideoPinballMemoryVector,
)
from quantilizers.errors import UserError
from quantilizers.layout import shipped_log

PICTURES = load_environment("VideoPinballNoFrameskip-v4")
MEMORY = load_environment("VideoPinballNoFrameskip-ram-v4")
#: Of the recorded games, one whose last ball is lost after 403 steps, and one with the ball in the lane for a third.
LOST_EARLY, CHEATING = 1, 44


def recorded(chosen: list[int], steps: int) -> tuple[Episodes, npt.NDArray[np.int64]]:
    """Return recorded games, and how many steps of each are played again."""
    episodes = load_episodes(shipped_log() / PICTURES.name / "demo.npz").select(np.array(chosen))
    return episodes, np.minimum(episodes.lengths, steps)


def bare_games(episodes: Episodes, no_op_steps: npt.NDArray[np.int64]) -> list[ALEInterface]:
    """Return emulators that were set up here, from ale_py alone, after their no-ops."""
    games = []
    for steps in no_op_steps:
        game = ALEInterface()
        game.setFloat("repeat_action_probability", 0.0)
        game.loadROM(roms.get_rom_path("video_pinball"))
        game.reset_game()
        for _ in range(4 * int(steps)):
            game.act(0)
        games.append(game)
    return games


@pytest.mark.parametrize(
    ("chosen", "steps"),
    [
        ([LOST_EARLY, CHEATING], 420),
        pytest.param(list(range(30, 50)), 1000, marks=pytest.mark.slow),
    ],
)
def test_play_and_replay_are_those_of_the_emulator_and_of_the_game_seen_in_pictures(
    chosen: list[int], steps: int
) -> None:
    """Memory byte for byte; scores, ends and cheats bit for bit; wherever the pictures show the ball in the lane, the
    memory has it well within the region that is drawn."""
    episodes, lengths = recorded(chosen, steps)
    number, seeds = len(chosen), episodes.extras["seed"].tolist()
    games = [make_vector(environment, number, max_steps=30_000) for environment in (PICTURES, MEMORY)]
    pictures, own = games
    pictures.reset(seed=seeds)
    observations, _ = own.reset(seed=seeds)
    bare = bare_games(episodes, own.no_op_steps)  # type: ignore[attr-defined]
    played = np.zeros((number, steps, 128), dtype=np.uint8)
    cheats = np.zeros((number, steps), dtype=np.bool_)
    for step in range(int(lengths.max())):
        playing = lengths > step
        for vector in games:
            vector.retire(~playing)  # type: ignore[attr-defined]
        for game in np.flatnonzero(playing):
            np.testing.assert_array_equal(observations[game], bare[game].getRAM())
        played[playing, step] = observations[playing]
        actions = np.where(playing, episodes.actions[:, step, 0], 0).astype(np.int64)
        places = {}
        for game in np.flatnonzero(playing):
            for frame in range(4):
                bare[game].act(bare[game].getMinimalActionSet()[actions[game]])
                if frame == 2:
                    places[game] = bare[game].getRAM()[67:69].astype(int)
                if bare[game].game_over():
                    break
        _, *expected, info = pictures.step(actions)
        observations, *rest, about = own.step(actions)
        for one, other in zip(expected, rest, strict=True):
            np.testing.assert_array_equal(other, one)
        assert info.keys() == about.keys()
        for name in info:
            np.testing.assert_array_equal(about[name], info[name], err_msg=name)
        cheats[:, step] = info["cheat"]
        for game in np.flatnonzero(info["cheat"] & playing):
            column, line = places[game]
            assert NEAR_COLUMNS[0] + 5 < column < NEAR_COLUMNS[1] - 5
            assert NEAR_LINES[0] + 5 < line < NEAR_LINES[1] - 5
    for vector in games:
        vector.close()
    assert cheats.sum() > 50
    again = memory.replay(episodes.extras["seed"], episodes.actions[:, :steps, 0].astype(np.int64), lengths)
    np.testing.assert_array_equal(again.observations, played[:, : again.observations.shape[1]])
    np.testing.assert_array_equal(again.cheats, cheats[:, : again.cheats.shape[1]])
    for game, length in enumerate(lengths):
        np.testing.assert_array_equal(again.scores[game, :length], scores(episodes)[game, :length])
        if length == episodes.lengths[game]:
            assert again.cheats[game, :length].mean() == episodes.extras["cheat_rate"][game]


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped.*:UserWarning")
def test_gymnasium_finds_no_fault_and_both_forms_play_the_same_game() -> None:
    made = gymnasium.make("quantilizers/VideoPinballRR-ram-v0", max_steps=40, render_mode="rgb_array")
    check_env(make_environment(MEMORY, max_steps=40, render_mode="rgb_array"))
    assert made.observation_space == spaces.Box(0, 255, (128,), np.uint8)
    assert made.action_space == spaces.Discrete(9)
    vector = gymnasium.make_vec("quantilizers/VideoPinballRR-v0", num_envs=2, max_steps=40, observation="ram")
    assert isinstance(vector, VideoPinballMemoryVector)
    assert isinstance(made.unwrapped, VideoPinballMemory)
    several, _ = vector.reset(seed=[3, 4])
    single, _ = made.reset(seed=4)
    assert not np.array_equal(several[0], several[1])
    for step in range(45):
        np.testing.assert_array_equal(several[1], single)
        action = (5, 5, 1, 0, 2, 3, 4)[step % 7]
        several, *rest, _ = vector.step(np.array([0, action]))
        if step < 40:
            single, *expected, _ = made.step(action)
            assert [one[1] for one in rest] == expected
        elif step == 40:
            single, _ = made.reset()
        else:
            single = made.step(action)[0]
    assert made.render().shape == (210, 160, 3)  # type: ignore[union-attr]


def test_consoles_of_a_step_that_was_interrupted_are_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    games = VideoPinballMemoryVector(2)
    games.reset(seed=0)
    used = [game._console for game in games._games]

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(games._games[1], "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        games.step(np.array([5, 5]))
    games.close()
    later = VideoPinballMemoryVector(2)
    assert not {id(one) for one in used} & {id(game._console) for game in later._games}
    kept = {id(game._console) for game in later._games}
    later.close()
    assert kept == {id(game._console) for game in VideoPinballMemoryVector(2)._games}


def test_the_option_chooses_the_environment_and_pictures_leave_no_trace() -> None:
    words = ["--env_name", PICTURES.name, "--env_option", "lamb=2"]
    plain, pictures, ram = (
        settings_of(parse([*words, *more]), words) for more in ([], ["observation=pictures"], ["observation=ram"])
    )
    assert pictures.conditions() == plain.conditions()
    assert (pictures.environment.name, pictures.options) == (PICTURES.name, {"lamb": 2.0})
    assert (ram.environment.name, ram.options) == (MEMORY.name, {"lamb": 2.0})
    assert ram.environment.experiment.scaling == "standard"
    assert (ram.max_steps, ram.number_trajectories) == (plain.max_steps, plain.number_trajectories)
    assert ram.layout.found_data == plain.layout.found_data
    assert ram.layout.data == plain.layout.data
    for product in ("study", "report", "imitators", "pressure"):
        assert getattr(ram.layout, product) != getattr(plain.layout, product)
    assert ram.layout.model(1.0, 0) != plain.layout.model(1.0, 0)
    assert f"--env_name {MEMORY.name}" in ram.command_for("train")
    assert MEMORY.name not in environment_names()


@pytest.mark.parametrize("environment", [PICTURES.name, PICTURES])
def test_python_takes_the_option_as_the_command_line_does(environment: Any) -> None:
    assert quantilizers.make_environment(environment, observation="ram").observation_space == MEMORY.observation_space
    vector = quantilizers.make_vector(environment, 1, observation="ram")
    assert vector.single_observation_space == MEMORY.observation_space
    recorded = quantilizers.record(environment, lambda _: 0, 1, max_steps=2, options={"observation": "ram"})
    assert Demonstrations(recorded, MEMORY).with_observations().episodes.observations.shape == (1, 2, 128)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (PICTURES.name, "rma", "'rma'; did you mean ram\\? it is pictures or ram"),
        (PICTURES.name, "7", "'7'; it is pictures or ram"),
        (MEMORY.name, "pictures", f"does not observe pictures; name {PICTURES.name}"),
        ("Hopper-v2", "ram", "Hopper-v2 has no option 'observation'"),
    ],
)
def test_observations_that_there_are_not_are_refused_in_one_line(
    name: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=message):
        environment_and_options(name, {"observation": value})
    words = ["--do", "inspect", "--env_name", name, "--env_option", f"observation={value}", "--log_dir", str(tmp_path)]
    assert quantilizer.main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "observ" in said[0]
    assert not list(tmp_path.iterdir())


def test_recordings_of_pictures_serve_if_they_can_be_replayed(tmp_path: Path) -> None:
    own = Demonstrations.load("demo", PICTURES.name, {"observation": "ram"})
    of_pictures = Demonstrations.load("demo", PICTURES.name)
    assert own.environment.name == MEMORY.name
    np.testing.assert_array_equal(own.proxy_returns, of_pictures.proxy_returns)
    np.testing.assert_array_equal(own.true_returns, of_pictures.true_returns)
    assert own.fingerprint == of_pictures.fingerprint
    replayed = own.select(np.array([LOST_EARLY])).with_observations().episodes
    assert replayed.observations.shape == (1, 403, 128)
    assert replayed.observations.dtype == np.uint8
    seen = np.zeros((1, 3, 4, 84, 84), dtype=np.uint8)
    with pytest.raises(WrongEnvironmentError, match="ram-v4 has \\(128,\\)"):
        Demonstrations(Episodes(seen, np.zeros((1, 3, 1)), np.zeros((1, 3)), np.zeros((1, 3), dtype=bool)), MEMORY)
    assert MEMORY.recordings.load_folder is not None
    with pytest.raises(UserError, match="without --env_option observation=ram"):
        MEMORY.recordings.load_folder(tmp_path, tmp_path)
