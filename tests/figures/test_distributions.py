from __future__ import annotations

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.distributions import draw_boxes, draw_distributions
from quantilizers.policies.selection_settings import REFERENCE, SelectionSettings


def test_distributions_show_demonstrations_and_seeds(car_demonstrations: Demonstrations) -> None:
    returns = -np.random.default_rng(3).integers(100, 200, size=(3, 2, 4)).astype(float)
    rewards, lengths = np.zeros((2, 4, 1), dtype=np.float32), np.ones((2, 4), dtype=int)
    results = [
        SeedResults("MountainCar-v0", 200, {}, np.array([1.0, 0.25]), true, true / 2, lengths, rewards, rewards)
        for true in returns
    ]
    selections = REFERENCE.choose_all(car_demonstrations, [1.0, 0.25])
    figure, numbers = draw_distributions(list(selections.values()), results, range(3), "a car")
    assert len(figure.axes) == 4
    imitation = figure.axes[0]
    assert len(imitation.lines) == 4
    for line, of_seed in zip(imitation.lines[:3], returns[:, 0], strict=True):
        assert sorted(np.asarray(line.get_xdata())[1:]) == sorted(of_seed)
    kept = numbers["proxy"][1]["demonstrations"].tolist()
    everything = numbers["proxy"][0]["demonstrations"].tolist()
    assert len(everything) == 12
    assert kept == sorted(everything, reverse=True)[:3]


def test_weighted_episodes_have_weighted_boxes_and_distributions(car_demonstrations: Demonstrations) -> None:
    """All episodes are kept at every q under exponential weights; the weights alone differ."""
    rewards, lengths = np.zeros((2, 4, 1), dtype=np.float32), np.ones((2, 4), dtype=int)
    returns = np.zeros((2, 4))
    results = [
        SeedResults("MountainCar-v0", 200, {}, np.array([1.0, 0.25]), returns, returns, lengths, rewards, rewards)
    ]
    selections = [*SelectionSettings(method="exponential").choose_all(car_demonstrations, [1.0, 0.25]).values()]
    environment = car_demonstrations.environment
    figure, numbers = draw_boxes(environment, results, selections, "a car")
    proxy, weights = selections[1].proxy_returns, selections[1].weights
    order = np.argsort(proxy)
    middle = proxy[order][np.searchsorted(np.cumsum(weights[order]), 0.5)]
    equal, weighted = numbers["proxy"]["kept"]
    assert weighted["median"] == middle > equal["median"] == np.median(proxy)
    medians = [line.get_ydata()[0] for line in figure.axes[1].lines if len(set(line.get_ydata())) == 1]
    assert {equal["median"], middle} <= set(medians)
    _, numbers = draw_distributions(selections, results, range(1), "a car")
    assert "weights" not in numbers["proxy"][0]
    assert numbers["proxy"][1]["weights"].tolist() == weights.tolist()
