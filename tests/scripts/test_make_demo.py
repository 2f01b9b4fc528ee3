from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from quantilizers.demonstrations.episodes import load_episodes
from support import ROOT


def make(output: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/make_demo.py", "--output", str(output), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_shipped_mountain_car_demonstrations_are_what_the_script_makes(tmp_path: Path) -> None:
    ended = make(tmp_path / "demo.npz")
    assert ended.returncode == 0, ended.stderr
    assert "simulated" in ended.stdout
    shipped = ROOT / "log" / "MountainCar-v0" / "demo.npz"
    assert shipped.stat().st_size < 1_000_000
    again, kept = load_episodes(tmp_path / "demo.npz"), load_episodes(shipped)
    # Another machine's cosine may differ in the last bit, and its zlib in its bytes.
    np.testing.assert_array_equal(again.actions, kept.actions)
    np.testing.assert_allclose(again.observations, kept.observations, atol=1e-5)
    assert again.final_observations is not None
    assert kept.final_observations is not None
    np.testing.assert_allclose(again.final_observations, kept.final_observations, atol=1e-5)
    assert make(tmp_path / "again.npz").returncode == 0
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "demo.npz").read_bytes()
    assert make(tmp_path / "other.npz", "--seed", "1").returncode == 0
    assert (tmp_path / "other.npz").read_bytes() != (tmp_path / "demo.npz").read_bytes()


def test_an_unknown_environment_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = make(tmp_path / "demo.npz", "--env_name", "Pong")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "demo.npz").exists()


def test_an_environment_of_ones_own_has_no_simulated_players(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from quantilizers.envs.definition import EnvironmentDefinition\n"
        "from quantilizers.rewards import own\n"
        "ENVIRONMENT = EnvironmentDefinition('MountainCar-v0', own, max_steps=200, name='Mine')\n"
    )
    ended = make(tmp_path / "demo.npz", "--env_name", str(tmp_path / "mine.py"))
    assert ended.returncode == 2
    assert "Mine has no simulated players" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_more_players_make_another_file_and_leave_what_ships(tmp_path: Path) -> None:
    ended = make(tmp_path / "many.npz", "--players", "7", "--seed", "1")
    assert ended.returncode == 0, ended.stderr
    players = load_episodes(tmp_path / "many.npz").extras["player"]
    assert sorted(set(players)) == [f"simulated player {number}" for number in range(7)]
    assert make(tmp_path / "one.npz", "--players", "1").returncode == 2
    assert make(tmp_path / "hopper.npz", "--players", "7", "--env_name", "Hopper-v2").returncode == 2
    command = [sys.executable, "scripts/make_demo.py", "--players", "7"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--players needs --output" in ended.stderr


def test_other_populations_are_of_mountain_car(tmp_path: Path) -> None:
    ended = make(tmp_path / "poor.npz", "--players", "3", "--population", "poor")
    assert ended.returncode == 0, ended.stderr
    assert load_episodes(tmp_path / "poor.npz").true_returns.mean() < -190
    ended = make(tmp_path / "hopper.npz", "--population", "poor", "--env_name", "Hopper-v2")
    assert ended.returncode == 2
    assert "--population is for MountainCar-v0; the players of Hopper-v2 are fixed" in ended.stderr
