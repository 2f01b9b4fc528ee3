"""Standard output and standard error that cannot be written: a full disk, a limit, a reader that is gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from quantilizers.errors import UserError


class _Output:
    """Standard output, on which results are printed: what cannot be written is an error that users understand."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except OSError as error:
            raise _unwritable(self._stream, error) from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise _unwritable(self._stream, error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Error:
    """Standard error, on which progress is shown: what cannot be shown is lost, and the work goes on.

    tqdm, which shows it, would keep its lock where a write fails, and then wait for ever.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Let standard output fail with a `UserError` in the block, and standard error not at all."""
    output, error = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Output(output), _Error(error)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, error
        try:
            error.flush()
        except OSError:
            _forget(error)


def _unwritable(stream: Any, error: OSError) -> UserError:
    _forget(stream)
    return UserError(f"cannot write to standard output: {error.strerror or error}")


def _forget(stream: Any) -> None:
    """Send what a stream still holds to nowhere: as Python ends it would try again, and change the exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
