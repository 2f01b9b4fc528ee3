"""Programs that run in a folder full of files that are named as modules: none of these files is imported."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from support import ROOT

#: A file of that name tells what imports it, and fails.
SHOUT = "open({heard!r}, 'a').write(__name__ + chr(10))\nraise SystemExit(77)\n"
SMALL = (
    "--env_name", "MountainCar-v0", "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2",
    "--number_trajectories", "2", "--max_epochs", "2", "--max_steps", "20",
)  # fmt: skip
DRAWING = """
import os, sys
sys.path[:] = [one for one in sys.path if one] + [{root!r}]
from quantilizers.envs.making import choose_off_screen_gl
from quantilizers.errors import UserError
try:
    choose_off_screen_gl(dict(os.environ))
except UserError as error:
    print(error)
"""


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """A file that names what was imported; the folder with the modules is `evil`."""
    path, folder = tmp_path / "heard", tmp_path / "evil"
    folder.mkdir()
    for name in {*sys.stdlib_module_names, *packages_distributions(), "quantilizers", "sitecustomize"}:
        (folder / f"{name.partition('.')[0]}.py").write_text(SHOUT.format(heard=str(path)))
    return path


def run_there(heard: Path, *words: str) -> subprocess.CompletedProcess[str]:
    folder = heard.parent / "evil"
    ended = subprocess.run([*words], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    imported = sorted(set(heard.read_text().split())) if heard.exists() else []
    assert imported == [], ended.stderr[-2000:]
    return ended


def test_the_modules_shout(heard: Path) -> None:
    with pytest.raises(AssertionError, match="json"):
        run_there(heard, sys.executable, "-c", "import json")


@pytest.mark.parametrize("parallel", [(), ("--workers", "2")])
def test_a_run_and_its_processes_import_none(heard: Path, log: Path, parallel: tuple[str, ...]) -> None:
    stages = ("--do", "train", "test", *(() if parallel else ("report",)))
    words = (sys.executable, str(ROOT / "quantilizer.py"), *stages, *SMALL, "--log_dir", str(log), *parallel)
    ended = run_there(heard, *words)
    assert ended.returncode == 0, ended.stderr


def test_a_trial_of_opengl_imports_none(heard: Path) -> None:
    # -P is for this process, not for those that it starts.
    ended = run_there(heard, sys.executable, "-P", "-c", DRAWING.format(root=str(ROOT)))
    assert ended.returncode == 0, ended.stderr


def test_load_data_imports_none(heard: Path, tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    car_demonstrations.episodes.save(tmp_path / "ryan.npz")
    with zipfile.ZipFile(tmp_path / "evil" / "data.zip", "w") as archive:
        archive.write(tmp_path / "ryan.npz", "MountainCar-v0/ryan.npz")
    script = (ROOT / "scripts" / "load_data.sh").read_text()
    # Its environment is the one that the tests run in.
    before = script.index('. "$(dirname'), script.index("# Not `cd`")
    place = f"ROOT={ROOT}\nPYTHON={sys.executable}\n"
    (tmp_path / "load_data.sh").write_text(script[: before[0]] + place + script[before[1] :])
    words = ("sh", str(tmp_path / "load_data.sh"), "--from", "data.zip", "--log_dir", str(tmp_path / "log"))
    ended = run_there(heard, *words)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "log" / "MountainCar-v0" / "ryan.npz").exists()


def test_a_python_is_tried_without_the_folder(heard: Path) -> None:
    functions = (ROOT / "scripts" / "environment.sh").read_text()
    probe = f"{functions[functions.index('complain()') :]}\nversion_of {sys.executable} && has_venv {sys.executable}"
    ended = run_there(heard, "sh", "-c", probe)
    assert (ended.returncode, ended.stdout) == (0, "{}.{}\n".format(*sys.version_info))
