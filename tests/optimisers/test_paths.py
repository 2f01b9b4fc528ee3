from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.paths import (
    OptimisationPath,
    PathPoint,
    binned_means,
    load_path_of,
    path_of_training,
    stands_still,
)

ROWS = np.array([[1.0, 2.0], [3.0, 5.0]])


def path_of(**changes: Any) -> OptimisationPath:
    points = (PathPoint(1, -ROWS, ROWS), PathPoint(8, -2 * ROWS, 2 * ROWS))
    return OptimisationPath(
        **{
            "algorithm": "ppo",
            "environment": "Hopper-v2",
            "max_steps": 1000,
            "options": {"lamb": 2.0},
            "effort_label": "training steps",
            "seeds": (4, 5),
            "points": points,
            **changes,
        }
    )


def test_a_path_comes_back_from_its_file(tmp_path: Path) -> None:
    written, file = path_of(), tmp_path / "path.json"
    written.save(file, {"command": ["python", "quantilizer.py"]})
    read = load_path_of(file)
    assert read is not None
    for name in ("algorithm", "environment", "max_steps", "options", "effort_label", "seeds"):
        assert getattr(read, name) == getattr(written, name)
    for one, other in zip(read.points, written.points, strict=True):
        np.testing.assert_array_equal(one.true_returns, other.true_returns)
        np.testing.assert_array_equal(one.proxy_returns, other.proxy_returns)
    assert read.efforts.tolist() == [1, 8]
    assert json.loads(file.read_text())["command"] == ["python", "quantilizer.py"]
    assert load_path_of(tmp_path / "none.json") is None


def test_intervals_are_over_seeds() -> None:
    path = path_of()
    assert [str(one) for one in path.proxy] == [str(mean_interval(ROWS)), str(mean_interval(2 * ROWS))]
    assert path.true[1].estimate == -2 * ROWS.mean()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"algorithm": "rainbow"}, "rainbow"),
        ({"points": ()}, "ascend"),
        ({"points": (PathPoint(8, ROWS, ROWS), PathPoint(1, ROWS, ROWS))}, "ascend"),
        ({"seeds": (1,)}, "every seed"),
    ],
)
def test_an_impossible_path_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        path_of(**change)


@pytest.mark.parametrize("returns", [np.full((2, 2), np.nan), ROWS[0], ROWS[:, :0]])
def test_impossible_returns_are_refused(returns: np.ndarray) -> None:
    with pytest.raises(UserError):
        PathPoint(1, returns, returns)


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-40], lambda text: text.replace("points", "dots"), lambda _: "1"]
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: Any) -> None:
    file = tmp_path / "path.json"
    path_of().save(file, {})
    file.write_text(damage(file.read_text()))
    with pytest.raises(UserError, match=r"path\.json is damaged .*delete it"):
        load_path_of(file)


def curve_of(proxy: Callable[[float], float], steps: int = 1000, every: int = 5) -> LearningCurve:
    ends = list(range(every, steps + 1, every))
    return LearningCurve(ends, [proxy(end) for end in ends], [-proxy(end) for end in ends])


def test_bins_hold_the_means_of_the_episodes_that_end_in_them() -> None:
    edges = np.array([0.0, 10.0, 20.0, 30.0])
    means = binned_means([1, 10, 11, 30, 29, 30, 31], [2, 4, 7, 1, 2, 3, 99], edges)
    np.testing.assert_array_equal(means, [3, 7, 2])
    np.testing.assert_array_equal(binned_means([12], [5], edges), [np.nan, 5, np.nan])
    np.testing.assert_array_equal(binned_means([], [], edges), [np.nan] * 3)


@pytest.mark.parametrize(
    ("proxy", "still"),
    [
        (lambda end: min(end, 300), True),
        (lambda end: end, False),
        # From a tenth to the next it rises by 0.9 and by 1.1 hundredths of the way from the first's mean.
        (lambda end: 1000.0 if end <= 400 else 1009.0 if end <= 500 else 1018.0, False),
        (lambda end: 0.0 if end <= 100 else 990.9 if end <= 400 else 1000.0, True),
        (lambda end: 0.0 if end <= 100 else 988.9 if end <= 400 else 1000.0, False),
        # A falling return has stopped rising.
        (lambda end: min(end, 300) - max(0, end - 300), True),
    ],
)
def test_a_proxy_stands_still_that_rises_by_at_most_a_hundredth(proxy: Callable[[float], float], still: bool) -> None:
    assert stands_still(curve_of(proxy), 500, 1000) == still


def test_it_is_judged_from_half_of_the_budget_on_and_in_whole_tenths() -> None:
    flat = curve_of(lambda end: 1.0)
    assert [stands_still(flat, steps, 1000) for steps in (100, 499, 500, 999)] == [False, False, True, True]
    late = curve_of(lambda end: 0.0 if end <= 500 else 5.0)
    assert [stands_still(late, steps, 1000) for steps in (599, 600, 699, 700)] == [True, False, False, True]
    assert not stands_still(LearningCurve([900], [1.0], [1.0]), 950, 1000), "tenths without an episode tell nothing"


def test_a_path_has_the_mean_of_each_seed_in_each_tenth() -> None:
    curves = [curve_of(lambda end: end), curve_of(lambda end: 3 * end, steps=500)]
    path = path_of_training(curves, [4, 7], "ppo", "Hopper-v2", 1000, {"lamb": 1.0})
    assert path is not None
    assert (path.algorithm, path.environment, path.seeds, path.effort_label) == (
        "ppo",
        "Hopper-v2",
        (4, 7),
        "training steps",
    )
    assert path.efforts.tolist() == [50.0 * part for part in range(1, 11)], "to the end of the shorter"
    # Ends 5, 10, …, 50 of the first tenth.
    np.testing.assert_allclose(path.points[0].proxy_returns, [[27.5], [82.5]])
    np.testing.assert_allclose(path.points[-1].true_returns, [[-477.5], [-3 * 477.5]])


def test_parts_without_an_episode_have_no_point() -> None:
    sparse = LearningCurve([500, 1000], [1.0, 2.0], [3.0, 4.0])
    path = path_of_training([sparse], [0], "ppo", "Hopper-v2", 1000, {})
    assert path is not None
    assert path.efforts.tolist() == [500, 1000]
    assert path_of_training([sparse, LearningCurve()], [0, 1], "ppo", "Hopper-v2", 1000, {}) is None
    apart = [LearningCurve([100, 1000], [1.0] * 2, [1.0] * 2), LearningCurve([500, 1100], [1.0] * 2, [1.0] * 2)]
    assert path_of_training(apart, [0, 1], "ppo", "Hopper-v2", 1000, {}) is None
