"""Planners: no learning, no further library; each seed in a process of its own, which imports the method it needs.

What is called steps elsewhere is a planner's effort, see `quantilizers.envs.planning.Planning`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, UserError
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.messages import Progress
from quantilizers.optimisers.plans import FollowedPlans, plans_of
from quantilizers.optimisers.processes import Send, run_side_by_side
from quantilizers.optimisers.reports import TrainingReport, curves_so_far
from quantilizers.optimisers.suitability import check_suitable


def optimise(jobs: Sequence[Job], report: TrainingReport) -> list[LearningCurve]:
    """Plan, save and measure; see `quantilizers.optimisers.learner.Learner`."""
    algorithm, environment = jobs[0].algorithm, report.environment
    check_suitable(algorithm, environment)
    if not jobs[0].environment:
        raise UserError(
            f"the {ALGORITHMS[algorithm].label} works in other processes, which cannot load {environment.name}, for it "
            "was defined in memory; define it in a file and load it by its address, such as my_env.py:ENVIRONMENT"
        )
    curves = curves_so_far(jobs, report)

    def receive(index: int, progress: Progress) -> None:
        if progress.proxy_return is not None and progress.true_return is not None:
            curves[index].append(progress.steps, progress.proxy_return, progress.true_return)
            report.episode(index, curves[index])
        else:
            report.steps(index, progress.steps)

    run_side_by_side(_plan, jobs, receive)
    return curves


def policies_of(job: Job, environment: EnvironmentDefinition, episode: int) -> FollowedPlans:
    """Return what follows the plan of the episode; see `quantilizers.optimisers.learner.Learner`."""
    plans = plans_of(job, environment)
    number = 0 if plans is None else plans.number
    if plans is None or episode >= number:
        raise MissingError(f"{job.agent} has plans for {counted(number, 'episode')}, not for episode {episode + 1}")
    return FollowedPlans(plans, slice(episode, episode + 1))


def _plan(job: Job, send: Send) -> None:
    importlib.import_module("quantilizers.optimisers.planning").plan(job, send)
