"""The API before `executor_for`, until its callers have moved to `quantilizers.execution.worker_processes`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quantilizers.execution.executor import Executor, InProcess
from quantilizers.execution.worker_processes import executor_for
from quantilizers.execution.worker_processes import kept_processes as processes  # noqa: F401
from quantilizers.stages.settings import Settings


@contextmanager
def executor_of(settings: Settings, fresh: bool = False, seconds: float = 0.0) -> Iterator[Executor | None]:
    """Give what `executor_for` gives for the settings; None is this process."""
    # Other processes cannot load what was defined in memory.
    seconds = seconds if settings.environment.address else 0.0
    with executor_by(settings.workers, settings.scheduler, fresh, seconds) as executor:
        yield executor


@contextmanager
def executor_by(
    workers: int | None, scheduler: str | None, fresh: bool = False, seconds: float = 0.0
) -> Iterator[Executor | None]:
    """Give what `executor_for` gives; None is this process."""
    with executor_for(workers, scheduler, seconds=seconds, fresh=fresh) as executor:
        yield None if isinstance(executor, InProcess) else executor
