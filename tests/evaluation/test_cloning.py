from __future__ import annotations

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.results import SeedResults
from quantilizers.policies.selection_settings import REFERENCE, Selection, SelectionSettings


def selections(
    demonstrations: Demonstrations, quantiles: list[float], selecting: SelectionSettings = REFERENCE
) -> list[Selection]:
    return list(selecting.choose_all(demonstrations, quantiles, observations=False).values())


def results_of(true: np.ndarray, proxy: np.ndarray) -> SeedResults:
    rewards, lengths = np.zeros((*true.shape, 1), dtype=np.float32), np.ones(true.shape, dtype=int)
    return SeedResults("MountainCar-v0", 200, {}, np.array([1.0, 0.25]), true, proxy, lengths, rewards, rewards)


def test_each_quantile_keeps_what_its_policies_learn_from(car_demonstrations: Demonstrations) -> None:
    everything, quarter = selections(car_demonstrations, [1.0, 0.25])
    assert (len(everything.lengths), len(quarter.lengths)) == (12, 3)
    best = np.sort(car_demonstrations.proxy_returns)[::-1][:3]
    np.testing.assert_array_equal(quarter.proxy_returns, best)
    np.testing.assert_array_equal(quarter.true_returns, -quarter.lengths)
    # Training takes nested slices of the widest quantile.
    widest = car_demonstrations.top(1.0).with_observations()
    assert quarter.data == widest.select(slice(3)).fingerprint != everything.data


def test_policies_are_compared_with_the_episodes_that_they_imitate(car_demonstrations: Demonstrations) -> None:
    kept = selections(car_demonstrations, [1.0, 0.25])
    all_proxies = car_demonstrations.proxy_returns
    between = float(np.sort(all_proxies)[2:4].mean())
    true = np.array([[[-150.0, -170.0], [-100.0, -100.0]], [[-140.0, -140.0], [-120.0, -80.0]]])
    proxy = np.full((2, 2, 2), between) + np.array([0.001, -0.001])
    imitation, quarter = compare_with_demonstrations(kept, list(map(results_of, true, proxy)), all_proxies)
    assert imitation.true_return == -150.0
    assert imitation.gap == pytest.approx(-150.0 - car_demonstrations.true_returns.mean())
    assert imitation.proxy_percentile == pytest.approx(25.0), "three of twelve are below"
    assert quarter.gap == pytest.approx(-100.0 - kept[1].true_returns.mean())
    numbers = quarter.as_numbers()
    assert (numbers["episodes"], numbers["steps"]) == (3, kept[1].lengths.sum())
    assert numbers["sha256"] == kept[1].data
    assert numbers["proxy_return"] == pytest.approx(kept[1].proxy_returns.mean())
    assert numbers["cloning_gap"] == quarter.gap


def test_weighted_episodes_have_weighted_means(car_demonstrations: Demonstrations) -> None:
    (kept,) = selections(car_demonstrations, [0.25], SelectionSettings(method="best_of_n"))
    assert len(kept.lengths) == kept.number == 12
    assert kept.true_return == pytest.approx(kept.weights @ kept.true_returns)
    assert kept.true_return != pytest.approx(kept.true_returns.mean())
    assert kept.divergence == pytest.approx(np.log(4))
    assert 1 < kept.effective_number < 12
    results = results_of(np.full((2, 2), -100.0), np.full((2, 2), -50.0))
    (compared,) = compare_with_demonstrations([kept], [results], np.zeros(3))
    assert compared.gap == pytest.approx(-100.0 - kept.true_return)
    assert compared.as_numbers()["effective_episodes"] == kept.effective_number
    (top,) = selections(car_demonstrations, [0.25])
    assert (top.effective_number, top.divergence) == (pytest.approx(3), pytest.approx(np.log(4)))
