"""The layout of every figure: nothing is cut off, covered or nearer to another point than its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from effect_map import EffectPanel, draw_effect_map
from quantilizers import curve as score_curve
from quantilizers.datasets.summary import summarise
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.weighted_means import WeightedMeans
from quantilizers.figures.against_lambda import AgentReturns, draw_penalties
from quantilizers.figures.data_set import draw_correlation, draw_data_set, draw_in_order
from quantilizers.figures.distributions import draw_boxes, draw_distributions
from quantilizers.figures.frontier import FrontierAgent, draw_frontier
from quantilizers.figures.learning import draw_efforts, learning_figure
from quantilizers.figures.returns import draw_returns
from quantilizers.figures.study import SERIES, Group, draw_study
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.measurements import Measurement
from quantilizers.optimisers.paths import OptimisationPath, PathPoint
from quantilizers.policies.selection_settings import Selection
from quantilizers.quantilize import METHODS
from quantilizers.scores.figure import draw_curve

CAR, PINBALL = map(load_environment, ("MountainCar-v0", "VideoPinballNoFrameskip-v4"))
ALL_QUANTILES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005)
OPTIMISERS = ("sarsa", "planner", "sampling_quantilizer", "ppo_long", "random")
TITLE = "MountainCar-v0, data set recorded_by_the_players_of_the_laboratory_in_the_second_week_of_spring_2026"
#: Quantiles, and optimisers beside them.
SIZES = ((2, 0), (5, 1), (8, 5))
#: Pixels.
ROUNDING = 1.0


@contextmanager
def drawn_texts() -> Iterator[list[Text]]:
    """Collect the texts that are drawn: an axis also has tick labels beyond its ends, which are not."""
    found: list[Text] = []
    draw = Text.draw

    def drawing(text: Text, *arguments: Any, **named: Any) -> None:
        if text.get_visible() and text.get_text().strip() and text not in found:
            found.append(text)
        draw(text, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", drawing)
        yield found


def check(figure: Figure, name: str) -> None:
    """Fail, with all faults, if something of a figure is cut off, covers something, or is at the wrong point."""
    with drawn_texts() as texts:
        figure.draw_without_rendering()
    if folder := os.environ.get("FIGURES_TO"):
        figure.savefig(f"{folder}/{name}.png", dpi=80)
        figure.draw_without_rendering()
    extents = {text: Text.get_window_extent(text) for text in texts}  # without a label's line to its point
    faults = [f"cut off: {text.get_text()!r}" for text in texts if not within(extents[text], figure.bbox)]
    drawn = figure.get_tightbbox()
    page = figure.bbox_inches
    if min(drawn.x0 - page.x0, drawn.y0 - page.y0, page.x1 - drawn.x1, page.y1 - drawn.y1) * figure.dpi < -ROUNDING:
        faults.append(f"cut off: something, {drawn} of {page}")
    for one, other in combinations(texts, 2):
        if touch(extents[one], extents[other]):
            faults.append(f"overlap: {one.get_text()!r} and {other.get_text()!r}")
    for legend in figure.findobj(Legend):
        box = legend.get_window_extent()
        faults += [f"a legend covers a panel: {box}" for axes in figure.axes if touch(box, axes.get_window_extent())]
        if not within(box, figure.bbox):
            faults.append(f"legend cut off: {box}")
    labels = [text for text in texts if isinstance(text, Annotation) and text.arrow_patch is not None]
    points = np.array([label.axes.transData.transform(label.xy) for label in labels])
    for place, label in enumerate(labels):
        box = extents[label]
        away = np.hypot(*(points - np.clip(points, box.min, box.max)).T)
        if away[place] > away.min() + ROUNDING:
            faults.append(f"nearer to {labels[int(away.argmin())].get_text()!r}: {label.get_text()!r}")
    assert not faults, "\n".join([name, *faults])


def within(box: Bbox, page: Any) -> bool:
    return bool((box.min >= page.min - ROUNDING).all() and (box.max <= page.max + ROUNDING).all())


def touch(one: Bbox, other: Bbox) -> bool:
    """Whether two boxes share more than their edges."""
    shared = Bbox.intersection(one, other)
    return shared is not None and min(shared.width, shared.height) > ROUNDING


def quantiles_of(number: int) -> tuple[float, ...]:
    return ALL_QUANTILES[:number]


def made(quantiles: tuple[float, ...], environment: Any = CAR, seeds: int = 5) -> list[SeedResults]:
    """Invented results of some seeds, 6 episodes each, of long numbers."""
    found = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        true = -random.uniform(120, 200, size=(len(quantiles), 6)) * np.linspace(1, 0.7, len(quantiles))[:, None]
        paid = np.zeros((*true.shape, 1), dtype=np.float32)
        found.append(
            SeedResults(
                environment.name, 1000, dict(environment.options), np.array(quantiles), true,
                true / 7 + np.linspace(0, 30, len(quantiles))[:, None], np.ones(true.shape, dtype=int), paid, paid,
            )
        )  # fmt: skip
    return found


def selections(quantiles: tuple[float, ...], environment: Any = CAR) -> list[Selection]:
    found, second = [], environment.second_quantity
    for quantile in quantiles:
        random = np.random.default_rng(round(1 / quantile))
        number = max(4, round(1000 * quantile))
        true = -random.uniform(110, 190, number)
        episodes: Any = SimpleNamespace(
            true_returns=true,
            proxy_returns=true / 7,
            lengths=np.full(number, 200),
            environment=environment,
            options=environment.options,
            second_quantities=second and second(true, true / 7, environment.options),
        )
        found.append(Selection(quantile, episodes, np.full(number, 1 / number), number))
    return found


def measurements(number: int, environment: Any = CAR) -> list[Measurement]:
    return [
        Measurement(algorithm, 10_000_000, list(range(4)), made((0.0,), environment, 4))
        for algorithm in OPTIMISERS[:number]
    ]


@pytest.mark.parametrize(("number", "optimisers"), SIZES)
@pytest.mark.parametrize("environment", [CAR, PINBALL], ids=lambda one: one.name)
def test_returns(number: int, optimisers: int, environment: Any) -> None:
    quantiles = quantiles_of(number)
    found = measurements(optimisers, environment)
    first, others = (found[0], found[1:]) if found else (None, [])
    for aggregate in ("mean", "median") if environment is CAR and number == 2 else ("mean",):
        figure, _ = draw_returns(
            environment, made(quantiles, environment), range(5), first, TITLE, aggregate,  # type: ignore[arg-type]
            selections(quantiles, environment), others,
        )  # fmt: skip
        check(figure, f"returns_{environment.name}_{aggregate}_{number}_{optimisers}")


@pytest.mark.parametrize("number", [2, 5, 8])
def test_study(number: int) -> None:
    random, groups = np.random.default_rng(0), []
    for quantile in quantiles_of(number):
        for series in SERIES if quantile < 1 else ("top",):
            dots = -random.uniform(100, 190, size=5)
            groups.append(Group(series, quantile, mean_interval(dots[:, None]), dots, -130.0))
    optimiser = Interval(-170.0, -175.0, -165.0, "5 seeds")
    panels = {"epochs": groups, "updates": groups} if number < 8 else {"epochs": groups}
    figure, _ = draw_study(panels, TITLE, CAR.figures.true_label, optimiser)
    check(figure, f"study_{number}")


@pytest.mark.parametrize("number", [2, 8])
def test_distributions_and_boxes(number: int) -> None:
    quantiles = quantiles_of(number)
    figure, _ = draw_boxes(PINBALL, made(quantiles), selections(quantiles), TITLE)
    check(figure, f"boxes_{number}")
    figure, _ = draw_distributions(selections(quantiles), made(quantiles), range(5), TITLE)
    check(figure, f"distributions_{number}")


def path_of(algorithm: str, points: int, episodes: tuple[int, ...]) -> OptimisationPath:
    found = []
    for place in range(points):
        random = np.random.default_rng(place)
        true = -120.0 - 8 * place + random.normal(0, 3, size=(3, episodes[place % len(episodes)]))
        found.append(PathPoint(2.0**place * 100, true, -5 + 3 * place + random.normal(size=true.shape)))
    return OptimisationPath(algorithm, "MountainCar-v0", 200, {}, "action sequences tried before each decision",
                            (0, 1, 2), tuple(found))  # fmt: skip


@pytest.mark.parametrize(("number", "optimisers"), SIZES)
def test_frontier(number: int, optimisers: int) -> None:
    quantiles = np.array(quantiles_of(number))
    pressures = np.sqrt(-np.log(quantiles) + 0.0)

    def curve(shift: float, method: str) -> Any:
        true, proxy = -140 + 20 * pressures - 8 * pressures**2 + shift, -20 + 12 * pressures
        sizes, spread = 4000 * quantiles, np.full(len(quantiles), 2.0)
        means = [WeightedMeans(one, one - spread, one + spread, spread / 2, sizes) for one in (true, proxy)]
        return SimpleNamespace(method=method, quantiles=quantiles, pressures=pressures, true=means[0], proxy=means[1])

    agents = [
        FrontierAgent("cloned", Interval(-145 + 6 * p, -150 + 6 * p, -140 + 6 * p), Interval(-20 + 9 * p, -22, 20),
                      float(quantile), divergence=Interval(p * 2, p, p * 3))
        for quantile, p in zip(quantiles, pressures, strict=True)
    ]  # fmt: skip
    agents += [
        FrontierAgent(f"{name} of a long name", Interval(-150.0 - 9 * place, -155 - 9 * place, -145 - 9 * place),
                      Interval(10.0 + 3 * place, 9, 40))
        for place, name in enumerate(OPTIMISERS[:optimisers])
    ]  # fmt: skip
    paths = [path_of("planner", 8, (6,))] if optimisers > 1 else []
    turn: Any = SimpleNamespace(quantile=0.5, low=0.02, high=1.0, found=False)
    title = f"{TITLE}\n" + "curves: 100,000 episodes of 20 simulated players, pooled over starts; cloned: 5 seeds; " * 2
    figure, _ = draw_frontier([curve(3 * i, method) for i, method in enumerate(METHODS)], agents, title,
                              CAR.figures.true_label, CAR.figures.proxy_label, turn, paths)  # fmt: skip
    check(figure, f"frontier_{number}_{optimisers}")


@pytest.mark.parametrize(("number", "optimisers"), SIZES)
def test_penalties(number: int, optimisers: int) -> None:
    random = np.random.default_rng(0)
    arms = [
        AgentReturns("imitation" if q == 1 else f"q = {q:g}", random.normal(5000 + 300 / q, 9, (3, 4)),
                     np.full((3, 4), 0.05 + place / 30), 5500.0, 0.03)
        for place, q in enumerate(quantiles_of(number))
    ]  # fmt: skip
    arms += [
        AgentReturns(f"{name} of a long name", random.normal(9000, 9, (3, 4)), np.full((3, 4), 0.4))
        for name in OPTIMISERS[:optimisers]
    ]
    figure, _ = draw_penalties(arms, 1.0, TITLE, PINBALL.figures.true_label)
    check(figure, f"penalties_{number}_{optimisers}")


@pytest.mark.parametrize("number", [1, 5])
def test_efforts(number: int) -> None:
    paths = [path_of(algorithm, 12, (5, 100)) for algorithm in OPTIMISERS[:number]]
    figure, _ = draw_efforts(paths, PINBALL.figures.true_label, PINBALL.figures.proxy_label)
    check(figure, f"efforts_{number}")
    title = " ".join(figure.get_suptitle().split())
    assert "over 3 seeds, 5 episodes each; 100 episodes at 200 and 800 and" in title


@pytest.mark.parametrize("environment", [CAR, PINBALL], ids=lambda one: one.name)
def test_learning(environment: Any) -> None:
    returns = np.random.default_rng(0).uniform(-1e6, 1e6, 40).tolist()
    curves = [LearningCurve([250_000 * step for step in range(1, 41)], returns, returns)] * 10
    figure, _ = learning_figure(curves, range(10), environment.experiment.optimisers[0], environment)
    check(figure, f"learning_{environment.name}")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mean over seeds", "one seed"]


@pytest.mark.parametrize("number", [2, 5, 8])
def test_data_sets(number: int, car_demonstrations: Any) -> None:
    summary, quantiles = summarise(car_demonstrations), quantiles_of(number)
    labels = CAR.figures.true_label, CAR.figures.proxy_label
    check(draw_data_set(summary, quantiles, TITLE, *labels)[0], f"data_set_{number}")
    if number == 2:
        check(draw_correlation(summary, TITLE, *labels)[0], "correlation")
        check(draw_in_order(summary, TITLE, *labels)[0], "in_order")


@pytest.mark.parametrize("number", [2])
def test_map(number: int) -> None:
    random = np.random.default_rng(0)

    def panel(title: str, reach: float = 90.0) -> EffectPanel:
        values = random.uniform(-reach, reach, size=(3, 4))
        return EffectPanel(title, np.stack([values, values - 9, values + 9]), np.abs(values) > 30)

    quantiles = quantiles_of(number + 1)[1:]
    kept = [panel(f"q = {quantile:g}") for quantile in quantiles]
    figure = draw_effect_map(
        panel("proxy and true return", 1.0), kept, kept, ["novices", "middling", "experts"], [30, 100, 1000, 10_000],
        f"{TITLE}; means over 20 draws\n* policies: significant after Holm's correction", CAR.figures.true_label,
    )  # fmt: skip
    check(figure, f"map_{number}")


@pytest.mark.parametrize("groups", [1, 40])
def test_scores(groups: int) -> None:
    proxy = np.random.default_rng(0).normal(size=1280)
    true = proxy - 2 * np.maximum(proxy - 1, 0) ** 2
    found = score_curve(proxy, true, np.repeat(np.arange(groups), 1280 // groups))
    figure, _ = draw_curve(found, "rating by the people of the laboratory (points)", "score of the reward model")
    check(figure, f"scores_{groups}")
