"""Measuring policies: the rewards of test episodes of each quantile and seed, in batches that fit into memory.

A batch is a job of an executor; the rewards of a policy do not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from quantilizers.choices import Acting
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.evaluation.results import SeedResults, joined
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, randomness_of, roll_out
from quantilizers.execution.executor import Executor, InProcess, Send, SendNowAndThen, ignore
from quantilizers.policies.policy import Policies, TrainedPolicy, family_of
from quantilizers.processors import available_cores
from quantilizers.rewards import FloatArray

#: With several batches at a time: this many for each core, because some end before others, and at least this many
#: episodes in each, because a step of few environments takes as long in Python as one of many.
_BATCHES, _EPISODES = 8, 100
KINDS = ("true reward", "proxy reward")

#: Quantile and seed of a policy.
PolicyJob = tuple[float, int]


class NotFiniteError(UserError):
    """The environment returned NaN or infinite rewards to some policies.

    Attributes:
        results: of each seed's other policies; None if there are none.
    """

    def __init__(self, message: str, results: Sequence[SeedResults | None]) -> None:
        super().__init__(message)
        self.results = results


@dataclass(frozen=True, eq=False)
class MeasuringJob:
    """A batch of policies to measure.

    Attributes:
        environment: in which they act.
        policies: quantile and seed of each; the seed determines the episodes' starts.
        stacked: returns the policies, side by side in that order.
        episodes: of each policy.
        max_steps: episodes are cut after this number of steps.
        options: of the environment.
        threads: cores that the environment may use; None is all of this process's.
    """

    environment: EnvironmentDefinition
    policies: tuple[PolicyJob, ...]
    stacked: Callable[[], Policies]
    episodes: int
    max_steps: int
    options: Mapping[str, Any]
    threads: int | None = None

    @property
    def name(self) -> str:
        """The first policy, and the number of others."""
        (quantile, seed), more = self.policies[0], len(self.policies) - 1
        return f"testing q = {quantile:g} seed {seed}" + (f" and {more} more" if more else "")


@dataclass(frozen=True, eq=False)
class Measured:
    """Results by seed of the policies with finite rewards, and where NaN or infinity began for the others."""

    results: Mapping[int, SeedResults] = field(default_factory=dict)
    not_finite: Mapping[PolicyJob, str] = field(default_factory=dict)


def stacked(environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting) -> Policies:
    """Return trained policies side by side; a `partial` of this can travel to workers as `MeasuringJob.stacked`."""
    return family_of(environment).stack(environment, policies, acting)


def measuring_threads(environment: EnvironmentDefinition) -> int:
    """Return how many batches this process measures at a time: several if the simulator runs outside Python's lock."""
    return available_cores() if environment.threaded else 1


def measuring_jobs(
    environment: EnvironmentDefinition,
    policies: Sequence[PolicyJob],
    stack: Callable[[Sequence[PolicyJob]], Callable[[], Policies]],
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
    executor: Executor,
) -> Iterator[MeasuringJob]:
    """Yield the batches of policies that an executor measures, with the arguments of `MeasuringJob`.

    `stack` makes `MeasuringJob.stacked` of a batch; it is called when the job is about to start.
    """
    # A policy's episodes are divided by their number alone, so its rewards do not depend on the other policies.
    together, at_once = max(1, environment.parallel_episodes // episodes), executor.at_once
    if at_once > 1:
        fair, enough = -(-len(policies) // (_BATCHES * at_once)), -(-_EPISODES // episodes)
        together = min(together, max(fair, enough), -(-len(policies) // at_once))
    at_once = min(at_once, -(-len(policies) // together))
    # One batch alone uses all cores; a worker process knows its share.
    threads = available_cores() // at_once if at_once > 1 and executor.in_process else None
    for first in range(0, len(policies), together):
        batch = tuple(policies[first : first + together])
        yield MeasuringJob(environment, batch, stack(batch), episodes, max_steps, options, threads)


def measure(job: MeasuringJob, send: Send) -> Measured:
    """Let the policies of a job act, and keep both rewards of each step. Sends the number of steps so far."""
    steps, send_now_and_then = 0, SendNowAndThen(send)

    def count(episodes: int) -> None:
        nonlocal steps
        steps += episodes
        send_now_and_then(steps)

    policies, rewards = job.stacked(), MeasuredRewards(len(job.policies), job.episodes, job.max_steps)
    options = dict(job.options) | ({"threads": job.threads} if job.threads is not None else {})
    for episodes in episode_batches(job.episodes, job.environment.parallel_episodes):
        randomness = randomness_of([seed for _, seed in job.policies], episodes)
        rewards.put(episodes, roll_out(job.environment, policies, *randomness, job.max_steps, options, count))
    send(steps)
    by_seed: dict[int, list[int]] = {}
    for index, (_, seed) in enumerate(job.policies):
        if index not in rewards.not_finite:
            by_seed.setdefault(seed, []).append(index)
    results = {
        seed: SeedResults.from_rewards(
            environment=job.environment.name,
            max_steps=job.max_steps,
            options=job.options,
            quantiles=[job.policies[index][0] for index in indices],
            rewards=rewards.rewards[:, places],
            returns=rewards.returns[:, places],
            lengths=rewards.lengths[places],
        )
        for seed, indices in by_seed.items()
        for places in [_without_copy(indices)]
    }
    return Measured(results, {job.policies[index]: place for index, place in rewards.described().items()})


def progress(advance: Callable[[int], object]) -> Callable[[Any, int], None]:
    """Return a receiver of the messages of `measure`, which advances a bar by the new steps."""
    known: dict[int, int] = {}

    def hear(job: Any, steps: int) -> None:
        # A job whose worker died counts from zero again.
        before = known.get(id(job), 0)
        if steps > before:
            known[id(job)] = steps
            advance(steps - before)

    return hear


def described(environment: EnvironmentDefinition, not_finite: Mapping[PolicyJob, str]) -> str:
    """Return the message about policies with NaN or infinite rewards."""
    listed = [f"q = {quantile:g} seed {seed} ({place})" for (quantile, seed), place in not_finite.items()]
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return f"{environment.name} returned NaN or infinite rewards to {', '.join(listed[:3])}{more}"


def measure_policies(
    environment: EnvironmentDefinition,
    stack: Callable[[Sequence[PolicyJob]], Policies],
    quantiles: Sequence[float],
    seeds: Sequence[int],
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
    *,
    on_step: Callable[[int], object] | None = None,
) -> list[SeedResults]:
    """Measure one policy for each quantile and seed in this process.

    Args:
        environment: in which they act.
        stack: returns a batch of policies side by side, from their quantiles and seeds.
        quantiles: Q of them.
        seeds: of the policies, which also determine their episodes' starts.
        episodes: of each policy.
        max_steps: episodes are cut after this number of steps.
        options: of the environment.
        on_step: called now and then with the number of steps since the last call.

    Returns:
        The results of each seed.

    Raises:
        NotFiniteError: the environment returned NaN or infinite rewards to some policies; the others were measured.
        UserError: the environment cannot be made, or fails.
    """
    executor = InProcess(measuring_threads(environment))
    policies = [(quantile, seed) for quantile in quantiles for seed in seeds]
    jobs = measuring_jobs(
        environment, policies, lambda batch: partial(stack, batch), episodes, max_steps, options, executor
    )
    measured = [one for _, one in executor.map(measure, jobs, ignore if on_step is None else progress(on_step))]
    parts = {seed: [one.results[seed] for one in measured if seed in one.results] for seed in seeds}
    results = [joined(parts[seed], quantiles) if parts[seed] else None for seed in seeds]
    not_finite = {policy: one.not_finite[policy] for policy in policies for one in measured if policy in one.not_finite}
    if not_finite:
        raise NotFiniteError(described(environment, not_finite), results)
    return [found for found in results if found is not None]


def _without_copy(indices: list[int]) -> list[int] | slice:
    """Return evenly spaced indices as a slice, for which NumPy makes no copy; others as they are."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    even = slice(indices[0], indices[-1] + 1, step)
    return even if [*range(even.start, even.stop, step)] == indices else indices


class MeasuredRewards:
    """Rewards of E episodes of each of P policies in at most T steps, filled batch by batch.

    Rewards are stored in single precision, as in files: 8 bytes a step of an episode. Returns are summed before, in
    double precision.

    Attributes:
        rewards: (2, P, E, T), true and proxy, zero after an episode's end.
        returns: (2, P, E), likewise.
        lengths: (P, E) steps.
        not_finite: by policy, the first NaN or infinity: kind of reward, episode, step and value.
    """

    def __init__(self, policies: int, episodes: int, steps: int) -> None:
        self.rewards = np.zeros((2, policies, episodes, steps), dtype=np.float32)
        self.returns = np.zeros((2, policies, episodes))
        self.lengths = np.zeros((policies, episodes), dtype=np.int64)
        self.not_finite: dict[int, tuple[int, int, int, float]] = {}

    def put(self, episodes: slice, part: Rollouts) -> None:
        """Write the rollouts of some episodes into their places."""
        # Sums of T numbers in every batch have the same bits.
        whole = np.zeros((*part.lengths.shape, self.rewards.shape[3]))
        for kind, rewards in enumerate((part.true_rewards, part.proxy_rewards)):
            whole[..., : rewards.shape[2]] = rewards
            self.returns[kind, :, episodes] = whole.sum(axis=-1)
            self._find_not_finite(kind, episodes.start, whole)
            with np.errstate(over="ignore"):  # infinity in single precision only is refused with the results
                self.rewards[kind, :, episodes] = whole
        self.lengths[:, episodes] = part.lengths

    def _find_not_finite(self, kind: int, episode: int, rewards: FloatArray) -> None:
        for policy in np.flatnonzero(~np.isfinite(rewards).all(axis=(1, 2))).tolist():
            first, step = np.argwhere(~np.isfinite(rewards[policy]))[0]
            found = (kind, episode + int(first), int(step), float(rewards[policy, first, step]))
            self.not_finite[policy] = min(self.not_finite.get(policy, found), found, key=lambda place: place[:3])

    def described(self) -> dict[int, str]:
        """Return where NaN or infinity began, by policy."""
        return {
            policy: f"{KINDS[kind]} {value:g} at step {step + 1} of episode {episode + 1}"
            for policy, (kind, episode, step, value) in sorted(self.not_finite.items())
        }
