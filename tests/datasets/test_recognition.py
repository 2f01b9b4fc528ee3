from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.sources.recognition import environment_of, read_recording
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.rewards import own

CAR = load_environment("MountainCar-v0")


def of_shape(observation: tuple[int, ...], components: int, action: float) -> Episodes:
    return Episodes(
        observations=np.ones((2, 3, *observation)),
        actions=np.full((2, 3, components), action),
        true_rewards=np.ones((2, 3)),
        done=np.zeros((2, 3), dtype=np.bool_),
    )


def test_the_arrays_tell_the_environment(car_demonstrations: Demonstrations) -> None:
    assert environment_of(car_demonstrations.episodes, ["log", "from ryan"]).name == "MountainCar-v0"


@pytest.mark.parametrize("folder", ["MountainCar-v0", "mountaincar-v0"])
def test_a_folder_tells_the_environment(car_demonstrations: Demonstrations, folder: str) -> None:
    assert environment_of(car_demonstrations.episodes, ["log", folder, "more"]).name == "MountainCar-v0"


@pytest.mark.parametrize("folders", [["MountainCar-v0"], []])
def test_what_no_environment_has_is_refused(folders: list[str]) -> None:
    with pytest.raises(UserError, match="MountainCar-v0"):
        environment_of(of_shape((7,), 1, 0.0), folders)


def test_an_action_that_the_environment_lacks_is_refused() -> None:
    with pytest.raises(UserError, match=r"0\.5"):
        environment_of(of_shape((2,), 1, 0.5), ["MountainCar-v0"])


def test_what_two_environments_have_needs_a_folder(car_demonstrations: Demonstrations) -> None:
    twin = replace(CAR, name="Twin-v0")
    with pytest.raises(UserError, match=r"fits MountainCar-v0, Twin-v0; .*folder"):
        environment_of(car_demonstrations.episodes, [], [CAR, twin])
    assert environment_of(car_demonstrations.episodes, ["twin-v0"], [CAR, twin]) is twin


def test_an_environment_of_ones_own_is_recognised() -> None:
    mine = EnvironmentDefinition("CartPole-v1", own, max_steps=200)
    cart = of_shape((4,), 1, 1.0)
    assert environment_of(cart, ["MountainCar-v0"], [mine]) is mine
    with pytest.raises(UserError, match="fits none of MountainCar-v0"):
        environment_of(cart, [])
    with pytest.raises(UserError, match="fits none of CartPole-v1: acs holds the action 2"):
        environment_of(of_shape((4,), 1, 2.0), [], [mine])


def test_a_file_is_read_whole(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    car_demonstrations.episodes.save(tmp_path / "one.npz")
    demonstrations, notes = read_recording(tmp_path / "one.npz", [])
    assert demonstrations.environment.name == "MountainCar-v0"
    np.testing.assert_array_equal(demonstrations.episodes.observations, car_demonstrations.episodes.observations)
    assert notes == []
