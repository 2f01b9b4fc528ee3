from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import map_selection
from map_selection import Grid, Skill, draw_map, summarise_map
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.execution import worker_processes
from quantilizers.policies.policy import acting_of, training_of
from quantilizers.quantilize import number_kept
from quantilizers.studies import controls
from quantilizers.studies.controls import Arm, ArmResults, Protocol
from quantilizers.studies.players import Rerun
from support import files_of

GRID = Grid((6, 12), (Skill("low", 0.0, 0.5), Skill("high", 0.5, 1.0)), (0.5,), 2)
TOP, RANDOM = Arm(0.5, "top", 0, "epochs"), Arm(0.5, "random", 0, "epochs")


def invented(generator: np.random.Generator, effect: float, correlation: float) -> Rerun:
    """A draw whose top policy earns `effect` more than the random one, with noise."""
    proxy = generator.normal(size=50)
    true = correlation * proxy + np.sqrt(1 - correlation**2) * generator.normal(size=50)
    kept = true[np.argsort(-proxy)[:25]]

    def arm(which: Arm, mean: float) -> ArmResults:
        returns = mean + generator.normal(size=(1, 5))
        lengths = np.ones(25, dtype=np.int64)
        return ArmResults(which, returns, returns, np.ones((1, 5), dtype=np.int64), kept, kept, lengths)

    return Rerun(true, proxy, {TOP: arm(TOP, effect), RANDOM: arm(RANDOM, 0.0)})


def test_cells_say_what_was_put_into_them() -> None:
    generator = np.random.default_rng(0)
    grid = replace(GRID, draws=12)
    wanted = [(5.0, 0.9), (0.0, 0.0), (-5.0, -0.9), (5.0, -0.9)]
    found = summarise_map(grid, [[invented(generator, *cell) for _ in range(12)] for cell in wanted])
    assert [(cell.number, cell.skill.name) for cell in found.cells] == [
        (6, "low"), (12, "low"), (6, "high"), (12, "high")
    ]  # fmt: skip
    decisions = [cell.effects[0].decision for cell in found.cells]
    assert decisions == ["supported", "undecided", "contradicted", "supported"]
    for cell, (effect, correlation) in zip(found.cells, wanted, strict=True):
        assert cell.effects[0].policies.estimate == pytest.approx(effect, abs=1)
        assert cell.pearson.estimate == pytest.approx(correlation, abs=0.15)
        # Of a standard normal proxy the upper half has a mean of √(2/π).
        assert cell.effects[0].kept.estimate == pytest.approx(correlation * np.sqrt(2 / np.pi), abs=0.15)
    effects = found.array([cell.effects[0].policies.estimate for cell in found.cells])
    assert effects.shape == (2, 2)
    assert effects[1, 0] == found.cells[2].effects[0].policies.estimate
    assert found.bounds([cell.spearman for cell in found.cells]).shape == (3, 2, 2)
    json.dumps(found.as_numbers(), allow_nan=False)


def test_no_effect_is_found_where_there_is_none() -> None:
    """Holm's correction is over the whole map: in a hundred maps of nothing about five have a significant cell."""
    generator = np.random.default_rng(1)
    grid = replace(GRID, draws=6)
    wrong = 0
    for _ in range(100):
        found = summarise_map(grid, [[invented(generator, 0.0, 0.5) for _ in range(6)] for _ in range(4)])
        wrong += any(cell.effects[0].decision != "undecided" for cell in found.cells)
    assert wrong <= 12


def test_returns_that_never_vary_have_no_correlation() -> None:
    generator = np.random.default_rng(2)
    flat = [replace(invented(generator, 0.0, 0.5), true_returns=np.full(50, -200.0)) for _ in range(2)]
    varied = [invented(generator, 0.0, 0.5) for _ in range(2)]
    found = summarise_map(GRID, [flat, varied, varied, varied])
    assert np.isnan(found.cells[0].spearman.estimate)
    assert np.isfinite(found.cells[1].spearman.estimate)
    assert found.as_numbers()["cells"][0]["spearman"] == [None, None, None]


def test_a_stopped_map_goes_on(car_demonstrations: Demonstrations, tmp_path: Path) -> None:
    environment = car_demonstrations.environment
    protocol = Protocol(
        (0,), training_of(environment, {"max_epochs": 1, "hidden_units": ()}), acting_of(environment), 2, 20, {}
    )
    asked: list[tuple[int, float, float]] = []

    def sample(number: int, generator: np.random.Generator, low: float, high: float) -> Demonstrations:
        asked.append((number, low, high))
        return car_demonstrations.select(generator.integers(12, size=number))

    done: list[str] = []
    first = draw_map(sample, GRID, protocol, tmp_path, done.append)
    assert asked == [(6, 0.0, 0.5)] * 2 + [(12, 0.0, 0.5)] * 2 + [(6, 0.5, 1.0)] * 2 + [(12, 0.5, 1.0)] * 2
    assert done[:3] == ["6 demonstrations, low", "6 demonstrations, low", "12 demonstrations, low"]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(files) == 8 * 2
    removed = next(iter(files))
    removed.unlink()
    again = draw_map(sample, GRID, protocol, tmp_path)
    assert again.as_numbers() == first.as_numbers()
    written_anew = [path for path, written in files.items() if path.stat().st_mtime_ns != written]
    assert written_anew == [removed]


def test_every_cell_of_the_grids_can_be_drawn() -> None:
    for grid in map_selection.GRIDS.values():
        assert grid.draws >= 2
        assert all(0 <= skill.low < skill.high <= 1 for skill in grid.skills)
        assert min(number_kept(quantile, number) for quantile in grid.quantiles for number in grid.numbers) >= 3


@pytest.fixture(autouse=True)
def _nobody_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no unasked processes, which would have to load TensorFlow."""
    monkeypatch.setattr(worker_processes, "available_cores", lambda: 1)


def test_a_map_is_drawn_with_its_numbers_and_drawn_again_from_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = map_selection.GRIDS["MountainCar-v0"]
    small = replace(grid, numbers=(12,), skills=grid.skills[2:3], quantiles=(0.5,), draws=2)
    monkeypatch.setitem(map_selection.GRIDS, "MountainCar-v0", small)
    monkeypatch.setitem(map_selection.TEST_EPISODES, "MountainCar-v0", 2)
    words = ["--env_name", "MountainCar-v0", "--log_dir", str(tmp_path)]
    assert map_selection.main(words) == 0
    said = capsys.readouterr().out
    assert "1 cell;" in said
    path = tmp_path / "fig" / "selection_map_MountainCar-v0.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    written = json.loads(path.with_suffix(".json").read_text())
    assert written["command"] == f"python scripts/map_selection.py --env_name MountainCar-v0 --log_dir {tmp_path}"
    (cell,) = written["numbers"]["cells"]
    assert (cell["demonstrations"], cell["skill"]["name"]) == (12, "highest third")
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "map").rglob("*.npz")}
    assert len(kept) == 4
    assert map_selection.main(words) == 0
    assert json.loads(path.with_suffix(".json").read_text())["numbers"] == written["numbers"]
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_two_processes_draw_the_same_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = map_selection.GRIDS["MountainCar-v0"]
    small = replace(grid, numbers=(12,), skills=grid.skills[2:3], quantiles=(0.5,), draws=2)
    monkeypatch.setitem(map_selection.GRIDS, "MountainCar-v0", small)
    monkeypatch.setitem(map_selection.TEST_EPISODES, "MountainCar-v0", 2)
    found, did_work = [], 0
    perform = controls._test

    def counted(*arguments: Any) -> ArmResults:
        nonlocal did_work
        did_work += 1
        return perform(*arguments)

    monkeypatch.setattr(controls, "_test", counted)
    for name, words in (("here", []), ("two", ["--workers", "2"])):
        log = tmp_path / name
        assert map_selection.main(["--env_name", "MountainCar-v0", "--log_dir", str(log), *words]) == 0
        written = json.loads((log / "fig" / "selection_map_MountainCar-v0.json").read_text())
        found.append((written["numbers"], files_of(log / "map")))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2 * 2
    assert did_work == 4, "this process does the work of the first map only"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--workers", "0"], "--workers must be at least 1; leave it out to have the number chosen"),
        (["--workers", "2", "--scheduler", "tcp://host:8786"], "give one or the other"),
        (["--scheduler", "host:8786"], "--scheduler: 'host:8786' is no scheduler's address, such as tcp://host:8786"),
    ],
)
def test_workers_that_cannot_be_are_refused_in_one_line(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert map_selection.main(["--log_dir", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert not files_of(tmp_path)


def test_an_environment_without_a_map_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert map_selection.main(["--env_name", "Pong", "--log_dir", str(tmp_path)]) == 2
    assert "--env_name is 'Pong'; it is one of MountainCar-v0, Hopper-v2" in capsys.readouterr().err
