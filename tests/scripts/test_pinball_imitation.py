from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ale_py")

import pinball_imitation as script
from quantilizers.envs.video_pinball.emulator import BALL_COLUMN, BALL_LINE
from simulated_players.video_pinball import NOTHING, NUDGE_LEFT, NUDGE_RIGHT

SEEN = np.ones((128, 256), dtype=np.bool_)


def game(columns: list[int], lines: list[int], actions: list[int]) -> script.Game:
    memory = np.zeros((len(columns), 128), dtype=np.uint8)
    memory[:, BALL_COLUMN], memory[:, BALL_LINE] = columns, lines
    return script.Game(memory, np.array(actions), 700.0, 699.75)


@pytest.mark.parametrize(("held", "caught"), [(19, 0), (20, 20), (31, 31)])
def test_a_ball_is_caught_that_stays_above_the_bumper(held: int, caught: int) -> None:
    columns, lines = [30] * 5 + [112] * held + [30] * 5, [60] * (held + 10)
    assert game(columns, lines, [0] * (held + 10)).caught.sum() == caught


def test_quantities_of_a_game() -> None:
    """The ball is left of the bumper's middle, on it, right of it, and far away."""
    played = game([106, 112, 118, 20], [60] * 4, [NUDGE_RIGHT, NOTHING, NOTHING, NOTHING])
    assert played.pushes.tolist() == [NUDGE_RIGHT, NOTHING, NUDGE_LEFT, NOTHING]
    seen = SEEN.copy()
    seen[BALL_COLUMN, 20] = False
    assert played.numbers(seen) == pytest.approx([700.0, 0.25, 0.0, 2 / 3, 0.5, 0.25])
    nowhere = game([20, 20], [60, 60], [0, 0])
    assert np.isnan(nowhere.numbers(SEEN)[4]), "a farmer would never push"


def test_means_are_over_games_that_have_the_quantity_and_shares_stay_possible() -> None:
    numbers = np.zeros((3, 2, 6))
    numbers[..., 0] = [[1, 3], [2, 2], [5, 7]]
    numbers[..., 4] = [[np.nan, 0.2], [np.nan, np.nan], [0.0, 0.0]]
    found = script.over_groups(numbers, "seed")
    assert found[0].estimate == pytest.approx(10 / 3)
    assert (found[4].estimate, found[4].over) == (pytest.approx(0.1), "2 seeds")
    assert (found[4].low, found[4].high) == (0.0, 1.0)
    assert script.written("score", found[0]).startswith("3 [")
    assert script.written("pushes of a farmer", found[4]) == "10.0 [0.0, 100.0] %"
    numbers[..., 4] = np.nan
    assert script.written("pushes of a farmer", script.over_groups(numbers, "seed")[4]) == "–"
