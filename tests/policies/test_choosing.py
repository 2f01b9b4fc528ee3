from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box

from quantilizers.policies.choosing import choose, class_indices, rounded, within

PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], dtype=np.float32)
CLASSES = (-1.0, 0.5, 3.0)


def test_the_three_ways_of_acting() -> None:
    assert choose(PROBABILITIES, CLASSES, "most_probable", None).tolist() == [0.5, -1.0]
    expected = choose(PROBABILITIES, CLASSES, "expected_value", None)
    np.testing.assert_allclose(expected, [-0.2 + 0.25 + 0.9, -0.7 + 0.05 + 0.6], atol=1e-6)
    for drawn, chosen in ((0.0, -1.0), (0.19, -1.0), (0.21, 0.5), (0.69, 0.5), (0.71, 3.0), (1.0, 3.0)):
        assert choose(PROBABILITIES[:1], CLASSES, "sample", np.array([drawn])).tolist() == [chosen]


def test_rounding_never_draws_a_class_that_is_not_there() -> None:
    assert choose(np.array([[0.3, 0.3, 0.3]]), CLASSES, "sample", np.array([0.999])).tolist() == [3.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_classes_are_known_again_in_the_recording_s_precision(dtype: type) -> None:
    classes = (2.0, -1.0, 0.0) if dtype is np.int64 else (0.1, -0.7, 2.0)
    actions = np.asarray(classes)[[2, 0, 1, 1]].astype(dtype)
    assert class_indices(actions, classes).tolist() == [2, 0, 1, 1]


def test_predictions_stay_within_the_space() -> None:
    space = Box(np.array([-1.0, 0.0], dtype=np.float32), np.array([1.0, np.inf], dtype=np.float32))
    assert within(np.array([[2.0, -1.0], [0.5, 9.0]]), space).tolist() == [[1.0, 0.0], [0.5, 9.0]]


def test_whole_numbers_are_rounded_and_others_left_alone() -> None:
    assert rounded(np.array([[0.6, 1.4]]), Box(0, 5, (2,), np.int32)).tolist() == [[1.0, 1.0]]
    assert rounded(np.array([[0.6, 1.4]]), Box(0, 5, (2,))).tolist() == [[0.6, 1.4]]
