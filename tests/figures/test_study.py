from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.figures.study import SERIES, Group, bounds_text, draw_study, rollout_bounds_text
from quantilizers.studies.bounds import bounds_of_rollouts, check_bounds


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
    assert [label.get_text() for label in left.get_xticklabels()] == ["imitation\nq = 1", "q = 0.5"]
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


Run = Callable[..., tuple[int, str, str]]
PROXY = np.linspace(0, 10, 40)
TRUE = PROXY - 0.5


def text(policy_return: float, why_not: str | None = None, implicit_loss: float | None = None) -> str:
    policies = np.full((2, 3), policy_return) + np.array([[0.0], [0.001]])
    checks = check_bounds(TRUE, PROXY, {1.0: policies, 0.25: policies}, why_not, implicit_loss)
    return " ".join(bounds_text(checks, 40).split())


def test_what_is_kept_and_what_is_broken_is_said() -> None:
    good, bad = text(9.4), text(-5.0)
    assert good.count("the kept episodes keep it everywhere") == bad.count("the kept episodes keep it everywhere") == 2
    assert " NO |" not in good
    assert "Broken" not in good
    assert bad.count(" NO |") == 3
    assert bad.count("- Broken") == 3


def test_the_guarantee_names_its_k_and_its_best_q() -> None:
    assert "k = 0.500 (estimated" in text(9.4)
    given = text(9.4, implicit_loss=0.1)
    assert "k = 0.100 (given)" in given
    assert "it is highest at q = 0.25" in given
    assert "nan" not in given
    assert text(9.4, why_not="The guarantee does not apply: feet and pounds.").endswith("feet and pounds.")


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf"])
def test_an_impossible_k_is_refused(run: Run, wrong: str) -> None:
    code, _, err = run("--do", "study", "--implicit_loss", wrong)
    assert code == 2
    assert "--implicit_loss is " in err
    assert "it is a mean loss" in err


def test_bounds_of_rollouts_say_whether_the_episodes_played_keep_them() -> None:
    rollouts = np.array([[[-100.0, -50.0], [-100.0, -90.0]]] * 2)
    demonstrations = np.array([-90.0, -40.0])
    for played, answer in ((np.full((2, 2), -50.0), "yes"), (np.full((2, 2), -1000.0), "NO")):
        text = rollout_bounds_text(bounds_of_rollouts(rollouts, played, 2.0, demonstrations))
        assert re.search(r"bound, n/k = 2 times \| +90.00", text), text
        assert f"| keep it             | {answer}".replace(" ", "") in text.split("distance")[1].replace(" ", "")
        assert max(map(len, text.splitlines())) <= 80
