from __future__ import annotations

import numpy as np
import pytest

from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.figures.learning import draw_efforts, learning_figure, turn_of
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.paths import OptimisationPath, PathPoint


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("MountainCar-v0", ["proxy return", "true return"]),
        ("VideoPinballNoFrameskip-v4", ["proxy return", "true return", "implicit loss −I/λ"]),
    ],
)
def test_the_figure_shows_each_seed_and_all_of_them(name: str, labels: list[str]) -> None:
    environment = load_environment(name)
    curves = [
        LearningCurve(
            [5 * episode for episode in range(1, 41)], [slope * episode for episode in range(1, 41)], [-1.0] * 40
        )
        for slope in (1.0, 3.0)
    ]
    figure, numbers = learning_figure(curves, range(2), environment.experiment.optimisers[0], environment)
    assert [axes.get_ylabel().partition("\n")[0] for axes in figure.axes] == labels
    proxy, true = figure.axes[:2]
    first, second, everybody = [np.asarray(line.get_ydata()) for line in proxy.lines]
    np.testing.assert_allclose(second, 3 * first)
    np.testing.assert_allclose(everybody, 2 * first)
    # Forty episodes in eight bins of five: the first are numbers 1 to 5.
    assert (len(first), first[0]) == (8, 3.0)
    assert all((np.asarray(line.get_ydata()) == -1).all() for line in true.lines)
    assert numbers["proxy"]["all"] == everybody.tolist()
    if len(labels) == 3:
        np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), first + 1)


def test_a_seed_without_an_episode_has_no_line() -> None:
    environment = load_environment("MountainCar-v0")
    curves = [LearningCurve([30], [1.0], [2.0]), LearningCurve()]
    figure, numbers = learning_figure(curves, range(2), "sarsa", environment)
    assert numbers["true"]["seeds"] == [[2.0], [None]]
    assert len(figure.axes[0].lines[1].get_ydata()) == 0


@pytest.mark.parametrize("name", environment_names())
def test_nothing_of_the_figure_is_cut_off(name: str) -> None:
    environment = load_environment(name)
    returns = [-12345.67, 12345.67]
    curves = [LearningCurve([10_000_000, 10_000_001], returns, returns)] * 10
    figure, _ = learning_figure(curves, range(10), environment.experiment.optimisers[0], environment)
    figure.canvas.draw()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert drawn.x0 >= page.x0
    assert drawn.y0 >= page.y0
    assert drawn.x1 <= page.x1
    assert drawn.y1 <= page.y1


def test_the_second_axis_is_drawn_under_the_options_of_the_run() -> None:
    environment = load_environment("VideoPinballNoFrameskip-v4")
    curves = [LearningCurve([10, 20], [5.0, 5.0], [1.0, 1.0])]
    drawn = [
        float(learning_figure(curves, [0], "qr_dqn", environment, options)[1]["second"]["all"][0])
        for options in (None, {"lamb": 2.0})
    ]
    assert drawn == [4.0, 2.0]


def test_numbers_name_the_algorithm_and_the_seeds() -> None:
    environment = load_environment("MountainCar-v0")
    _, numbers = learning_figure([LearningCurve([30], [1.0], [2.0])], range(4, 5), "q_learning", environment)
    assert (numbers["algorithm"], numbers["seeds"]) == ("q_learning", [4])


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
        ([1, 5, 3], "peaks at policies tried 2; from there to 4 it changes by -1.8"),
        ([1, 2, 3], "highest at the end, policies tried 4"),
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
    assert drawn["interval_95"] == (path.proxy[2].low, path.proxy[2].high)
    _, numbers = draw_efforts([path], possible=(-np.inf, 5.5))
    assert max(one.high for one in path.true) > 5.5
    assert max(one["interval_95"][1] for one in numbers["paths"][0]["true"]) == 5.5
    assert numbers["paths"][0]["proxy"][2] == drawn
