"""Jobs for tests, with files in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantilizers.optimisers.jobs import Job


def job(folder: Path, **changes: Any) -> Job:
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
    seed = settings["seed"]
    return Job(**settings, agent=folder / f"agent_{seed}.npz", rewards=folder / f"rewards_{seed}.npz")
