from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError, find_recording
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.layout import Layout, shipped_log
from recordings import write_plain

CAR = load_environment("MountainCar-v0")


def test_the_top_are_the_best_by_proxy_return(car_demonstrations: Demonstrations) -> None:
    best = car_demonstrations.top(0.25)
    assert best.number == 3
    expected = np.sort(car_demonstrations.proxy_returns)[::-1][:3]
    np.testing.assert_array_equal(best.proxy_returns, expected)
    for quantile in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(UserError, match="impossible"):
            car_demonstrations.top(quantile)


def test_observations_are_made_only_where_a_file_left_them_out(car_demonstrations: Demonstrations) -> None:
    def again(episodes: Episodes) -> Any:
        return np.full((*episodes.done.shape, 2), 7.0)

    environment = replace(CAR, recordings=replace(CAR.recordings, replay_observations=again))
    complete = replace(car_demonstrations, environment=environment)
    assert complete.with_observations() is complete
    emptied = replace(car_demonstrations.episodes, observations=np.zeros((*car_demonstrations.episodes.done.shape, 0)))
    without = Demonstrations(emptied, environment)
    made = without.with_observations().episodes
    assert (made.observations[~made.done] == 7.0).all()
    assert not made.observations[made.done].any()
    with pytest.raises(WrongEnvironmentError, match=r"shape \(0,\)"):
        Demonstrations(emptied, CAR)


def test_loading_takes_a_name_or_a_path(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    assert Demonstrations.load().number == 250
    car_demonstrations.episodes.save(tmp_path / "mine.npz")
    assert Demonstrations.load(tmp_path / "mine.npz", "MountainCar-v0").number == 12
    assert Demonstrations.load(str(tmp_path / "mine.npz"), CAR).number == 12
    with pytest.raises(UserError, match="unknown environment"):
        Demonstrations.load("demo", "MountainBike-v0")
    with pytest.raises(WrongEnvironmentError):
        Demonstrations.load(tmp_path / "mine.npz", "Hopper-v2")


PINBALL = load_environment("VideoPinballNoFrameskip-v4")


def same(one: Episodes, other: Episodes) -> bool:
    names = ("observations", "actions", "true_rewards", "done")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_a_data_set_is_found_by_its_name(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    layout = Layout(tmp_path, CAR.name, "ryan")
    car_demonstrations.episodes.save(layout.data)
    assert same(find_recording(layout, CAR).episodes, car_demonstrations.episodes)


def test_a_missing_one_is_told_with_those_there_are(
    tmp_path: Path, car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("zoe", "ann", ".hidden"):
        car_demonstrations.episodes.save(tmp_path / CAR.name / f"{name}.npz")
    # In a clone the shipped data sets are in the user's folder.
    monkeypatch.setattr("quantilizers.datasets.demonstrations.shipped_log", lambda: tmp_path / "shipped")
    (tmp_path / "shipped" / CAR.name).mkdir(parents=True)
    shutil.copy(shipped_log() / CAR.name / "demo.npz", tmp_path / "shipped" / CAR.name)
    with pytest.raises(MissingError, match=r"no data set .ryan. .*there are: ann, demo, zoe$"):
        find_recording(Layout(tmp_path, CAR.name, "ryan"), CAR)
    nowhere = replace(PINBALL, name="Elsewhere-v0")
    with pytest.raises(MissingError, match="there are: none"):
        find_recording(Layout(tmp_path, nowhere.name, "ryan"), nowhere)
    (tmp_path / nowhere.name / "people").mkdir(parents=True)
    with pytest.raises(MissingError, match="there is: people"):
        find_recording(Layout(tmp_path, nowhere.name, "ryan"), nowhere)


def test_a_folder_is_read_where_the_environment_knows_its_layout(tmp_path: Path) -> None:
    layout = Layout(tmp_path, PINBALL.name, "people.v2")
    write_plain(tmp_path / PINBALL.name / "people.v2", 3, [0] * 8, reward=5)
    loaded = find_recording(layout, PINBALL).episodes
    assert loaded.true_returns.tolist() == [40]
    assert [path.name.split(".")[0] for path in layout.cache.iterdir()] == ["3"]
    assert layout.cache.is_relative_to(tmp_path / "cache")


def test_a_folder_of_an_environment_without_such_a_layout_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / CAR.name / "people").mkdir(parents=True)
    with pytest.raises(MissingError, match="no data set 'people'"):
        find_recording(Layout(tmp_path, CAR.name, "people"), CAR)


def test_a_file_goes_before_a_folder_of_the_same_name(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    def unexpected(folder: Path, cache: Path) -> Episodes:
        raise AssertionError("the folder was read")

    environment = replace(CAR, recordings=replace(CAR.recordings, load_folder=unexpected))
    layout = Layout(tmp_path, CAR.name, "both")
    (tmp_path / CAR.name / "both").mkdir(parents=True)
    car_demonstrations.episodes.save(layout.data)
    assert find_recording(layout, environment).episodes.number == car_demonstrations.number
    layout.data.unlink()
    with pytest.raises(UserError, match=r"load_folder of .* failed: AssertionError: the folder was read"):
        find_recording(layout, environment)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("acs", np.full((12, 160, 1), 3.0), "action 3"),
        ("acs", np.zeros((12, 160, 3)), "3 components"),
        ("obs", np.zeros((12, 160, 4)), "another environment"),
    ],
)
def test_data_of_another_environment_are_refused(
    tmp_path: Path, car_demonstrations: Demonstrations, key: str, value: np.ndarray, problem: str
) -> None:
    layout = Layout(tmp_path, CAR.name, "file")
    car_demonstrations.episodes.save(layout.data)
    with np.load(layout.data) as file:
        np.savez(layout.data, **{**file, key: np.where(file["done"][..., None], 0.0, value)})
    with pytest.raises(WrongEnvironmentError, match=problem):
        find_recording(layout, CAR)


def test_a_recording_of_another_environment_is_called_so(tmp_path: Path) -> None:
    layout = Layout(tmp_path, CAR.name, "hops")
    Demonstrations.load("demo", "Hopper-v2").select(slice(3)).episodes.save(layout.data)
    with pytest.raises(WrongEnvironmentError, match="it is a recording of Hopper-v2"):
        find_recording(layout, CAR)


def in_a_worker(demonstrations: Demonstrations) -> Demonstrations:
    """The arrays that jobs in another process receive."""
    shared = demonstrations.shared()
    arrived: Demonstrations = pickle.loads(shared.unpacker)(shared.arrays)  # noqa: S301
    return arrived


def test_demonstrations_arrive_in_another_process_as_they_left(human: Demonstrations) -> None:
    arrived = in_a_worker(human)
    assert arrived.fingerprint == human.fingerprint
    assert set(arrived.episodes.extras) == set(human.episodes.extras)
    np.testing.assert_array_equal(arrived.proxy_returns, human.proxy_returns)
    assert in_a_worker(human.top(0.5)).number == human.number // 2
    assert human.shared().identity == human.shared().identity != human.top(0.5).shared().identity


def test_observations_that_a_replay_gives_do_not_travel(human: Demonstrations) -> None:
    made: list[int] = []

    def replay(episodes: Episodes) -> np.ndarray:
        made.append(episodes.number)
        return human.episodes.observations

    recordings = replace(human.environment.recordings, replay_observations=replay)
    environment = replace(human.environment, recordings=recordings)
    arrays = replace(human, environment=environment).as_arrays()
    assert arrays["obs"].nbytes == 0
    arrived = Demonstrations.from_arrays(environment, arrays)
    assert made == [human.number]
    np.testing.assert_array_equal(arrived.episodes.observations, human.episodes.observations)
