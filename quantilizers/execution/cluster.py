"""Work on the machines of a Dask cluster: `dask scheduler`, and any number of `dask worker`.

Dask sends functions and their arguments with pickle, and runs what it is sent: a scheduler is to be trusted as one's
own account is. It moves shared arrays from worker to worker, each at most once, and does elsewhere what a worker that
died was doing.
"""

from __future__ import annotations

import importlib
import math
import os
import queue
import re
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from quantilizers.errors import NotInstalledError, UserError, reason_of
from quantilizers.execution.sameness import difference, versions_here
from quantilizers.execution.units import (
    TRIES,
    Outcome,
    Shared,
    UnfinishedError,
    WorkUnit,
    given_up,
    perform,
    unheard,
    unpacked,
)
from quantilizers.processors import take_share, thread_variables

#: Seconds in which a scheduler has to answer.
PATIENCE = 5.0
#: Units that the scheduler knows of at a time: at least so many, and so many for each worker. With more to do than
#: there are workers, adaptive clusters grow, and no worker waits for this process.
AT_LEAST, FOR_EACH = 64, 4
#: Sets of shared arrays that are held for units to come.
KEPT = 4


class DaskCluster:
    """Does units of work on the workers of a Dask cluster.

    The scheduler counts whose workers died, and gives a unit up after as many as it was started to allow.

    Args:
        address: of the scheduler, such as `tcp://host:8786`, or `tls://…`, for which Dask's own configuration names the
            certificates.
        patience: seconds in which it has to answer.

    Raises:
        NotInstalledError: `distributed` is not installed.
        UserError: the address is none, nobody answers there, or workers have other versions than this process.
    """

    shares_files = False

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        if not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", address):
            raise UserError(f"{address!r} is no scheduler's address, such as tcp://host:8786")
        try:
            distributed = importlib.import_module("distributed")
        except ModuleNotFoundError as error:
            raise NotInstalledError("a cluster needs distributed, which is not installed", "distributed") from error
        self.address = address
        try:
            self._client = distributed.Client(
                address, timeout=patience, set_as_default=False, name="quantilizers", direct_to_workers=False
            )
        except (OSError, TimeoutError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"no Dask scheduler answers at {address} within {patience:g} s ({reason_of(error)})"
            ) from None
        try:
            self._check_versions()
        except BaseException:
            self.close()
            raise
        self._held: dict[str, Any] = {}
        self._counted, self._number = -math.inf, 0

    @property
    def number(self) -> int:
        """How many workers there are, or were some seconds ago: the scheduler tells all about each of them."""
        if time.monotonic() - self._counted > PATIENCE:
            self._number = len(self._client.scheduler_info(n_workers=-1)["workers"])
            self._counted = time.monotonic()
        return self._number

    @property
    def tries(self) -> int:
        """How often the scheduler has a unit begun whose workers die of it."""
        allowed: int = self._client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures)
        return allowed + 1

    def _check_versions(self) -> None:
        """Refuse workers that would give other results; those that come later refuse units themselves."""
        here = versions_here()
        for worker, there in self._client.run(versions_here, on_error="return").items():
            if isinstance(there, BaseException):
                raise UserError(
                    f"the worker {worker} cannot load quantilizers ({type(there).__name__}: {there}); install what is "
                    "installed here"
                )
            if different := difference(there, here):
                raise UserError(f"the worker {worker} has {different} as here; install the same on all machines")

    def run(
        self, units: Iterable[WorkUnit], on_message: Callable[[int, Any], object] = unheard
    ) -> Iterator[tuple[int, Any]]:
        """Do the work; see `quantilizers.execution.units.Executor`."""
        topic = f"quantilizers-{uuid.uuid4().hex}"
        heard: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._client.subscribe_topic(topic, lambda event: heard.put(tuple(event[1])))
        coming = enumerate(units)
        running: dict[int, tuple[WorkUnit, Any]] = {}
        forgotten: dict[int, int] = {}
        reasons: dict[str, str] = {}
        number = 0

        def submit(index: int, unit: WorkUnit) -> None:
            future = self._submit(index, unit, topic)
            running[index] = unit, future
            future.add_done_callback(lambda done: heard.put(("ended", index, done)))

        try:
            while True:
                room = max(AT_LEAST, FOR_EACH * self.number) - len(running)
                for index, unit in _first(coming, room):
                    number = index + 1
                    submit(index, unit)
                if not running:
                    break
                kind, index, content = self._next(heard)
                if index not in running:
                    continue  # a message that comes after the result
                unit, future = running[index]
                if kind == "message":
                    on_message(index, content)
                elif content is future:
                    del running[index]
                    outcome = self._outcome(future)
                    if outcome is None:
                        forgotten[index] = forgotten.get(index, 0) + 1
                        if forgotten[index] < TRIES:
                            submit(index, unit)
                        else:
                            reasons[unit.name] = f"the scheduler forgot it {TRIES} times"
                    elif outcome[0] == "bug":
                        raise RuntimeError(f"{unit.name} failed on a worker:\n{outcome[1]}")
                    elif outcome[0] == "refused":
                        reasons[unit.name] = outcome[1]
                    else:
                        yield index, outcome[1]
        finally:
            if self._client.status == "running":
                self._client.cancel([future for _, future in running.values()], force=True)
                self._client.unsubscribe_topic(topic)
        if reasons:
            raise UnfinishedError(reasons, number)

    def _next(self, heard: queue.SimpleQueue[tuple[str, int, Any]]) -> tuple[str, int, Any]:
        """Wait for what is heard next, as long as there is a scheduler to hear from."""
        while True:
            try:
                return heard.get(timeout=1.0)
            except queue.Empty:
                if self._client.status != "running":
                    raise UserError(f"the scheduler at {self.address} is gone; what was finished is kept") from None

    def _submit(self, index: int, unit: WorkUnit, topic: str) -> Any:
        data = [self._hold(identity, shared) for identity, shared in unit.shared.items()]
        return self._client.submit(
            _perform, unit.function, unit.packed(), data, index, topic, versions_here(),
            key=f"{unit.function.__name__}-{uuid.uuid4().hex}", pure=False,
        )  # fmt: skip

    def _hold(self, identity: str, shared: Shared) -> Any:
        """Return the arrays in the workers' memory, and bring them there where they are not.

        They are what a task gives, and not scattered, as Dask calls that: what was scattered is lost with the only
        worker that has it, while a task is done again.
        """
        held = self._held.pop(identity, None)
        if held is None or held.status in ("cancelled", "lost", "error"):
            with warnings.catch_warnings():
                # It would rather have them scattered.
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                held = self._client.submit(_same, dict(shared.arrays), key=f"quantilizers-{identity}")
        self._held[identity] = held
        while len(self._held) > KEPT:
            del self._held[next(iter(self._held))]
        return held

    def _outcome(self, future: Any) -> Outcome | None:
        """Return how a unit ended; None where the scheduler forgot it."""
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        if future.status in ("cancelled", "lost"):
            return None
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return "refused", given_up(error.allowed_failures + 1)
        return "bug", f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Leave the cluster; what workers are doing for others goes on."""
        self._client.close(timeout=1.0)

    def __enter__(self) -> DaskCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _first(coming: Iterator[tuple[int, WorkUnit]], number: int) -> Iterator[tuple[int, WorkUnit]]:
    for _ in range(number):
        following = next(coming, None)
        if following is None:
            return
        yield following


def _same(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return arrays as they came, so that they are there for the units that read them."""
    return arrays


def _perform(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    data: Sequence[Mapping[str, Any]],
    index: int,
    topic: str,
    wanted: Mapping[str, str],
) -> Outcome:
    """Do a unit's work in a worker."""
    worker = importlib.import_module("distributed").get_worker()
    if different := difference(versions_here(), wanted):
        return "refused", f"the worker {worker.address} has {different} as where it was asked from"
    # Where several workers share a machine each is to have its own processor.
    take_share(1)
    for name, value in thread_variables(1).items():
        os.environ.setdefault(name, value)
    held = {shared.identity: shared for shared in map(Shared, data)}
    return perform(
        function, unpacked(arguments, held), lambda message: worker.log_event(topic, ("message", index, message))
    )
