"""Jobs on the machines of a Dask cluster: `dask scheduler`, and any number of `dask worker`.

Dask pickles functions and arguments, and runs whatever it is sent: trust a scheduler as you trust your own account. It
moves shared arrays from worker to worker, and reschedules the jobs of a worker that died.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import math
import os
import platform
import queue
import socket
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from quantilizers.errors import NotInstalledError, UserError, reason_of
from quantilizers.execution.executor import (
    KEPT,
    TRIES,
    Arrays,
    J,
    Outcome,
    R,
    Send,
    Shared,
    UnfinishedError,
    check_address,
    given_up,
    hold,
    ignore,
    packed,
    perform,
)
from quantilizers.processors import take_share, thread_variables
from quantilizers.versions import versions

#: Seconds in which a scheduler has to answer.
PATIENCE = 5.0
#: Jobs that the scheduler has at a time: at least the first number, and the second for each worker. Then no worker
#: waits for this process, and adaptive clusters grow, because more jobs wait than there are workers.
AT_LEAST, FOR_EACH = 64, 4
#: Libraries that results depend on.
_LIBRARIES = (
    "numpy", "scipy", "gymnasium", "keras", "tensorflow", "mujoco", "ale-py", "torch", "stable-baselines3",
    "sb3-contrib",
)  # fmt: skip


def check_scheduler(address: str, patience: float = PATIENCE) -> None:
    """Refuse a scheduler that cannot be reached, before any work.

    Raises:
        NotInstalledError: `distributed` is not installed.
        UserError: the address is malformed, or nothing listens there.
    """
    host, port = check_address(address)
    _import_distributed()
    try:
        socket.create_connection((host, port), timeout=patience).close()
    except OSError as error:
        raise _no_answer(address, patience, error) from None


def _no_answer(address: str, patience: float, error: Exception) -> UserError:
    return UserError(f"no Dask scheduler answers at {address} within {patience:g} s ({reason_of(error)})")


def _import_distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise NotInstalledError("a cluster needs distributed, which is not installed", "distributed") from error


def _leave_errors_to_us() -> None:
    """Silence tracebacks of a lost connection, which is an error here, too."""
    for name in ("distributed.client", "distributed.core", "distributed.comm", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class DaskCluster:
    """Runs jobs on the workers of a Dask cluster.

    The scheduler gives a job up whose workers died more often than its configuration allows.

    Args:
        address: of the scheduler, such as `tcp://host:8786`; for `tls://…` Dask's configuration names the certificates.
        patience: seconds in which it has to answer.

    Raises:
        NotInstalledError: `distributed` is not installed.
        UserError: the address is malformed, nobody answers there, or workers have other versions than this process.
    """

    in_process = False
    shares_files = False

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        check_address(address)
        distributed = _import_distributed()
        _leave_errors_to_us()
        self.address = address
        try:
            self._client = distributed.Client(
                address, timeout=patience, set_as_default=False, name="quantilizers", direct_to_workers=False
            )
        except (OSError, TimeoutError, TypeError, ValueError, RuntimeError) as error:
            raise _no_answer(address, patience, error) from None
        self._held: OrderedDict[str, Any] = OrderedDict()
        self._counted, self._workers = -math.inf, 0
        try:
            self._check_versions()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Number of workers, asked for every few seconds, because the scheduler's answer describes each of them."""
        if time.monotonic() - self._counted > PATIENCE:
            with self._connected():
                self._workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
            self._counted = time.monotonic()
        return self._workers

    @property
    def at_once(self) -> int:
        """Number of workers, but at least 8, because clusters grow."""
        return max(8, self.workers)

    @property
    def tries(self) -> int:
        """How many times the scheduler starts a job whose workers die."""
        with self._connected():
            allowed: int = self._client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures)
        return allowed + 1

    def _check_versions(self) -> None:
        """Refuse a scheduler that cannot load jobs, and workers of other versions; later workers refuse jobs."""
        here = versions_here()
        with self._connected():
            if not self._client.run_on_scheduler(lambda: importlib.util.find_spec("quantilizers") is not None):
                raise UserError("the scheduler cannot load quantilizers; install there what is installed here")
            found = self._client.run(versions_here, on_error="return")
        for worker, there in found.items():
            if isinstance(there, BaseException):
                raise UserError(
                    f"the worker {worker} cannot load quantilizers ({type(there).__name__}: {there}); install what is "
                    "installed here"
                )
            if different := difference(there, here):
                raise UserError(f"the worker {worker} has {different} as here; install the same on all machines")

    # `Client.get_executor()` reports neither messages nor jobs that the scheduler forgot.
    def map(
        self, function: Callable[[J, Send], R], jobs: Iterable[J], on_message: Callable[[J, Any], object] = ignore
    ) -> Iterator[tuple[J, R]]:
        """Run jobs; see `quantilizers.execution.executor.Executor.map`."""
        topic = f"quantilizers-{uuid.uuid4().hex}"
        events: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._client.subscribe_topic(topic, lambda event: events.put(tuple(event[1])))
        coming = enumerate(jobs)
        running: dict[int, tuple[J, int, Any]] = {}
        reasons: dict[str, str] = {}
        number = 0

        def submit(index: int, job: J, tries: int) -> None:
            with self._connected():
                future = self._submit(function, job, index, topic)
            running[index] = job, tries, future
            future.add_done_callback(lambda done: events.put(("ended", index, done)))

        try:
            while True:
                for index, job in islice(coming, max(0, max(AT_LEAST, FOR_EACH * self.workers) - len(running))):
                    number = index + 1
                    submit(index, job, 1)
                if not running:
                    break
                kind, index, content = self._next(events)
                if index not in running:
                    continue  # a message that arrives after the result
                job, tries, future = running[index]
                if kind == "message":
                    on_message(job, content)
                elif content is future:
                    del running[index]
                    with self._connected():
                        ending, result = self._outcome(future)
                    if ending == "forgotten" and tries < TRIES:
                        submit(index, job, tries + 1)
                    elif ending == "forgotten":
                        reasons[job.name] = f"the scheduler forgot it {TRIES} times"
                    elif ending == "bug":
                        raise RuntimeError(f"{job.name} failed on a worker:\n{result}")
                    elif ending == "refused":
                        reasons[job.name] = str(result)
                    else:
                        yield job, result
        finally:
            if self._client.status == "running":
                with suppress(OSError):
                    self._client.cancel([future for _, _, future in running.values()], force=True)
                    self._client.unsubscribe_topic(topic)
        if reasons:
            raise UnfinishedError(reasons, number)

    def _next(self, events: queue.SimpleQueue[tuple[str, int, Any]]) -> tuple[str, int, Any]:
        """Return the next event; fail when the scheduler has gone."""
        while True:
            try:
                return events.get(timeout=1.0)
            except queue.Empty:
                if self._client.status != "running":
                    raise self._gone() from None

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Raise a `UserError` if the block fails because the scheduler is gone."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # distributed raises many kinds
            if isinstance(error, OSError) or self._client.status != "running":
                raise self._gone() from None
            raise

    def _gone(self) -> UserError:
        return UserError(f"the scheduler at {self.address} is gone; what was finished is kept")

    def _submit(self, function: Callable[[J, Send], Any], job: J, index: int, topic: str) -> Any:
        content, shared = packed(function, job)
        arrays = [self._hold(value) for value in shared.values()]
        unpackers = {identity: value.unpacker for identity, value in shared.items()}
        return self._client.submit(
            _perform, content, unpackers, arrays, index, topic, versions_here(),
            key=f"{function.__name__}-{uuid.uuid4().hex}", pure=False,
        )  # fmt: skip

    def _hold(self, shared: Shared[Any]) -> Any:
        """Return the arrays in the workers' memory, after sending them there if they are missing.

        They are the result of a task, which is repeated if the only worker that has them dies; `scatter`, which Dask
        recommends, loses them.
        """
        held = self._held.pop(shared.identity, None)
        if held is None or held.status in ("cancelled", "lost", "error"):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                held = self._client.submit(dict, shared.arrays, key=f"quantilizers-{shared.identity}")
        self._held[shared.identity] = held
        while len(self._held) > KEPT:
            self._held.popitem(last=False)
        return held

    def _outcome(self, future: Any) -> tuple[str, Any]:
        """Return how a job ended; "forgotten" if the scheduler no longer knows it."""
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        if future.status in ("cancelled", "lost"):
            if self._client.status != "running":
                raise self._gone()
            return "forgotten", None
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return "refused", given_up(error.allowed_failures + 1)
        return "bug", f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Leave the cluster; the workers go on for others."""
        self._client.close(timeout=1.0)

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _perform(
    job: bytes,
    unpackers: Mapping[str, bytes],
    arrays: Sequence[Arrays],
    index: int,
    topic: str,
    wanted: Mapping[str, str],
) -> Outcome:
    """Run a job in a worker."""
    worker = importlib.import_module("distributed").get_worker()
    if different := difference(versions_here(), wanted):
        return "refused", f"the worker {worker.address} has {different} as where it was asked from"
    # There may be one worker for each core of a machine.
    take_share(1)
    for name, value in thread_variables(1).items():
        os.environ.setdefault(name, value)
    hold({identity: (content, unpackers[identity]) for identity, content in zip(unpackers, arrays, strict=True)})
    return perform(job, lambda message: worker.log_event(topic, ("message", index, message)))


@cache
def versions_here() -> dict[str, str]:
    """Return the versions that results depend on in this process, and a hash of this package's code."""
    found = versions()
    found.setdefault("tensorflow", found.get("tensorflow-cpu", ""))  # the same library in a smaller download
    known = {name: found[name] for name in _LIBRARIES if found.get(name)}
    root, digest = Path(__file__).resolve().parent.parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    python = ".".join(platform.python_version_tuple()[:2])
    return {"quantilizers": found["quantilizers"], "python": python, "code": digest.hexdigest()[:12], **known}


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Describe the first version in which a worker differs; empty if it does not.

    A library that only one side has is no difference: a job that needs it reports that it is missing.

    >>> difference({"numpy": "2.3.0", "python": "3.13"}, {"numpy": "2.4.0", "python": "3.13"})
    'numpy 2.3.0, not 2.4.0'
    """
    for name, wanted in here.items():
        found = there.get(name, wanted)
        if found != wanted:
            what = "code of quantilizers" if name == "code" else name
            return f"{what} {found}, not {wanted}"
    return ""
