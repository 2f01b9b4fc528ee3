"""What one seed of an optimiser is to do, in values that another process understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of


@dataclass(frozen=True)
class Job:
    """One agent to train and to measure.

    Attributes:
        environment: its address, by which `quantilizers.envs.registry.load_environment` finds it in any process;
            empty where it was defined in memory.
        environment_name: its name in files and messages.
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        seed: of everything that is random.
        steps: how many steps it is trained for, or a planner's effort.
        max_steps: an episode is cut after so many steps.
        options: of the environment.
        number_trajectories: episodes to measure it in.
        agent: the file of the agent, which is its checkpoint until it is trained.
        rewards: the file for what is measured.
    """

    environment: str
    environment_name: str
    algorithm: str
    seed: int
    steps: int
    max_steps: int
    options: Mapping[str, Any]
    number_trajectories: int
    agent: Path
    rewards: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"seed {self.seed} of {self.algorithm}"

    @property
    def identity(self) -> dict[str, Any]:
        """What makes an agent the one that is wanted: all that its training depends on."""
        return {
            "environment": self.environment_name,
            "algorithm": self.algorithm,
            "seed": self.seed,
            "steps": self.steps,
            "max_steps": self.max_steps,
            "options": dict(self.options),
        }

    @property
    def exported(self) -> Path:
        """The file of the agent for other programs, where its library has a format of its own."""
        return self.agent.with_suffix(".zip")


def steps_to_report(job: Job, environment: EnvironmentDefinition) -> int:
    """Return how many steps a job's progress is counted to: of training, or for a planner policies or steps planned."""
    if not ALGORITHMS[job.algorithm].plans or environment.planning.method == "policies":
        return job.steps
    return job.number_trajectories * job.max_steps


def make_jobs(
    environment: EnvironmentDefinition,
    algorithm: str,
    seeds: Sequence[int],
    steps: int,
    max_steps: int,
    options: Mapping[str, Any],
    number_trajectories: int,
    layout: Layout,
) -> list[Job]:
    """Return one job for each seed.

    Args:
        environment: where the agents act.
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        seeds: one agent each.
        steps: how many steps each is trained for.
        max_steps: episodes are cut after so many steps.
        options: of the environment.
        number_trajectories: episodes to measure each in.
        layout: where the files lie.
    """
    variant = variant_of(algorithm, environment.experiment.optimisers)
    return [
        Job(
            environment=environment.address,
            environment_name=environment.name,
            algorithm=algorithm,
            seed=seed,
            steps=steps,
            max_steps=max_steps,
            options=dict(options),
            number_trajectories=number_trajectories,
            agent=layout.optimiser_agent(algorithm, seed),
            rewards=layout.optimiser_rewards(seed, variant),
        )
        for seed in seeds
    ]
