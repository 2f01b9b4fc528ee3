"""Functions and paths that tests share; fixtures are in conftest.py."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from quantilizers.envs.shipped import environment_names

ROOT = Path(__file__).resolve().parent.parent


def shipped_files() -> list[Path]:
    """The files in log/ that ship, relative to it; the user's own data sets and results are not among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["quantilizers.log"]
    found = {path.relative_to(ROOT / "log") for pattern in patterns for path in (ROOT / "log").glob(pattern)}
    known = {".", *environment_names()}
    return sorted(
        path
        for path in found
        if str(path.parent) in known or (str(path.parent) == "base" and path.stem.partition("_")[2] in known)
    )


def copy_of_the_project(folder: Path) -> Path:
    """Copy the project as it ships, without what the user has in log/; return the folder."""
    ignored = (".git", ".venv", ".*_cache", "__pycache__", "_build", "log", "*.egg-info", "build")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*ignored))
    for path in shipped_files():
        (folder / "log" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "log" / path, folder / "log" / path)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def curves_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows of a run: by name, (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    # Left to itself, TensorBoard shows a random ten thousand points, and hides what a restarted run wrote twice.
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}, purge_orphaned_data=False).Reload()
    return {
        name: [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
        for name in events.Tags()["tensors"]
    }
