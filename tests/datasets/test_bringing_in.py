"""What the program does with it is tested with `quantilizers.commands.load_data`."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.bringing_in import Arrival, InvalidFileError, install, read_source
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import load_episodes
from quantilizers.errors import ExistsError, UserError


@pytest.fixture
def archive(tmp_path: Path, car_demonstrations: Demonstrations) -> Path:
    """A zip of a valid data set and a broken one, and an empty folder `unpacked`."""
    car_demonstrations.episodes.save(tmp_path / "ryan.npz")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as target:
        target.write(tmp_path / "ryan.npz", "MountainCar-v0/ryan.npz")
        target.writestr("MountainCar-v0/broken.npz", b"PK nonsense")
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "data.zip"


def test_a_broken_file_is_named_and_no_flag_is(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"MountainCar-v0/broken\.npz") as refused:
        read_source(archive, tmp_path / "unpacked")
    assert "--" not in str(refused.value)


def test_broken_files_are_left_out_where_somebody_is_told(
    archive: Path, tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    told: list[str] = []
    arrivals = read_source(archive, tmp_path / "unpacked", leave_out=told.append)
    assert [arrival.origin for arrival in arrivals] == ["MountainCar-v0/ryan.npz"]
    assert len(told) == 1
    assert "broken.npz" in told[0]
    written = install(arrivals, tmp_path / "log")
    assert written == [tmp_path / "log" / "MountainCar-v0" / "ryan.npz"]
    brought = load_episodes(written[0])
    np.testing.assert_array_equal(brought.observations, car_demonstrations.episodes.observations)


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    first = Arrival("a.npz", "ryan", car_demonstrations)
    second = Arrival("b.npz", "ryan", car_demonstrations.select(np.arange(3)))
    other = replace(second, name="other")
    assert len(install([first], tmp_path)) == 1
    assert install([first], tmp_path) == []
    with pytest.raises(ExistsError, match=r"ryan\.npz is there and differs") as refused:
        install([other, second], tmp_path)
    assert "--" not in str(refused.value)
    assert [path.name for path in (tmp_path / "MountainCar-v0").iterdir()] == ["ryan.npz"]
    assert len(install([other, second], tmp_path, force=True)) == 2
    assert load_episodes(tmp_path / "MountainCar-v0" / "ryan.npz").number == 3


def test_a_recording_of_another_kind_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "strange.npy", np.zeros((2, 5)))
    with pytest.raises(UserError, match=r"shape \(2, 5\)"):
        read_source(tmp_path / "strange.npy", tmp_path)
