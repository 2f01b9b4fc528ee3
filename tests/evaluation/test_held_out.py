from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.evaluation.held_out import held_out_confusions
from quantilizers.policies.hyper_parameters import PerceptronTraining

TRAINING = PerceptronTraining(max_epochs=30, batch_size=50)


def test_held_out_steps_are_predicted_better_than_by_the_most_frequent_action(
    car_demonstrations: Demonstrations,
) -> None:
    swinging = car_demonstrations.select(np.arange(5))
    (confusion,) = held_out_confusions(swinging, [1.0], range(2), TRAINING)
    recorded = swinging.select(np.array([4])).episodes.actions[0, : swinging.lengths[4], 0]
    expected = 2 * np.bincount(recorded.astype(int), minlength=3)
    np.testing.assert_array_equal(confusion.counts[0].sum(axis=1), expected)
    assert confusion.most_frequent(0) == expected.max() / expected.sum()
    assert confusion.accuracy(0) > confusion.most_frequent(0)
    assert confusion.held_out == "one in 5 of 5 episodes"


def test_whole_players_are_held_out_where_the_file_names_them(car_demonstrations: Demonstrations) -> None:
    players = np.array(["ann", "bob", "cyd", "dee", "eve", "eve", "ann", "bob", "cyd", "dee", "ann", "bob"])
    named = replace(car_demonstrations, episodes=replace(car_demonstrations.episodes, extras={"player": players}))
    (confusion,) = held_out_confusions(named, [1.0], range(1), replace(TRAINING, max_epochs=1))
    assert confusion.counts[0].sum() == car_demonstrations.lengths[4:6].sum()
    assert confusion.held_out == "one in 5 of 5 players"


def test_too_few_demonstrations_are_refused(car_demonstrations: Demonstrations) -> None:
    with pytest.raises(UserError, match="4 demonstrations are too few"):
        held_out_confusions(car_demonstrations.select(slice(4)), [1.0], range(1), TRAINING)
