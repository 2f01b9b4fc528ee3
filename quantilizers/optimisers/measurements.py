"""What optimisers were measured to earn: the quantilizers' kind of file, with the algorithm and its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays
from quantilizers.errors import UserError
from quantilizers.files import Layout, sha256_of
from quantilizers.optimisers import ALGORITHMS
from quantilizers.optimisers.jobs import Job
from quantilizers.results import KEYS, SeedResults, results_in

#: An optimiser is the limit of ever smaller quantiles.
OPTIMISER_QUANTILE = 0.0


@dataclass(frozen=True)
class Measurement:
    """What the seeds of one optimiser earned.

    Attributes:
        algorithm: a key of `quantilizers.optimisers.ALGORITHMS`.
        steps: how many steps each seed was to be trained for.
        seeds: those that were measured.
        results: one a seed.
    """

    algorithm: str
    steps: int
    seeds: list[int]
    results: list[SeedResults]

    @property
    def true_returns(self) -> npt.NDArray[np.float64]:
        """(seeds, episodes)."""
        return np.concatenate([one.true_returns for one in self.results])

    @property
    def proxy_returns(self) -> npt.NDArray[np.float64]:
        """(seeds, episodes)."""
        return np.concatenate([one.proxy_returns for one in self.results])


def save_measurement(
    job: Job,
    true_rewards: npt.NDArray[Any],
    proxy_rewards: npt.NDArray[Any],
    lengths: npt.NDArray[np.int64],
) -> None:
    """Write what one agent earned, and the hash of the agent's file, by which `is_measured` knows it again.

    Args:
        job: whose.
        true_rewards: (E, T), zero after an episode's end.
        proxy_rewards: (E, T), likewise.
        lengths: (E,) steps.

    Raises:
        UserError: a return is NaN or infinite, or the file cannot be written.
    """
    results = SeedResults.of_rewards(
        environment=job.environment,
        max_steps=job.max_steps,
        options=job.options,
        quantiles=[OPTIMISER_QUANTILE],
        true_rewards=true_rewards[None],
        proxy_rewards=proxy_rewards[None],
        lengths=lengths[None],
    )
    about = {"algorithm": job.algorithm, "training_steps": job.steps, "agent": sha256_of(job.agent)}
    results.save(job.rewards, {name: np.array(value) for name, value in about.items()})


def is_measured(job: Job) -> bool:
    """Return whether a job's file says what its agent, as it now is, earns in as many episodes as are wanted."""
    if not (job.agent.exists() and job.rewards.exists()):
        return False
    try:
        arrays = load_arrays(job.rewards, ("agent", "lengths"))
    except UserError:
        # Whatever is wrong with it, measuring writes it anew.
        return False
    return str(arrays["agent"]) == sha256_of(job.agent) and arrays["lengths"].shape == (1, job.number_trajectories)


def load_measurement(layout: Layout, seeds: Sequence[int], variant: str, command: str) -> Measurement | None:
    """Read what the seeds of an optimiser earned, as far as they were measured.

    Args:
        layout: where they lie.
        seeds: which are wanted.
        variant: the algorithm where it is not the environment's first, else empty.
        command: the command that measures them, for messages.

    Returns:
        None where no seed was measured.

    Raises:
        UserError: a file cannot be read, or the seeds do not belong together.
    """
    found = {seed: path for seed in seeds if (path := layout.optimiser_rewards(seed, variant)).exists()}
    if not found:
        return None
    environment = layout.environment
    results, trainings = [], []
    for path in found.values():
        arrays = load_arrays(path, ("algorithm", "training_steps", *KEYS))
        one = results_in(arrays, path)
        results.append(one)
        algorithm = str(arrays["algorithm"])
        if algorithm not in ALGORITHMS or one.environment != environment:
            raise UserError(f"{path} holds results of {algorithm} on {one.environment}; run: {command}")
        trainings.append((algorithm, int(arrays["training_steps"]), one.conditions))
        if trainings[-1] != trainings[0]:
            raise UserError(
                f"{next(iter(found.values()))} and {path} differ in algorithm, --optimiser_steps, --max_steps, "
                f"--number_trajectories or the environment's options; measure all seeds alike: {command}"
            )
    algorithm, steps, _ = trainings[0]
    return Measurement(algorithm, steps, list(found), results)
