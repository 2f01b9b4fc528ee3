from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import map_selection
from quantilizers.demonstrations.selecting import number_kept
from quantilizers.stages import executing
from quantilizers.studies.controls import ArmsRun
from support import files_of


def test_every_cell_of_the_grids_can_be_drawn() -> None:
    for grid in map_selection.GRIDS.values():
        assert grid.draws >= 2
        assert all(0 <= skill.low < skill.high <= 1 for skill in grid.skills)
        assert min(number_kept(quantile, number) for quantile in grid.quantiles for number in grid.numbers) >= 3


@pytest.fixture(autouse=True)
def _nobody_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no processes but those that a test asks for, which have to load TensorFlow."""
    monkeypatch.setattr(executing, "available_cores", lambda: 1)


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
    perform = ArmsRun.do_here

    def counted(work: ArmsRun) -> None:
        nonlocal did_work
        did_work += 1
        perform(work)

    monkeypatch.setattr(ArmsRun, "do_here", counted)
    for name, words in (("here", []), ("two", ["--workers", "2"])):
        log = tmp_path / name
        assert map_selection.main(["--env_name", "MountainCar-v0", "--log_dir", str(log), *words]) == 0
        written = json.loads((log / "fig" / "selection_map_MountainCar-v0.json").read_text())
        found.append((written["numbers"], files_of(log / "map")))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2 * 2
    assert did_work == 2, "this process does the work of the first map only"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--workers", "0"], "--workers must be at least 1; leave it out for as many as the work is worth"),
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
    assert "there are maps of MountainCar-v0 and Hopper-v2" in capsys.readouterr().err
