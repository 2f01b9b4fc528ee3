from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from quantilizers.envs.registry import load_environment
from quantilizers.event_files import event_writer
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.reports import TrainingReport, training_report
from support import curves_of


@pytest.fixture
def bar() -> tqdm[Any]:
    return tqdm(total=200, file=io.StringIO(), mininterval=0, ascii=True, ncols=120)


def shown(bar: tqdm[Any]) -> str:
    return str(bar.fp.getvalue().rpartition("\r")[2])


def test_the_bar_shows_steps_returns_and_measuring(bar: tqdm[Any], tmp_path: Path) -> None:
    with event_writer(tmp_path / "3") as third, event_writer(tmp_path / "4") as fourth:
        report = TrainingReport(load_environment("MountainCar-v0"), [3, 4], [third, fourth], bar)
        curve = LearningCurve([10], [-5.0], [-10.0])
        report.begin(0, curve, 60)
        assert "60/200" in shown(bar), "an earlier run did those"
        report.begin(1, LearningCurve(), 0)
        report.steps(1, 25)
        curve.append(70, -4.5, -9.25)
        report.episode(0, curve)
        bar.refresh()
        assert "95/200" in shown(bar)
        assert "seed 3: proxy -4.5, true -9.25" in shown(bar)
        report.measuring(1, 12345)
        assert "seed 4: measuring, 12,345 steps" in shown(bar)
        assert "95/200" in shown(bar), "these are not steps of training"
    assert curves_of(tmp_path / "3") == {
        "proxy_return": [(10, -5.0), (70, -4.5)],
        "true_return": [(10, -10.0), (70, -9.25)],
    }
    assert curves_of(tmp_path / "4") == {}


def test_the_bar_ends_full_where_training_ends_off_the_number_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment, folders = load_environment("MountainCar-v0"), [tmp_path / "0", tmp_path / "1"]
    with training_report(environment, "sarsa", range(2), 100, folders) as report:
        assert report.environment is environment
        report.steps(0, 96)
        report.steps(1, 100)
    shown = capsys.readouterr().err
    assert "optimising (sarsa)" in shown
    assert "0.00/200" in shown
    assert "196/196" in shown
    assert all(folder.is_dir() for folder in folders)
