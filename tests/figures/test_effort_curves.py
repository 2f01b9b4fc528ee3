from __future__ import annotations

import numpy as np
import pytest

from quantilizers.figures.effort_curves import draw_efforts, turn_of
from quantilizers.optimisers.paths import OptimisationPath, PathPoint


def path_of(true_means: list[float]) -> OptimisationPath:
    noise = np.array([[0.0, 0.1], [0.2, 0.3], [0.1, 0.2]])
    noise = noise if len(set(true_means)) > 1 else 0 * noise
    points = tuple(
        PathPoint(2.0**place, mean + noise * (1 + place), 10.0 * place + noise) for place, mean in enumerate(true_means)
    )
    return OptimisationPath("planner", "Hopper-v2", 1000, {}, "policies tried", (0, 1, 2), points)


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ([1, 5, 3], "highest at 2; from there to 4 it changes by -1.8"),
        ([1, 2, 3], "highest at the greatest effort tried, 4"),
        ([-200, -200, -200], "the same at every effort, -200"),
    ],
)
def test_it_says_whether_the_true_return_turns(means: list[float], said: str) -> None:
    assert said in turn_of(path_of(means))


def test_both_returns_are_drawn_with_their_intervals() -> None:
    path = path_of([1, 5, 3])
    figure, numbers = draw_efforts([path], "true (m)", "proxy (rad)")
    proxy, true = figure.axes
    assert (proxy.get_ylabel(), true.get_ylabel()) == ("proxy\n(rad)", "true\n(m)")
    np.testing.assert_array_equal(true.lines[0].get_ydata(), [one.estimate for one in path.true])
    np.testing.assert_array_equal(proxy.lines[0].get_xdata(), [1, 2, 4])
    assert true.get_xlabel() == "policies tried"
    drawn = numbers["paths"][0]["proxy"][2]
    assert drawn["interval_95"] == [path.proxy[2].low, path.proxy[2].high]
