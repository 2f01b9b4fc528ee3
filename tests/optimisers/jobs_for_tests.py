"""Jobs for tests, with files in the test's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantilizers.envs.registry import load_environment
from quantilizers.optimisers.agents import AgentJob, LearningCurve
from quantilizers.optimisers.learner import optimise


def job(folder: Path, **changes: Any) -> AgentJob:
    settings: dict[str, Any] = {
        "environment": "MountainCar-v0",
        "algorithm": "sarsa",
        "seed": 0,
        "steps": 600,
        "max_steps": 200,
        "options": {},
        "number_trajectories": 100,
        **changes,
    }
    seed, name = settings["seed"], settings["environment"].rpartition(":")[2]
    files = {"agent": folder / f"agent_{seed}.npz", "rewards": folder / f"rewards_{seed}.npz"}
    return AgentJob(**{"environment_name": name, **settings, **files})


def small_job(folder: Path, **changes: Any) -> AgentJob:
    """A job of a few hundred steps for a network."""
    return job(folder, **{"algorithm": "qr_dqn", "steps": 400, "max_steps": 50, "number_trajectories": 3, **changes})


def optimise_all(jobs: Sequence[AgentJob]) -> list[LearningCurve]:
    """Do jobs as the command line does."""
    folders = [one.agent.parent / f"events_{one.seed}" for one in jobs]
    return optimise(jobs, load_environment(jobs[0].environment), folders)
