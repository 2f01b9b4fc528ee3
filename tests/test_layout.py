from __future__ import annotations

from pathlib import Path

import pytest

from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory, one_name, shipped_log
from support import ROOT


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", ".hidden"])
def test_a_name_with_a_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="the data set name"):
        one_name(name, "data set name")


def test_a_path_with_and_without_its_slash_is_the_same_folder() -> None:
    with_slash = Layout(Path("log"), "MountainCar-v0", "demo", "run_1/")
    without = Layout(Path("log"), "MountainCar-v0", "demo", "run_1")
    assert with_slash.model(0.5, 3) == without.model(0.5, 3) == Path("log/models/run_1/demo_MountainCar-v0_0.5_3.keras")
    assert with_slash.rewards(3) == Path("log/rewards/run_1/demo_MountainCar-v0_3.npz")
    assert with_slash.optimiser_rewards(3) == Path("log/rewards/run_1/optimiser_MountainCar-v0_3.npz")


@pytest.mark.parametrize("path", ["..", "../elsewhere", "/tmp", "a/../../..", "a/../../models2", "nul\0"])
def test_a_path_that_leaves_log_is_refused(path: str) -> None:
    with pytest.raises(UserError, match="the path"):
        Layout(Path("log"), "MountainCar-v0", "demo", path)


def test_a_path_through_a_link_out_of_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log" / "models").mkdir(parents=True)
    (tmp_path / "log" / "models" / "away").symlink_to(tmp_path)
    with pytest.raises(UserError, match="leaves"):
        Layout(tmp_path / "log", "MountainCar-v0", "demo", "away")


def test_a_checkout_keeps_everything_in_its_own_log() -> None:
    assert shipped_log() == log_directory() == ROOT / "log"


def test_what_ships_is_found_from_any_folder_unless_there_is_one_of_the_name(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "MountainCar-v0", "demo")
    assert layout.found_data == shipped_log() / "MountainCar-v0" / "demo.npz"
    layout.data.parent.mkdir()
    layout.data.write_bytes(b"mine")
    assert layout.found_data == layout.data
    assert Layout(tmp_path, "MountainCar-v0", "other").found_data == tmp_path / "MountainCar-v0" / "other.npz"


def test_folders_whose_files_could_not_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 4,\d\d\d bytes") as raised:
        Layout(Path("log"), "any", path="/".join(["x" * 200] * 20))
    assert len(str(raised.value)) < 200
    with pytest.raises(UserError, match=r"l\\udcffg/report is not UTF-8"):
        Layout(tmp_path / "l\udcffg", "any")
