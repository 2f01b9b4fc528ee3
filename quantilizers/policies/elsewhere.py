"""Training policies in other processes, with the bits of this one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.travelling import demonstrations_of, shared_demonstrations
from quantilizers.envs.registry import Address, address_of
from quantilizers.execution.units import Executor, Send, SendNowAndThen, Shared, WorkUnit
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.keras_files import keras_archive
from quantilizers.policies.policy import DivergedError, Monitor, TrainedPolicy, family_of
from quantilizers.policies.treatment import Treatment, splits_of

#: A point of a policy's curve, as `Monitor.scalar` takes it.
Point = tuple[float, int, str, float, int]
#: What training some policies gives: these, each with its `keras_archive`, their curves, and the (quantile, seed) whose
#: training diverged.
Trained = tuple[list[tuple[TrainedPolicy, bytes]], list[Point], list[tuple[float, int]]]


def fit_elsewhere(
    executor: Executor,
    demonstrations: Demonstrations,
    treatment: Treatment,
    splits: Mapping[float, Demonstrations],
    seeds: Sequence[int],
    training: AnyTraining,
    monitor: Monitor,
    checkpoint: Callable[[float, int], Path],
    wanted: Collection[tuple[float, int]],
) -> Iterator[tuple[TrainedPolicy, bytes]]:
    """Train policies as `PolicyFamily.fit` does, those that train together in one unit of work.

    Each comes with its `keras_archive`, so that this process need not load TensorFlow.

    Args:
        executor: which does the work.
        demonstrations: all of them.
        treatment: what was done with them.
        splits: for each quantile, what it keeps of them; observations may be missing.
        seeds: of the policies.
        training: hyper-parameters.
        monitor: is told how it goes on.
        checkpoint: of each quantile and seed; used where workers write to this machine.
        wanted: policies that are to be trained.

    Raises:
        DivergedError: the loss of a policy became NaN or infinite. The others were given before.
        UnfinishedError: some units came to nothing. The others were given before.
    """
    family = family_of(demonstrations.environment)
    shared, address = shared_demonstrations(demonstrations), address_of(demonstrations.environment)
    units = []
    for quantile, room in zip(splits, family.rooms_of(splits), strict=True):
        for of_group in family.seed_groups(demonstrations.environment, seeds):
            missing = [seed for seed in of_group if (quantile, seed) in wanted]
            if missing:
                files = {seed: checkpoint(quantile, seed) for seed in of_group} if executor.shares_files else {}
                name = f"q = {quantile:g} " + _seeds(of_group)
                arguments = (shared, address, treatment, quantile, tuple(of_group), missing, training, room, files)
                units.append(WorkUnit(name, train_unit, arguments))
    advanced, drawn = [0] * len(units), [0] * len(units)

    def draw(number: int, points: Sequence[Point], first: int = 0) -> None:
        # A unit that is done again tells the same once more, and a message can be lost: what it told comes at the end.
        if first <= drawn[number]:
            for point in points[drawn[number] - first :]:
                monitor.scalar(*point)
            drawn[number] = max(drawn[number], first + len(points))

    def hear(number: int, message: Mapping[str, Any]) -> None:
        draw(number, message["points"], message["first"])
        monitor.advance(message["steps"] - advanced[number], message["text"])
        advanced[number] = message["steps"]

    diverged: list[tuple[float, int]] = []
    for number, (policies, points, of_unit) in executor.run(units, hear):
        draw(number, points)
        yield from policies
        diverged += of_unit
    if diverged:
        raise DivergedError(diverged)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def train_unit(
    shared: Shared,
    address: Address,
    treatment: Treatment,
    quantile: float,
    seeds: Sequence[int],
    wanted: Sequence[int],
    training: AnyTraining,
    room: int,
    checkpoints: Mapping[int, Path],
    send: Send,
) -> Trained:
    """Do a unit of work: train the policies of a quantile and of some seeds, in whatever process.

    Args:
        shared: all demonstrations.
        address: of their environment.
        treatment: what is done with them.
        quantile: q.
        seeds: that train together.
        wanted: those whose policies are to be given.
        training: hyper-parameters.
        room: how many rows the data are padded to.
        checkpoints: of the seeds; none where there are to be none.
        send: is told how many steps are done.
    """
    demonstrations = demonstrations_of(shared, address)
    splits, weights = splits_of(treatment.choose_all(demonstrations, [quantile]))
    notes = _Notes(send)
    policies: list[tuple[TrainedPolicy, bytes]] = []
    diverged: list[tuple[float, int]] = []
    try:
        for policy in family_of(demonstrations.environment).fit(
            splits,
            seeds,
            training,
            notes,
            (lambda _, seed: checkpoints[seed]) if checkpoints else None,
            weights,
            [[quantile]],
            [room],
            {(quantile, seed) for seed in wanted},
        ):
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

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        """Keep a point of one policy's curve."""
        self.points.append((quantile, seed, name, float(value), step))

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
