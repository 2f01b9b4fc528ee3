"""Environments of one name: those that ship, files of one name in two folders, definitions of one file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from quantilizer import main
from quantilizers import Episodes, UserError, load_environment
from quantilizers.datasets.demonstrations import find_recording
from quantilizers.datasets.origins import NOTE, check_origin, note_origin
from quantilizers.layout import Layout

FILE = """
from dataclasses import replace
from quantilizers import EnvironmentDefinition, each_step, load_environment, own

ENVIRONMENT = EnvironmentDefinition("CartPole-v1", {weight} * each_step(lambda steps: steps.observations[:, 0]), 5)
"""
SECOND = 'OTHER = EnvironmentDefinition("CartPole-v1", own, 5)\n'
SHIPPED = """
NAMED = EnvironmentDefinition("CartPole-v1", own, 5, name="MountainCar-v0")
CHANGED = replace(load_environment("MountainCar-v0"), proxy=own)
"""


def written(folder: Path, text: str = FILE, weight: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "env.py").write_text(text.replace("{weight}", str(weight)))
    return folder / "env.py"


def recorded(log: Path) -> Layout:
    layout = Layout(log, "env", "demo")
    seen = np.zeros((2, 3, 4), np.float32)
    finals = {"final_observation": seen[:, 0]}
    Episodes(seen, np.zeros((2, 3, 1)), np.ones((2, 3)), np.zeros((2, 3), bool), finals).save(layout.data)
    return layout


def test_data_sets_of_another_file_of_the_same_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = written(tmp_path / "a"), written(tmp_path / "b", weight=-1)
    layout = recorded(tmp_path / "log")

    def inspect(path: Path, *more: str) -> int:
        return main(["--do", "inspect", "--env_name", str(path), "--log_dir", str(tmp_path / "log"), *more])

    assert inspect(one) == 0
    assert inspect(one) == 0
    assert inspect(other) == 2
    message = capsys.readouterr().err
    assert f"has the data sets of {one}, and {other} gives its environment the same name" in message
    assert inspect(other, "--data", str(layout.data)) == 0  # the file is named
    note = (layout.data.parent / NOTE).read_text()
    assert str(one) in note


def test_an_address_from_another_folder_tells_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a")
    layout = recorded(tmp_path / "log")
    note_origin(layout, load_environment(written(tmp_path / "b", weight=2)))
    monkeypatch.chdir(tmp_path / "a")
    environment = load_environment("env.py")
    monkeypatch.chdir(tmp_path)
    assert find_recording(layout, environment).episodes.number == 2


def test_a_copy_or_a_moved_file_is_the_same_environment(tmp_path: Path) -> None:
    one, copied = written(tmp_path / "a"), written(tmp_path / "b")
    moved = written(tmp_path / "c", weight=2)
    layout = recorded(tmp_path / "log")
    note_origin(layout, load_environment(one))
    check_origin(layout, load_environment(copied))
    with pytest.raises(UserError, match="gives its environment the same name"):
        find_recording(layout, load_environment(moved))
    one.unlink()
    assert find_recording(layout, load_environment(moved)).episodes.number == 2
    note_origin(layout, load_environment(moved))
    assert str(moved) in (layout.data.parent / NOTE).read_text()
    (layout.data.parent / NOTE).write_text("[1")  # damaged
    assert find_recording(layout, load_environment(copied)).episodes.number == 2


@pytest.mark.parametrize("name", ["NAMED", "CHANGED"])
def test_the_name_of_an_environment_that_ships_is_refused(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, FILE + SHIPPED)
    with pytest.raises(UserError, match=r"is named MountainCar-v0, as an environment that ships, .* name=\"…\""):
        load_environment(f"{file}:{name}")


def test_unnamed_definitions_of_one_file_do_not_share_its_name(tmp_path: Path) -> None:
    file = written(tmp_path, FILE + SECOND)
    assert load_environment(file).name == "env"
    with pytest.raises(UserError, match=r"defines ENVIRONMENT, OTHER without names, .* called env; give OTHER one"):
        load_environment(f"{file}:OTHER")


def test_a_definition_has_one_name_as_a_file_and_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package").mkdir()
    file = tmp_path / "package" / "boat_race.py"
    file.write_text(FILE.replace("{weight}", "1"))
    about = tmp_path / "package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[quantilizers.environments]\nBoat-v0 = package.boat_race:ENVIRONMENT\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("package", "package.boat_race"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert load_environment(file).name == "boat_race"
    assert load_environment("package.boat_race:ENVIRONMENT").name == "boat_race"
    assert load_environment("Boat-v0").name == "Boat-v0"
