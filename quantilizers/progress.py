"""The progress bar of all programs: on a terminal one line that moves, in a file a line a minute."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    _Bar = tqdm[Any]
else:
    _Bar = tqdm

#: Seconds between two lines where the output is no terminal.
SECONDS = 60.0
_FORMAT = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}{postfix}]"
#: Of work without anything to count, such as agents that do not train.
_BARE_FORMAT = "{desc} [{elapsed}{postfix}]"
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
        self._moves = sys.stderr.isatty()
        if not self._moves:
            more = {"ncols": 80, "file": _Lines(sys.stderr), "mininterval": SECONDS, "maxinterval": SECONDS, **more}
        known = total is not None or hasattr(iterable, "__len__")
        form = _BARE_FORMAT if total == 0 else _FORMAT if known else _OPEN_FORMAT
        super().__init__(
            iterable, desc=f"{doing}:", unit=unit, total=total, bar_format=form, dynamic_ncols=self._moves, **more
        )

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set what stands behind the count; in a file it is shown with the next line, a minute after the last."""
        if self.disable:  # then it has no clock
            return
        now = time.time()  # tqdm's clock, too
        due = self._moves or now - self.last_print_t >= SECONDS
        super().set_postfix_str(s, refresh and due)
        if refresh and due:
            self.last_print_t = now


def say(text: str) -> None:
    """Print a line to standard error, above any bar."""
    tqdm.write(text, file=sys.stderr)


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
