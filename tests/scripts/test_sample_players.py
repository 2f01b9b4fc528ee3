from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.studies.base_distribution import BaseDistribution
from simulated_players import hopper, mountain_car
from support import ROOT


def sample(output: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/sample_players.py", "--output", str(output), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.npz" for name in ("one", "again", "other")]
    for file, seed in zip(files, ("0", "0", "1"), strict=True):
        ended = sample(file, "--episodes", "60", "--starts", "4", "--seed", seed)
        assert ended.returncode == 0, ended.stderr
        assert "simulated players, sampled 60 episodes" in ended.stdout
    one, again, other = (file.read_bytes() for file in files)
    assert one == again != other
    base = BaseDistribution.load(files[0])
    assert (base.number, base.seed, base.starts) == (60, 0, 4)
    assert "scripts/sample_players.py --env_name MountainCar-v0 --episodes 60 --seed 0 --starts 4" in base.made_by


@pytest.mark.parametrize(
    "words",
    [
        ["--env_name", "Pong"],
        ["--episodes", "0"],
        ["--seed", "-1"],
        ["--practise"],
        ["--episodes", "many"],
        ["--episodes", "61"],
        ["--starts", "0"],
        ["--env_name", "Hopper-v2", "--starts", "5"],
    ],
)
def test_what_is_impossible_is_one_line_and_exit_code_2(tmp_path: Path, words: list[str]) -> None:
    ended = sample(tmp_path / "base.npz", *words)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "base.npz").exists()


def test_mountain_cars_players_are_drawn_from_a_range_of_skill() -> None:
    few = mountain_car.sample(40, np.random.default_rng(0), 0.5, 0.75)
    numbers = {int(name.split()[-1]) for name in few.extras["player"]}
    assert numbers <= set(range(25, 37))
    assert len(numbers) > 5
    everyone = mountain_car.sample(400, np.random.default_rng(0))
    assert len(set(everyone.extras["player"])) > 45


def test_players_are_drawn_at_random_from_the_same_starts() -> None:
    (some,) = mountain_car.sample_starts(3, 100, np.random.default_rng(0))
    for first in (0, 100, 200):
        of_start = slice(first, first + 100)
        assert len(set(some.extras["seed"][of_start])) == 1
        assert len(np.unique(some.observations[of_start, 0], axis=0)) == 1
        assert len(set(some.extras["player"][of_start])) > 30
    assert len(np.unique(some.observations[:, 0], axis=0)) == 3


def test_hoppers_players_are_drawn_from_days_of_practice() -> None:
    """Attempts before practice are as those that ship; those on the last days get further."""
    environment = load_environment("Hopper-v2")
    first = hopper.sample(30, np.random.default_rng(0), 0, 0)
    assert set(first.extras["rounds_practised"]) == {0}
    last = hopper.sample(30, np.random.default_rng(0), 0.8, 1)
    assert set(last.extras["rounds_practised"]) == {120, 150}
    assert len(set(last.extras["player"])) == 6
    assert last.true_returns.mean() > first.true_returns.mean() + 100
    # In the order in which they were drawn, not player by player.
    assert list(last.extras["player"]) != sorted(last.extras["player"])
    assert Demonstrations(last, environment).proxy_returns.std() > 0


def test_hoppers_skills_are_those_of_the_players_before_practice() -> None:
    skills = hopper.practised_skills()
    assert skills.shape == (6, 6, 3, 12)
    assert not skills[:, 0].any()
    assert (np.abs(skills[:, 1:]).max(axis=(2, 3)) > 0).all()
