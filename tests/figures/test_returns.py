from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.intervals import mean_interval, median_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.returns import draw_returns
from quantilizers.optimisers.measurements import Measurement
from quantilizers.policies.selection_settings import Selection

CAR = load_environment("MountainCar-v0")
QUANTILES = (1.0, 0.25)


def results_of(returns: np.ndarray, quantiles: tuple[float, ...] = QUANTILES) -> SeedResults:
    """Results of one seed with these true returns (quantiles, episodes); the proxy's are half as large."""
    rewards = np.zeros((*returns.shape, 1), dtype=np.float32)
    lengths = np.ones(returns.shape, dtype=int)
    return SeedResults(CAR.name, 200, {}, np.array(quantiles), returns, returns / 2, lengths, rewards, rewards)


@pytest.fixture
def returns() -> np.ndarray:
    """Invented true returns (3 seeds, 2 quantiles, 4 episodes)."""
    return -np.random.default_rng(3).integers(100, 200, size=(3, 2, 4)).astype(float)


def draw(
    returns: np.ndarray, environment: EnvironmentDefinition = CAR, measured: Measurement | None = None, **more: Any
) -> tuple[Figure, dict[str, Any]]:
    return draw_returns(environment, list(map(results_of, returns)), range(3), measured, "a car", **more)


def selection(quantile: float, true_returns: np.ndarray, proxy_returns: np.ndarray) -> Selection:
    """Equally weighted episodes with these returns, as long as test episodes."""
    lengths = np.full(len(true_returns), 200)
    episodes: Any = SimpleNamespace(true_returns=true_returns, proxy_returns=proxy_returns, lengths=lengths)
    return Selection(quantile, episodes, np.full(len(true_returns), 1 / len(true_returns)), 12)


def names_in(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[-1].get_xticklabels()]


def points_in(axes: Axes) -> dict[int, tuple[float, np.ndarray | None]]:
    """The point at each tick of a panel, and the ends of its bar."""
    found = {}
    for container in axes.containers:
        line, _, bars = container
        (x,), (y,) = line.get_data()
        found[round(float(x))] = float(y), bars[0].get_segments()[0][:, 1] if bars else None
    return found


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(("aggregate", "compute"), [("mean", np.mean), ("median", np.median)])
def test_points_show_the_aggregate_and_dots_the_seeds(
    returns: np.ndarray, aggregate: Literal["mean", "median"], compute: Callable[..., np.ndarray]
) -> None:
    """`median_seeds` was documented in the reference implementation, and missing."""
    figure, numbers = draw(returns, aggregate=aggregate)
    seed_means = returns.mean(axis=2)
    for axes, factor, published in zip(figure.axes, (1.0, 0.5), (-180.16, -79.79), strict=True):
        points = [y for y, _ in points_in(axes).values()]
        np.testing.assert_allclose(points, factor * compute(seed_means, axis=0))
        (optimiser,) = [line for line in axes.lines if line.get_marker() == "s"]
        assert list(optimiser.get_ydata()) == [published]
        dots = [line.get_ydata() for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == 3]
        np.testing.assert_allclose(dots, factor * seed_means.T)
        low, high = axes.get_ylim()
        assert low < min(published, np.min(dots))
        assert high > np.max(dots)
    assert names_in(figure) == ["imitation\nq = 1", "q = 0.25", "SARSA\n(reference's code)"]
    np.testing.assert_allclose(numbers["true"]["bars"], compute(seed_means, axis=0))
    assert figure.get_suptitle() == "a car\n3 seeds, 4 episodes each"
    assert legend_of(figure)[0].startswith(aggregate)


def test_intervals_are_over_seeds_and_the_legend_says_so(returns: np.ndarray) -> None:
    figure, numbers = draw(returns)
    drawn = [ends for _, ends in points_in(figure.axes[0]).values()]
    intervals = [mean_interval(returns[:, index]).within(-200, 0) for index in range(2)]
    np.testing.assert_allclose(drawn, [(interval.low, interval.high) for interval in intervals])
    np.testing.assert_allclose(numbers["true"]["interval_95"], drawn)
    assert numbers["true"]["interval_over"] == "3 seeds"
    assert "mean, with its 95 % interval over 3 seeds" in legend_of(figure)
    assert "mean, with its 95 % interval over 4 episodes of one seed" in legend_of(draw(returns[:1])[0])


def test_medians_have_intervals_where_seeds_suffice() -> None:
    returns = -np.random.default_rng(3).integers(100, 200, size=(5, 2, 4)).astype(float)
    figure, numbers = draw(returns, aggregate="median")
    interval = median_interval(returns[:, 0])
    assert numbers["true"]["interval_95"][0] == (interval.low, interval.high)
    assert "median, with the range of 5 seeds (a 94 % interval)" in legend_of(figure)
    figure, _ = draw(np.concatenate([returns, returns[:1]]), aggregate="median")
    assert "median, with its 95 % interval over 6 seeds" in legend_of(figure)
    figure, numbers = draw(returns[:4], aggregate="median")
    assert numbers["true"]["interval_95"] == [(None, None)] * 2, "JSON has no NaN"
    assert not any("interval" in text for text in legend_of(figure))


def test_a_diamond_shows_the_demonstrations_on_each_axis(returns: np.ndarray) -> None:
    kept = [
        selection(q, np.array([-150.0, -130.0]) + index, np.array([-70.0, -60.0]) - index)
        for index, q in enumerate(QUANTILES)
    ]
    figure, numbers = draw(returns, kept=kept)
    for axes, kind, means in zip(figure.axes, ("true", "proxy"), ([-140.0, -139.0], [-65.0, -66.0]), strict=True):
        (diamonds,) = [line for line in axes.lines if line.get_marker() == "D"]
        assert list(np.asarray(diamonds.get_ydata())) == numbers[kind]["demonstrations"] == means
        assert diamonds.get_color() == "#000000"
    assert "demonstrations kept, mean" in legend_of(figure)
    assert "demonstrations kept, mean" not in legend_of(draw(returns)[0])


def test_without_a_published_optimiser_there_is_no_point_for_it(returns: np.ndarray) -> None:
    figure, numbers = draw(returns, replace(CAR, experiment=replace(CAR.experiment, published_optimiser=None)))
    assert names_in(figure) == ["imitation\nq = 1", "q = 0.25"]
    for axes in figure.axes:
        assert not [line for line in axes.lines if line.get_marker() == "s"]
    assert "optimiser" not in numbers["true"]
    assert not any("reference" in text for text in legend_of(figure))


def test_the_published_return_is_left_out_where_episodes_are_cut_shorter(returns: np.ndarray) -> None:
    kept = [selection(q, np.full(3, -7.0), np.full(3, -8.0)) for q in QUANTILES]
    results = [replace(results_of(of_seed), max_steps=60) for of_seed in returns]
    figure, _ = draw_returns(CAR, results, range(3), None, "a car", kept=kept)
    assert names_in(figure) == ["imitation\nq = 1", "q = 0.25"]


@pytest.mark.parametrize("published", [CAR.experiment.published_optimiser, None])
def test_a_measured_optimiser_takes_the_place_of_the_published_one(returns: np.ndarray, published: Any) -> None:
    measured = Measurement("sarsa", 1000, [0, 1], [results_of(np.full((1, 4), -150.0 - s), (0.0,)) for s in (0, 1)])
    figure, numbers = draw(
        returns, replace(CAR, experiment=replace(CAR.experiment, published_optimiser=published)), measured
    )
    assert names_in(figure)[-1] == "SARSA\n1,000 steps\n2 of 3 seeds"
    assert points_in(figure.axes[0])[2][0] == -150.5
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "s"]
    assert numbers["optimiser"] == {"algorithm": "sarsa", "steps": 1000, "seeds": [0, 1]}
    assert numbers["proxy"]["optimiser"]["bars"].tolist() == [-75.25]


def test_random_play_stands_before_imitation_and_further_optimisers_behind_the_first(returns: np.ndarray) -> None:
    earned = {"random": -200.0, "sarsa": -150.5, "ppo_long": -30.25}
    of_algorithm = {
        algorithm: Measurement(algorithm, steps, [0, 1], [results_of(np.full((1, 4), true), (0.0,)) for _ in range(2)])
        for (algorithm, true), steps in zip(earned.items(), (0, 1000, 2000), strict=True)
    }
    kept = [selection(q, np.full(3, -7.0), np.full(3, -8.0)) for q in QUANTILES]
    others = [of_algorithm["ppo_long"], of_algorithm["random"]]
    figure, numbers = draw(returns, measured=of_algorithm["sarsa"], others=others, kept=kept)
    assert names_in(figure) == [
        "random\n2 of 3 seeds",
        "imitation\nq = 1",
        "q = 0.25",
        "SARSA\n1,000 steps\n2 of 3 seeds",
        "PPO, long\n≤ 2,000 steps\n2 of 3 seeds",
    ]
    true, proxy = figure.axes
    for axes, factor in ((true, 1.0), (proxy, 0.5)):
        drawn = {place: y for place, (y, _) in points_in(axes).items()}
        quantiles = factor * returns.mean(axis=(0, 2))
        wanted = [factor * -200.0, *quantiles, factor * -150.5, factor * -30.25]
        np.testing.assert_allclose([drawn[place] for place in range(5)], wanted)
    diamonds = next(line for line in true.lines if line.get_marker() == "D")
    assert np.round(np.asarray(diamonds.get_xdata())).tolist() == [1, 2]
    assert numbers["optimiser"]["algorithm"] == "sarsa"
    assert [other["algorithm"] for other in numbers["others"]] == ["ppo_long", "random"]
    assert numbers["true"]["others"]["ppo_long"]["bars"].tolist() == [-30.25]


def test_an_environment_may_show_something_else_than_the_proxy_return(returns: np.ndarray) -> None:
    def second_axis(true: np.ndarray, proxy: np.ndarray, options: Any) -> np.ndarray:
        return proxy - true

    shown = replace(CAR.figures, second_axis=second_axis, second_label="difference (points)")
    figure, numbers = draw(returns, replace(CAR, figures=shown))
    np.testing.assert_allclose(numbers["second"]["bars"], -returns.mean(axis=(0, 2)) / 2)
    assert numbers["second"]["optimiser"]["published"] == pytest.approx(180.16 - 79.79)
    assert figure.axes[1].get_ylabel() == "difference (points)"
