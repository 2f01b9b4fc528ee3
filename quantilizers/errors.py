"""The exceptions that users are meant to see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` where a known word is close to one that is not, otherwise nothing.

    >>> did_you_mean("tran", ["inspect", "train", "test"]), did_you_mean("xyz", ["train"])
    ('; did you mean train?', '')
    """
    import difflib  # only who mistypes pays for it

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def one_line(text: str) -> str:
    """Return a message as terminals can show it: names in it may hold anything, line breaks and control codes too."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def reason_of(error: Exception) -> str:
    """Return in a short line what a library said, which may quote whole files; its kind where it said nothing.

    >>> reason_of(ValueError("no  number")), reason_of(KeyError())
    ('no number', 'KeyError')
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


class OtherBitsWarning(UserWarning):
    """What is computed will differ in its last digits from what is computed elsewhere; a worker refuses to do it."""


class UserError(Exception):
    """Something the user asked for cannot be done; the message is one line, whatever the names in it hold.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class MissingError(UserError):
    """Something that an earlier step makes is not there; who knows the command that makes it adds it."""


class NotInstalledError(UserError):
    """A library that only some of this project needs is not installed; the program adds how to install it.

    Attributes:
        module: what could not be imported.
    """

    def __init__(self, message: str, module: str) -> None:
        super().__init__(message)
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:  # so that it comes out of another process as it is
        return type(self), (str(self), self.module)


class ExistsError(UserError):
    """Something of that name is there already and is kept; who knows the flag that replaces it adds it."""
