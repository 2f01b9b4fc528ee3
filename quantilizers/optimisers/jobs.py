"""What one seed of an optimiser is to do, in values that another process understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantilizers.settings import Settings


@dataclass(frozen=True)
class Job:
    """One agent to train and to measure.

    Attributes:
        environment: its name on the command line.
        algorithm: a key of `quantilizers.optimisers.ALGORITHMS`.
        seed: of everything that is random.
        steps: how many steps it is trained for.
        max_steps: an episode is cut after so many steps.
        options: further constructor arguments of the environment.
        number_trajectories: episodes to measure it in.
        agent: the file of the agent, which is its checkpoint until it is trained.
        rewards: the file for what is measured.
    """

    environment: str
    algorithm: str
    seed: int
    steps: int
    max_steps: int
    options: Mapping[str, float]
    number_trajectories: int
    agent: Path
    rewards: Path

    @property
    def identity(self) -> dict[str, Any]:
        """What makes an agent the one that is wanted: all that its training depends on."""
        return {
            "environment": self.environment,
            "algorithm": self.algorithm,
            "seed": self.seed,
            "steps": self.steps,
            "max_steps": self.max_steps,
            "options": dict(self.options),
        }


def jobs_of(settings: Settings) -> list[Job]:
    """Return one job for each seed."""
    layout, algorithm = settings.layout, settings.algorithm
    return [
        Job(
            environment=settings.environment.name,
            algorithm=algorithm,
            seed=seed,
            steps=settings.optimiser_steps,
            max_steps=settings.max_steps,
            options=dict(settings.options),
            number_trajectories=settings.number_trajectories,
            agent=layout.optimiser_agent(algorithm, seed),
            rewards=layout.optimiser_rewards(seed, settings.optimiser_variant),
        )
        for seed in settings.seeds
    ]
