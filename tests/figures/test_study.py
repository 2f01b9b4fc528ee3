from __future__ import annotations

import json

import numpy as np

from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.figures.study import SERIES, Group, draw_study


def group(series: str, quantile: float, mean: float, kept: float | None = None) -> Group:
    dots = mean + np.array([-1.0, 0.0, 1.0])
    return Group(series, quantile, mean_interval(dots[:, None]), dots, kept)


GROUPS = [
    group("top", 1.0, -180.0, -178.0),
    group("top", 0.5, -170.0, -150.0),
    group("random", 0.5, -185.0),
    group("bottom", 0.5, -190.0, -199.0),
]


def test_every_budget_has_a_panel_with_all_that_was_measured() -> None:
    optimiser = Interval(-173.0, -176.0, -170.0, "5 seeds")
    figure, numbers = draw_study({"epochs": GROUPS, "updates": GROUPS[:2]}, "title", "true return", optimiser)
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("epochs", "updates")
    assert [label.get_text() for label in left.get_xticklabels()] == ["q = 1\nimitation", "q = 0.5"]
    assert len(left.containers) == 4
    assert len(right.containers) == 2
    low, high = left.get_ylim()
    assert low < -199.0
    assert high > -150.0
    written = json.loads(json.dumps(numbers, default=lambda array: array.tolist()))
    assert [drawn["true_return"] for drawn in written["panels"]["epochs"]] == [-180.0, -170.0, -185.0, -190.0]
    assert written["panels"]["epochs"][1]["dots"] == [-171.0, -170.0, -169.0]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[:3] == [f"policies of {SERIES[series][0]}" for series in ("top", "random", "bottom")]
    assert texts[-1] == "optimiser"


def test_series_do_not_hide_each_other() -> None:
    figure, _ = draw_study({"epochs": GROUPS}, "title", "true return")
    (panel,) = figure.axes
    places = [float(container.lines[0].get_xdata()[0]) for container in panel.containers]
    assert len({round(place, 3) for place in places}) == 4
    assert abs(places[0]) < 0.5
    assert all(0.5 < place < 1.5 for place in places[1:])


def test_a_study_of_one_seed_has_no_bars() -> None:
    dots = np.array([-180.0])
    figure, numbers = draw_study(
        {"epochs": [Group("top", 1.0, mean_interval(dots[:, None]), dots)]}, "title", "true return"
    )
    assert numbers["panels"]["epochs"][0]["interval_95"] is None
    assert not figure.axes[0].containers[0].has_yerr
