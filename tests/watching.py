"""Watching what code does to the machine while it reads a file that nobody trusts."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Actions that no reader may take, by the names of Python's audit events (PEP 578).
_DEEDS = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen",
    "pickle.find_class", "socket.connect", "socket.bind", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
    "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "ctypes.dlopen",
    "os.putenv",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_seen: list[str] | None = None
_allowed: Path | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & _WRITING or isinstance(path, int) or path == os.devnull:
            return
    elif event not in _DEEDS:
        return
    where = arguments[0] if arguments else ""
    if _allowed is not None and isinstance(where, (str, os.PathLike)) and Path(where).is_relative_to(_allowed):
        return
    _seen.append(f"{event} {arguments!r}"[:300])


sys.addaudithook(_hook)


@contextmanager
def nothing_written_nothing_run(allowed: Path | None = None, seconds: float = 20.0) -> Iterator[None]:
    """Fail if the block writes a file, makes or removes one, runs a program, unpickles, connects, or computes for long.

    Args:
        allowed: the one folder that it may write to.
        seconds: of processor time, the most that it may take; a busy machine changes nothing of it.
    """
    global _seen, _allowed
    _seen, _allowed, started = [], allowed, time.process_time()
    try:
        yield
        assert not _seen, _seen
        taken = time.process_time() - started
        assert taken < seconds, f"it took {taken:.1f} s"
    finally:
        _seen = None


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Fail if the process's peak memory grows by more than `more` bytes in the block."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown <= more, f"memory grew by {grown / 2**20:.0f} MiB"
