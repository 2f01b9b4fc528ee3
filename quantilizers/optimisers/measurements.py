"""Measured returns of optimisers, in the same kind of file as those of quantilizers, with algorithm and training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.evaluation.results import KEYS, SeedResults, results_in
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, randomness_of, roll_out
from quantilizers.execution.executor import SendNowAndThen
from quantilizers.files import sha256_of
from quantilizers.layout import Layout
from quantilizers.optimisers.agents import AgentJob, Progress
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.learner import SendProgress
from quantilizers.policies.policy import Policies
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

#: An optimiser is the limit of ever smaller quantiles.
OPTIMISER_QUANTILE = 0.0
#: The part of a measurement's recipe that all seeds share.
_OF_ALL_SEEDS = "environment", "algorithm", "steps", "top_k", "beta", "max_steps", "options", "number_trajectories"
#: Why training or measuring an agent failed.
NOT_FINITE = "the environment's rewards or the agent's values became NaN or infinite"


@dataclass(frozen=True)
class Measurement:
    """The measured returns of one optimiser."""

    algorithm: str  # a key of `quantilizers.optimisers.algorithms.ALGORITHMS`
    steps: int  # for which each seed was to be trained
    seeds: list[int]  # that were measured
    results: list[SeedResults]  # of each seed
    strength: Mapping[str, float] = field(default_factory=dict)  # `AgentJob.strength` of each seed

    @property
    def recipe(self) -> Recipe:
        """How the returns were measured."""
        about = {"algorithm": self.algorithm, "steps": self.steps, "seeds": self.seeds, **self.strength}
        return Recipe({**self.results[0].recipe.entries, **about})

    @property
    def true_returns(self) -> FloatArray:
        """(seeds, episodes)."""
        return np.concatenate([results.true_returns for results in self.results])

    @property
    def proxy_returns(self) -> FloatArray:
        """(seeds, episodes)."""
        return np.concatenate([results.proxy_returns for results in self.results])


def measure_agent(
    job: AgentJob, environment: EnvironmentDefinition, acting: Policies, trained_steps: int, send: SendProgress
) -> None:
    """Run an agent, whose file exists, in the test episodes, and save its rewards.

    Raises:
        NotFiniteError: a reward was NaN or infinite.
        UserError: the file cannot be written.
    """
    steps, send_now_and_then = 0, SendNowAndThen(send)

    def stepped(episodes: int) -> None:
        nonlocal steps
        steps += episodes
        send_now_and_then(Progress(job.seed, trained_steps, measured_steps=steps))

    played = play_test_episodes(job, environment, lambda _: acting, stepped)
    if not (np.isfinite(played.true_rewards).all() and np.isfinite(played.proxy_rewards).all()):
        raise NotFiniteError(NOT_FINITE, [])
    save_measurement(job, played.true_rewards[0], played.proxy_rewards[0], played.lengths[0])


def play_test_episodes(
    job: AgentJob,
    environment: EnvironmentDefinition,
    acting_in: Callable[[slice], Policies],
    on_step: Callable[[int], object] | None = None,
) -> Rollouts:
    """Play the episodes in which quantilizers are tested, with the policy that `acting_in` returns for each batch."""
    played = Rollouts.empty(1, job.number_trajectories, job.max_steps)
    for episodes in episode_batches(job.number_trajectories, environment.parallel_episodes):
        randomness = randomness_of([job.seed], episodes)
        part = roll_out(environment, acting_in(episodes), *randomness, job.max_steps, job.options, on_step=on_step)
        played.put(slice(0, 1), episodes, part)
    return played


def save_measurement(
    job: AgentJob, true_rewards: npt.NDArray[Any], proxy_rewards: npt.NDArray[Any], lengths: npt.NDArray[np.int64]
) -> None:
    """Write rewards (E, T), zero after an episode's end, and lengths (E,), with the hash of the agent's file.

    Raises:
        UserError: a return is NaN or infinite, or the file cannot be written.
    """
    rewards = true_rewards[None], proxy_rewards[None]
    results = SeedResults.from_rewards(
        environment=job.environment_name,
        max_steps=job.max_steps,
        options=job.options,
        quantiles=[OPTIMISER_QUANTILE],
        rewards=np.stack([one.astype(np.float32) for one in rewards]),
        returns=np.stack([one.sum(axis=-1) for one in rewards]),
        lengths=lengths[None],
    )
    about = {"algorithm": job.algorithm, "training_steps": job.steps, "agent": sha256_of(job.agent), **job.strength}
    results.save(job.rewards, {name: np.array(value) for name, value in about.items()})


def is_measured(job: AgentJob) -> bool:
    """Return whether a job's rewards are those of its current agent, in the requested episodes."""
    if not (job.agent.exists() and job.rewards.exists()):
        return False
    try:
        return not measurement_difference(job)
    except UserError:
        return False  # measuring again replaces a damaged file


def measurement_difference(job: AgentJob, only: Iterable[str] | None = None) -> str:
    """Describe how a job's measured rewards differ from the requested ones of its current agent; may be empty.

    Args:
        job: its agent and its rewards exist.
        only: see `Recipe.difference`.

    Raises:
        UserError: the file of the rewards is damaged.
    """
    found, arrays = _loaded(job.rewards, job.seed)
    wanted = Recipe(
        {
            "environment": job.environment_name,
            "max_steps": job.max_steps,
            "number_trajectories": job.number_trajectories,
            "options": job.options,
            "algorithm": job.algorithm,
            "steps": job.steps,
            **job.strength,
            "seeds": [job.seed],
            "agent": sha256_of(job.agent),
        },
        {"agent": "with another agent than the one that is there now"},
    )
    return Recipe({**found.recipe.entries, "agent": str(arrays["agent"])}).difference(wanted, only)


def _loaded(path: Path, seed: int) -> tuple[Measurement, Mapping[str, npt.NDArray[Any]]]:
    """Read the measured rewards of one seed, and all arrays of their file."""
    arrays = load_arrays(path, ("agent", "algorithm", "training_steps", *KEYS))
    steps = arrays["training_steps"]
    if steps.shape != () or steps.dtype.kind not in "iu" or steps < 0:
        raise UserError(f"{path}: training_steps is {steps.dtype} {steps.shape}; it is damaged, measure again")
    strength = {name: arrays[name] for name in ("top_k", "beta") if name in arrays}
    for name, value in strength.items():
        if value.shape != () or value.dtype.kind not in "iuf" or not 0 < value < np.inf:
            raise UserError(f"{path}: {name} is {value.dtype} {value.shape}; it is damaged, measure again")
    plain: dict[str, float] = {name: value.item() for name, value in strength.items()}
    return Measurement(str(arrays["algorithm"]), int(steps), [seed], [results_in(arrays, path)], plain), arrays


def load_measurement(layout: Layout, seeds: Sequence[int], variant: str) -> Measurement | None:
    """Read the measured rewards of an optimiser, of the seeds that were measured; None if none was.

    Raises:
        UserError: a file cannot be read, or the seeds do not belong together.
    """
    found = {seed: path for seed in seeds if (path := layout.optimiser_rewards(seed, variant)).exists()}
    if not found:
        return None
    measured = []
    for seed, path in found.items():
        one, _ = _loaded(path, seed)
        if one.algorithm not in ALGORITHMS or one.results[0].environment != layout.environment:
            raise UserError(
                f"{path} holds results of {one.algorithm} on {one.results[0].environment}, "
                f"not of an optimiser on {layout.environment}"
            )
        measured.append(one)
        if difference := one.recipe.difference(measured[0].recipe, _OF_ALL_SEEDS):
            raise UserError(
                f"{path} was measured {difference}, unlike {next(iter(found.values()))}; "
                "all seeds must be measured alike"
            )
    results = [one.results[0] for one in measured]
    return Measurement(measured[0].algorithm, measured[0].steps, list(found), results, measured[0].strength)
