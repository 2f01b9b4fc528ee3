"""PPO of stable-baselines3 and QR-DQN of sb3-contrib, each seed in a process of its own.

The libraries are optional (`requirements-optimizers.txt`), and only those processes import them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from quantilizers.errors import UserError
from quantilizers.optimisers import ALGORITHMS
from quantilizers.optimisers.agents import LearningCurve, load_agent
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.optimisers.side_by_side import Send, run_side_by_side

LIBRARIES = ("torch", "stable_baselines3", "sb3_contrib")


@dataclass(frozen=True)
class Progress:
    """What a training process tells.

    Attributes:
        steps: steps of training so far.
        proxy_return: of an episode of training, where one has just ended.
        true_return: likewise.
        measured_steps: steps of the episodes in which the trained agent is measured, once that has begun.
    """

    steps: int
    proxy_return: float | None = None
    true_return: float | None = None
    measured_steps: int | None = None


def optimise(jobs: Sequence[Job], report: TrainingReport) -> list[LearningCurve]:
    """Train, save and measure; see `quantilizers.optimisers.Learner`."""
    if not all(importlib.util.find_spec(library) for library in LIBRARIES):
        raise UserError(
            f"{ALGORITHMS[jobs[0].algorithm].label} needs stable-baselines3, sb3-contrib and torch; "
            "run: python -m pip install -r requirements-optimizers.txt"
        )
    curves = []
    for index, job in enumerate(jobs):
        agent = load_agent(job)
        curves.append(agent.curve if agent else LearningCurve())
        report.begin(index, curves[index], agent.steps if agent else 0)

    def receive(index: int, progress: Progress) -> None:
        if progress.proxy_return is not None and progress.true_return is not None:
            curves[index].append(progress.steps, progress.proxy_return, progress.true_return)
            report.episode(index, curves[index])
            return
        report.steps(index, progress.steps)
        if progress.measured_steps is not None:
            report.measuring(index, progress.measured_steps)

    run_side_by_side(_train, jobs, receive)
    return curves


def _train(job: Job, send: Send) -> None:
    importlib.import_module("quantilizers.optimisers.stable_baselines").train(job, send)
