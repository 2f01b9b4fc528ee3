from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers import training
from quantilizers.demonstrations import Demonstrations, top_quantile
from quantilizers.envs import load_environment
from quantilizers.files import Layout
from quantilizers.settings import Settings

CAR = load_environment("MountainCar-v0")


class KeepingFamily:
    """A policy family that keeps what it is to learn from."""

    splits: Mapping[float, Demonstrations]

    def train(self, settings: Settings, splits: Mapping[float, Demonstrations]) -> None:
        self.splits = splits


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> KeepingFamily:
    made = KeepingFamily()
    monkeypatch.setattr(training, "family_of", lambda _: made)
    return made


def test_each_quantile_learns_from_its_top_by_proxy_return(
    log: Path, family: KeepingFamily, car_demonstrations: Demonstrations
) -> None:
    training.run(Settings(CAR, Layout(log, CAR.name, "small"), (0.25, 1.0, 0.5), range(2), 1, 200))
    proxy_returns = CAR.proxy_rewards(car_demonstrations).sum(axis=1)
    assert list(family.splits) == [0.25, 1.0, 0.5]
    for quantile, split in family.splits.items():
        expected = top_quantile(car_demonstrations, proxy_returns, quantile)
        assert split.number == expected.number == int(12 * quantile)
        np.testing.assert_array_equal(split.observations, expected.observations)
        np.testing.assert_array_equal(split.actions, expected.actions)


def test_observations_that_a_file_left_out_are_made_once_for_what_is_kept(
    log: Path, family: KeepingFamily, car_demonstrations: Demonstrations
) -> None:
    made: list[int] = []

    def replay(demonstrations: Demonstrations) -> Any:
        made.append(demonstrations.number)
        return np.ones((*demonstrations.done.shape, 2), dtype=np.float32)

    without = replace(car_demonstrations, observations=np.zeros((12, car_demonstrations.done.shape[1], 0)))
    without.save(log / CAR.name / "actions_only.npz")
    replaying = replace(CAR, replay_observations=replay, proxy_rewards=lambda one: one.true_rewards)
    training.run(Settings(replaying, Layout(log, CAR.name, "actions_only"), (0.25, 0.5), range(1), 1, 200))
    assert made == [6]
    assert family.splits[0.25].observations.shape[2:] == (2,)
