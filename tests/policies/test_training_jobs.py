from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.execution import executor as executor_module
from quantilizers.execution.executor import InProcess, Shared, ignore
from quantilizers.policies import multilayer_perceptron
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.selection_settings import REFERENCE, SelectionSettings
from quantilizers.policies.training_jobs import Point, shared_selections, train

TRAINING = PerceptronTraining(max_epochs=6)
SEEDS = (0, 1)


class Curves:
    """A monitor that records its calls."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.steps = 0

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        self.points.append((quantile, seed, name, value, step))

    def advance(self, number: int, text: str = "") -> None:
        self.steps += number


class BadLine(InProcess):
    """Runs jobs in this process as if over a bad line: `heard` chooses which of a job's messages arrive."""

    shares_files = False

    def __init__(self, heard: Callable[[list[Any]], list[Any]]) -> None:
        super().__init__()
        self._heard = heard
        self.messages = 0

    def map(self, function: Any, jobs: Iterable[Any], on_message: Any = ignore) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            messages: list[Any] = []
            result = function(job, messages.append)
            self.messages += len(messages)
            for message in self._heard(messages):
                on_message(job, message)
            yield job, result


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
    for batch in batches:
        assert len(list(multilayer_perceptron.fit(batch, selections, here))) == len(SEEDS)
    executor = BadLine(heard)
    policies = train(batches, Shared(selections), there, executor, lambda *_: Path())
    assert [policy.seed for policy in policies] == list(SEEDS)
    assert there.points == here.points
    assert len(here.points) == len(SEEDS) * TRAINING.max_epochs
    assert executor.messages > TRAINING.max_epochs, "curves are sent as they grow"


def test_selections_in_a_worker_are_those_of_this_process(car_demonstrations: Demonstrations) -> None:
    selecting = SelectionSettings(select="random", subset=3, weight="episodes")
    selections = selecting.choose_all(car_demonstrations, [0.5, 0.25])
    shared = shared_selections(selections, selecting, car_demonstrations)
    assert shared.value is selections
    arrived = pickle.loads(shared.unpacker)(shared.arrays)  # noqa: S301
    assert list(arrived) == [0.5, 0.25]
    for quantile, selection in arrived.items():
        assert selection.data == selections[quantile].data
        np.testing.assert_array_equal(selection.step_weights, selections[quantile].step_weights)
