"""Reading downloads and installing data sets; `tests/commands/test_load_data.py` tests the program."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from quantilizers.datasets.bringing_in import (
    Arrival,
    InvalidFileError,
    environment_of,
    install,
    read_demonstrations,
    read_source,
)
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.padded import from_reference_layout
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import ExistsError, UserError
from quantilizers.rewards import own


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


def test_which_reward_a_zip_contains_may_be_said(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    episodes, environment = car_demonstrations.episodes, car_demonstrations.environment
    arrays = {"obs": episodes.observations, "acs": episodes.actions, "rews": car_demonstrations.proxy_rewards}
    np.savez(tmp_path / "expert.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as target:
        target.write(tmp_path / "expert.npz", "MountainCar-v0/expert.npz")
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(UserError, match="its rewards are the proxy rewards of MountainCar-v0, from which the true"):
        read_source(tmp_path / "data.zip", tmp_path / "unpacked", environments=[environment], reward="proxy")


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
    demonstrations, notes = read_demonstrations(tmp_path / "one.npz", [])
    assert demonstrations.environment.name == "MountainCar-v0"
    np.testing.assert_array_equal(demonstrations.episodes.observations, car_demonstrations.episodes.observations)
    assert notes == ()


@pytest.fixture
def episodes(car_demonstrations: Demonstrations) -> Episodes:
    return car_demonstrations.episodes


def arrays_of(episodes: Episodes) -> dict[str, npt.NDArray[Any]]:
    return {
        "obs": episodes.observations,
        "acs": episodes.actions,
        "rews": episodes.true_rewards,
        "done": episodes.done,
        "ep_rets": episodes.true_returns,
    }


def assert_same(found: Episodes, expected: Episodes) -> None:
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_our_own_layout_passes_unchanged(episodes: Episodes) -> None:
    found, notes = from_reference_layout({**arrays_of(episodes), "seed": np.arange(12)})
    assert_same(found, episodes)
    assert found.extras["seed"].tolist() == list(range(12))
    assert notes == []


def test_actions_without_components_and_done_of_numbers(episodes: Episodes) -> None:
    arrays = arrays_of(episodes)
    found, _ = from_reference_layout(
        {**arrays, "acs": arrays["acs"][..., 0], "done": arrays["done"].astype(np.float64)}
    )
    assert_same(found, episodes)


def test_padding_is_found_where_done_is_missing(episodes: Episodes) -> None:
    arrays = arrays_of(episodes)
    assert arrays["done"].any(), "some episode is meant to be padded"
    del arrays["done"]
    found, notes = from_reference_layout(arrays)
    assert_same(found, episodes)
    assert "no done" in notes[0]


def test_only_rows_that_are_zero_to_the_end_are_padding() -> None:
    observations = np.array([[[1.0], [0.0], [2.0], [0.0]], [[0.0], [0.0], [0.0], [0.0]]])
    rewards = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0]])
    found, _ = from_reference_layout({"obs": observations, "acs": np.zeros((2, 4, 1)), "rews": rewards})
    # A zero in the middle is a step; so is one whose reward alone is none.
    assert found.lengths.tolist() == [3, 4]


def test_episodes_without_a_step_are_left_out_with_all_that_is_theirs(episodes: Episodes) -> None:
    arrays = arrays_of(episodes)
    arrays["done"] = arrays["done"].copy()
    arrays["done"][[3, 11]] = True
    arrays["ep_rets"] = np.where(np.isin(np.arange(12), (3, 11)), 0.0, arrays["ep_rets"])
    found, notes = from_reference_layout({**arrays, "seed": np.arange(12)})
    assert found.extras["seed"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert found.number == 10
    assert notes == ["2 of 12 episodes have no step and were left out"]


@pytest.mark.parametrize(
    ("key", "change", "problem"),
    [
        ("ep_rets", lambda a: a + 1, "ep_rets"),
        ("ep_rets", lambda a: a[:-1], "ep_rets"),
        ("done", lambda a: a * 2.0, "other than 0 and 1"),
        ("done", np.ones_like, "no episode has a step"),
        ("done", lambda a: a | (np.arange(160) == 5), "before an episode's end"),
        ("done", lambda a: a[:, :0], "at least one step"),
        ("obs", lambda a: a[:-1], "obs"),
        ("rews", lambda a: np.where(a == a[0, 0], np.nan, a), "NaN"),
    ],
)
def test_what_cannot_be_episodes_is_refused(episodes: Episodes, key: str, change: Any, problem: str) -> None:
    arrays = arrays_of(episodes)
    with pytest.raises(UserError, match=problem):
        from_reference_layout({**arrays, key: change(arrays[key])})


def test_arrays_of_different_episodes_are_refused_without_done(episodes: Episodes) -> None:
    arrays = {key: array for key, array in arrays_of(episodes).items() if key != "done"}
    with pytest.raises(UserError, match="same"):
        from_reference_layout({**arrays, "rews": arrays["rews"][:, :-1]})
