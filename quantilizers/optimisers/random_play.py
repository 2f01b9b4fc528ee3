"""Actions drawn uniformly from their space: what an agent earns that optimises nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.action_classes import classes_of
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.execution.units import Executor, UnfinishedError
from quantilizers.optimisers.agents import Agent, LearningCurve, load_agent, save_agent
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measurements import is_measured
from quantilizers.optimisers.measuring import measure_agent
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.optimisers.suitability import check_suitable


class RandomPlay:
    """One policy that draws uniformly, as `quantilizers.policies.policy.Policies`: of a `Box` any value within.

    Args:
        space: the environment's actions.
        name: the environment's, for messages.

    Raises:
        UserError: no policy here acts in such a space.
    """

    def __init__(self, space: spaces.Space[Any], name: str) -> None:
        classes = None if isinstance(space, spaces.Box) else classes_of(space, None, name)
        self._classes = None if classes is None else [np.array(values) for values in classes]
        if isinstance(space, spaces.Box):
            self._low, self._high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)

    def begin(self, episodes: int) -> None:
        """Begin episodes; it remembers nothing of those before."""

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        if self._classes is None:
            low, high = self._low, self._high
            return low + generators[0].random((1, observations.shape[1], len(low))) * (high - low)
        random = generators[0].random((1, observations.shape[1], len(self._classes)))
        chosen = [values[(random[..., place] * len(values)).astype(int)] for place, values in enumerate(self._classes)]
        return np.stack(chosen, axis=-1)


def policies_of(job: Job, environment: EnvironmentDefinition, episode: int) -> RandomPlay:
    """Return random play; see `quantilizers.optimisers.learner.Learner`."""
    return RandomPlay(environment.action_space, environment.name)


def optimise(jobs: Sequence[Job], report: TrainingReport, executor: Executor | None = None) -> list[LearningCurve]:
    """Measure; there is nothing to train. See `quantilizers.optimisers.learner.Learner`."""
    environment = report.environment
    check_suitable(jobs[0].algorithm, environment)
    play = RandomPlay(environment.action_space, environment.name)
    curves = []
    lost = {}
    for index, job in enumerate(jobs):
        curves.append(LearningCurve())
        report.begin(index, curves[index], 0)
        if load_agent(job) is None:
            save_agent(job, Agent(0, curves[index], {}))
        if not is_measured(job):
            try:
                measure_agent(job, environment, play, partial(report.measuring, index))
            except NotFiniteError as error:
                lost[job.name] = str(error)
    if lost:
        raise UnfinishedError(lost, len(jobs))
    return curves
