"""Training policies in other processes, with the bits of this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.travelling import demonstrations_of, shared_demonstrations
from quantilizers.envs.registry import Address, address_of
from quantilizers.execution.units import Executor, Send, SendNowAndThen, Shared, WorkUnit
from quantilizers.policies.keras_files import keras_archive
from quantilizers.policies.policy import Batch, DivergedError, Key, Monitor, TrainedPolicy, family_of
from quantilizers.policies.treatment import Treatment

#: A point of a policy's curve, as `Monitor.scalar` takes it.
Point = tuple[Key, int, str, float, int]
#: What a batch gives: its policies, each with its `keras_archive`, their curves, and the (key, seed) that diverged.
Trained = tuple[list[tuple[TrainedPolicy, bytes]], list[Point], list[tuple[Key, int]]]


def fit_elsewhere(
    executor: Executor,
    demonstrations: Demonstrations,
    treatment: Treatment,
    batches: Sequence[Batch],
    monitor: Monitor,
    checkpoint: Callable[[Any, int], Path],
) -> Iterator[tuple[TrainedPolicy, bytes]]:
    """Train policies as `PolicyFamily.fit` does, each batch as one unit of work.

    Each comes with its `keras_archive`, so that this process need not load TensorFlow.

    Args:
        executor: which does the work.
        demonstrations: all of them.
        treatment: how they are selected; the keys of the batches are quantiles.
        batches: of `PolicyFamily.plan`.
        monitor: is called as training goes on.
        checkpoint: of each quantile and seed; used where workers write to this machine.

    Raises:
        DivergedError: the loss of a policy became NaN or infinite. The others were yielded before.
        UnfinishedError: some units failed. The others were yielded before.
    """
    shared, address = shared_demonstrations(demonstrations), address_of(demonstrations.environment)
    units = []
    for batch in batches:
        files = {policy: checkpoint(*policy) for policy in batch.policies} if executor.shares_files else {}
        units.append(WorkUnit(batch.name, train_unit, (shared, address, treatment, batch, files)))
    advanced, drawn = [0] * len(units), [0] * len(units)

    def draw(number: int, points: Sequence[Point], first: int = 0) -> None:
        # A retried unit repeats its messages, and messages can be lost: the whole curves come at the end.
        if first <= drawn[number]:
            for point in points[drawn[number] - first :]:
                monitor.scalar(*point)
            drawn[number] = max(drawn[number], first + len(points))

    def hear(number: int, message: Mapping[str, Any]) -> None:
        draw(number, message["points"], message["first"])
        monitor.advance(message["steps"] - advanced[number], message["text"])
        advanced[number] = message["steps"]

    diverged: list[tuple[Key, int]] = []
    for number, (policies, points, of_unit) in executor.run(units, hear):
        draw(number, points)
        yield from policies
        diverged += of_unit
    if diverged:
        raise DivergedError(diverged)


def train_unit(
    shared: Shared[Any],
    address: Address,
    treatment: Treatment,
    batch: Batch,
    checkpoints: Mapping[tuple[Key, int], Path],
    send: Send,
) -> Trained:
    """Train the policies of a batch, in whatever process.

    Args:
        shared: all demonstrations.
        address: of their environment.
        treatment: how they are selected.
        batch: whose keys are quantiles.
        checkpoints: by key and seed; empty where none are to be written.
        send: is told how many steps are done.
    """
    demonstrations = demonstrations_of(shared, address)
    selections = treatment.choose_all(demonstrations, batch.keys)
    notes = _Notes(send)
    policies: list[tuple[TrainedPolicy, bytes]] = []
    diverged: list[tuple[Key, int]] = []

    def checkpoint(key: Key, seed: int) -> Path:
        return checkpoints[key, seed]

    family = family_of(demonstrations.environment)
    try:
        for policy in family.fit([batch], selections, notes, checkpoint if checkpoints else None):
            policies.append((policy, keras_archive(demonstrations.environment, policy)))
    except DivergedError as error:
        diverged += error.policies
    notes.tell()
    return policies, notes.points, diverged


class _Notes:
    """A monitor that keeps curves, and tells now and then how far training has come.

    Args:
        send: sends a message.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._send_now_and_then = SendNowAndThen(send)
        self._steps = 0
        self._text = ""
        self._told = 0
        self.points: list[Point] = []

    def scalar(self, key: Key, seed: int, name: str, value: float, step: int) -> None:
        """Keep a point of one policy's curve."""
        self.points.append((key, seed, name, float(value), step))

    def advance(self, number: int, text: str = "") -> None:
        """Count steps."""
        self._steps += number
        self._text = text or self._text
        if self._send_now_and_then(self._message()):
            self._told = len(self.points)

    def tell(self) -> None:
        """Tell how many steps are done."""
        self._send(self._message())

    def _message(self) -> dict[str, Any]:
        return {"steps": self._steps, "text": self._text, "first": self._told, "points": self.points[self._told :]}
