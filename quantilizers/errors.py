"""The exceptions that users are meant to see."""

from __future__ import annotations

from typing import Any


class UserError(Exception):
    """Something the user asked for cannot be done; the message is one line.

    The command line prints it without a traceback and exits with code 2.
    """


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
