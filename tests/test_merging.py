from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantilizers.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.merging import concatenate


def test_episodes_stand_one_after_another_padded_to_the_longest(car_demonstrations: Demonstrations) -> None:
    order = np.argsort(car_demonstrations.lengths)
    parts = [car_demonstrations.select(order[:4]), car_demonstrations.select(order[4:])]
    assert parts[0].done.shape[1] < parts[1].done.shape[1], "the parts are meant to be of different lengths"
    whole = concatenate(parts)
    expected = car_demonstrations.select(order)
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))


def test_who_and_when_stay_with_their_episodes(car_demonstrations: Demonstrations) -> None:
    two, three = car_demonstrations.select(np.arange(2)), car_demonstrations.select(np.arange(3))
    ours = {"seed": np.array([4, 5]), "player": np.array(["Ada", "Grace"]), "weight": np.array([0.5, 1.5])}
    whole = concatenate([replace(two, extras=ours), replace(three, extras={"player": np.array(["B", "C", "D"])})])
    assert whole.extras["seed"].tolist() == [4, 5, -1, -1, -1]
    assert whole.extras["player"].tolist() == ["Ada", "Grace", "B", "C", "D"]
    np.testing.assert_array_equal(whole.extras["weight"], [0.5, 1.5, np.nan, np.nan, np.nan])


def test_an_extra_of_two_kinds_or_without_a_stand_in_is_refused(car_demonstrations: Demonstrations) -> None:
    one = car_demonstrations.select(np.arange(1))
    with pytest.raises(UserError, match="same kind"):
        concatenate([replace(one, extras={"seed": np.array([1])}), replace(one, extras={"seed": np.array(["1"])})])
    with pytest.raises(UserError, match="nothing can stand"):
        concatenate([replace(one, extras={"won": np.array([True])}), one])
