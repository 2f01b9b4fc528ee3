from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.optimisers.paths import OptimisationPath, PathPoint, load_path_of

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
