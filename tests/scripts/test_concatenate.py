from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box

import concatenate as script
from quantilizers.datasets import bringing_in
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes, load_episodes
from quantilizers.envs.registry import load_environment

CAR = load_environment("MountainCar-v0")
Merge = Callable[..., tuple[int, str, str]]


@pytest.fixture
def merge(capsys: pytest.CaptureFixture[str]) -> Merge:
    def run(*words: str | Path) -> tuple[int, str, str]:
        code = script.main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def recordings(tmp_path: Path, car_demonstrations: Demonstrations) -> Path:
    """Three recordings of different players, lengths and extras."""
    folder = tmp_path / "recordings"
    who = {"player": np.array(["Ada", "Ada"]), "recorded_at": np.array(["2024-05-01T10:00:00+02:00", ""])}
    parts = [car_demonstrations.episodes.select(np.arange(start, start + 2)) for start in (0, 4, 8)]
    replace(parts[0], extras={**who, "seed": np.array([1, 2])}).save(folder / "b.npz")
    replace(parts[1], extras={"player": np.array(["Grace", "Grace"])}).save(folder / "c.npz")
    parts[2].save(folder / "a.npz")
    return folder


def test_recordings_become_one_file(merge: Merge, recordings: Path, car_demonstrations: Demonstrations) -> None:
    output = recordings.parent / "merged.npz"
    code, out, _ = merge("--path", recordings, "--output_file", output)
    assert code == 0
    assert "6 episodes of MountainCar-v0 from 3 files" in out
    merged = load_episodes(output)
    expected = car_demonstrations.episodes.select(np.array([8, 9, 0, 1, 4, 5]))
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(expected, name))
    assert merged.extras["source_file"].tolist() == ["a.npz", "a.npz", "b.npz", "b.npz", "c.npz", "c.npz"]
    assert merged.extras["player"].tolist() == ["", "", "Ada", "Ada", "Grace", "Grace"]
    assert merged.extras["seed"].tolist() == [-1, -1, 1, 2, -1, -1]
    assert merged.extras["recorded_at"].tolist() == ["", "", "2024-05-01T10:00:00+02:00", "", "", ""]


def test_merging_the_merged_keeps_where_episodes_come_from(
    merge: Merge, recordings: Path, car_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    merge("--path", recordings, "--output_file", tmp_path / "second" / "merged.npz")
    car_demonstrations.episodes.select(np.array([11])).save(tmp_path / "second" / "later.npz")
    assert merge("--path", tmp_path / "second", "--output_file", tmp_path / "third.npz")[0] == 0
    sources = load_episodes(tmp_path / "third.npz").extras["source_file"].tolist()
    assert sources == ["later.npz", "a.npz", "a.npz", "b.npz", "b.npz", "c.npz", "c.npz"]


def test_the_output_in_the_same_folder_is_no_input(merge: Merge, recordings: Path) -> None:
    output = recordings / "everyone.npz"
    assert merge("--path", recordings, "--output_file", output)[0] == 0
    before = output.read_bytes()
    code, _, error = merge("--path", recordings, "--output_file", output)
    assert code == 2
    assert "--force" in error
    assert output.read_bytes() == before
    assert merge("--path", recordings, "--output_file", output, "--force")[0] == 0
    assert load_episodes(output).number == 6


def test_an_episode_is_not_merged_twice(merge: Merge, recordings: Path, tmp_path: Path) -> None:
    merge("--path", recordings, "--output_file", recordings / "everyone.npz")
    code, _, error = merge("--path", recordings, "--output_file", tmp_path / "twice.npz")
    assert code == 2
    assert "the same episode" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "twice.npz").exists()


def test_environments_are_not_mixed(
    merge: Merge, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second environment, which differs from Mountain Car by its observations of three numbers."""
    wide = Box(-1, 1, (3,), np.float32)
    other = replace(CAR, name="Other-v0", spaces=(wide, CAR.action_space))
    environments = {"MountainCar-v0": CAR, "Other-v0": other}
    monkeypatch.setattr(bringing_in, "environment_names", lambda: list(environments))
    monkeypatch.setattr(bringing_in, "load_environment", environments.__getitem__)
    Episodes(
        observations=np.ones((1, 2, 3)),
        actions=np.ones((1, 2, 1)),
        true_rewards=np.ones((1, 2)),
        done=np.zeros((1, 2), dtype=np.bool_),
    ).save(recordings / "d.npz")
    code, _, error = merge("--path", recordings, "--output_file", tmp_path / "mixed.npz")
    assert code == 2
    assert "MountainCar-v0 and d.npz of Other-v0" in error
    assert not (tmp_path / "mixed.npz").exists()


@pytest.mark.parametrize(
    ("path", "output", "problem"),
    [
        ("nowhere", "x.npz", "not a folder"),
        ("empty", "x.npz", "no .npz"),
        ("recordings", "x", "must end in .npz"),
        ("broken", "x.npz", "broken.npz"),
    ],
)
def test_what_cannot_be_merged_is_one_line(
    merge: Merge, recordings: Path, tmp_path: Path, path: str, output: str, problem: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.npz").write_bytes(b"nonsense")
    code, _, error = merge("--path", tmp_path / path, "--output_file", tmp_path / output)
    assert code == 2
    assert problem in error
    assert error.count("\n") == 1


def test_what_only_some_files_know_of_each_step_is_told(
    merge: Merge, tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    parts = [car_demonstrations.episodes.select(np.arange(start, start + 2)) for start in (0, 4)]
    extras = {"info_speed": np.zeros(parts[0].done.shape), FINAL_OBSERVATION: np.zeros((2, 2), dtype=np.float32)}
    replace(parts[0], extras=extras).save(tmp_path / "in" / "a.npz")
    parts[1].save(tmp_path / "in" / "b.npz")
    code, out, _ = merge("--path", tmp_path / "in", "--output_file", tmp_path / "merged.npz")
    assert code == 0
    assert "info_speed was left out" in out
    merged = load_episodes(tmp_path / "merged.npz")
    assert set(merged.extras) == {FINAL_OBSERVATION, "source_file"}
    assert merged.final_observations is None


MINE = """
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.rewards import own

ENVIRONMENT = EnvironmentDefinition("MountainCar-v0", own, max_steps=200, name="Mine")
"""


def test_recordings_of_an_environment_of_ones_own(merge: Merge, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    words = ["--path", recordings, "--output_file", tmp_path / "merged.npz"]
    code, out, _ = merge(*words, "--env_name", f"{tmp_path / 'mine.py'}:ENVIRONMENT")
    assert code == 0
    assert "6 episodes of Mine from 3 files" in out
