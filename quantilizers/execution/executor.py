"""One way to run jobs: `executor.map(function, jobs)`, in this process, in worker processes, or on a Dask cluster.

A job is a small picklable dataclass with a `name` for messages. The function stands at the top level of a module, takes
a job and a `send` for progress messages, and returns arrays, dataclasses and plain values. Values that several jobs
read, such as demonstrations, are `Shared`: they travel to a worker once.
"""

from __future__ import annotations

import io
import math
import re
import time
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property, partial
from itertools import islice
from multiprocessing.reduction import ForkingPickler
from pickle import PicklingError  # nosec B403: the exception only
from threading import Event, Lock
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy.typing as npt

from quantilizers.arrays import digest_of
from quantilizers.errors import OtherBitsWarning, UserError, reason_of
from quantilizers.numbers_in_words import counted

#: How many times a job is started at most if its workers die.
TRIES = 3
#: Number of shared values that a worker keeps; the least recently used one is dropped first.
KEPT = 4
SECONDS_BETWEEN_MESSAGES = 0.5

#: Sends a message of plain values (numbers, strings, None, and lists and mappings of them) to the caller of `map`.
Send = Callable[[Any], object]
Arrays = Mapping[str, npt.NDArray[Any]]
T = TypeVar("T")


class Job(Protocol):
    """Work for one process."""

    @property
    def name(self) -> str:
        """Name in messages, such as "testing seed 3"."""


J = TypeVar("J", bound=Job)
R = TypeVar("R")


def ignore(job: Any, message: Any) -> None:
    """Ignore a message."""


def _same(arrays: Any) -> Any:
    return arrays


def check_address(scheduler: str) -> tuple[str, int]:
    """Return the host and the port of a Dask scheduler's address.

    Raises:
        UserError: it is malformed.
    """
    found = re.fullmatch(r"(?:tcp|tls)://([^\s/]+):(\d+)", scheduler)
    if found is None or int(found[2]) >= 2**16:
        raise UserError(f"{scheduler!r} is no scheduler's address, such as tcp://host:8786")
    return found[1].strip("[]"), int(found[2])


class Executor(Protocol):
    """Runs jobs and yields their results as they come.

    Attributes:
        at_once: number of jobs that run at the same time.
        in_process: whether jobs run in this process, with its memory and all of its cores.
        shares_files: whether this process certainly sees the files that jobs write.
    """

    @property
    def in_process(self) -> bool: ...  # noqa: D102
    @property
    def at_once(self) -> int: ...  # noqa: D102
    @property
    def shares_files(self) -> bool: ...  # noqa: D102

    def map(
        self, function: Callable[[J, Send], R], jobs: Iterable[J], on_message: Callable[[J, Any], object] = ignore
    ) -> Iterator[tuple[J, R]]:
        """Yield each job with its result when it is done, in no particular order.

        Args:
            function: takes a job and `send`; at the top level of a module.
            jobs: each is taken from the iterable only when it can start.
            on_message: called in this process with a job and its message. A job whose worker died sends again.

        Raises:
            UnfinishedError: some jobs raised a `UserError`, or their workers died three times; all others are done.
                `InProcess` raises the first `UserError` itself, at once.
            RuntimeError: a worker raised another exception; its traceback is in the message.
        """
        ...


class InProcess:
    """Runs jobs in this process.

    Args:
        threads: number of jobs that run at a time; more than one suits jobs that release the global interpreter lock.
            When one fails, or the caller stops, the others stop at their next message.
    """

    in_process = True
    shares_files = True

    def __init__(self, threads: int = 1) -> None:
        self.at_once = threads

    def map(
        self, function: Callable[[J, Send], R], jobs: Iterable[J], on_message: Callable[[J, Any], object] = ignore
    ) -> Iterator[tuple[J, R]]:
        """Run jobs; see `Executor.map`."""
        if self.at_once == 1:
            for job in jobs:
                yield job, function(job, partial(on_message, job))
            return
        stop, lock, coming = Event(), Lock(), iter(jobs)

        def send(job: J, message: Any) -> None:
            if stop.is_set():
                raise InterruptedError("another job has failed, or all of them were stopped")
            with lock:
                on_message(job, message)

        with ThreadPoolExecutor(self.at_once) as pool:
            running: dict[Future[R], J] = {}
            try:
                while True:
                    for job in islice(coming, self.at_once - len(running)):
                        running[pool.submit(function, job, partial(send, job))] = job
                    if not running:
                        break
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(done), done.result()
            finally:
                stop.set()  # leaving the pool waits for its threads
                pool.shutdown(wait=False, cancel_futures=True)


class Shared(Generic[T]):
    """A value that several jobs use. It travels to each worker once, as arrays; in this process it stays as it is.

    Args:
        value: such as demonstrations. A dictionary of arrays needs neither function.
        to_arrays: called here before the value travels.
        from_arrays: called in the worker; a top-level function, or a `functools.partial` of one.
    """

    def __init__(
        self, value: T, to_arrays: Callable[[T], Arrays] = _same, from_arrays: Callable[[Arrays], T] = _same
    ) -> None:
        self.value = value
        self._to_arrays, self._from_arrays = to_arrays, from_arrays

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays that travel, by name."""
        return self._to_arrays(self.value)

    @cached_property
    def unpacker(self) -> bytes:
        """The pickled `from_arrays`."""
        return bytes(ForkingPickler.dumps(self._from_arrays))

    @cached_property
    def identity(self) -> str:
        """SHA-256 of unpacker and arrays."""
        return digest_of(sorted(self.arrays.items()), self.unpacker)


class _Arrived:
    """A `Shared` value in a worker."""

    def __init__(self, identity: str, arrays: Arrays, unpacker: bytes) -> None:
        self.identity, self.arrays, self._unpacker = identity, arrays, unpacker

    @property
    def value(self) -> Any:
        """The value, made when it is used. A process keeps only the latest, because values can be large."""
        if self.identity not in _latest_value:
            _latest_value.clear()
            _latest_value[self.identity] = ForkingPickler.loads(self._unpacker)(self.arrays)
        return _latest_value[self.identity]


#: In a worker: the shared values that it holds, and the latest that was made from its arrays.
_arrived: OrderedDict[str, _Arrived] = OrderedDict()
_latest_value: dict[str, Any] = {}


class _Packer(ForkingPickler):
    """Pickles a job with references in place of `Shared` values, and collects these."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.shared: dict[str, Shared[Any]] = {}

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Shared):
            return NotImplemented
        self.shared[obj.identity] = obj
        return _shared, (obj.identity,)


def _shared(identity: str) -> _Arrived:
    return _arrived[identity]


def packed(function: Callable[[J, Send], Any], job: J) -> tuple[bytes, dict[str, Shared[Any]]]:
    """Return the pickled function and job, and the shared values that it refers to, by identity.

    Raises:
        UserError: the job cannot be pickled, because something in it was defined in memory.
    """
    file = io.BytesIO()
    packer = _Packer(file)
    try:
        packer.dump((function, job))
    except (AttributeError, PicklingError, TypeError) as error:
        raise UserError(
            f"{job.name} cannot be sent to another process ({reason_of(error)}); define its environment in a file, and "
            "load it by its address, such as my_env.py:ENVIRONMENT"
        ) from None
    return file.getvalue(), packer.shared


#: How a job ended, with its result, a `UserError`, or a traceback.
Outcome = tuple[Literal["done", "refused", "bug"], Any]


def hold(shared: Mapping[str, tuple[Arrays, bytes] | None]) -> None:
    """Keep shared values in this worker: arrays and unpacker of each new one, None for one that it holds already."""
    for identity, content in shared.items():
        if content is not None and identity not in _arrived:
            _arrived[identity] = _Arrived(identity, *content)
        _arrived.move_to_end(identity)
    while len(_arrived) > max(KEPT, len(shared)):
        _arrived.popitem(last=False)


def perform(packed_job: bytes, send: Send) -> Outcome:
    """Run a job of `packed` in a worker that holds its shared values, and return how it ended."""
    try:
        with warnings.catch_warnings():
            # Nobody reads a worker's warnings, so this one refuses the job.
            warnings.simplefilter("error", OtherBitsWarning)
            function, job = ForkingPickler.loads(packed_job)
            return "done", function(job, send)
    except (UserError, OtherBitsWarning) as error:
        return "refused", _sendable(error)
    except Exception:
        return "bug", traceback.format_exc()


def _sendable(error: Exception) -> UserError:
    """Return an error that can be sent to another process, with the same message and, if possible, the same type."""
    try:
        received = ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # the constructor of an exception may take anything
        received = None
    return received if isinstance(received, UserError) and str(received) == str(error) else UserError(str(error))


class SendNowAndThen:
    """Sends messages, and drops those that come within half a second of the last."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = -math.inf

    def __call__(self, message: Any) -> bool:
        """Return whether the message was sent."""
        if time.monotonic() - self._sent < SECONDS_BETWEEN_MESSAGES:
            return False
        self._send(message)
        self._sent = time.monotonic()
        return True


class UnfinishedError(UserError):
    """Some jobs failed, or were given up because their workers died.

    Args:
        reasons: by the job's name.
        number: of all jobs.
    """

    def __init__(self, reasons: Mapping[str, str], number: int) -> None:
        self.reasons, self.number = dict(reasons), number
        names: dict[str, list[str]] = {}
        for name, reason in reasons.items():
            names.setdefault(reason, []).append(name)
        listed = [f"{_listed(of_reason)}: {reason}" for reason, of_reason in names.items()]
        more = f"; and {len(listed) - 3} more reasons" if len(listed) > 3 else ""
        rest = ". The others are done" if len(reasons) < number else ""
        super().__init__(f"{len(reasons)} of {counted(number, 'job')} failed: {'; '.join(listed[:3])}{more}{rest}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reasons, self.number)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def given_up(times: int) -> str:
    """Return the reason of a job whose workers died."""
    return f"its worker died {times} times; it may be out of memory"
