"""The number of processors that this process may use, by the operating system and by the container."""

from __future__ import annotations

import math
import os
from pathlib import Path

#: What libraries read when they are loaded to know how many threads to have. TensorFlow's threads within an operation
#: are not among them, for results depend on their number.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_share: list[int] = []


def available_cores() -> int:
    """Return how many processors this process may use, which can be fewer than the machine has.

    That is what the system lets it run on, the CPU time that its container may have (a part of a processor counts as
    one), and its share where several work together.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = container_quota()
    if quota is not None:
        cores = min(cores, math.ceil(quota))
    return max(1, min([cores, *_share]))


def take_share(cores: int) -> None:
    """Let this process work with no more than so many processors from now on."""
    _share[:] = [cores]


def thread_variables(cores: int) -> dict[str, str]:
    """Return the environment variables of a process whose libraries are to have so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(cores))


def container_quota(root: Path = Path("/")) -> float | None:
    """Return how many processors' time the control groups of this process allow; None where they set no limit.

    The quota of every group above it counts, too. Files of version 2 are `cpu.max`, of version 1 `cpu.cfs_quota_us` and
    `cpu.cfs_period_us`.

    Args:
        root: of the file system.
    """
    quotas = []
    for line in _words(root / "proc/self/cgroup", separator="\n"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            top, read = root / "sys/fs/cgroup", _quota_of_version_2
        elif "cpu" in controllers.split(","):
            top, read = root / "sys/fs/cgroup/cpu", _quota_of_version_1
        else:
            continue
        # In a container the path can be the host's, of which only the top is seen.
        group = top / path.lstrip("/")
        quotas += [read(folder) for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of_version_2(folder: Path) -> float | None:
    words = _words(folder / "cpu.max")
    return _divided(words[0], words[1]) if len(words) == 2 else None


def _quota_of_version_1(folder: Path) -> float | None:
    quota, period = (_words(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return _divided(quota[0], period[0]) if quota and period else None


def _divided(quota: str, period: str) -> float | None:
    """Return a quotient of two numbers; None for `max` and -1, which are no limit."""
    try:
        processors = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return processors if processors > 0 else None


def _words(file: Path, separator: str | None = None) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split(separator)
    except (OSError, UnicodeDecodeError):
        return []
