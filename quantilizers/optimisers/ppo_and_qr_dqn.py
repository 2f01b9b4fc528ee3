"""PPO of stable-baselines3 and QR-DQN of sb3-contrib, each seed in a process of its own.

The libraries are optional, and only those processes import them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.event_files import leave_tensorflow_out
from quantilizers.execution.units import Executor, Send
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.learner import check_libraries
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.optimisers.side_by_side import plainly, train_side_by_side
from quantilizers.optimisers.suitability import check_suitable
from quantilizers.policies.policy import Policies


def optimise(jobs: Sequence[Job], report: TrainingReport, executor: Executor | None = None) -> list[LearningCurve]:
    """Train, save and measure; see `quantilizers.optimisers.learner.Learner`."""
    check_suitable(jobs[0].algorithm, report.environment)
    check_libraries(jobs[0].algorithm)
    return train_side_by_side(_train, jobs, report, executor)


def policies_of(job: Job, environment: EnvironmentDefinition, episode: int) -> Policies:
    """Return the agent as it is measured; see `quantilizers.optimisers.learner.Learner`."""
    check_libraries(job.algorithm)
    leave_tensorflow_out()  # the library imports TensorBoard
    training = importlib.import_module("quantilizers.optimisers.sb3_training")
    policies: Policies = training.restored(job, environment)
    return policies


def _train(job: Job, send: Send) -> None:
    leave_tensorflow_out()
    importlib.import_module("quantilizers.optimisers.sb3_training").train(job, plainly(send))
