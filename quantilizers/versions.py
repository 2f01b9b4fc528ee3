"""Provenance of results: versions of the code and of libraries, and the machine."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

__version__ = "0.2.0"

LIBRARIES = (
    "numpy",
    "scipy",
    "matplotlib",
    "gymnasium",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "mujoco",
    "ale-py",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
)
_ROOT = Path(__file__).resolve().parents[1]
#: Seconds that git has to answer.
_PATIENCE = 5

# The programs' help imports this module; importing what the functions need would take as long as the help itself.


def versions(libraries: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return the versions of Python, this project and those of these libraries that are installed."""
    return dict(_found(libraries))


@cache
def _found(libraries: tuple[str, ...]) -> dict[str, str]:
    import platform
    from importlib import metadata

    found = {"python": platform.python_version(), "quantilizers": __version__}
    for library in libraries:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def code_version() -> dict[str, Any]:
    """Return the commit of a clone, and whether files differ from it; empty where the package is installed."""
    import shutil
    import subprocess

    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        return {}

    # In a hook of git these name another repository.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def ask(*words: str) -> str:
        command = [git, "-C", str(_ROOT), *words]
        return subprocess.run(
            command, env=own, capture_output=True, text=True, timeout=_PATIENCE, check=True
        ).stdout.strip()

    try:
        changed = bool(ask("status", "--porcelain", "--untracked-files=no"))
        return {"commit": ask("rev-parse", "HEAD"), "changed": changed}
    except (OSError, subprocess.SubprocessError):
        return {}


def machine() -> dict[str, Any]:
    """Return the host's name, its system, its processor and the number of cores that may be used."""
    import platform

    from quantilizers.processors import available_cores

    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": available_cores(),
    }
