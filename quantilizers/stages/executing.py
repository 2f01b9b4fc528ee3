"""Where a stage has its work done: in this process, in others, or on a cluster, as the command line says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from quantilizers.errors import UserError
from quantilizers.execution.processes import LocalProcesses
from quantilizers.execution.units import TRIES, Executor
from quantilizers.numbers_in_words import counted
from quantilizers.processors import available_cores
from quantilizers.stages.settings import Settings

#: Seconds of work for each process at least where nobody asked for processes: each takes four to load TensorFlow.
WORTH_A_PROCESS = 8.0
#: So many at most, for memory's sake: each loads TensorFlow.
UNASKED_PROCESSES = 16
#: Processes by their number: they stay for the stages to come, for it takes them seconds to load TensorFlow.
_processes: dict[int, LocalProcesses] = {}


def processes(number: int) -> LocalProcesses:
    """Return so many processes of this machine, which end with this one."""
    if number not in _processes:
        _processes[number] = LocalProcesses(number)
    return _processes[number]


def executor_of(
    settings: Settings, fresh: bool = False, seconds: float = 0.0
) -> AbstractContextManager[Executor | None]:
    """Give what does a stage's work; None is this process.

    Args:
        settings: of the run.
        fresh: whether, on this machine, each unit is to have a process of its own.
        seconds: of one processor that the work takes, if that is worth processes that nobody asked for.

    Raises:
        UserError: the cluster cannot be used.
    """
    # What is defined in memory, other processes cannot load.
    return executor_by(settings.workers, settings.scheduler, fresh, seconds if settings.environment.address else 0.0)


@contextmanager
def executor_by(
    workers: int | None, scheduler: str | None, fresh: bool = False, seconds: float = 0.0
) -> Iterator[Executor | None]:
    """Give what does the work as two flags say; None is this process.

    Threads of one process wait for each other and for Python; processes do not. So where neither flag is given there
    are some for long work, which end with it.

    Args:
        workers: processes of this machine.
        scheduler: address of a Dask cluster.
        fresh: whether, on this machine, each unit is to have a process of its own.
        seconds: of one processor that the work takes, if that is worth processes that nobody asked for.

    Raises:
        UserError: the cluster cannot be used.
    """
    if scheduler is not None:
        # Who does not ask for a cluster does without its library.
        from quantilizers.execution.cluster import DaskCluster

        try:
            cluster = DaskCluster(scheduler)
        except UserError as error:
            error.args = (f"--scheduler: {error}",)
            raise
        with cluster:
            there = counted(cluster.number, "worker") if cluster.number else "no worker yet, and waits for them,"
            print(f"working with {there} at {scheduler}", file=sys.stderr)
            if cluster.tries > TRIES:
                print(
                    f"warning: this scheduler begins a unit whose workers die {cluster.tries} times, not {TRIES}; "
                    f"start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES={TRIES - 1}",
                    file=sys.stderr,
                )
            yield cluster
    elif workers is not None:
        if fresh:
            with LocalProcesses(workers, fresh) as executor:
                yield executor
        else:
            yield processes(workers)
    else:
        number = int(min(available_cores(), UNASKED_PROCESSES, seconds / WORTH_A_PROCESS))
        with LocalProcesses(number) if number > 1 else nullcontext() as unasked:
            yield unasked
