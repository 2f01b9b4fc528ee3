"""The defaults give the same demonstrations and rewards of small runs as before, bit for bit.

`expected/defaults.json` was written by the version before the library was rebuilt, but for rewards of perceptrons,
which add gradients up in another order, and for Video Pinball, whose players are others: of its rewards only the
means are known. Demonstrations are compared everywhere. Training adds numbers up in an order that depends on the
processor and the libraries, so that rewards are compared bit for bit where these are as they were, and elsewhere by
the mean returns.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_features__

import quantilizer
from quantilizers.layout import shipped_log

EXPECTED = json.loads((Path(__file__).parent / "expected" / "defaults.json").read_text(encoding="utf-8"))
#: How far a mean return may lie from the expected one on another machine, as a fraction of the larger of the two.
TOLERANCE = 0.25
PINBALL = "VideoPinballNoFrameskip-v4"


def digest(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def same_machine() -> bool:
    """Whether processor, cores and libraries are those that the expected bits come from."""
    here = {
        "processor": sorted(name for name, there in __cpu_features__.items() if there),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    libraries = EXPECTED["machine"]["libraries"]
    try:
        found = {name: metadata.version(name) for name in libraries}
    except metadata.PackageNotFoundError:
        return False
    return {**here, "libraries": found} == EXPECTED["machine"]


@pytest.mark.parametrize("environment", EXPECTED["demonstrations"])
def test_the_demonstrations_that_ship_have_changed_in_nothing(environment: str) -> None:
    with np.load(shipped_log() / environment / "demo.npz", allow_pickle=False) as file:
        arrays = {key: digest(file[key]) for key in EXPECTED["demonstrations"][environment]}
    assert arrays == EXPECTED["demonstrations"][environment]


def check(log: Path, name: str) -> None:
    """Compare a file of rewards with what is expected of it."""
    expected: dict[str, Any] = EXPECTED["rewards"][name]
    with np.load(log / "rewards" / name, allow_pickle=False) as file:
        if same_machine():
            assert {key: digest(file[key]) for key in expected["hashes"]} == expected["hashes"]
        for kind in ("true", "proxy"):
            measured, wanted = file[f"{kind}_returns"].mean(axis=1), np.array(expected[f"{kind}_return"])
            assert measured.shape == wanted.shape
            assert (np.abs(measured - wanted) <= TOLERANCE * np.maximum(np.abs(measured), np.abs(wanted))).all()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Path]:
    """Run the command line, and give the folder of its results."""

    def run_command(words: str) -> Path:
        assert quantilizer.main([*words.split(), "--log_dir", str(tmp_path)]) == 0
        return tmp_path

    return run_command


def test_mountain_car(run: Callable[[str], Path]) -> None:
    log = run("--do train test --quantiles 1.0 0.1 --seed_nb 2 --number_trajectories 10")
    check(log, "demo_MountainCar-v0_0.npz")
    check(log, "demo_MountainCar-v0_1.npz")


def test_hopper(run: Callable[[str], Path]) -> None:
    log = run("--do train test --env_name Hopper-v2 --quantiles 0.125 --seed_nb 1 --number_trajectories 5")
    check(log, "demo_Hopper-v2_0.npz")


@pytest.mark.slow
def test_video_pinball(run: Callable[[str], Path]) -> None:
    episodes = "--seed_nb 1 --number_trajectories 2 --max_steps 200"
    log = run(f"--do train test --env_name {PINBALL} --quantiles 0.1 {episodes}")
    check(log, f"demo_{PINBALL}_0.npz")


def test_the_optimisers(run: Callable[[str], Path]) -> None:
    log = run("--do optimize --seed_nb 1 --number_trajectories 5 --optimiser_steps 2000")
    check(log, "optimiser_MountainCar-v0_0.npz")
    run("--do optimize --env_name Hopper-v2 --seed_nb 1 --number_trajectories 5 --optimiser_steps 2048")
    check(log, "optimiser_Hopper-v2_0.npz")
