"""What optimisers were measured to earn: the quantilizers' kind of file, with the algorithm and its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays
from quantilizers.errors import UserError
from quantilizers.evaluation.results import KEYS, SeedResults, results_in
from quantilizers.files import sha256_of
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import Job

#: An optimiser is the limit of ever smaller quantiles.
OPTIMISER_QUANTILE = 0.0


@dataclass(frozen=True)
class Measurement:
    """What the seeds of one optimiser earned.

    Attributes:
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        steps: how many steps each seed was to be trained for.
        seeds: those that were measured.
        results: one for each seed.
    """

    algorithm: str
    steps: int
    seeds: list[int]
    results: list[SeedResults]

    @property
    def true_returns(self) -> npt.NDArray[np.float64]:
        """(seeds, episodes)."""
        return np.concatenate([results.true_returns for results in self.results])

    @property
    def proxy_returns(self) -> npt.NDArray[np.float64]:
        """(seeds, episodes)."""
        return np.concatenate([results.proxy_returns for results in self.results])


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
    paid = true_rewards[None], proxy_rewards[None]
    results = SeedResults.of_paid(
        environment=job.environment_name,
        max_steps=job.max_steps,
        options=job.options,
        quantiles=[OPTIMISER_QUANTILE],
        rewards=np.stack([rewards.astype(np.float32) for rewards in paid]),
        returns=np.stack([rewards.sum(axis=-1) for rewards in paid]),
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


def load_measurement(layout: Layout, seeds: Sequence[int], variant: str) -> Measurement | None:
    """Read what the seeds of an optimiser earned, those of them that were measured.

    Args:
        layout: where the files lie.
        seeds: which are wanted.
        variant: see `quantilizers.optimisers.algorithms.variant_of`.

    Returns:
        None where no seed was measured.

    Raises:
        UserError: a file cannot be read, or the seeds do not belong together.
    """
    found = {seed: path for seed in seeds if (path := layout.optimiser_rewards(seed, variant)).exists()}
    if not found:
        return None
    results, trainings = [], []
    for path in found.values():
        arrays = load_arrays(path, ("algorithm", "training_steps", *KEYS))
        of_seed, algorithm = results_in(arrays, path), str(arrays["algorithm"])
        of_steps = arrays["training_steps"]
        if of_steps.shape != () or of_steps.dtype.kind not in "iu" or of_steps < 0:
            raise UserError(
                f"{path}: training_steps is {of_steps.dtype} {of_steps.shape}; it is damaged, measure again"
            )
        if algorithm not in ALGORITHMS or of_seed.environment != layout.environment:
            raise UserError(
                f"{path} holds results of {algorithm} on {of_seed.environment}, "
                f"not of an optimiser on {layout.environment}"
            )
        results.append(of_seed)
        trainings.append((algorithm, int(of_steps), of_seed.conditions))
        if trainings[-1] != trainings[0]:
            raise UserError(
                f"{next(iter(found.values()))} and {path} differ in algorithm, training steps, horizon, number of "
                "episodes or the environment's options; seeds must be measured alike"
            )
    algorithm, steps, _ = trainings[0]
    return Measurement(algorithm, steps, list(found), results)
