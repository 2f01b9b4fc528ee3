"""What is to be done, in values that another process understands, and what comes of it."""

from __future__ import annotations

import hashlib
import math
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from quantilizers.errors import OtherBitsWarning, UserError

#: Sends a message of plain values (numbers, words, None, and lists and mappings of them) to who asked for the work.
Send = Callable[[Any], object]
#: How often a unit is begun at most, where its workers die of it.
TRIES = 3
SECONDS_BETWEEN_MESSAGES = 0.5


@dataclass(frozen=True, eq=False)
class Shared:
    """Arrays that several units read, which travel to a worker once.

    Attributes:
        arrays: by name.
    """

    arrays: Mapping[str, npt.NDArray[Any]]

    @cached_property
    def identity(self) -> str:
        """The SHA-256 of names, types, shapes and contents."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def nbytes(self) -> int:
        """How many bytes the arrays have."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True)
class Reference:
    """Stands for `Shared` arrays on their way.

    Attributes:
        identity: theirs.
    """

    identity: str


@dataclass(frozen=True, eq=False)
class WorkUnit:
    """Work that one process does from its beginning to its end.

    Attributes:
        name: for messages to people.
        function: at the top level of a module of this library. It is called with the arguments and what sends
            messages, and returns arrays, dataclasses and plain values.
        arguments: such values, too; those that are `Shared` travel to each worker once.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    @property
    def shared(self) -> dict[str, Shared]:
        """The arguments that are shared, by their identity."""
        return {argument.identity: argument for argument in self.arguments if isinstance(argument, Shared)}

    def packed(self) -> tuple[Any, ...]:
        """Return the arguments, with references instead of what is shared."""
        return tuple(
            Reference(argument.identity) if isinstance(argument, Shared) else argument for argument in self.arguments
        )


def unpacked(arguments: Sequence[Any], held: Mapping[str, Shared]) -> tuple[Any, ...]:
    """Return the arguments that `WorkUnit.packed` gave, with what is shared.

    Args:
        arguments: some are references.
        held: what they stand for.
    """
    return tuple(held[argument.identity] if isinstance(argument, Reference) else argument for argument in arguments)


#: How a unit ended, and what it returned, or what was wrong: `refused` is something that the user can change, `bug` is
#: a traceback.
Outcome = tuple[Literal["done", "refused", "bug"], Any]


def perform(function: Callable[..., Any], arguments: Sequence[Any], send: Send) -> Outcome:
    """Do a unit's work in this process, and return how it ended."""
    try:
        with warnings.catch_warnings():
            # Whoever hears of a unit's result has no part in what is said here.
            warnings.simplefilter("error", OtherBitsWarning)
            return "done", function(*arguments, send)
    except (UserError, OtherBitsWarning) as error:
        return "refused", str(error)
    except Exception:
        return "bug", traceback.format_exc()


class Executor(Protocol):
    """Does units of work in other processes.

    Attributes:
        shares_files: whether what workers write is seen here for certain, because they are on this machine.
    """

    @property
    def shares_files(self) -> bool: ...  # noqa: D102

    def run(
        self, units: Iterable[WorkUnit], on_message: Callable[[int, Any], object] = ...
    ) -> Iterator[tuple[int, Any]]:
        """Do the work, and give each unit's number and what it returned when it is done, in no particular order.

        Args:
            units: taken one by one, when there is somebody to do them.
            on_message: called here with a unit's number and what it sent.

        Raises:
            UnfinishedError: of some units nothing came; all others are done.
            RuntimeError: a unit raised what is no `UserError`; its traceback is in the message.
        """
        ...


class SendNowAndThen:
    """Sends messages, except what comes too soon after the last.

    Args:
        send: sends one message.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = -math.inf

    def __call__(self, message: Any) -> bool:
        """Send a message, or drop it; return whether it was sent."""
        if time.monotonic() - self._sent < SECONDS_BETWEEN_MESSAGES:
            return False
        self._send(message)
        self._sent = time.monotonic()
        return True


def unheard(number: int, message: Any) -> None:
    """Ignore a message."""


class UnfinishedError(UserError):
    """Some units of work were refused, or given up because their workers died.

    Args:
        reasons: of each unit by name, what was wrong.
        number: of units in all.
    """

    def __init__(self, reasons: Mapping[str, str], number: int) -> None:
        self.reasons, self.number = dict(reasons), number
        words = list(dict.fromkeys(reasons.values()))
        names = {word: [name for name, reason in reasons.items() if reason == word] for word in words}
        said = "; ".join(f"{_listed(of_word)}: {word}" for word, of_word in list(names.items())[:3])
        more = f"; and {len(words) - 3} more reasons" if len(words) > 3 else ""
        rest = ". The others are done" if len(reasons) < number else ""
        super().__init__(f"{len(reasons)} of {number} units of work came to nothing: {said}{more}{rest}")

    def __reduce__(self) -> tuple[Any, ...]:  # so that it comes out of another process as it is
        return type(self), (self.reasons, self.number)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def given_up(times: int) -> str:
    """Say that a unit's workers died of it so many times."""
    return f"its worker died {times} times, perhaps for want of memory"
