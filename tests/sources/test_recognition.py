from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantilizers.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.sources import recognition
from quantilizers.sources.recognition import environment_of, read_recording


def of_shape(observation: tuple[int, ...], components: int, action: float) -> Demonstrations:
    return Demonstrations(
        observations=np.ones((2, 3, *observation)),
        actions=np.full((2, 3, components), action),
        true_rewards=np.ones((2, 3)),
        done=np.zeros((2, 3), dtype=np.bool_),
    )


def test_the_arrays_tell_the_environment(car_demonstrations: Demonstrations) -> None:
    assert environment_of(car_demonstrations, ["log", "from ryan"]).name == "MountainCar-v0"


@pytest.mark.parametrize("folder", ["MountainCar-v0", "mountaincar-v0"])
def test_a_folder_tells_the_environment(car_demonstrations: Demonstrations, folder: str) -> None:
    assert environment_of(car_demonstrations, ["log", folder, "more"]).name == "MountainCar-v0"


@pytest.mark.parametrize("folders", [["MountainCar-v0"], []])
def test_what_no_environment_has_is_refused(folders: list[str]) -> None:
    with pytest.raises(UserError, match="MountainCar-v0"):
        environment_of(of_shape((7,), 1, 0.0), folders)


def test_an_action_that_the_environment_lacks_is_refused() -> None:
    with pytest.raises(UserError, match=r"0\.5"):
        environment_of(of_shape((2,), 1, 0.5), ["MountainCar-v0"])


def test_what_two_environments_have_needs_a_folder(
    car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    car = recognition.load_environment("MountainCar-v0")
    monkeypatch.setattr(recognition, "environment_names", lambda: ["MountainCar-v0", "Twin-v0"])
    monkeypatch.setattr(recognition, "load_environment", lambda name: car)
    with pytest.raises(UserError, match="folder"):
        environment_of(car_demonstrations, [])
    assert environment_of(car_demonstrations, ["twin-v0"]) is car


def test_a_file_is_read_whole(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    car_demonstrations.save(tmp_path / "one.npz")
    environment, demonstrations, notes = read_recording(tmp_path / "one.npz", [])
    assert environment.name == "MountainCar-v0"
    np.testing.assert_array_equal(demonstrations.observations, car_demonstrations.observations)
    assert notes == []
