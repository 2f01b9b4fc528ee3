"""Figures of optimisers: both returns while they learn, and against their effort. Does the true return turn?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.comparisons import paired_difference
from quantilizers.evaluation.intervals import Interval
from quantilizers.figures.style import (
    PROXY_COLOUR,
    TEXT_COLOURS,
    TRUE_COLOUR,
    in_house_style,
    new_figure,
    space_tick_labels,
    write_legend,
    write_title,
)
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.paths import OptimisationPath, binned_means, effort_text
from quantilizers.rewards import FloatArray
from quantilizers.studies.exact import plain

MOST_BINS, EPISODES_PER_BIN = 40, 5


@in_house_style
def learning_figure(
    curves: Sequence[LearningCurve],
    seeds: Sequence[int],
    algorithm: str,
    environment: EnvironmentDefinition,
    options: Mapping[str, Any] | None = None,
) -> tuple[Figure, dict[str, Any]]:
    """Draw both returns during training: a thin line for each seed, a thick one for all.

    A curve belongs to a seed; seeds without an episode have no line.
    """
    label, shown_options = ALGORITHMS[algorithm].label, {**environment.options, **(options or {})}
    fewest = min(len(curve.steps) for curve in curves)
    # Where some seeds have ended, the mean of the others would be biased.
    last_step = min((curve.steps[-1] for curve in curves if curve.steps), default=1)
    edges = np.linspace(0, last_step, max(2, min(MOST_BINS, fewest // EPISODES_PER_BIN) + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    second = environment.second_quantity
    kinds: list[tuple[str, str, str, Callable[[FloatArray, FloatArray], FloatArray]]] = [
        ("proxy", PROXY_COLOUR, environment.figures.proxy_label, lambda true, proxy: proxy),
        ("true", TRUE_COLOUR, environment.figures.true_label, lambda true, proxy: true),
    ]
    if second is not None:
        # It tells gaming from playing well where both returns look alike.
        label_of_second = environment.figures.second_label or environment.figures.proxy_label
        kinds.append(("second", PROXY_COLOUR, label_of_second, lambda true, proxy: second(true, proxy, shown_options)))
    figure = new_figure(6.4, 0.6 + 2.3 * len(kinds))
    panels = figure.subplots(len(kinds), sharex=True)
    numbers: dict[str, Any] = {"algorithm": algorithm, "seeds": list(seeds), "bin_edges": edges}
    for axes, (kind, colour, name, wanted) in zip(panels, kinds, strict=True):
        of_seeds = [
            (curve.steps, wanted(np.array(curve.true_returns), np.array(curve.proxy_returns))) for curve in curves
        ]
        lines = [binned_means(steps, returns, edges) for steps, returns in of_seeds]
        pooled = binned_means(np.concatenate([s for s, _ in of_seeds]), np.concatenate([r for _, r in of_seeds]), edges)
        for line in lines:
            seen = np.isfinite(line)
            axes.plot(middles[seen], line[seen], color=colour, linewidth=0.7, alpha=0.5, marker=".", markersize=1.5)
        seen = np.isfinite(pooled)
        axes.plot(middles[seen], pooled[seen], color=TEXT_COLOURS[colour], linewidth=2.0)
        axes.set_ylabel(name.replace(" (", "\n("))
        axes.grid(True)
        numbers[kind] = {"seeds": [plain(line) for line in lines], "all": plain(pooled)}
    panels[-1].set_xlabel("training steps of each seed")
    panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    handles = [
        Line2D([], [], color="0.2", linewidth=2.0, label="mean over seeds"),
        Line2D([], [], color="0.4", linewidth=0.7, marker=".", markersize=1.5, label="one seed"),
    ]
    write_legend(figure, handles, columns=2)
    number = counted(len(curves), "seed")
    write_title(figure, f"{label} learns from the proxy reward of {environment.name}: {number}", 10.5)
    return figure, numbers


_MARKERS = "osD^vP"


@in_house_style
def draw_efforts(
    paths: Sequence[OptimisationPath],
    true_label: str = "true return",
    proxy_label: str = "proxy return",
    possible: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[Figure, dict[str, Any]]:
    """Draw both returns against effort, with 95 % intervals over seeds; those of the true return stay `possible`."""
    figure = new_figure(6.4, 5.2)
    panels = figure.subplots(2, sharex=True)
    numbers: dict[str, Any] = {"paths": []}
    for place, path in enumerate(paths):
        efforts = path.efforts
        of_path: dict[str, Any] = {"algorithm": path.algorithm, "efforts": efforts, "seeds": list(path.seeds)}
        for axes, kind, colour in zip(panels, ("proxy", "true"), (PROXY_COLOUR, TRUE_COLOUR), strict=True):
            intervals: list[Interval] = getattr(path, kind)
            if kind == "true":
                intervals = [one.within(*possible) for one in intervals]
            means = np.array([interval.estimate for interval in intervals])
            known = np.array([interval.known for interval in intervals])
            reaches = np.array([[mean - one.low, one.high - mean] for mean, one in zip(means, intervals, strict=True)])
            axes.errorbar(
                efforts, means, yerr=np.where(known[:, None], reaches, 0.0).T, color=colour,
                marker=_MARKERS[place % len(_MARKERS)], markersize=4, linewidth=1.6, elinewidth=1.1, capsize=2,
                label=path.label,
            )  # fmt: skip
            of_path[kind] = [
                {"estimate": one.estimate, "interval_95": one.bounds if one.known else None} for one in intervals
            ]
        of_path["turn"] = turn_of(path)
        numbers["paths"].append(of_path)
    for axes, label in zip(panels, (proxy_label, true_label), strict=True):
        axes.set_ylabel(label.replace(" (", "\n(", 1))
        axes.grid(True)
    lower = panels[1]
    # A planner's efforts double; equal parts of a training do not.
    if not all(np.allclose(np.diff(path.efforts), path.efforts[0]) for path in paths):
        lower.set_xscale("log")
        lower.xaxis.set_major_locator(FixedLocator(sorted({effort for path in paths for effort in path.efforts})))
        lower.xaxis.set_minor_formatter(NullFormatter())
    lower.xaxis.set_major_formatter(lambda effort, _: effort_text(effort))
    lower.set_xlabel(paths[0].effort_label)
    if len(paths) > 1:
        handles = [
            Line2D([], [], color="0.35", marker=_MARKERS[place % len(_MARKERS)], markersize=4, label=path.label)
            for place, path in enumerate(paths)
        ]
        write_legend(figure, handles, columns=4)
    names = ", ".join(path.label for path in paths)
    over = list(dict.fromkeys(map(_over, paths)))
    of_paths = over if len(over) == 1 else [f"{path.label}: {_over(path)}" for path in paths]
    write_title(figure, "\n".join([f"{paths[0].environment}: {names}; bars: 95 % intervals", *of_paths]))
    # The greatest efforts stand close together.
    space_tick_labels(figure, lower)
    return figure, numbers


def _over(path: OptimisationPath) -> str:
    """Return over what a path's intervals are, and the number of episodes, by point where points differ."""
    efforts_of: dict[int, list[float]] = defaultdict(list)
    for point in path.points:
        efforts_of[point.true_returns.shape[1]].append(point.effort)
    usual, *others = sorted(efforts_of, key=lambda episodes: -len(efforts_of[episodes]))
    seeds = len(path.seeds)
    text = f"over {usual} episodes of one seed"
    if seeds > 1:
        text = f"over {seeds} seeds, {counted(usual, 'episode')} each"
    for episodes in others:
        text += f"; {counted(episodes, 'episode')} at {' and '.join(map(effort_text, efforts_of[episodes]))}"
    return text


def turn_of(path: OptimisationPath) -> str:
    """Return a sentence on whether the true return falls from its highest point to the greatest effort.

    The highest point is chosen from the returns that are compared, so some fall is expected from noise alone. The
    interval, paired by seed, does not account for the choice.
    """
    means = [point.true_returns.mean() for point in path.points]
    if len(set(means)) == 1:
        return f"the true return is the same at every effort, {means[0]:.6g}"
    highest, last = path.points[int(np.argmax(means))], path.points[-1]
    if highest is last:
        return f"the true return is highest at the end, {path.effort_label} {effort_text(last.effort)}"
    fall = paired_difference(last.true_returns, highest.true_returns)
    ends = f"{effort_text(highest.effort)}; from there to {effort_text(last.effort)}"
    return (
        f"the true return peaks at {path.effort_label} {ends} it changes by {fall.interval} (95 % interval over "
        f"{fall.over}, not corrected for choosing the peak)"
    )
