"""Jobs in worker processes of this machine, and the choice of an executor."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from quantilizers.errors import UserError
from quantilizers.execution.executor import (
    KEPT,
    TRIES,
    Executor,
    InProcess,
    J,
    R,
    Send,
    Shared,
    T,
    UnfinishedError,
    given_up,
    hold,
    ignore,
    packed,
    perform,
)
from quantilizers.numbers_in_words import counted
from quantilizers.process import child_environment, guarded_streams, ignoring_ctrl_c
from quantilizers.processors import available_cores, take_share, thread_variables

#: Seconds that a worker has to remove half-written files before it is killed.
PATIENCE = 1.0
#: Seconds of work for each process that nobody asked for: each takes four seconds to load TensorFlow.
WORTH_A_PROCESS = 8.0
#: The most processes that are started unasked, because each needs the memory of TensorFlow.
UNASKED_PROCESSES = 16


# `concurrent.futures.ProcessPoolExecutor` and loky break as a whole when a worker dies: all their jobs fail, and it is
# unknown which one is the cause. Here each worker has a pipe, for jobs, messages and results. Its death costs one job,
# and it can be ended in the middle of a job.
class WorkerProcesses:
    """Runs jobs in processes of this machine, one job at a time in each, with its share of the cores.

    A process that dies is replaced, and its job is started again, `TRIES` times in all. The processes stay for further
    calls of `map`, and end with this one, however it ends.

    Args:
        number: of processes; each starts when there is a job for it.
        fresh: whether each job runs in a new process, for jobs that change the state of theirs.
    """

    in_process = False
    shares_files = True

    def __init__(self, number: int, fresh: bool = False) -> None:
        self.at_once = number
        self._fresh = fresh
        cores = max(1, available_cores() // number)
        self._workers = [_Worker(cores) for _ in range(number)]

    def map(
        self, function: Callable[[J, Send], R], jobs: Iterable[J], on_message: Callable[[J, Any], object] = ignore
    ) -> Iterator[tuple[J, R]]:
        """Run jobs; see `quantilizers.execution.executor.Executor.map`."""
        coming, again = iter(jobs), deque[tuple[J, int]]()
        reasons: dict[str, str] = {}
        refusal: UserError | None = None
        number = 0
        running: dict[Connection, tuple[_Worker, J, int]] = {}
        try:
            while True:
                for worker in self._workers:
                    if worker.connection in running:
                        continue
                    if again:
                        job, tries = again.popleft()
                    else:
                        try:
                            job, tries = next(coming), 0
                        except StopIteration:
                            break
                        number += 1
                    running[worker.begin(*packed(function, job))] = worker, job, tries + 1
                if not running:
                    break
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection)
                    worker, job, tries = running[ready]
                    try:
                        kind, content = ready.recv()
                    except (EOFError, OSError):
                        del running[ready]
                        _end([worker])
                        if tries < TRIES:
                            again.append((job, tries))
                        else:
                            reasons[job.name] = given_up(TRIES)
                        continue
                    if kind == "message":
                        on_message(job, content)
                        continue
                    del running[ready]
                    if self._fresh:
                        _end([worker], idle=True)
                    if kind == "bug":
                        raise RuntimeError(f"{job.name} failed in another process:\n{content}")
                    if kind == "refused":
                        reasons[job.name], refusal = str(content), content
                    else:
                        yield job, content
        finally:
            # These are in the middle of a job that nobody waits for any more; idle ones are kept.
            _end([worker for worker, _, _ in running.values()])
        if reasons:
            raise UnfinishedError(reasons, number) from refusal

    def call(self, name: str, function: Callable[..., T], *arguments: Any) -> T:
        """Run one function in a process, and return its result.

        Args:
            name: of the work, for messages.
            function: at the top level of a module.
            *arguments: of the function.

        Raises:
            UserError: that of the function, or the process died three times.
            RuntimeError: the function raised another exception; its traceback is in the message.
        """
        try:
            ((_, result),) = self.map(_do_call, [_Call(name, function, arguments)])
        except UnfinishedError as error:
            raise error.__cause__ or error from None
        returned: T = result
        return returned

    def close(self) -> None:
        """End all processes."""
        _end(self._workers)

    def __enter__(self) -> WorkerProcesses:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Call:
    """The job of `WorkerProcesses.call`."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def _do_call(call: _Call, send: Send) -> Any:
    return call.function(*call.arguments)


class _Worker:
    """A place for one process, which starts with the first job, and after its death with the next one."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self.connection: Any = None
        self.process: Any = None
        self.held: OrderedDict[str, None] = OrderedDict()

    def begin(self, job: bytes, shared: Mapping[str, Shared[Any]]) -> Connection:
        """Send a job of `packed`, with the shared values that the process lacks, and return the connection."""
        if self.connection is None:
            self._start()
        new = {name: None if name in self.held else (value.arrays, value.unpacker) for name, value in shared.items()}
        # The worker drops the same ones in `hold`.
        for identity in shared:
            self.held[identity] = None
            self.held.move_to_end(identity)
        while len(self.held) > max(KEPT, len(shared)):
            self.held.popitem(last=False)
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, as reading from it will show
            self.connection.send((job, new))
        connection: Connection = self.connection
        return connection

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self._cores), daemon=True)
        with child_environment(thread_variables(self._cores)), ignoring_ctrl_c():
            self.process.start()
        self.connection = ours
        theirs.close()  # the pipe then ends with the child
        self.held.clear()


def _end(workers: Iterable[_Worker], idle: bool = False) -> None:
    """End processes, all at the same time, in the middle of their jobs unless they are idle."""
    ending = [worker for worker in workers if worker.connection is not None]
    for worker in ending:
        worker.connection.close()  # which ends an idle process
        if not idle:
            worker.process.terminate()
    until = time.monotonic() + (10 * PATIENCE if idle else PATIENCE)
    for worker in ending:
        worker.process.join(max(0.0, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection = None


def _work(connection: Connection, cores: int) -> None:
    """Run jobs in a worker until there are no more; remove half-written files if it has to end before."""
    try:
        # Unlike a signal, an exit runs the `finally` blocks that remove files.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        threading.Thread(target=_end_with_the_parent, daemon=True).start()
        take_share(cores)
        # The exceptions mean that the parent has no more jobs, or is gone.
        with guarded_streams(), suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                job, shared = connection.recv()
                hold(shared)
                connection.send(perform(job, lambda message: connection.send(("message", message))))
    finally:
        # No file is half-written now, and Python would report an exit during its own shutdown as an error.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with_the_parent() -> None:
    """End this worker when its parent ends, even in the middle of a job."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


#: The processes of `--workers` by their number, while `keeping_processes` runs.
_kept: ContextVar[dict[int, WorkerProcesses] | None] = ContextVar("_kept", default=None)


@contextmanager
def keeping_processes() -> Iterator[None]:
    """Keep the processes of `--workers` for all of this block, and end them with the outermost such block.

    They take seconds to load TensorFlow.
    """
    if _kept.get() is not None:
        yield
        return
    with ExitStack() as ending:
        kept: dict[int, WorkerProcesses] = {}
        ending.callback(lambda: _end(worker for processes in kept.values() for worker in processes._workers))
        ending.callback(_kept.reset, _kept.set(kept))
        yield


@contextmanager
def executor_for(
    workers: int | None, scheduler: str | None, *, seconds: float = 0.0, fresh: bool = False, threads: int = 1
) -> Iterator[Executor]:
    """Give the executor of `--workers` or `--scheduler`; without either, this process, or processes for long work.

    Args:
        workers: number of worker processes.
        scheduler: address of a Dask scheduler.
        seconds: that the jobs take one core, if they may have processes that nobody asked for, which end with the
            block.
        fresh: whether each job of worker processes runs in a new one.
        threads: of this process, if it runs the jobs.

    Raises:
        UserError: the cluster cannot be used.
    """
    if scheduler is not None:
        from quantilizers.execution.dask_cluster import DaskCluster  # optional

        try:
            cluster = DaskCluster(scheduler)
        except UserError as error:
            error.args = (f"--scheduler: {error}",)
            raise
        with cluster:
            there = counted(cluster.workers, "worker") if cluster.workers else "no worker yet, and waits for them,"
            print(f"working with {there} at {scheduler}", file=sys.stderr)
            if cluster.tries > TRIES:
                print(
                    f"warning: this scheduler starts a job whose workers die {cluster.tries} times, not {TRIES}; "
                    f"start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES={TRIES - 1}",
                    file=sys.stderr,
                )
            yield cluster
    elif workers is not None and not fresh and (kept := _kept.get()) is not None:
        yield kept.setdefault(workers, WorkerProcesses(workers))
    else:
        unasked = int(min(available_cores(), UNASKED_PROCESSES, seconds / WORTH_A_PROCESS))
        number = unasked if workers is None else workers
        if workers is None and number < 2:
            yield InProcess(threads)
            return
        with WorkerProcesses(number, fresh) as executor:
            yield executor
