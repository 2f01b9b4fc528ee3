"""Work in other processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from quantilizers.execution.units import (
    TRIES,
    Shared,
    UnfinishedError,
    WorkUnit,
    given_up,
    perform,
    unheard,
    unpacked,
)
from quantilizers.interruptions import leave_to_the_first, starting_a_process
from quantilizers.processors import available_cores, take_share, thread_variables
from quantilizers.standard_streams import guarded_streams

#: How many sets of shared arrays a worker keeps; the one that was longest not used goes first.
KEPT = 4
#: Seconds that a worker has to clear half a file away before it is killed.
PATIENCE = 1.0


class LocalProcesses:
    """Does units of work in processes of this machine, each of which does one at a time.

    A process that dies is replaced, and its unit done again, `TRIES` times in all. All processes end when this one
    does, however that happens.

    Args:
        number: of processes.
        fresh: whether each unit has a process of its own, as those need that leave something behind.
    """

    shares_files = True

    def __init__(self, number: int, fresh: bool = False) -> None:
        self._number = number
        self._fresh = fresh
        self._cores = max(1, available_cores() // number)
        self._workers: list[_Worker] = []

    def run(
        self, units: Iterable[WorkUnit], on_message: Callable[[int, Any], object] = unheard
    ) -> Iterator[tuple[int, Any]]:
        """Do the work; see `quantilizers.execution.units.Executor`."""
        coming = enumerate(units)
        again: deque[tuple[int, WorkUnit]] = deque()
        tries: dict[int, int] = {}
        reasons: dict[str, str] = {}
        number = 0
        try:
            while True:
                while self._has_room():
                    following = again.popleft() if again else next(coming, None)
                    if following is None:
                        break
                    worker = self._idle()
                    number = max(number, following[0] + 1)
                    tries[following[0]] = tries.get(following[0], 0) + 1
                    worker.begin(*following)
                busy = {worker.connection: worker for worker in self._workers if worker.unit is not None}
                if not busy:
                    break
                for ready in wait(list(busy)):
                    assert isinstance(ready, Connection)
                    worker = busy[ready]
                    assert worker.unit is not None
                    index, unit = worker.unit
                    try:
                        kind, content = ready.recv()
                    except (EOFError, OSError):
                        self._workers.remove(worker)
                        worker.end()
                        if tries[index] < TRIES:
                            again.append((index, unit))
                        else:
                            reasons[unit.name] = given_up(TRIES)
                        continue
                    if kind == "message":
                        on_message(index, content)
                        continue
                    worker.unit = None
                    if self._fresh:
                        self._workers.remove(worker)
                        worker.leave()
                    if kind == "bug":
                        raise RuntimeError(f"{unit.name} failed in another process:\n{content}")
                    if kind == "refused":
                        reasons[unit.name] = content
                    else:
                        yield index, content
        finally:
            # What is still at work was interrupted; idle ones are kept for what comes next.
            ending = [worker for worker in self._workers if worker.unit is not None]
            self._workers = [worker for worker in self._workers if worker.unit is None]
            _end_all(ending)
        if reasons:
            raise UnfinishedError(reasons, number)

    def _has_room(self) -> bool:
        """Return whether a process has nothing to do, or one more may be started."""
        return len(self._workers) < self._number or any(worker.unit is None for worker in self._workers)

    def _idle(self) -> _Worker:
        """Return a process that has nothing to do, a new one where there is none."""
        for worker in self._workers:
            if worker.unit is None:
                return worker
        self._workers.append(_Worker(self._cores))
        return self._workers[-1]

    def close(self) -> None:
        """End all processes."""
        workers, self._workers = self._workers, []
        _end_all(workers)

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One process, and what it has.

    Args:
        cores: its share of the processors.

    Attributes:
        connection: to it.
        unit: that it is doing, with its number.
    """

    def __init__(self, cores: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.unit: tuple[int, WorkUnit] | None = None
        self._held: OrderedDict[str, None] = OrderedDict()
        self._process = context.Process(target=_work, args=(theirs, cores), daemon=True)
        with _environment(thread_variables(cores)), starting_a_process():
            self._process.start()
        theirs.close()  # the child has its own; this end sees the child's end when that one closes

    def begin(self, index: int, unit: WorkUnit) -> None:
        """Give it a unit, and what it lacks of the shared arrays."""
        self.unit = index, unit
        try:
            for identity, shared in unit.shared.items():
                if identity not in self._held:
                    self.connection.send(("hold", identity, dict(shared.arrays)))
                self._held[identity] = None
                self._held.move_to_end(identity)
            while len(self._held) > max(KEPT, len(unit.shared)):
                oldest, _ = self._held.popitem(last=False)
                self.connection.send(("drop", oldest, None))
            self.connection.send(("work", unit.function, unit.packed()))
        except (BrokenPipeError, ConnectionResetError):
            return  # it has died; whoever reads from it next sees that

    def leave(self) -> None:
        """Let it end by itself, for there is no more to do."""
        self.connection.close()
        self.wait_or_kill(time.monotonic() + 10 * PATIENCE)

    def end(self) -> None:
        """End it, whatever it is doing."""
        _end_all([self])

    def ask_to_end(self) -> None:
        """Tell it to clear up and end, without waiting for that."""
        self.connection.close()
        self._process.terminate()

    def wait_or_kill(self, until: float) -> None:
        """Wait for its end until a time of the monotonic clock, then kill it."""
        self._process.join(max(0.0, until - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _end_all(workers: Iterable[_Worker]) -> None:
    """End processes, all at the same time."""
    workers = list(workers)
    for worker in workers:
        worker.ask_to_end()
    until = time.monotonic() + PATIENCE
    for worker in workers:
        worker.wait_or_kill(until)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have environment variables for a moment, which a process that starts then keeps; those that are set stay."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _work(connection: Connection, cores: int) -> None:
    """Do one unit after the other, until there are no more, and clear up if this process is to end before."""
    leave_to_the_first()
    try:
        # An exit, unlike a signal, lets half a file be cleared away.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        _work_on(connection, cores)
    finally:
        # Nothing is half now, and an exit from what Python does as it ends would be told as an error.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@guarded_streams()
def _work_on(connection: Connection, cores: int) -> None:
    """Do one unit after the other, until there are no more."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    take_share(cores)
    held: dict[str, Shared] = {}

    def send(message: Any) -> None:
        connection.send(("message", message))

    try:
        while True:
            kind, what, content = connection.recv()
            if kind == "hold":
                held[what] = Shared(content)
            elif kind == "drop":
                del held[what]
            else:
                connection.send(perform(what, unpacked(content, held), send))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the process that started this one has no more work, or is gone


def _end_with_the_parent() -> None:
    """End this process when the one that started it ends, also in the middle of a unit."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)
