from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.files import sha256_of
from quantilizers.layout import Layout
from quantilizers.stages import analysing
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings

CAR = load_environment("MountainCar-v0")
Inspect = Callable[[Demonstrations], Settings]


@pytest.fixture
def settings_for(tmp_path: Path) -> Inspect:
    """Save demonstrations and give the settings that inspect them."""

    def save(demonstrations: Demonstrations) -> Settings:
        layout = Layout(tmp_path / "log", CAR.name, "mine")
        demonstrations.episodes.save(layout.data)
        return Settings(CAR, layout, (1.0, 0.5, 0.25, 0.01), range(1), number_trajectories=1, max_steps=200)

    return save


def test_the_tables_say_what_is_there_and_what_is_kept(
    settings_for: Inspect, car_demonstrations: Demonstrations, capsys: pytest.CaptureFixture[str]
) -> None:
    analysing.inspect(Run(replace(settings_for(car_demonstrations), wide=True)))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    overview = {row[0]: row[1] for row in rows if len(row) == 2}
    true, proxy = car_demonstrations.true_returns, car_demonstrations.proxy_returns
    assert overview["episodes"] == "12"
    assert overview["steps"] == f"{car_demonstrations.lengths.sum():,}"
    assert overview["true return"] == f"{true.mean():.2f} [{true.min():.2f}, {true.max():.2f}]"
    assert overview["correlation of the two, Pearson"] == f"{np.corrcoef(true, proxy)[0, 1]:.3f}"
    best = np.sort(proxy)[::-1]
    kept = {row[0]: row[1:] for row in rows if len(row) == 6}
    assert kept["1"][0] == "12"
    assert kept["0.25"][0] == "3"
    assert kept["0.25"][2:4] == [f"{best[:3].mean():.2f}", f"{best[2]:.2f}"]
    assert kept["0.01"][0] == "1"


def test_the_numbers_drawn_lie_beside_the_figure(settings_for: Inspect, car_demonstrations: Demonstrations) -> None:
    settings = settings_for(car_demonstrations)
    analysing.inspect(Run(settings))
    figure = settings.layout.figure("inspect")
    record = json.loads(figure.with_suffix(".json").read_text())
    assert record["data_sha256"] == sha256_of(settings.layout.data)
    assert record["numbers"]["true_returns"] == car_demonstrations.true_returns.tolist()
    assert [one["number"] for one in record["numbers"]["kept"]] == [12, 6, 3, 1]
    picture = matplotlib.image.imread(figure)
    assert picture.shape[1] > 1000
    # A margin of white all around: nothing is cut off.
    for edge in (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]):
        assert edge.min() == 1.0


def test_one_episode_has_no_correlation(
    settings_for: Inspect, car_demonstrations: Demonstrations, capsys: pytest.CaptureFixture[str]
) -> None:
    analysing.inspect(Run(settings_for(car_demonstrations.select(np.array([0])))))
    assert capsys.readouterr().out.count("does not vary") == 2


def test_a_data_set_that_is_not_there_is_named(settings_for: Inspect, car_demonstrations: Demonstrations) -> None:
    settings = settings_for(car_demonstrations)
    settings.layout.data.unlink()
    with pytest.raises(UserError, match="mine"):
        analysing.inspect(Run(settings))
