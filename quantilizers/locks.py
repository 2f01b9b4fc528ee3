"""Files that one process at a time holds, so that no two write the same results at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import filelock

from quantilizers.errors import UserError
from quantilizers.files import atomic_write
from quantilizers.interruptions import clearing_away


@contextmanager
def holding(paths: Sequence[Path], on_wait: Callable[[str], object]) -> Iterator[bool]:
    """Hold locks while the block runs; wait for whoever holds one of them.

    The system takes them from a process that ends, however that happens.

    Args:
        paths: their files, which are made and stay. Whoever holds one says so in a file of the same name, `.json`.
        on_wait: told who it is that is waited for.

    Yields:
        Whether there was somebody to wait for.

    Raises:
        UserError: a file cannot be written.
    """
    waited = False
    with ExitStack() as held:
        # In one order for all, so that no two wait for each other.
        for path in sorted(paths):
            lock = filelock.FileLock(path)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=0)
                except filelock.Timeout:
                    waited = True
                    on_wait(_holder(path))
                    lock.acquire(poll_interval=0.2)
            except OSError as error:
                raise UserError(
                    f"cannot write {path}: {error.strerror or error}; check its folder and free space"
                ) from error
            held.callback(lock.release)
            held.enter_context(_said(path))
        yield waited


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say in a file who holds a lock."""
    about = path.with_suffix(".json")
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    with atomic_write(about) as temporary:
        temporary.write_text(json.dumps({"pid": os.getpid(), "since": since}) + "\n", encoding="utf-8")

    def unsay() -> None:
        about.unlink(missing_ok=True)

    try:
        with clearing_away(unsay):
            yield
    finally:
        unsay()


def _holder(path: Path) -> str:
    """Return in words who holds a lock."""
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return f"process {int(about['pid'])}, since {datetime.fromisoformat(about['since']):%Y-%m-%d %H:%M:%S} UTC"
    except (OSError, ValueError, TypeError, KeyError):
        # It has not said so yet.
        return "another process"
