"""The exceptions that users are meant to see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PROJECT = str(Path(__file__).resolve().parent)
#: Most letters of a text from a file that are shown, and of a message.
MAX_LETTERS, MAX_MESSAGE = 200, 2000


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` if an unknown word resembles a known one, otherwise nothing.

    >>> did_you_mean("TRAN", ["inspect", "train", "test"]), did_you_mean("xyz", ["train"])
    ('; did you mean train?', '')
    """
    import difflib  # only messages need it

    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.6)
    return f"; did you mean {by_lower_case[close[0]]}?" if close else ""


def one_line(text: str) -> str:
    """Return a message as a terminal can show it, with line breaks and control codes in names escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(value: Any, most: int = MAX_LETTERS) -> str:
    r"""Return a value from a file as terminals, tables, figures, pages and messages show it: a file may hold anything.

    >>> shown("anna\x1b[2J\nwrote log/x"), shown([1, "b"]), len(shown("a" * 1000))
    ('anna\\x1b[2J\\nwrote log/x', '1 b', 200)
    """
    text = " ".join(map(str, value[:most])) if isinstance(value, list) else str(value)
    line = one_line(text[: most + 1])
    return line if len(line) <= most else f"{line[: most - 1]}…"


def check_name(name: str) -> None:
    """Refuse a word of a command line, or a file's name, whose bytes are not UTF-8, which libraries cannot take."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{shown(name, 60)!r} is not UTF-8; rename it, or write it in UTF-8") from None


def reason_of(error: Exception) -> str:
    """Return the message of a library's error as a short line, or the error's class if there is no message.

    >>> reason_of(ValueError("no  number")), reason_of(KeyError())
    ('no number', 'KeyError')
    """
    return shown(" ".join(str(error).split())) or type(error).__name__


def fault_of(error: BaseException) -> str:
    """Describe an exception that a user's code raised: its class, its message, and the file and line.

    A line of the user's own file is preferred to one of an installed package.

    >>> def divide(): return 1 / 0
    >>> try:
    ...     divide()
    ... except ZeroDivisionError as error:
    ...     print(fault_of(error).partition(" (")[0])
    ZeroDivisionError: division by zero
    """
    import traceback  # only messages need it

    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if not frame.filename.startswith((_PROJECT, "<"))]
    theirs = [frame for frame in outside if "site-packages" not in frame.filename] or outside
    place = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    text = shown(" ".join(str(error).split()))
    return f"{type(error).__name__}{': ' * bool(text)}{text}{place}"


@contextmanager
def guarded(function: str) -> Iterator[None]:
    """Turn whatever a user's function raises, also `sys.exit`, into a `UserError` that names the function."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{function} failed: {fault_of(error)}") from error


def name_of(function: object) -> str:
    """Return the name of a user's function, for messages."""
    return str(getattr(function, "__name__", type(function).__name__))


class OtherBitsWarning(UserWarning):
    """Results will differ in their last digits from those of other machines; a worker turns this into a refusal."""


class DataWarning(UserWarning):
    """What a user's data or environment make doubtful about results. Work goes on; programs print it in one line."""


class UserError(Exception):
    """Something the user asked for cannot be done. The message is one line, whatever the names in it contain.

    Of a longer message the middle is left out: the way out stands at its end.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        line = one_line(message)
        super().__init__(line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 500]} … {line[-480:]}")


class MissingError(UserError):
    """A product of an earlier step is missing; programs add the command that makes it."""


class UnreadableError(UserError):
    """A file is there, but this user may not read it; it counts neither as missing nor as damaged."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} is there and this user may not read it; change its permissions or move it away")


class NotInstalledError(UserError):
    """An optional library is not installed; programs add how to install it.

    Attributes:
        module: the one that could not be imported.
    """

    def __init__(self, message: str, module: str) -> None:
        super().__init__(message)
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:  # it may come from another process
        return type(self), (str(self), self.module)


class ExistsError(UserError):
    """Something of that name exists and is kept; programs add the flag that replaces it."""
