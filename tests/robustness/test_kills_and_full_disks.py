"""Runs that are killed at any moment, whose disk is full, or that share a folder: no half file, and the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantilizers.arrays import load_arrays
from quantilizers.policies.keras_files import described
from support import ROOT

pytestmark = pytest.mark.slow

EPISODES = "--seed_nb 1 --number_trajectories 2"
#: A short run of every stage in every environment, and how many times it is killed.
RUNS = {
    "MountainCar-v0": (f"--do inspect train test optimize plot --max_epochs 5 --optimiser_steps 600 {EPISODES}", 8),
    "Hopper-v2": (f"--do inspect train test optimize plot --max_epochs 5 --optimiser_steps 2048 {EPISODES}", 8),
    "VideoPinballNoFrameskip-v4": (
        f"--do inspect train test plot --training_steps 2 --batch_size 16 --max_steps 40 {EPISODES}",
        4,
    ),
}


def command(environment: str, words: str, log: Path) -> list[str]:
    quantiles = ["--quantiles", "0.5", "0.25"]
    program = [sys.executable, "quantilizer.py", "--env_name", environment, *words.split(), *quantiles]
    return [*program, "--log_dir", str(log)]


def results_of(log: Path) -> dict[str, np.ndarray]:
    """Return what was measured, array by array."""
    files = sorted((log / "rewards").glob("[!.]*.npz"))
    arrays = {f"{path.name}/{key}": array for path in files for key, array in load_arrays(path, []).items()}
    # An agent's file holds the time of nothing, but its hash is of bytes that a zip writes.
    return {name: array for name, array in arrays.items() if not name.endswith("/agent")}


def check_whole(log: Path) -> None:
    """Fail if a file that a reader would find is half; hidden ones are what a kill left of those being written."""
    for path in log.rglob("[!.]*.npz"):
        load_arrays(path, [])
    for path in log.rglob("[!.]*.keras"):
        described(path)
    for path in log.rglob("[!.]*.png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path


@pytest.mark.parametrize("environment", RUNS)
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(environment: str, tmp_path: Path) -> None:
    words, kills = RUNS[environment]
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    subprocess.run(command(environment, words, undisturbed), cwd=ROOT, check=True, capture_output=True)
    generator = np.random.default_rng(0)
    for _ in range(kills):
        process = subprocess.Popen(
            command(environment, words, disturbed), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=float(generator.uniform(1.0, 12.0)))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        check_whole(disturbed)
    subprocess.run(command(environment, words, disturbed), cwd=ROOT, check=True, capture_output=True)
    expected, found = results_of(undisturbed), results_of(disturbed)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    words = f"--do train test plot --max_epochs 5 {EPISODES}"
    both = [
        subprocess.Popen(
            command("MountainCar-v0", words, tmp_path / "both"),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    # The one that came second has waited for the other.
    assert sorted("waiting for process" in err for err in said) == [False, True]
    subprocess.run(command("MountainCar-v0", words, tmp_path / "one"), cwd=ROOT, check=True, capture_output=True)
    check_whole(tmp_path / "both")
    expected, found = results_of(tmp_path / "one"), results_of(tmp_path / "both")
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("size", ["16k", "48k", "120k"])
def test_a_full_disk_is_named_in_one_line(size: str, tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        words = f"--do train test plot --max_epochs 1 {EPISODES}"
        ended = subprocess.run(
            command("MountainCar-v0", words, tmp_path / "log"), cwd=ROOT, capture_output=True, text=True
        )
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr
        said = [line for line in ended.stderr.splitlines() if line.startswith("quantilizer.py: ")]
        assert len(said) == 1
        assert "No space left on device" in said[0]
        check_whole(tmp_path / "log")
        assert not list((tmp_path / "log").rglob(".*"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
