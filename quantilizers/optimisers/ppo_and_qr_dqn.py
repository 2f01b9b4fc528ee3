"""PPO of stable-baselines3 and QR-DQN of sb3-contrib, each seed in a process of its own.

The libraries are optional, and only those processes import them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.event_files import leave_tensorflow_out
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.learner import check_libraries
from quantilizers.optimisers.messages import Progress
from quantilizers.optimisers.processes import Send, run_side_by_side
from quantilizers.optimisers.reports import TrainingReport, curves_so_far
from quantilizers.optimisers.suitability import check_suitable
from quantilizers.policies.policy import Policies


def optimise(jobs: Sequence[Job], report: TrainingReport) -> list[LearningCurve]:
    """Train, save and measure; see `quantilizers.optimisers.learner.Learner`."""
    algorithm, environment = jobs[0].algorithm, report.environment
    check_suitable(algorithm, environment)
    label = ALGORITHMS[algorithm].label
    check_libraries(algorithm)
    if not jobs[0].environment:
        raise UserError(
            f"{label} trains in other processes, which cannot load {environment.name}, for it was defined in memory; "
            "define it in a file and load it by its address, such as my_env.py:ENVIRONMENT"
        )
    curves = curves_so_far(jobs, report)

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


def policies_of(job: Job, environment: EnvironmentDefinition, episode: int) -> Policies:
    """Return the agent as it is measured; see `quantilizers.optimisers.learner.Learner`."""
    check_libraries(job.algorithm)
    leave_tensorflow_out()  # the library imports TensorBoard
    training = importlib.import_module("quantilizers.optimisers.sb3_training")
    policies: Policies = training.restored(job, environment)
    return policies


def _train(job: Job, send: Send) -> None:
    leave_tensorflow_out()
    importlib.import_module("quantilizers.optimisers.sb3_training").train(job, send)
