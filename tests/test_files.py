from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from quantilizers.errors import UserError
from quantilizers.files import Layout, atomic_write, one_name, sha256_of


def test_atomic_write_replaces_the_file_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [one.name for one in path.parent.iterdir()] == ["file.txt"]


def test_atomic_write_says_in_one_line_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot write") as raised, atomic_write(tmp_path / "file" / "below"):
        pass
    assert "\n" not in str(raised.value)


def test_sha256_of_is_that_of_the_bytes(tmp_path: Path) -> None:
    data = b"abc" * 1_000_000
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", ".hidden"])
def test_a_name_with_a_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="--dataset_name"):
        one_name(name, "--dataset_name")


def test_a_path_with_and_without_its_slash_is_the_same_folder() -> None:
    with_slash = Layout(Path("log"), "MountainCar-v0", "demo", "run_1/")
    without = Layout(Path("log"), "MountainCar-v0", "demo", "run_1")
    assert with_slash.model(0.5, 3) == without.model(0.5, 3) == Path("log/models/run_1/demo_MountainCar-v0_0.5_3.keras")
    assert with_slash.rewards(3) == Path("log/rewards/run_1/demo_MountainCar-v0_3.npz")
    assert with_slash.optimiser_rewards(3) == Path("log/rewards/run_1/optimiser_MountainCar-v0_3.npz")


@pytest.mark.parametrize("path", ["..", "../elsewhere", "/tmp", "a/../../..", "a/../../models2", "nul\0"])
def test_a_path_that_leaves_log_is_refused(path: str) -> None:
    with pytest.raises(UserError, match="--path"):
        Layout(Path("log"), "MountainCar-v0", "demo", path)


def test_a_path_through_a_link_out_of_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log" / "models").mkdir(parents=True)
    (tmp_path / "log" / "models" / "away").symlink_to(tmp_path)
    with pytest.raises(UserError, match="leaves"):
        Layout(tmp_path / "log", "MountainCar-v0", "demo", "away")
