from __future__ import annotations

import numpy as np
import pytest

from quantilizers.errors import UserError
from quantilizers.play.choosing import choose_episode

RETURNS = np.array([3.0, 7.0, 1.0, 7.0, 5.0, 1.0])


@pytest.mark.parametrize(("wanted", "index"), [("1", 0), ("6", 5), ("best", 1), ("worst", 2), ("median", 0)])
def test_an_episode_by_number_or_rank(wanted: str, index: int) -> None:
    assert choose_episode(wanted, RETURNS) == index


def test_the_median_of_an_odd_number_is_in_the_middle() -> None:
    assert choose_episode("median", RETURNS[:5]) == 4


@pytest.mark.parametrize("wanted", ["0", "-1", "7", "", "1.5", "beste", "²"])
def test_what_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(UserError, match="episode"):
        choose_episode(wanted, RETURNS)
