"""The stage `pressure`: how far agents are from the imitator of all demonstrations, along their own episodes."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from quantilizers.datasets.summary import dataset_title
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UnreadableError, UserError
from quantilizers.evaluation.measuring import progress, stacked
from quantilizers.evaluation.pressure import DrawingPolicies, Pressures, load_pressures, measure_pressure
from quantilizers.execution.executor import Send, SendNowAndThen
from quantilizers.files import sha256_of
from quantilizers.optimisers.agents import AgentJob, job_of_agent
from quantilizers.optimisers.algorithms import ALGORITHMS, algorithm_in, variant_of
from quantilizers.optimisers.learner import learner_of
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.policies.keras_files import content_hash, load_policy
from quantilizers.policies.policy import TrainedPolicies, TrainedPolicy
from quantilizers.progress import ProgressBar
from quantilizers.quantilize import top_k_of_n_divergence
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray
from quantilizers.stages.finished import delete, record_difference, refuse_loss, refuse_other, save_record
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.stages.testing import check_policy
from quantilizers.terminal import terminal_table

#: Name of imitators compared with those of the next seed: how far training alone takes them.
ANOTHER_SEED = "imitation by another seed"


@dataclass(frozen=True)
class Subject:
    """Agents of one kind: the cloned policies of a quantile, or an optimiser.

    Attributes:
        quantile: q; None for an optimiser.
        algorithm: of the optimiser, or `ANOTHER_SEED`; empty for other cloned policies.
        made_from: of each seed, the content hash of its policy or agent, and that of the imitator.
    """

    quantile: float | None
    algorithm: str
    made_from: tuple[tuple[int, str, str], ...]

    @property
    def key(self) -> tuple[float | None, str]:
        """Quantile and algorithm."""
        return self.quantile, self.algorithm

    def is_in(self, measured: Pressures) -> bool:
        """Return whether measured divergences are of these very agents and imitators, and perhaps of others."""
        return {*self.made_from} <= {*measured.made_from}

    @property
    def label(self) -> str:
        """Name in tables and messages."""
        if self.algorithm in ALGORITHMS:
            return ALGORITHMS[self.algorithm].label
        return self.algorithm or f"cloned, q = {self.quantile:g}"


@dataclass(frozen=True, eq=False)
class PressureJob:
    """Agents to measure in one process, a row for each seed.

    Attributes:
        subject: what they are.
        environment: where they act.
        agents: cloned policies, or jobs of optimisers.
        imitators: with which they are compared.
        episodes: of each agent.
        max_steps: episodes are cut after this number of steps.
        options: of the environment.
    """

    subject: Subject
    environment: EnvironmentDefinition
    agents: tuple[TrainedPolicy, ...] | tuple[AgentJob, ...]
    imitators: tuple[TrainedPolicy, ...]
    episodes: int
    max_steps: int
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"the pressure of {self.subject.label}"


def check(run: Run) -> None:
    """Refuse actions that are no classes, to replace measurements of other settings, and to delete further ones."""
    settings, path = run.settings, run.settings.layout.pressure
    if settings.environment.action_classes is None:
        raise UserError(
            f"policies predict the actions of {settings.environment.name} by regression, without probabilities, so "
            "their KL divergence is unknown; give its definition `classes`"
        )
    _ = run.selections
    if not settings.force:
        refuse_other(path, "measured", record_difference(path, drawn(settings)))
        return
    try:
        rows = [row for row in load_pressures(path) if not row.algorithm]
    except UnreadableError:
        raise
    except UserError:  # damaged
        return
    seeds = sorted({seed for row in rows for seed in row.seeds})
    refuse_loss(path, [row.quantile for row in rows if row.quantile is not None], seeds, settings)


def drawn(settings: Settings) -> Settings:
    """Return the settings with policies that draw their actions, as they do here."""
    return replace(settings, wanted_acting="sample")


def check_trained(run: Run, trains: bool = False) -> None:
    """Raise a `UserError` with the way out if a policy, or the imitator of a seed, is missing or another.

    Args:
        run: the run.
        trains: whether the policies of its quantiles will be trained before.
    """
    imitation = replace(run.settings, quantiles=(1.0,))
    for seed in run.settings.seeds:
        if not (trains and 1.0 in run.selections):
            check_policy(run, run.selection(1.0), seed, imitation)
        for selection in () if trains else run.selections.values():
            check_policy(run, selection, seed)


def forget(run: Run) -> None:
    """Delete the measurements."""
    delete("measurements", [run.settings.layout.pressure])


def run(run: Run) -> None:
    """Measure the policies of each quantile, which draw their actions here, and the optimisers that draw theirs.

    A stopped stage resumes with the missing agents. Prints a table.
    """
    check(run)
    check_trained(run)
    settings, path = run.settings, run.settings.layout.pressure
    record = drawn(settings).record()
    subjects, unknown = subjects_of(settings)
    before = {row.key: row for row in load_pressures(path)}
    known = {one.key: before[one.key] for one in subjects if one.key in before and one.is_in(before[one.key])}

    def note(subject: Subject, found: Measured) -> None:
        seeds, agents, imitators = zip(*subject.made_from, strict=True)
        measured = Pressures(subject.quantile, subject.algorithm, seeds, agents, imitators, *found)
        # Agents and seeds that were not asked for now stay in the file.
        known[subject.key] = measured.with_further(before.get(subject.key, measured))
        save_record(path, record, {"agents": [row.as_numbers() for row in {**before, **known}.values()]})

    missing = [one for one in subjects if one.key not in known]
    for subject in [one for one in missing if one.algorithm in ALGORITHMS and ALGORITHMS[one.algorithm].imitates]:
        note(subject, _of_choice(settings, subject))
        missing.remove(subject)
    with (
        # One at a time in this process: agents of stable-baselines3 draw from a generator that all threads share.
        run.executor() as executor,
        ProgressBar(doing="measuring pressure", unit="steps", unit_scale=True) as bar,
    ):
        jobs = (_job(settings, subject) for subject in missing)
        for job, found in executor.map(measure, jobs, progress(bar.update)):
            if found is None:
                unknown.append(job.subject)
            else:
                note(job.subject, found)
    rows = [(one, known[one.key].of([seed for seed, _, _ in one.made_from])) for one in subjects if one.key in known]
    over = rows[0][1].divergence.over
    print(f"{settings.environment.name}, {dataset_title(settings.layout)}; mean [95 % interval over {over}]")
    print("KL from imitation of all demonstrations, an episode, of agents that draw their actions")
    print(_table(rows, unknown, settings))
    print(f"wrote {path}")


#: Divergences, true and proxy returns, (seeds, episodes) each.
Measured = tuple[FloatArray, FloatArray, FloatArray]


def measure(job: PressureJob, send: Send) -> Measured | None:
    """Let the agents of a job act beside their imitators; None if they draw no actions. Sends the number of steps."""
    steps, send_now_and_then = 0, SendNowAndThen(send)
    environment, rows = job.environment, list[Measured]()
    together = max(1, environment.parallel_episodes // job.episodes)
    if isinstance(job.agents[0], AgentJob):
        together = 1

    def count(episodes: int) -> None:
        nonlocal steps
        steps += episodes
        send_now_and_then(steps)

    for first in range(0, len(job.agents), together):
        some = slice(first, first + together)
        seeds = [seed for seed, _, _ in job.subject.made_from[some]]
        acting = _acting(environment, job.agents[some])
        if acting is None:
            return None
        imitators = cast(TrainedPolicies, stacked(environment, job.imitators[some], "sample"))
        rows.append(
            measure_pressure(
                environment, acting, imitators, seeds, job.episodes, job.max_steps, job.options, on_step=count
            )
        )
    send(steps)
    divergences, true, proxy = (np.concatenate(column) for column in zip(*rows, strict=True))
    return divergences, true, proxy


def _acting(
    environment: EnvironmentDefinition, agents: tuple[TrainedPolicy, ...] | tuple[AgentJob, ...]
) -> DrawingPolicies | None:
    """Return agents that draw their actions; None for an optimiser that does not."""
    first = agents[0]
    if isinstance(first, TrainedPolicy):
        return cast(DrawingPolicies, stacked(environment, cast(tuple[TrainedPolicy, ...], agents), "sample"))
    acting = learner_of(algorithm_in(first.algorithm, environment)).policies_of(first, environment, 0)
    return cast(DrawingPolicies, acting) if getattr(acting, "draws", False) else None


def subjects_of(settings: Settings) -> tuple[list[Subject], list[Subject]]:
    """Return what can be measured, and optimisers that were measured but have no probabilities."""
    layout, seeds = settings.layout, list(settings.seeds)
    imitators = {seed: content_hash(layout.model(1.0, seed)) for seed in seeds}
    subjects = [
        Subject(
            quantile, "", tuple((seed, content_hash(layout.model(quantile, seed)), imitators[seed]) for seed in seeds)
        )
        for quantile in settings.quantiles
    ]
    if len(seeds) > 1:
        pairs = zip(seeds, [*seeds[1:], seeds[0]], strict=True)
        subjects.append(
            Subject(1.0, ANOTHER_SEED, tuple((one, imitators[one], imitators[other]) for one, other in pairs))
        )
    unknown = []
    for algorithm, about in ALGORITHMS.items():
        measured = _measurement(settings, algorithm)
        if measured is None:
            continue
        agents = [layout.optimiser_agent(algorithm, seed) for seed in measured.seeds]
        if about.plans or about.measured_in_training or not all(agent.exists() for agent in agents):
            unknown.append(Subject(None, algorithm, ()))
            continue
        if difference := imitator_difference(settings, measured, imitators):
            print(f"left out: {difference}; optimize with --algorithm {algorithm} --force", file=sys.stderr)
            continue
        rows = zip(measured.seeds, agents, strict=True)
        subjects.append(
            Subject(None, algorithm, tuple((seed, sha256_of(agent), imitators[seed]) for seed, agent in rows))
        )
    return subjects, unknown


def imitator_difference(settings: Settings, measured: Measurement, imitators: Mapping[int, str]) -> str:
    """Describe the first agent that was made from another imitator than that of its seed; empty if none is.

    Args:
        settings: locate the agents; missing ones are not compared.
        measured: of an optimiser, which may need no imitator.
        imitators: content hashes of known imitators, by seed.
    """
    if not ALGORITHMS[measured.algorithm].from_imitator:
        return ""
    for seed in measured.seeds:
        path = settings.layout.optimiser_agent(measured.algorithm, seed)
        if seed in imitators and path.exists():
            job = job_of_agent(settings.environment, settings.layout, measured.algorithm, seed)
            if job.imitator_hash != imitators[seed]:
                return f"{path} was made from another imitator than the policy of q = 1"
    return ""


def _measurement(settings: Settings, algorithm: str) -> Measurement | None:
    """Return the measurement of an optimiser under the conditions of the settings; None if there is none."""
    variant = variant_of(algorithm, settings.environment.experiment.optimisers)
    try:
        measured = load_measurement(settings.layout, settings.seeds, variant)
    except UserError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None
    wanted = Recipe({"max_steps": settings.max_steps, "options": dict(settings.options)})
    if measured is not None and (difference := measured.results[0].recipe.difference(wanted, only=wanted.entries)):
        print(f"left out: {ALGORITHMS[algorithm].label} was measured {difference}", file=sys.stderr)
        return None
    return measured


def _job(settings: Settings, subject: Subject) -> PressureJob:
    environment, layout = settings.environment, settings.layout
    if settings.scheduler is not None:
        # Workers have other working directories and share the file system, so paths are absolute.
        layout = replace(layout, log=layout.log.resolve())
    seeds = [seed for seed, _, _ in subject.made_from]
    compared = [*seeds[1:], seeds[0]] if subject.algorithm == ANOTHER_SEED else seeds
    agents: tuple[Any, ...]
    if subject.algorithm in ALGORITHMS:
        agents = tuple(job_of_agent(environment, layout, subject.algorithm, seed) for seed in seeds)
    else:
        agents = tuple(load_policy(layout.model(subject.quantile or 1.0, seed), environment) for seed in seeds)
    imitators = tuple(load_policy(layout.model(1.0, seed), environment) for seed in compared)
    conditions = (settings.number_trajectories, settings.max_steps, dict(settings.options))
    return PressureJob(subject, environment, agents, imitators, *conditions)


def _of_choice(settings: Settings, subject: Subject) -> Measured:
    """Return the divergence of one of the best k of n rollouts, which no episode need show, beside the returns."""
    measured = _measurement(settings, subject.algorithm)
    assert measured is not None
    jobs = [job_of_agent(settings.environment, settings.layout, subject.algorithm, seed) for seed in measured.seeds]
    divergences = np.array([top_k_of_n_divergence(job.steps, job.top_k) for job in jobs])
    spread = np.broadcast_to(divergences[:, None], measured.true_returns.shape).copy()
    return spread, measured.true_returns, measured.proxy_returns


def _table(rows: Sequence[tuple[Subject, Pressures]], unknown: Sequence[Subject], settings: Settings) -> str:
    possible, lines = settings.environment.true_range(settings.max_steps), []
    for subject, found in rows:
        quantile = found.quantile
        reference = "–" if quantile is None or subject.algorithm else f"{-math.log(quantile) + 0.0:.2f}"
        returns = str(found.true.within(*possible)), str(found.proxy)
        lines.append([subject.label, f"{found.divergence:.2f}", reference, *returns])
    lines += [[one.label, "unknown", "–", "–", "–"] for one in unknown]
    head = ["agent", "KL, nats", "log(1/q)", "true return", "proxy return"]
    return terminal_table(head, lines, settings.wide)
