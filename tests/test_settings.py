from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from quantilizers.envs import load_environment
from quantilizers.errors import UserError
from quantilizers.files import Layout
from quantilizers.settings import Settings

CAR = load_environment("MountainCar-v0")


def make(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "environment": CAR,
        "layout": Layout(Path("log"), CAR.name, "demo", "run 1"),
        "quantiles": (1.0, 0.01),
        "seeds": range(3, 5),
        "number_trajectories": 10,
        "max_steps": 200,
    }
    return Settings(**{**fields, **changes})


def test_the_command_for_another_stage_says_all_that_differs_from_the_defaults() -> None:
    words = shlex.split(make().command_for("train"))
    assert words[:2] == ["python", "quantilizer.py"]
    expected = "--do train --env_name MountainCar-v0 --dataset_name demo --quantiles 1.0 0.01 --seed_min 3 --seed_nb 2"
    assert words[2:] == [*expected.split(), "--path", "run 1"]


@pytest.mark.parametrize(
    "change",
    [
        {"quantiles": ()},
        {"quantiles": (0.0,)},
        {"quantiles": (1.0000001,)},
        {"quantiles": (0.5, 0.5)},
        {"seeds": range(0)},
        {"seeds": range(-1, 2)},
        {"number_trajectories": 0},
        {"max_steps": 0},
        {"plotstyle": "mean"},
    ],
)
def test_impossible_settings_are_refused_in_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        make(**change)
    assert "\n" not in str(raised.value)
