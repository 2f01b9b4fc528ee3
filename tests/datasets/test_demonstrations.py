from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.checking import WrongEnvironmentError
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError

CAR = load_environment("MountainCar-v0")


def test_the_top_are_the_best_by_proxy_return(car_demonstrations: Demonstrations) -> None:
    best = car_demonstrations.top(0.25)
    assert best.number == 3
    expected = np.sort(car_demonstrations.proxy_returns)[::-1][:3]
    np.testing.assert_array_equal(best.proxy_returns, expected)
    for quantile in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(UserError, match="impossible"):
            car_demonstrations.top(quantile)


def test_observations_are_made_only_where_a_file_left_them_out(car_demonstrations: Demonstrations) -> None:
    def again(episodes: Episodes) -> Any:
        return np.full((*episodes.done.shape, 2), 7.0)

    environment = replace(CAR, replay_observations=again)
    complete = replace(car_demonstrations, environment=environment)
    assert complete.with_observations() is complete
    emptied = replace(car_demonstrations.episodes, observations=np.zeros((*car_demonstrations.episodes.done.shape, 0)))
    without = Demonstrations(emptied, environment)
    assert (without.with_observations().episodes.observations == 7.0).all()
    with pytest.raises(WrongEnvironmentError, match=r"shape \(0,\)"):
        Demonstrations(emptied, CAR)


def test_loading_takes_a_name_or_a_path(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    assert Demonstrations.load().number == 250
    car_demonstrations.episodes.save(tmp_path / "mine.npz")
    assert Demonstrations.load(tmp_path / "mine.npz", "MountainCar-v0").number == 12
    assert Demonstrations.load(str(tmp_path / "mine.npz"), CAR).number == 12
    with pytest.raises(UserError, match="unknown environment"):
        Demonstrations.load("demo", "MountainBike-v0")
    with pytest.raises(WrongEnvironmentError):
        Demonstrations.load(tmp_path / "mine.npz", "Hopper-v2")
