from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets import load_dataset, with_observations
from quantilizers.demonstrations import Demonstrations
from quantilizers.envs import load_environment
from quantilizers.errors import UserError
from quantilizers.files import Layout
from recordings import write_plain

CAR = load_environment("MountainCar-v0")
PINBALL = load_environment("VideoPinballNoFrameskip-v4")


def same(one: Demonstrations, other: Demonstrations) -> bool:
    names = ("observations", "actions", "true_rewards", "done")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_a_data_set_is_found_by_its_name(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    layout = Layout(tmp_path, CAR.name, "ryan")
    car_demonstrations.save(layout.data)
    assert same(load_dataset(layout, CAR), car_demonstrations)


def test_a_missing_one_is_told_with_those_there_are(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    for name in ("zoe", "ann", ".hidden"):
        car_demonstrations.save(tmp_path / CAR.name / f"{name}.npz")
    with pytest.raises(UserError, match=r"no data set 'ryan' for MountainCar-v0 .*there are: ann, zoe;") as raised:
        load_dataset(Layout(tmp_path, CAR.name, "ryan"), CAR)
    assert "gather_data.py --env_id MountainCar-v0" in str(raised.value)
    assert "load_data.sh" in str(raised.value)
    with pytest.raises(UserError, match="there are: none"):
        load_dataset(Layout(tmp_path, PINBALL.name, "ryan"), PINBALL)
    (tmp_path / PINBALL.name / "people").mkdir(parents=True)
    with pytest.raises(UserError, match="there is: people"):
        load_dataset(Layout(tmp_path, PINBALL.name, "ryan"), PINBALL)


def test_a_folder_is_read_where_the_environment_knows_its_layout(tmp_path: Path) -> None:
    layout = Layout(tmp_path, PINBALL.name, "people.v2")
    write_plain(tmp_path / PINBALL.name / "people.v2", 3, [0] * 8, reward=5)
    loaded = load_dataset(layout, PINBALL)
    assert loaded.true_returns.tolist() == [40]
    assert [path.name.split(".")[0] for path in layout.cache.iterdir()] == ["3"]
    assert layout.cache.is_relative_to(tmp_path / "cache")


def test_a_folder_of_an_environment_without_such_a_layout_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / CAR.name / "people").mkdir(parents=True)
    with pytest.raises(UserError, match="no data set 'people'"):
        load_dataset(Layout(tmp_path, CAR.name, "people"), CAR)


def test_a_file_goes_before_a_folder_of_the_same_name(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    def unexpected(folder: Path, cache: Path) -> Demonstrations:
        raise AssertionError("the folder was read")

    environment = replace(CAR, load_folder=unexpected)
    layout = Layout(tmp_path, CAR.name, "both")
    (tmp_path / CAR.name / "both").mkdir(parents=True)
    car_demonstrations.save(layout.data)
    assert load_dataset(layout, environment).number == car_demonstrations.number
    layout.data.unlink()
    with pytest.raises(AssertionError, match="the folder was read"):
        load_dataset(layout, environment)


def test_observations_are_made_only_where_a_file_left_them_out(car_demonstrations: Demonstrations) -> None:
    def again(demonstrations: Demonstrations) -> Any:
        return np.full((*demonstrations.done.shape, 2), 7.0)

    environment = replace(CAR, replay_observations=again)
    assert with_observations(car_demonstrations, environment) is car_demonstrations
    without = replace(car_demonstrations, observations=np.zeros((*car_demonstrations.done.shape, 0)))
    assert (with_observations(without, environment).observations == 7.0).all()
    assert with_observations(without, CAR) is without
