"""The optimisers: agents that learn to earn all the proxy reward they can, and in doing so game it.

An optimiser is what a quantilizer becomes as q goes to 0, so its results are kept under the quantile 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from quantilizers.optimisers.agents import LearningCurve
    from quantilizers.optimisers.jobs import Job
    from quantilizers.optimisers.reports import TrainingReport


@dataclass(frozen=True)
class Algorithm:
    """One way to optimise.

    Attributes:
        label: its name in figures and tables.
        module: the module of this package that is its `Learner`.
        steps: environment steps that one seed is trained for unless `--optimiser_steps` says otherwise.
    """

    label: str
    module: str
    steps: int


#: What `--algorithm` takes. SARSA's and Q-learning's steps are 200 of Mountain Car's episodes; QR-DQN's are what four
#: seeds do on Video Pinball within an hour on two cores, and are measured in it.
ALGORITHMS = {
    "sarsa": Algorithm("SARSA", "linear_values", 40_000),
    "q_learning": Algorithm("Q-learning", "linear_values", 40_000),
    "ppo": Algorithm("PPO", "deep_learning", 100_000),
    "qr_dqn": Algorithm("QR-DQN", "deep_learning", 40_000),
}


class Learner(Protocol):
    """What a module that `Algorithm.module` names offers."""

    def optimise(self, jobs: Sequence[Job], report: TrainingReport) -> list[LearningCurve]:
        """Train, save and measure one agent for each job; go on from checkpoints where there are any.

        Args:
            jobs: they differ in their seeds only.
            report: told of steps and episodes while they happen.

        Returns:
            How each has learned, from its first step on.

        Raises:
            UserError: a library is missing, or the environment is none that the algorithm can act in.
        """
        ...


def learner_of(algorithm: str) -> Learner:
    """Import and return the module that trains an algorithm of `ALGORITHMS`."""
    return cast(Learner, importlib.import_module(f"{__name__}.{ALGORITHMS[algorithm].module}"))
