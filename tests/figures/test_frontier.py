from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from quantilizers.evaluation.intervals import Interval
from quantilizers.evaluation.weighted_means import WeightedMeans
from quantilizers.figures.frontier import FrontierAgent, draw_frontier
from quantilizers.figures.style import save_figure
from quantilizers.optimisers.paths import OptimisationPath, PathPoint
from quantilizers.quantilize import METHODS, RULES

QUANTILES = np.array([1.0, 0.5, 0.25, 0.1, 0.01])


@dataclass(frozen=True)
class CurveForTests:
    method: str
    quantiles: np.ndarray
    pressures: np.ndarray
    true: WeightedMeans
    proxy: WeightedMeans


@dataclass(frozen=True)
class TurnForTests:
    quantile: float = 0.25
    low: float = 0.1
    high: float = 0.5
    found: bool = True


def means(values: np.ndarray) -> WeightedMeans:
    sizes = np.array([400.0, 200.0, 100.0, 40.0, 4.0])
    return WeightedMeans(values, values - 1, values + 1, np.full(5, 0.5), sizes)


def curve(method: str) -> CurveForTests:
    pressures = np.sqrt(-np.log(QUANTILES) + 0.0)
    shift = METHODS.index(method)
    return CurveForTests(
        method, QUANTILES, pressures, means(-10.0 + 6 * pressures - 3 * pressures**2 + shift), means(5 * pressures)
    )


AGENTS = [
    FrontierAgent(
        "cloned quantilizers", Interval(-11, -12, -10), Interval(0.5, 0, 1), 1.0, divergence=Interval(0, 0, 0)
    ),
    FrontierAgent(
        "cloned quantilizers", Interval(-9, -10, -8), Interval(3, 2, 4), 0.25, divergence=Interval(4.0, 1.0, 9.0)
    ),
    FrontierAgent("PPO", Interval(-20, -22, -18), Interval(9, 8, 10)),
    FrontierAgent("SARSA", Interval(-25, np.nan, np.nan), Interval(7, np.nan, np.nan)),
]


def texts(figure: Figure) -> list[str]:
    return [
        text.get_text()
        for axes in figure.axes
        for text in axes.texts
        if isinstance(text, Annotation) and text.get_text()
    ]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_curves_bands_and_points_are_the_numbers() -> None:
    figure, numbers = draw_frontier([curve(method) for method in METHODS], AGENTS, "a car", "true (steps)", "proxy (m)")
    upper, lower, plane = figure.axes[:3]
    assert legend(figure) == [
        *(rule.label for rule in map(RULES.__getitem__, METHODS)), "cloned quantilizers", "PPO", "SARSA",
    ]  # fmt: skip
    for axes, kind in ((upper, "true"), (lower, "proxy")):
        lines = [line for line in axes.lines if line.get_label() in legend(figure)]
        for line, method in zip(lines, METHODS, strict=True):
            drawn = getattr(curve(method), kind).means[:4]
            np.testing.assert_allclose(line.get_ydata(), drawn)
            np.testing.assert_allclose(line.get_xdata(), curve(method).pressures[:4])
    # Means of 4 episodes are not drawn, but they are among the numbers.
    assert numbers["curves"][0]["drawn"].tolist() == [True] * 4 + [False]
    assert len(numbers["curves"][0]["true"]["means"]) == 5
    assert [agent["label"] for agent in numbers["agents"]] == [agent.label for agent in AGENTS]
    assert numbers["agents"][1]["pressure"] == 2.0
    assert numbers["agents"][1]["nats_per_episode"] == {"estimate": 4, "low": 1, "high": 9}
    assert numbers["agents"][1]["reference"] == pytest.approx(np.sqrt(np.log(4)))
    assert numbers["agents"][3]["true"] == {"estimate": -25, "low": None, "high": None}
    assert (plane.get_xlabel(), plane.get_ylabel()) == ("proxy (m)", "true (steps)")
    assert upper.get_ylabel() == "true\n(steps)"
    np.testing.assert_allclose(plane.lines[0].get_xdata(), curve("quantile").proxy.means[:4])
    np.testing.assert_allclose(plane.lines[0].get_ydata(), curve("quantile").true.means[:4])


def test_agents_stand_at_their_measured_kl_and_beyond_all_where_it_is_unknown() -> None:
    most_probable = FrontierAgent("cloned, most probable", Interval(-8, -9, -7), Interval(3, 2, 4), 0.25)
    figure, numbers = draw_frontier([curve("quantile")], [*AGENTS, most_probable], "a car")
    upper, lower = figure.axes[:2]
    places = [float(bars.lines[0].get_xdata()[0]) for bars in upper.containers]  # type: ignore[attr-defined]
    reach = 2.0  # of the policy with 4 nats
    np.testing.assert_allclose(places[:2], [0, 2])
    assert reach * 1.06 < places[2] < places[3] < places[4] < lower.get_xlim()[1]
    assert all(tick <= reach * 1.01 for tick in lower.get_xticks())
    assert "KL unknown" in texts(figure)
    assert numbers["agents"][2]["pressure"] is None
    assert numbers["agents"][4]["pressure"] is None
    # The interval of KL, and the line from log(1/q), are along the axis.
    bars = upper.containers[1].lines[2][0].get_segments()[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(bars[:, 0], [1, 3])
    lines = [line.get_xdata() for line in upper.lines if line.get_linestyle() == ":" and len(line.get_xdata()) == 2]
    assert any(np.allclose(line, [np.sqrt(np.log(4)), 2]) for line in lines)


def test_where_all_kl_is_known_there_is_no_room_for_others() -> None:
    figure, _ = draw_frontier([curve("quantile")], AGENTS[:2], "a car")
    assert not any("KL unknown" in text for text in texts(figure))
    assert figure.axes[0].get_xlim()[1] < 1.1 * 2


def test_softer_rules_that_were_cloned_have_the_pressure_of_their_episodes_as_reference() -> None:
    soft = FrontierAgent("cloned best of n", Interval(-9, -10, -8), Interval(3, 2, 4), 0.25, pressure=0.9)
    figure, numbers = draw_frontier([curve("quantile")], [*AGENTS[:2], soft], "a car")
    assert (numbers["agents"][2]["pressure"], numbers["agents"][2]["reference"]) == (None, 0.9)
    markers = {bars.lines[0].get_marker() for bars in figure.axes[0].containers}  # type: ignore[attr-defined]
    assert len(markers) == 2


def test_the_turn_is_named_with_its_interval_or_called_undecided() -> None:
    found, numbers = draw_frontier([curve("quantile")], AGENTS, "a car", turn=TurnForTests())
    assert "turns at q = 0.25 [0.1, 0.5]" in texts(found)
    assert numbers["turn"] == {"quantile": 0.25, "low": 0.1, "high": 0.5, "found": True}
    undecided, _ = draw_frontier([curve("quantile")], AGENTS, "a car", turn=TurnForTests(1.0, 0.5, 1.0, False))
    assert "highest at q = 1 [0.5, 1], turn undecided" in texts(undecided)


def test_labels_of_quantiles_do_not_cover_each_other() -> None:
    figure, _ = draw_frontier([curve("quantile")], AGENTS, "a car")
    plane = figure.axes[2]
    assert sorted(text.get_text() for text in plane.texts) == ["0.25", "1", "q = 0.1", "q = 0.25", "q = 0.5", "q = 1"]
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in plane.texts]  # without the lines to the points
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])


def test_wide_bands_do_not_squeeze_the_curves() -> None:
    wide = curve("quantile")
    wide = replace(wide, true=replace(wide.true, lows=wide.true.means - 1000, highs=wide.true.means + 1000))
    figure, _ = draw_frontier([wide], AGENTS[:2], "a car")
    shown = np.array([*wide.true.means[:4], -12, -8])
    low, high = figure.axes[0].get_ylim()
    assert low < shown.min()
    assert high > shown.max()
    assert high - low < 3 * np.ptp(shown)


def test_paths_of_optimisers_are_drawn_in_the_plane_with_their_efforts() -> None:
    rows = np.array([[0.0, 0.2], [0.1, 0.3]])
    points = tuple(PathPoint(effort, -30 * effort + rows, 3 * effort + rows) for effort in (1, 8))
    path = OptimisationPath("planner", "Hopper-v2", 1000, {}, "policies tried", (0, 1), points)
    figure, numbers = draw_frontier([curve("quantile")], AGENTS, "a car", paths=[path])
    plane = figure.axes[2]
    assert "planner of more and more effort" in legend(figure)
    line = next(bars.lines[0] for bars in plane.containers if "effort" in bars.get_label())  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.asarray(line.get_xdata(), dtype=float), [3.15, 24.15])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [-29.85, -239.85])
    assert plane.get_xlim()[1] > 24.15
    assert plane.get_ylim()[0] < -239.85
    assert {"effort 1", "effort 8"} <= set(texts(figure))
    assert numbers["paths"][0]["efforts"].tolist() == [1, 8]


def test_a_path_of_known_kl_is_drawn_against_it_and_stays_within_the_possible() -> None:
    rows = np.array([[0.0, 20.0], [1.0, 3.0]])
    points = tuple(PathPoint(effort, -20 + rows, rows, np.full((2, 2), effort + 0.0)) for effort in (1, 9))
    path = OptimisationPath("sampling_quantilizer", "MountainCar-v0", 200, {}, "n/k", (0, 1), points)
    figure, numbers = draw_frontier([curve("quantile")], [], "a car", paths=[path], possible=(-20.0, 0.0))
    upper = figure.axes[0]
    bars = upper.containers[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.asarray(bars.lines[0].get_xdata(), dtype=float), [1, 3])
    assert upper.get_xlim()[1] > 3
    assert min(segment[:, 1].min() for segment in bars.lines[2][0].get_segments()) >= -20
    assert numbers["paths"][0]["nats_per_episode"][1]["estimate"] == 9
    assert {"n/k = 1", "n/k = 9"} <= set(texts(figure))
    assert "sampling quantilizer, k = n to 1" in legend(figure)


@pytest.mark.parametrize(("curves", "agents"), [([], AGENTS), ([curve("best_of_n")], []), ([], [])])
def test_any_of_it_may_be_missing(curves: list[CurveForTests], agents: list[FrontierAgent], tmp_path: Path) -> None:
    figure, numbers = draw_frontier(curves, agents, "a car")
    save_figure(figure, tmp_path / "frontier.png", {}, numbers)
    assert json.loads((tmp_path / "frontier.json").read_text())["numbers"]["turn"] is None
