"""Runs that are killed at any moment, whose disk is full, or that share a folder: no half file, and the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.arrays import load_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.policies.keras_files import content_hash, recipe_of
from robustness_settings import KILLS, SEED
from support import ROOT

pytestmark = pytest.mark.slow

EPISODES = "--seed_nb 1 --number_trajectories 2 --quantiles 1.0 0.5"
STAGES = "--do inspect train test optimize pressure plot study analyze report"
#: A short run of every stage in every environment: the stages, and the planner's; and the files that the run is killed
#: over, one kill each: the stages, as far as they get, and a part of the path.
PLANNER = "--algorithm planner --do efforts"
RUNS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "MountainCar-v0": (
        f"--dataset_name lets-do-irl --max_epochs 2 --optimiser_steps 600 --max_steps 30 --subsets 2 {EPISODES} "
        f"{STAGES} imitators",
        f"--dataset_name lets-do-irl --optimiser_steps 3 --max_steps 30 {EPISODES} {PLANNER}",
        ("train/lets", "models/.lets", "rewards/.lets", "train/optimiser", "mean_seeds", "study/lets", "study/.lets",
         "report/.", "imitators"),
    ),
    "Hopper-v2": (
        f"--max_epochs 2 --optimiser_steps 2048 --max_steps 20 --subsets 2 {EPISODES} {STAGES}",
        f"--optimiser_steps 2 --max_steps 20 {EPISODES} {PLANNER}",
        ("train/demo", "models/.demo", "rewards/.demo", "train/optimiser", "mean_seeds", "study/demo", "study/.demo",
         "report/."),
    ),
    "VideoPinballNoFrameskip-v4": (
        f"--dataset_name few --training_steps 2 --batch_size 16 --optimiser_steps 200 --max_steps 30 --subsets 2 "
        f"{EPISODES} {STAGES}",
        f"--dataset_name few --optimiser_steps 1 --max_steps 8 {EPISODES} {PLANNER}",
        ("models/.few", "rewards/.few", "train/optimiser", "study/few", "report/."),
    ),
}  # fmt: skip
#: Entries beside results that depend on when and where they were made.
MOMENTS = ("versions", "seconds", "command", "started", "finished")


class Runs:
    """Runs of the command line in an environment, which may be killed."""

    def __init__(self, environment: str, folder: Path) -> None:
        self.words = ["--env_name", environment]
        self.said = folder / "said.txt"
        self._process = subprocess.Popen(
            [sys.executable, "tests/killing.py"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, words: str, log: Path, **kill: Any) -> int:
        """Return the exit code of a run; a killed one has that of the signal, below 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {
            "words": [*self.words, "--log_dir", str(log), *words.split()],
            "said": str(self.said),
            "kill": kill or None,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self, words: str, log: Path) -> None:
        """Run to the end, and fail where it does not end well."""
        assert self.run(words, log) == 0, self.said.read_text()[-2000:]

    def close(self) -> None:
        self._process.communicate()


def write_few(environment: str, log: Path) -> None:
    """Write the first games that ship as the data set `few`: making the pictures of all of them takes minutes."""
    few = Demonstrations.load("demo", environment).episodes.select(slice(6))
    few.save(log / environment / "few.npz")


def command(environment: str, words: str, log: Path) -> list[str]:
    program = [sys.executable, "quantilizer.py", "--env_name", environment, *words.split()]
    return [*program, "--log_dir", str(log)]


def results_of(log: Path) -> dict[str, Any]:
    """Return the contents of policies, measurements and results, by file."""
    found: dict[str, Any] = {path.name: content_hash(path) for path in (log / "models").glob("[!.]*.keras")}
    for path in (log / "rewards").glob("[!.]*.npz"):
        # An agent's file holds the time of nothing, but its hash is of bytes that a zip writes.
        found |= {f"{path.name}/{key}": one.tobytes() for key, one in load_arrays(path, []).items() if key != "agent"}
    for path in [*(log / "study").glob("[!.]*.json"), *(log / "fig").glob("[!.]*.json")]:
        told = path.read_text().replace(str(log), "log")
        found[path.name] = {key: value for key, value in json.loads(told).items() if key not in MOMENTS}
    return found


def check_same(undisturbed: Path, disturbed: Path) -> int:
    """Compare what two runs have made, and return how many contents they are."""
    expected, found = results_of(undisturbed), results_of(disturbed)
    assert expected.keys() == found.keys()
    for name, content in expected.items():
        assert found[name] == content, name
    return len(found)


def check_whole(log: Path) -> None:
    """Fail if a file that a reader would find is half; hidden ones are what a kill left of those being written."""
    for path in log.rglob("[!.]*.npz"):
        load_arrays(path, [])
    for path in log.rglob("[!.]*.keras"):
        recipe_of(path)
    for path in log.rglob("[!.]*.png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("environment", RUNS)
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(
    environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages, planner, targets = RUNS[environment]
    runs, undisturbed = Runs(environment, tmp_path), tmp_path / "undisturbed"
    write_few(environment, undisturbed)
    for words in (stages, planner):
        runs.finish(words, undisturbed)
    generator = np.random.default_rng(SEED)
    kills = same = rounds = 0
    while kills < KILLS:
        before, disturbed = kills, tmp_path / f"disturbed{rounds}"
        write_few(environment, disturbed)
        for words, over in ((stages, targets), (planner, ("study/.optimiser",))):
            for target in over:
                code = runs.run(words, disturbed, target=target, delay=float(generator.uniform(0.0, 0.05)))
                assert code in (0, -signal.SIGKILL), runs.said.read_text()[-2000:]
                kills += code != 0
                check_whole(disturbed)
            runs.finish(words, disturbed)
        same += check_same(undisturbed, disturbed)
        rounds += 1
        with capsys.disabled():
            print(f"\n{environment}: {rounds} runs killed {kills} times, {same:,} contents compared; seed {SEED}")
        # A file that is written once may be whole before the kill comes, and the stage at its end.
        assert kills - before >= len(targets) - 1
    runs.close()


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
    # The second run has waited for the first.
    assert sorted("waiting for process" in err for err in said) == [False, True]
    subprocess.run(command("MountainCar-v0", words, tmp_path / "one"), cwd=ROOT, check=True, capture_output=True)
    check_whole(tmp_path / "both")
    assert results_of(tmp_path / "one") == results_of(tmp_path / "both")


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
