"""A run of Mountain Car that is interrupted, then killed, and run again: the bits of an undisturbed one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import quantilizer
from quantilizers.policies.keras_files import content_hash
from support import ROOT, files_of

WORDS = "--dataset_name small --do train test --quantiles 1.0 0.5 0.25 --seed_nb 2 --max_epochs 40 --tolerance 0"
WORDS += " --number_trajectories 3"


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Let programs that are started hear of Ctrl-C, which those of a shell's background jobs do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def hashes(log: Path) -> dict[str, str]:
    """Hashes of the trained policies, by file name."""
    return {path.name: content_hash(path) for path in (log / "models").glob("[!.]*.keras")}


def disturbed(log: Path, number: signal.Signals, pattern: str) -> tuple[int, str]:
    """Run the command, send it a signal as soon as a file is there, and return its exit code and its output."""
    process = subprocess.Popen(
        [sys.executable, "quantilizer.py", *WORDS.split(), "--log_dir", str(log)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(log.glob(pattern)):
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as Unix does")
def test_interrupted_and_killed_in_the_middle_of_training_a_run_ends_with_the_same_bits(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(log, undisturbed)
    assert quantilizer.main([*WORDS.split(), "--log_dir", str(undisturbed)]) == 0

    code, err = disturbed(log, signal.SIGINT, "train/*/events*")
    assert code == 130
    said = err.splitlines()[-1]
    again = f"python quantilizer.py {WORDS} --log_dir {shlex.quote(str(log))}"
    assert said == f"quantilizer.py: interrupted; go on with: {again}"
    (manifest,) = (log / "runs").glob("*.json")
    assert json.loads(manifest.read_text())["outcome"] == "interrupted"
    assert not [name for name in files_of(log) if name.rpartition("/")[2].startswith(".")], "nothing half is left"

    code, _ = disturbed(log, signal.SIGKILL, "models/[!.]*.keras")
    assert code == -signal.SIGKILL
    capsys.readouterr()
    assert quantilizer.main(shlex.split(again)[2:]) == 0
    said = capsys.readouterr().out
    assert "policies are already trained" in said or len(hashes(log)) == 6
    assert hashes(log) == hashes(undisturbed)
    assert files_of(log / "rewards") == files_of(undisturbed / "rewards")
