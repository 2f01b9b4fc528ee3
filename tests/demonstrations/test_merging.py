from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes
from quantilizers.demonstrations.merging import concatenate
from quantilizers.errors import UserError


@pytest.fixture
def episodes(car_demonstrations: Demonstrations) -> Episodes:
    return car_demonstrations.episodes


def test_episodes_stand_one_after_another_padded_to_the_longest(episodes: Episodes) -> None:
    order = np.argsort(episodes.lengths)
    parts = [episodes.select(order[:4]), episodes.select(order[4:])]
    assert parts[0].done.shape[1] < parts[1].done.shape[1], "the parts are meant to be of different lengths"
    whole = concatenate(parts)
    expected = episodes.select(order)
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))


def test_who_and_when_stay_with_their_episodes(episodes: Episodes) -> None:
    two, three = episodes.select(np.arange(2)), episodes.select(np.arange(3))
    ours = {"seed": np.array([4, 5]), "player": np.array(["Ada", "Grace"]), "weight": np.array([0.5, 1.5])}
    whole = concatenate([replace(two, extras=ours), replace(three, extras={"player": np.array(["B", "C", "D"])})])
    assert whole.extras["seed"].tolist() == [4, 5, -1, -1, -1]
    assert whole.extras["player"].tolist() == ["Ada", "Grace", "B", "C", "D"]
    np.testing.assert_array_equal(whole.extras["weight"], [0.5, 1.5, np.nan, np.nan, np.nan])


def test_an_extra_of_two_kinds_or_without_a_stand_in_is_refused(episodes: Episodes) -> None:
    single = episodes.select(np.arange(1))
    with pytest.raises(UserError, match="same kind"):
        concatenate(
            [replace(single, extras={"seed": np.array([1])}), replace(single, extras={"seed": np.array(["1"])})]
        )
    with pytest.raises(UserError, match="nothing can stand"):
        concatenate([replace(single, extras={"won": np.array([True])}), single])


def test_what_info_said_of_each_step_is_padded_as_rewards_are(episodes: Episodes) -> None:
    order = np.argsort(episodes.lengths)
    generator = np.random.default_rng(0)
    cheat = np.where(episodes.done, False, generator.random(episodes.done.shape) < 0.5)
    position = np.where(episodes.done[..., None], 0, generator.random((*episodes.done.shape, 3))).astype(np.float32)
    known = replace(episodes, extras={"info_cheat": cheat, "info_position": position})
    whole = concatenate([known.select(order[:4]), known.select(order[4:])])
    expected = known.select(order)
    for key in known.extras:
        np.testing.assert_array_equal(whole.extras[key], expected.extras[key])
        assert whole.extras[key].dtype == known.extras[key].dtype
    assert set(whole.step_info) == {"cheat", "position"}


def test_info_that_only_some_parts_have_is_left_out(episodes: Episodes) -> None:
    known = replace(episodes, extras={"info_speed": np.zeros(episodes.done.shape), "seed": np.arange(12)})
    whole = concatenate([known, episodes])
    assert set(whole.extras) == {"seed"}
    with pytest.raises(UserError, match="info_speed is not of the same kind"):
        concatenate([known, replace(episodes, extras={"info_speed": np.zeros((*episodes.done.shape, 2))})])


def test_final_observations_are_kept_or_known_to_be_missing(episodes: Episodes) -> None:
    finals = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    known = replace(episodes, extras={FINAL_OBSERVATION: finals})
    both = concatenate([known, known])
    assert both.final_observations is not None
    np.testing.assert_array_equal(both.final_observations, np.concatenate([finals, finals]))
    mixed = concatenate([known, episodes])
    assert mixed.final_observations is None
    np.testing.assert_array_equal(mixed.extras[FINAL_OBSERVATION][:12], finals)
    assert np.isnan(mixed.extras[FINAL_OBSERVATION][12:]).all()
    assert mixed.extras[FINAL_OBSERVATION].dtype == np.float32


def test_final_pictures_that_only_some_parts_have_are_left_out() -> None:
    pictures = Episodes(
        observations=np.ones((2, 3, 4, 4), dtype=np.uint8),
        actions=np.zeros((2, 3, 1)),
        true_rewards=np.zeros((2, 3)),
        done=np.zeros((2, 3), dtype=np.bool_),
    )
    known = replace(pictures, extras={FINAL_OBSERVATION: np.full((2, 4, 4), 7, dtype=np.uint8)})
    assert FINAL_OBSERVATION not in concatenate([pictures, known]).extras
    np.testing.assert_array_equal(concatenate([known, known]).extras[FINAL_OBSERVATION], np.full((4, 4, 4), 7))
