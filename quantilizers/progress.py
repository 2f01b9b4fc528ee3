"""The progress bar of all programs: on a terminal one line that moves, in a file a line a minute."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    _Bar = tqdm[Any]
else:
    _Bar = tqdm

#: Seconds between two lines where the output is no terminal.
SECONDS = 60.0
_FORMAT = "{desc} {percentage:3.0f}% |{bar:8}| {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]"
_OPEN_FORMAT = "{desc} {n_fmt} {unit} [{elapsed}, {rate_fmt}{postfix}]"


class ProgressBar(_Bar):
    """A bar of tqdm that says what it counts, and that a log file can hold.

    Args:
        iterable: what is counted as it is used; None counts by `update`.
        doing: what the program is doing, such as "training".
        unit: what is counted, in the plural.
        total: how many there are; None takes the length of the iterable.
        more: further arguments of tqdm.
    """

    def __init__(self, iterable: Any = None, *, doing: str, unit: str, total: float | None = None, **more: Any) -> None:
        if not sys.stderr.isatty():
            more = {"file": _Lines(sys.stderr), "mininterval": SECONDS, "maxinterval": SECONDS, **more}
        known = total is not None or hasattr(iterable, "__len__")
        form = _FORMAT if known else _OPEN_FORMAT
        super().__init__(
            iterable, desc=f"{doing}:", unit=unit, total=total, bar_format=form, dynamic_ncols=True, **more
        )


class _Lines:
    """A stream on which each state of a bar is a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""
        self.encoding = stream.encoding

    def write(self, text: str) -> None:
        line = text.strip()
        if line and line != self._last:
            self._stream.write(f"{line}\n")
            self._last = line

    def flush(self) -> None:
        self._stream.flush()
