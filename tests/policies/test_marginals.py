from __future__ import annotations

import numpy as np
import pytest

from quantilizers.policies.marginals import marginal_score

LEARNED, HELD_OUT = np.array([[0], [0], [0], [1], [1], [1], [1]]), np.array([[0], [0], [1]])


def test_everybody_is_predicted_by_how_often_all_played_each_action() -> None:
    score = marginal_score(LEARNED, HELD_OUT, (3,))
    # With one more of each class: 4, 5 and 1 of 10.
    assert score.loss == pytest.approx(-(2 * np.log(0.4) + np.log(0.5)) / 3)
    assert score.accuracy == pytest.approx(1 / 3)


def test_each_player_is_predicted_by_their_own() -> None:
    of_learned, of_held_out = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1])
    score = marginal_score(LEARNED, HELD_OUT, (3,), (of_learned, of_held_out))
    assert score.loss == pytest.approx(-(2 * np.log(4 / 6) + np.log(5 / 7)) / 3)
    assert score.accuracy == 1.0
    unknown = marginal_score(LEARNED, HELD_OUT, (3,), (of_learned, np.array([2, 2, 2])))
    assert unknown.loss == pytest.approx(np.log(3))


def test_components_add_up_in_loss_and_are_averaged_in_accuracy() -> None:
    both = marginal_score(np.repeat(LEARNED, 2, axis=1), np.array([[0, 1], [0, 1]]), (3, 3))
    assert both.loss == pytest.approx(-np.log(0.4) - np.log(0.5))
    assert both.accuracy == 0.5
