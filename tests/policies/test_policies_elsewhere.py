from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.execution import executor as executor_module
from quantilizers.execution.executor import WorkUnit, ignore
from quantilizers.policies import multilayer_perceptron
from quantilizers.policies.elsewhere import Point, fit_elsewhere
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.treatment import REFERENCE

TRAINING = PerceptronTraining(max_epochs=6)
SEEDS = (0, 1)


class Curves:
    """A monitor that keeps what it is told."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.steps = 0

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        self.points.append((quantile, seed, name, value, step))

    def advance(self, number: int, text: str = "") -> None:
        self.steps += number


class Executor:
    """Does units in this process, as one whose line is bad: what is to be heard of a unit is chosen.

    Args:
        heard: from a unit's messages to those that arrive.
    """

    shares_files = False

    def __init__(self, heard: Callable[[list[Any]], list[Any]]) -> None:
        self._heard = heard
        self.messages = 0

    def run(
        self, units: Iterable[WorkUnit], on_message: Callable[[int, Any], object] = ignore
    ) -> Iterator[tuple[int, Any]]:
        for number, unit in enumerate(units):
            messages: list[Any] = []
            result = unit.function(*unit.arguments, messages.append)
            self.messages += len(messages)
            for message in self._heard(messages):
                on_message(number, message)
            yield number, result


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "SECONDS_BETWEEN_MESSAGES", 0.0)


@pytest.mark.parametrize(
    "heard",
    [
        lambda messages: messages,
        lambda messages: [*messages[:3], *messages],  # its worker died, and another did it from the beginning
        lambda messages: messages[1:],
        lambda messages: messages[::2],
        lambda messages: [],
    ],
    ids=["all", "done again", "the first lost", "every second lost", "none"],
)
def test_every_point_of_a_curve_is_drawn_once_and_in_its_order(
    heard: Callable[[list[Any]], list[Any]], car_demonstrations: Demonstrations
) -> None:
    selections, here, there = REFERENCE.choose_all(car_demonstrations, [1.0]), Curves(), Curves()
    batches = multilayer_perceptron.plan(selections, SEEDS, TRAINING)
    assert len(list(multilayer_perceptron.fit(batches, selections, here))) == len(SEEDS)
    executor = Executor(heard)
    policies = fit_elsewhere(executor, car_demonstrations, REFERENCE, batches, there, lambda *_: Path())
    assert [policy.seed for policy, _ in policies] == list(SEEDS)
    assert there.points == here.points
    assert len(here.points) == len(SEEDS) * TRAINING.max_epochs
    assert executor.messages > TRAINING.max_epochs, "curves are told as they grow"
