"""Planners: no learning, no further library; each seed in a process of its own, which imports the method it needs.

What is called steps elsewhere is a planner's effort, see `quantilizers.envs.planning.Planning`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError
from quantilizers.execution.units import Executor, Send
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.plans import FollowedPlans, plans_of
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.optimisers.side_by_side import plainly, train_side_by_side
from quantilizers.optimisers.suitability import check_suitable


def optimise(jobs: Sequence[Job], report: TrainingReport, executor: Executor | None = None) -> list[LearningCurve]:
    """Plan, save and measure; see `quantilizers.optimisers.learner.Learner`."""
    check_suitable(jobs[0].algorithm, report.environment)
    return train_side_by_side(_plan, jobs, report, executor)


def policies_of(job: Job, environment: EnvironmentDefinition, episode: int) -> FollowedPlans:
    """Return what follows the plan of the episode; see `quantilizers.optimisers.learner.Learner`."""
    plans = plans_of(job, environment)
    number = 0 if plans is None else plans.number
    if plans is None or episode >= number:
        raise MissingError(f"{job.agent} has plans for {counted(number, 'episode')}, not for episode {episode + 1}")
    return FollowedPlans(plans, slice(episode, episode + 1))


def _plan(job: Job, send: Send) -> None:
    importlib.import_module("quantilizers.optimisers.planning").plan(job, plainly(send))
