"""The number of cores that this process may use, by the operating system and by the container."""

from __future__ import annotations

import math
import os
from pathlib import Path

#: Variables that set the number of threads of libraries when they are loaded. TensorFlow's threads within an operation
#: are not among them, because results depend on their number.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTEROP_THREADS")
_share: list[int] = []


def available_cores() -> int:
    """Return the number of cores that this process may use, which can be fewer than the machine has.

    It is the least of the cores that the system lets it run on, the CPU time of its container (a part of a core counts
    as one), and its share as a worker.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = container_quota()
    if quota is not None:
        cores = min(cores, math.ceil(quota))
    return max(1, min([cores, *_share]))


def take_share(cores: int) -> None:
    """Limit this process to a number of cores from now on."""
    _share[:] = [cores]


def thread_variables(cores: int) -> dict[str, str]:
    """Return environment variables that give each library this number of threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(cores))


def container_quota(root: Path = Path("/")) -> float | None:
    """Return the CPU time that the control groups of this process allow, in cores; None where they set no limit.

    The quotas of all groups above it count. Version 2 has the file `cpu.max`, version 1 `cpu.cfs_quota_us` and
    `cpu.cfs_period_us`.
    """
    quotas: list[float | None] = []
    files: tuple[str, ...]
    for line in _words(root / "proc/self/cgroup", separator="\n"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            top, files = root / "sys/fs/cgroup", ("cpu.max",)
        elif "cpu" in controllers.split(","):
            top, files = root / "sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        else:
            continue
        # In a container the path can be the host's, of which only the top is visible.
        group = top / path.lstrip("/")
        quotas += [_quota(folder, files) for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path, files: tuple[str, ...]) -> float | None:
    """Return the quotient of the two numbers in a group's files; None for `max` and -1, which are no limit."""
    try:
        quota, period = (int(word) for file in files for word in _words(folder / file))
        return quota / period if quota > 0 else None
    except (ValueError, ZeroDivisionError):
        return None


def _words(file: Path, separator: str | None = None) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split(separator)
    except (OSError, UnicodeDecodeError):
        return []
