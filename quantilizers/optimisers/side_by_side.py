"""Seeds that train side by side, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from quantilizers.errors import UserError
from quantilizers.execution.processes import LocalProcesses
from quantilizers.execution.units import Executor, Send, WorkUnit
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.messages import Progress, SendProgress
from quantilizers.optimisers.reports import TrainingReport, curves_so_far
from quantilizers.processors import available_cores


def train_side_by_side(
    train: Callable[[Job, Send], None], jobs: Sequence[Job], report: TrainingReport, executor: Executor | None
) -> list[LearningCurve]:
    """Train one agent for each job, and hear how it learns.

    Args:
        train: at the top level of a module; trains the agent of a job, and sends progress by `plainly`.
        jobs: of the seeds.
        report: told of steps and episodes.
        executor: which does the work; None is as many processes as there are cores, one for each seed.

    Returns:
        How each has learned, from its first step on.

    Raises:
        UserError: the environment was defined in memory, a file is damaged, or some jobs came to nothing.
    """
    if not jobs[0].environment:
        raise UserError(
            f"{ALGORITHMS[jobs[0].algorithm].label} works in other processes, which cannot load "
            f"{report.environment.name}, for it was defined in memory; define it in a file and load it by its address, "
            "such as my_env.py:ENVIRONMENT"
        )
    curves = curves_so_far(jobs, report)

    def receive(index: int, message: Any) -> None:
        progress = Progress(**message)
        curve = curves[index]
        if progress.proxy_return is not None and progress.true_return is not None:
            # A seed that is begun again, for its process has died, tells once more of what came after its checkpoint.
            if not curve.steps or progress.steps > curve.steps[-1]:
                curve.append(progress.steps, progress.proxy_return, progress.true_return)
                report.episode(index, curve)
            return
        report.steps(index, progress.steps)
        if progress.measured_steps is not None:
            report.measuring(index, progress.measured_steps)

    units = [WorkUnit(job.name, train, (job,)) for job in jobs]
    own = LocalProcesses(min(len(jobs), available_cores()), fresh=True) if executor is None else nullcontext(executor)
    with own as working:
        for _ in working.run(units, receive):
            pass
    return curves


def plainly(send: Send) -> SendProgress:
    """Return what sends progress as plain values."""
    return lambda progress: send(asdict(progress))
