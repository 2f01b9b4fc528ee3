"""What trains an algorithm's agents."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Protocol, cast

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import NotInstalledError
from quantilizers.execution.units import Executor
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.policies.policy import Policies


class Learner(Protocol):
    """What a module that `Algorithm.module` names offers."""

    def optimise(
        self, jobs: Sequence[Job], report: TrainingReport, executor: Executor | None = None
    ) -> list[LearningCurve]:
        """Train, save and measure one agent for each job; go on from checkpoints where there are any.

        Args:
            jobs: they differ in their seeds only.
            report: told of steps and episodes while they happen.
            executor: which does what takes processes of its own; None is those of this machine.

        Returns:
            How each has learned, from its first step on.

        Raises:
            NotInstalledError: a library is not installed.
            UserError: the algorithm does not suit the environment, or a file is damaged.
        """
        ...

    def policies_of(self, job: Job, environment: EnvironmentDefinition, episode: int) -> Policies:
        """Return a trained agent, as one policy, for one of the episodes that it is measured in.

        Args:
            job: whose agent.
            environment: where it acts.
            episode: its number, from 0 on; planners have a plan for each.

        Raises:
            MissingError: the agent, or its plan for the episode, is not there.
            NotInstalledError: a library is not installed.
            UserError: the file is damaged.
        """
        ...


def check_libraries(algorithm: str) -> None:
    """Refuse an algorithm where a library that it needs is missing.

    Raises:
        NotInstalledError: one is.
    """
    missing = [module for module in ALGORITHMS[algorithm].libraries if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(missing).replace("_", "-")
        raise NotInstalledError(
            f"{ALGORITHMS[algorithm].label} needs libraries that are not installed: {names}", missing[0]
        )


def learner_of(algorithm: str) -> Learner:
    """Import and return the module that trains an algorithm of `ALGORITHMS`."""
    package = __name__.rpartition(".")[0]
    return cast(Learner, importlib.import_module(f"{package}.{ALGORITHMS[algorithm].module}"))
