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
from contextlib import contextmanager, suppress
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
    UnfinishedError,
    given_up,
    hold,
    ignore,
    packed,
    perform,
)
from quantilizers.numbers_in_words import counted
from quantilizers.process import guarded_streams, ignoring_ctrl_c
from quantilizers.processors import available_cores, take_share, thread_variables

#: Seconds that a worker has to remove half-written files before it is killed.
PATIENCE = 1.0
#: Seconds of work for each process that nobody asked for: each takes four to load TensorFlow.
WORTH_A_PROCESS = 8.0
#: The most processes that are started unasked, because each needs the memory of TensorFlow.
UNASKED_PROCESSES = 16


# `concurrent.futures.ProcessPoolExecutor`, and loky after it, break as a whole when a worker dies: every job in them
# fails, and none is known to be the cause. A worker here has a pipe of its own, so its death costs its own job only;
# messages come through the same pipe, and a worker in the middle of a job can be ended at once.
class WorkerProcesses:
    """Runs jobs in processes of this machine, each of which runs one job at a time with its share of the processors.

    A process that dies is replaced, and its job is started again, `TRIES` times in all. The processes stay for further
    calls of `map` and end with this one, however it ends.

    Args:
        number: of processes; they start when there are jobs for them.
        fresh: whether each job has a new process, for jobs that leave something behind in theirs.
    """

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
                        worker.leave()
                    if kind == "bug":
                        raise RuntimeError(f"{job.name} failed in another process:\n{content}")
                    if kind == "refused":
                        reasons[job.name] = content
                    else:
                        yield job, content
        finally:
            # Workers in the middle of a job were interrupted; idle ones are kept for further jobs.
            _end([worker for worker, _, _ in running.values()])
        if reasons:
            raise UnfinishedError(reasons, number)

    def close(self) -> None:
        """End all processes."""
        _end(self._workers)

    def __enter__(self) -> WorkerProcesses:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Worker:
    """A place for one process, which is started for the first job, and after its death for the next one.

    Args:
        cores: its share of the processors.

    Attributes:
        connection: to the process; None while there is none.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self.connection: Connection | None = None
        self.process: Any = None
        self.held: OrderedDict[str, None] = OrderedDict()

    def begin(self, job: bytes, shared: Mapping[str, Shared[Any]]) -> Connection:
        """Send a job of `packed` to the process, with the shared values that it lacks; return the connection."""
        connection = self._connected()
        new = {name: None if name in self.held else (value.arrays, value.unpacker) for name, value in shared.items()}
        # The worker drops the same ones, see `hold`.
        for identity in shared:
            self.held[identity] = None
            self.held.move_to_end(identity)
        while len(self.held) > max(KEPT, len(shared)):
            self.held.popitem(last=False)
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which reading from it shows
            connection.send((job, new))
        return connection

    def _connected(self) -> Connection:
        if self.connection is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=_work, args=(theirs, self._cores), daemon=True)
            with _environment(thread_variables(self._cores)), ignoring_ctrl_c():
                self.process.start()
            theirs.close()  # so that this end of the pipe closes when the child ends
            self.held.clear()
        return self.connection

    def hang_up(self) -> None:
        """Close the connection, which lets an idle process end."""
        if self.connection is not None:
            self.connection.close()

    def leave(self) -> None:
        """Let the process end by itself."""
        self.hang_up()
        self.wait_or_kill(time.monotonic() + 10 * PATIENCE)

    def wait_or_kill(self, until: float) -> None:
        """Wait for the process's end until a time of the monotonic clock, then kill it."""
        self.process.join(max(0.0, until - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection = self.process = None


def _end(workers: Iterable[_Worker]) -> None:
    """End processes, all at the same time, whatever they are doing."""
    ending = [worker for worker in workers if worker.process is not None]
    for worker in ending:
        worker.hang_up()
        worker.process.terminate()
    until = time.monotonic() + PATIENCE
    for worker in ending:
        worker.wait_or_kill(until)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while a process starts, which inherits them; those that are set already stay."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _work(connection: Connection, cores: int) -> None:
    """Run jobs in a worker until there are no more; remove half-written files if it has to end before."""
    try:
        # Unlike a signal, an exit runs the `finally` blocks that remove files.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        with guarded_streams():
            _run_jobs(connection, cores)
    finally:
        # No file is half-written now, and Python would report an exit during its own shutdown as an error.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run_jobs(connection: Connection, cores: int) -> None:
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    take_share(cores)
    # These mean that the parent has no more jobs, or is gone.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            job, shared = connection.recv()
            hold(shared)
            connection.send(perform(job, lambda message: connection.send(("message", message))))


def _end_with_the_parent() -> None:
    """End this worker when its parent ends, even in the middle of a job."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


#: Processes by their number: they stay for later stages, because they take seconds to load TensorFlow.
_kept: dict[int, WorkerProcesses] = {}


def kept_processes(number: int) -> WorkerProcesses:
    """Return the processes that `--workers` stands for, which live as long as this one."""
    return _kept.setdefault(number, WorkerProcesses(number))


@contextmanager
def executor_for(
    workers: int | None, scheduler: str | None, *, seconds: float = 0.0, fresh: bool = False, threads: int = 1
) -> Iterator[Executor]:
    """Give the executor of `--workers` or `--scheduler`; without either, this process, or processes for long work.

    Args:
        workers: number of worker processes.
        scheduler: address of a Dask scheduler.
        seconds: how long the jobs take one processor, if they are worth processes that nobody asked for; those end
            with the block.
        fresh: whether worker processes are replaced after each job.
        threads: of this process, if it runs the jobs.

    Raises:
        UserError: the cluster cannot be used.
    """
    if scheduler is not None:
        from quantilizers.execution.dask_cluster import DaskCluster  # which is optional

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
    elif workers is not None and not fresh:
        yield kept_processes(workers)
    else:
        unasked = int(min(available_cores(), UNASKED_PROCESSES, seconds / WORTH_A_PROCESS))
        number = unasked if workers is None else workers
        if workers is None and number < 2:
            yield InProcess(threads)
            return
        with WorkerProcesses(number, fresh) as executor:
            yield executor
