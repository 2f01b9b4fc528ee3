from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.demonstrations.reference_layout import to_episodes
from quantilizers.errors import UserError


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
    found, notes = to_episodes({**arrays_of(episodes), "seed": np.arange(12)})
    assert_same(found, episodes)
    assert found.extras["seed"].tolist() == list(range(12))
    assert notes == []


def test_actions_without_components_and_done_of_numbers(episodes: Episodes) -> None:
    arrays = arrays_of(episodes)
    found, _ = to_episodes({**arrays, "acs": arrays["acs"][..., 0], "done": arrays["done"].astype(np.float64)})
    assert_same(found, episodes)


def test_padding_is_found_where_done_is_missing(episodes: Episodes) -> None:
    arrays = arrays_of(episodes)
    assert arrays["done"].any(), "some episode is meant to be padded"
    del arrays["done"]
    found, notes = to_episodes(arrays)
    assert_same(found, episodes)
    assert "no done" in notes[0]


def test_only_rows_that_are_zero_to_the_end_are_padding() -> None:
    observations = np.array([[[1.0], [0.0], [2.0], [0.0]], [[0.0], [0.0], [0.0], [0.0]]])
    rewards = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0]])
    found, _ = to_episodes({"obs": observations, "acs": np.zeros((2, 4, 1)), "rews": rewards})
    # A zero in the middle is a step; so is one whose reward alone is none.
    assert found.lengths.tolist() == [3, 4]


def test_episodes_without_a_step_are_left_out_with_all_that_is_theirs(episodes: Episodes) -> None:
    arrays = arrays_of(episodes)
    arrays["done"] = arrays["done"].copy()
    arrays["done"][[3, 11]] = True
    arrays["ep_rets"] = np.where(np.isin(np.arange(12), (3, 11)), 0.0, arrays["ep_rets"])
    found, notes = to_episodes({**arrays, "seed": np.arange(12)})
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
        to_episodes({**arrays, key: change(arrays[key])})


def test_arrays_of_different_episodes_are_refused_without_done(episodes: Episodes) -> None:
    arrays = {key: array for key, array in arrays_of(episodes).items() if key != "done"}
    with pytest.raises(UserError, match="same"):
        to_episodes({**arrays, "rews": arrays["rews"][:, :-1]})
