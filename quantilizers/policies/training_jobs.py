"""Training as jobs of an executor, with the same bits in this process, in worker processes and on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.execution.executor import Arrays, Executor, InProcess, Send, SendNowAndThen, Shared
from quantilizers.policies.keras_files import keras_archive
from quantilizers.policies.policy import SILENT, Batch, DivergedError, Key, Monitor, TrainedPolicy, family_of
from quantilizers.policies.selection_settings import Selection, SelectionSettings
from quantilizers.processors import available_cores

Selections = Mapping[Any, Selection]
#: A point of a policy's curve: the arguments of `Monitor.scalar`.
Point = tuple[Key, int, str, float, int]


def train(
    batches: Sequence[Batch],
    selections: Shared[Selections],
    monitor: Monitor = SILENT,
    executor: Executor | None = None,
    checkpoint: Callable[[Any, int], Path] | None = None,
) -> Iterator[TrainedPolicy]:
    """Train the missing policies of batches, and yield each when its batch is finished, in no particular order.

    Args:
        batches: of `PolicyFamily.plan`.
        selections: by key; those of the batches suffice. `shared_selections` can travel to workers.
        monitor: is called in this process as training goes on.
        executor: trains the batches; None is this process, with `threads_for` them.
        checkpoint: the checkpoint file of a key and seed. Files that remain are the caller's to delete.

    Raises:
        DivergedError: the loss of a policy became NaN or infinite. The others were yielded before.
        UnfinishedError: some batches failed. The others were yielded before.
    """
    executor = InProcess(threads_for(batches)) if executor is None else executor
    if executor.in_process and batches:
        import quantilizers.policies.tensorflow  # noqa: F401  # not first in several threads at once

        keys = dict.fromkeys(key for batch in batches for key in batch.keys)
        # Observations are made once for all batches of a key.
        selections = Shared({key: selections.value[key].with_observations() for key in keys})
    resumable = checkpoint if executor.shares_files else None
    jobs = []
    for batch in batches:
        files = {policy: resumable(*policy) for policy in batch.policies} if resumable else {}
        jobs.append(TrainingJob(batch, selections, files, archived=not executor.in_process))
    advanced, drawn = dict.fromkeys(map(id, jobs), 0), dict.fromkeys(map(id, jobs), 0)

    def draw(job: TrainingJob, points: Sequence[Point], first: int = 0) -> None:
        # A retried job repeats its messages, and messages can be lost: the whole curves come at the end.
        known = drawn[id(job)]
        if first <= known:
            for point in points[known - first :]:
                monitor.scalar(*point)
            drawn[id(job)] = max(known, first + len(points))

    def hear(job: TrainingJob, message: Mapping[str, Any]) -> None:
        draw(job, message["points"], message["first"])
        monitor.advance(message["steps"] - advanced[id(job)], message["text"])
        advanced[id(job)] = message["steps"]

    diverged: list[tuple[Key, int]] = []
    for job, trained in executor.map(train_batch, jobs, hear):
        draw(job, trained.points)
        yield from trained.policies
        diverged += trained.diverged
    if diverged:
        raise DivergedError(diverged)


def threads_for(batches: Sequence[Batch]) -> int:
    """Return how many batches this process trains at a time: one if each keeps several cores at work."""
    return min(len(batches), available_cores()) if any(batch.seconds for batch in batches) else 1


def shared_selections(
    selections: Selections, selecting: SelectionSettings, demonstrations: Demonstrations
) -> Shared[Selections]:
    """Return selections, by quantile, that travel to workers as all demonstrations and are made there."""
    return Shared(
        selections,
        lambda _: demonstrations.as_arrays(),
        partial(_selected, selecting, tuple(selections), demonstrations.environment, demonstrations.options),
    )


def _selected(
    selecting: SelectionSettings,
    quantiles: Sequence[float],
    environment: EnvironmentDefinition,
    options: Mapping[str, Any],
    arrays: Arrays,
) -> Selections:
    return selecting.choose_all(Demonstrations.from_arrays(environment, arrays, options), quantiles)


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A batch to train."""

    batch: Batch
    selections: Shared[Selections]
    checkpoints: Mapping[tuple[Key, int], Path]  # by key and seed; empty if none are written
    archived: bool  # whether to make a `keras_archive` of each policy, to be saved without loading TensorFlow

    @property
    def name(self) -> str:
        """The job in messages."""
        return self.batch.name


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a batch: its policies, all points of their curves, and the (key, seed) that diverged."""

    policies: list[TrainedPolicy]
    points: list[Point]
    diverged: tuple[tuple[Key, int], ...]


def train_batch(job: TrainingJob, send: Send) -> Trained:
    """Train the policies of a batch, in whatever process; progress is sent now and then."""
    selections = job.selections.value
    environment = selections[job.batch.keys[0]].demonstrations.environment
    progress = _Progress(send)
    policies, diverged = list[TrainedPolicy](), tuple[tuple[Key, int], ...]()

    def checkpoint(key: Key, seed: int) -> Path:
        return job.checkpoints[key, seed]

    fit = family_of(environment).fit
    try:
        for policy in fit(job.batch, selections, progress, checkpoint if job.checkpoints else None):
            policies.append(policy)
    except DivergedError as error:
        diverged = error.policies
    if job.archived:
        policies = [replace(policy, archive=keras_archive(environment, policy)) for policy in policies]
    progress.send()
    return Trained(policies, progress.points, diverged)


class _Progress:
    """A monitor that keeps curves, and sends the new points of curves and the number of steps now and then."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._send_now_and_then = SendNowAndThen(send)
        self._steps = 0
        self._text = ""
        self._sent = 0
        self.points: list[Point] = []

    def scalar(self, key: Key, seed: int, name: str, value: float, step: int) -> None:
        """Keep a point of one policy's curve."""
        self.points.append((key, seed, name, float(value), step))

    def advance(self, number: int, text: str = "") -> None:
        """Count steps."""
        self._steps += number
        self._text = text or self._text
        if self._send_now_and_then(self._message()):
            self._sent = len(self.points)

    def send(self) -> None:
        """Send the present state."""
        self._send(self._message())

    def _message(self) -> dict[str, Any]:
        return {"steps": self._steps, "text": self._text, "first": self._sent, "points": self.points[self._sent :]}
