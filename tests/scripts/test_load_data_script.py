"""`load_data.sh` from any folder and in small shells; `tests/commands/test_load_data.py` tests the program."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import load_episodes
from support import ROOT

ENVIRONMENT = f"""\
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
ensure_environment() {{
    test -f "$ROOT/$1" || exit 3
    PYTHON='{sys.executable}'
}}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project, whose environment is the one that the tests run in; its path has a space."""
    folder = tmp_path / "my checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copytree(ROOT / "quantilizers", folder / "quantilizers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "scripts" / "load_data.sh", folder / "scripts")
    shutil.copy(ROOT / "requirements.txt", folder)
    (folder / "scripts" / "environment.sh").write_text(ENVIRONMENT)
    return folder


@pytest.fixture
def archive(tmp_path: Path, car_demonstrations: Demonstrations) -> Path:
    content = io.BytesIO()
    car_demonstrations.episodes.save(tmp_path / "ryan.npz")
    with zipfile.ZipFile(content, "w") as target:
        target.write(tmp_path / "ryan.npz", "MountainCar-v0/ryan.npz")
    path = tmp_path / "elsewhere" / "data.zip"
    path.parent.mkdir()
    path.write_bytes(content.getvalue())
    return path


def load(shell: list[str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CDPATH": "/usr", "PYTHONPATH": ""}
    return subprocess.run([*shell, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("shell", [["sh"], ["dash"], ["busybox", "sh"], ["bash", "--posix"]], ids=" ".join)
def test_in_every_shell_from_any_folder(
    checkout: Path, archive: Path, car_demonstrations: Demonstrations, shell: list[str]
) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    # As in the README, from scripts/, and from another folder, to which the path of --from is relative.
    ended = load(shell, checkout / "scripts", "load_data.sh", "--from", str(archive))
    assert ended.returncode == 0, ended.stderr
    arrived = checkout / "log" / "MountainCar-v0" / "ryan.npz"
    brought = load_episodes(arrived)
    assert brought.lengths.tolist() == car_demonstrations.lengths.tolist()
    arrived.unlink()
    ended = load(shell, archive.parent, str(checkout / "scripts" / "load_data.sh"), "--from", "data.zip")
    assert ended.returncode == 0, ended.stderr
    assert arrived.exists()


def test_a_failure_is_one_line_and_an_exit_code(checkout: Path) -> None:
    ended = load(["sh"], checkout, "scripts/load_data.sh", "--from", "nothing.zip")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    # Nothing listens on this port.
    ended = load(["sh"], checkout, "scripts/load_data.sh", "--url", "http://127.0.0.1:9/data.zip")
    assert ended.returncode == 1
    assert [line.startswith("load_data.sh: http://127.0.0.1:9/") for line in ended.stderr.splitlines()] == [False, True]
    assert ended.stdout == ""
    assert not (checkout / "log").exists()


def test_wrong_arguments_are_exit_code_2(checkout: Path) -> None:
    assert load(["sh"], checkout, "scripts/load_data.sh", "--frm", "x.zip").returncode == 2
