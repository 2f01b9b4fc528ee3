from __future__ import annotations

from pathlib import Path

import environments_for_tests
import pytest
from jobs_for_tests import small_job

from quantilizers.execution.units import Send, UnfinishedError, WorkUnit
from quantilizers.optimisers import side_by_side
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.messages import Progress
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.optimisers.side_by_side import plainly, train_side_by_side


class Heard(TrainingReport):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.environment = environments_for_tests.DISCRETE
        self.told: list[tuple[object, ...]] = []

    def begin(self, index: int, *_: object) -> None:
        self.told.append(("begin", index))

    def steps(self, index: int, steps: int) -> None:
        self.told.append(("steps", index, steps))

    def episode(self, index: int, *_: object) -> None:
        self.told.append(("episode", index))

    def measuring(self, index: int, steps: int) -> None:
        self.told.append(("measuring", index, steps))


class Here:
    """Does units in this process, the last seed twice, as if its process had died."""

    def run(self, units: list[WorkUnit], on_message: object) -> object:
        self.names = [unit.name for unit in units]
        for number, unit in [*enumerate(units), (len(units) - 1, units[-1])]:
            yield number, unit.function(*unit.arguments, lambda message, number=number: on_message(number, message))


def train(job: Job, send: Send) -> None:
    tell = plainly(send)
    for steps in (8, 16):
        tell(Progress(steps, -1.0 - job.seed, -2.0))
    tell(Progress(20))
    tell(Progress(20, measured_steps=3))


def test_seeds_are_heard_and_what_is_told_twice_counts_once(tmp_path: Path) -> None:
    jobs = [small_job(tmp_path, environment="environments_for_tests:DISCRETE", seed=seed) for seed in (3, 4)]
    report, here = Heard(), Here()
    curves = train_side_by_side(train, jobs, report, here)
    assert here.names == ["seed 3 of qr_dqn", "seed 4 of qr_dqn"]
    assert [curve.steps for curve in curves] == [[8, 16], [8, 16]]
    assert [curve.proxy_returns[0] for curve in curves] == [-4.0, -5.0]
    assert report.told.count(("episode", 1)) == 2
    assert ("measuring", 0, 3) in report.told
    assert ("steps", 0, 20) in report.told


def kill_itself(job: Job, send: Send) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_a_seed_whose_process_always_dies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "available_cores", lambda: 1)
    job = small_job(tmp_path, environment="environments_for_tests:DISCRETE", seed=7)
    with pytest.raises(UnfinishedError, match="seed 7 of qr_dqn: its worker died 3 times"):
        train_side_by_side(kill_itself, [job], Heard(), None)
