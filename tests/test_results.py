from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.errors import UserError
from quantilizers.results import SeedResults, load_all_results, load_results


def make(tested: tuple[float, ...] = (1.0, 0.5), episodes: int = 3, **changes: Any) -> SeedResults:
    number = len(tested)
    generator = np.random.default_rng(0)
    rewards = generator.random((number, episodes, 4)).astype(np.float32)
    fields: dict[str, Any] = {
        "environment": "MountainCar-v0",
        "max_steps": 200,
        "options": {"lamb": 2.0},
        "quantiles": np.array(tested),
        "true_returns": rewards.sum(axis=2, dtype=np.float64),
        "proxy_returns": 2 * rewards.sum(axis=2, dtype=np.float64),
        "lengths": np.full((number, episodes), 4),
        "true_rewards": rewards,
        "proxy_rewards": 2 * rewards,
    }
    return SeedResults(**{**fields, **changes})


def test_saving_and_loading_keeps_everything(tmp_path: Path) -> None:
    made = make()
    made.save(tmp_path / "file.npz")
    loaded = load_results(tmp_path / "file.npz")
    assert (loaded.environment, loaded.max_steps, loaded.options) == ("MountainCar-v0", 200, {"lamb": 2.0})
    for name in ("quantiles", "true_returns", "proxy_returns", "lengths", "true_rewards", "proxy_rewards"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))


@pytest.mark.parametrize(
    "change",
    [
        {"quantiles": np.array([1.0])},
        {"proxy_returns": np.zeros((2, 4))},
        {"true_rewards": np.zeros((2, 3))},
        {"proxy_rewards": np.zeros((2, 3, 5))},
        {"true_returns": np.full((2, 3), np.nan)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        make(**change)


def test_the_wanted_quantiles_come_in_the_wanted_order(tmp_path: Path) -> None:
    made = make((1.0, 0.5, 0.25))
    made.save(tmp_path / "0.npz")
    (one,) = load_all_results([tmp_path / "0.npz"], "MountainCar-v0", [0.25, 1.0], "again")
    np.testing.assert_array_equal(one.true_returns, made.true_returns[[2, 0]])


def test_what_was_not_tested_or_not_alike_is_refused_with_the_command(tmp_path: Path) -> None:
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    make().save(paths[0])
    with pytest.raises(UserError, match=r"1.npz is missing; run: again"):
        load_all_results(paths, "MountainCar-v0", [1.0], "again")
    make(episodes=5).save(paths[1])
    with pytest.raises(UserError, match="number_trajectories"):
        load_all_results(paths, "MountainCar-v0", [1.0], "again")
    with pytest.raises(UserError, match=r"does not hold q = 0.1; run: again"):
        load_all_results(paths[:1], "MountainCar-v0", [0.1], "again")
    with pytest.raises(UserError, match="not Hopper-v2"):
        load_all_results(paths[:1], "Hopper-v2", [1.0], "again")
