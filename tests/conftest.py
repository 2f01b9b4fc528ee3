"""Fixtures and settings that several tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

# Tests open no windows on the screen.
os.environ["SDL_VIDEODRIVER"] = "dummy"

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.making import make_vector
from quantilizers.envs.registry import load_environment
from quantilizers.execution.executor import Executor
from quantilizers.execution.worker_processes import executor_for, keeping_processes


@pytest.fixture(scope="session")
def human() -> Demonstrations:
    """The twenty episodes of Mountain Car that a person played, which ship."""
    return Demonstrations.load("lets-do-irl", "MountainCar-v0")


@pytest.fixture(scope="session")
def car_demonstrations() -> Demonstrations:
    """Twelve short episodes of Mountain Car, by a driver who swings, with ever more random pushes."""
    number, steps = 12, 160
    environment = load_environment("MountainCar-v0")
    generator = np.random.default_rng(5)
    cars = make_vector(environment, number, max_steps=steps)
    seen, _ = cars.reset(seed=100)
    observations = np.zeros((number, steps, 2), dtype=np.float32)
    actions = np.zeros((number, steps, 1), dtype=np.float32)
    rewards = np.zeros((number, steps), dtype=np.float32)
    done = np.ones((number, steps), dtype=np.bool_)
    running = np.ones(number, dtype=np.bool_)
    for step in range(steps):
        random = generator.random(number) < np.linspace(0.0, 0.9, number)
        pushes = np.where(random, generator.integers(3, size=number), np.where(seen[:, 1] < 0, 0, 2))
        observations[running, step], actions[running, step, 0] = seen[running], pushes[running]
        done[running, step] = False
        seen, _, terminated, truncated, info = cars.step(pushes)
        rewards[running, step] = info["true_reward"][running]
        cars.retire(running & (terminated | truncated))
        running &= ~(terminated | truncated)
    return Demonstrations(Episodes(observations, actions, rewards, done), environment)


@pytest.fixture(scope="session", autouse=True)
def _processes_stay() -> Iterator[None]:
    """Keep the processes of `--workers` for all tests."""
    with keeping_processes():
        yield


@pytest.fixture
def two_processes() -> Iterator[Executor]:
    """The two processes that `--workers 2` works with, too."""
    with executor_for(2, None) as executor:
        yield executor


@pytest.fixture
def log(tmp_path: Path, car_demonstrations: Demonstrations) -> Path:
    """A log folder of the test's own, with the data set `small`."""
    folder = tmp_path / "log"
    car_demonstrations.episodes.save(folder / "MountainCar-v0" / "small.npz")
    return folder


@pytest.fixture
def run(log: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line on that log folder; give its exit code, standard output and standard error."""
    import quantilizer

    def run_command(*words: str) -> tuple[int, str, str]:
        code = quantilizer.main(["--log_dir", str(log), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command
