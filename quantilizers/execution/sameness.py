"""Whether another process has the same code and libraries, without which results are not the same bits."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from quantilizers.versions import versions

#: Libraries that numbers depend on.
_LIBRARIES = (
    "numpy", "scipy", "gymnasium", "keras", "tensorflow", "mujoco", "ale-py", "torch", "stable-baselines3",
    "sb3-contrib",
)  # fmt: skip


@cache
def versions_here() -> dict[str, str]:
    """Return what results depend on in this process: versions, and a hash of this project's code."""
    found = versions()
    # The smaller download is the same library.
    found.setdefault("tensorflow", found.get("tensorflow-cpu", ""))
    known = {name: found[name] for name in _LIBRARIES if found.get(name)}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"quantilizers": found["quantilizers"], "python": python, "code": _code(), **known}


def _code() -> str:
    """Return the beginning of a hash of all modules of this package."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Say in which versions a worker differs, by its first difference; empty where it does not.

    A library that only one of the two has is no difference: who needs it says that it is missing.

    >>> difference({"numpy": "2.3.0", "python": "3.13"}, {"numpy": "2.4.0", "python": "3.13"})
    'numpy 2.3.0, not 2.4.0'
    """
    for name, wanted in here.items():
        found = there.get(name, wanted)
        if found != wanted:
            what = "code of quantilizers" if name == "code" else name
            return f"{what} {found}, not {wanted}"
    return ""
