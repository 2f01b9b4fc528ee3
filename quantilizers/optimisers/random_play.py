"""Actions drawn uniformly from their space: the return of an agent that optimises nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.actions import classes_of
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.execution.executor import UnfinishedError
from quantilizers.optimisers.agents import Agent, AgentJob, LearningCurve, load_agent, save_agent
from quantilizers.optimisers.learner import SendProgress
from quantilizers.optimisers.measurements import is_measured, measure_agent
from quantilizers.policies.policy import Policies


class RandomPlay(Policies):
    """One policy that draws uniformly; of a `Box`, any value within its bounds.

    A space in which no policy can act is a `UserError`, which names the environment.
    """

    def __init__(self, space: spaces.Space[Any], name: str) -> None:
        classes = None if isinstance(space, spaces.Box) else classes_of(space, None, name)
        self._classes = None if classes is None else [np.array(values) for values in classes]
        if isinstance(space, spaces.Box):
            self._low, self._high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)

    @property
    def draws(self) -> bool:
        """Whether its actions are drawn among classes, not among all numbers of a `Box`."""
        return self._classes is not None

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return equal class probabilities (1, E, classes) of each component for observations (1, E, …)."""
        shape = observations.shape[:2]
        return [np.full((*shape, len(values)), 1 / len(values)) for values in self._classes or ()]

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        if self._classes is None:
            low, high = self._low, self._high
            return low + generators[0].random((1, observations.shape[1], len(low))) * (high - low)
        random = generators[0].random((1, observations.shape[1], len(self._classes)))
        chosen = [values[(random[..., place] * len(values)).astype(int)] for place, values in enumerate(self._classes)]
        return np.stack(chosen, axis=-1)


def policies_of(job: AgentJob, environment: EnvironmentDefinition, episode: int) -> RandomPlay:
    """Return random play; see `quantilizers.optimisers.learner.Learner`."""
    return RandomPlay(environment.action_space, environment.name)


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Measure random play, which needs no training; see `quantilizers.optimisers.learner.Learner`."""
    play = RandomPlay(environment.action_space, environment.name)
    failed = {}
    for job in jobs:
        if load_agent(job) is None:
            save_agent(job, Agent(0, LearningCurve(), {}))
        if not is_measured(job):
            try:
                measure_agent(job, environment, play, 0, send)
            except NotFiniteError as error:
                failed[job.name] = str(error)
    if failed:
        raise UnfinishedError(failed, len(jobs))
