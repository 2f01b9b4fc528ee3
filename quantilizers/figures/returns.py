"""The paper's comparison as a figure: true and proxy returns of each quantile, of optimisers and of demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from quantilizers.envs.definition import EnvironmentDefinition, PublishedOptimiser
from quantilizers.evaluation.intervals import mean_interval, median_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.style import (
    DEMONSTRATION_COLOUR,
    PROXY_COLOUR,
    TEXT_COLOURS,
    TRUE_COLOUR,
    in_house_style,
    lines_of_label,
    new_figure,
    quantile_name,
    write_legend,
    write_title,
)
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement
from quantilizers.policies.selection_settings import Selection
from quantilizers.rewards import FloatArray

Aggregate = Literal["mean", "median"]
#: Computes the drawn values from true and proxy returns of one shape.
Choice = Callable[[FloatArray, FloatArray], FloatArray]

#: Where an agent's marks stand, in ticks from its own: the seeds' means, the point with its interval, the diamond.
SEEDS, POINT, DIAMOND = -0.22, 0.04, 0.24


@in_house_style
def draw_returns(
    environment: EnvironmentDefinition,
    results: Sequence[SeedResults],
    seeds: Sequence[int],
    measured: Measurement | None,
    title: str,
    aggregate: Aggregate = "mean",
    kept: Sequence[Selection] = (),
    others: Sequence[Measurement] = (),
) -> tuple[Figure, dict[str, Any]]:
    """Draw the true return above the proxy return (or the environment's second quantity), agent beside agent.

    A point is the aggregate of the seeds with its 95 % interval, a dot one seed's mean, and a diamond the mean of the
    episodes that the policies imitate.

    Args:
        measured: the optimiser's measurement; without it the value in the reference's code is drawn, if there is one.
        aggregate: of the seeds' means.
        kept: the selection of each quantile; without it there are no diamonds.
        others: measurements of further agents: optimisers right of the first, others left of imitation.
    """
    quantiles = results[0].quantiles.tolist()
    published = _published(environment, results[0], kept) if measured is None else None
    has_optimiser = measured is not None or published is not None
    before = [other for other in others if not ALGORITHMS[other.algorithm].optimises]
    after = [other for other in others if ALGORITHMS[other.algorithm].optimises]
    first, end = len(before), len(before) + len(quantiles)
    names = [*(_name_of(other, len(results)) for other in before), *map(quantile_name, quantiles)]
    if measured is not None:
        names.append(_name_of(measured, len(results)))
    elif published is not None:
        names.append(f"{published.algorithm}\n(reference's code)")
    names += [_name_of(other, len(results)) for other in after]
    longest = max(len(line) for name in names for line in name.splitlines())
    figure = new_figure(max(6.4, (0.35 + 0.072 * longest) * len(names) + 1.2), 6.0)
    panels = figure.subplots(2, 1, sharex=True)
    numbers: dict[str, Any] = {"seeds": list(seeds), "quantiles": quantiles}
    true_returns = np.stack([of_seed.true_returns for of_seed in results], axis=1)
    proxy_returns = np.stack([of_seed.proxy_returns for of_seed in results], axis=1)
    second_name = "proxy" if environment.figures.second_axis is None else "second"
    second_label = environment.figures.second_label or environment.figures.proxy_label
    second = _second_quantity(environment, results[0])
    for axes, colour, kind, label, choose in (
        (panels[0], TRUE_COLOUR, "true", environment.figures.true_label, _true_return),
        (panels[1], PROXY_COLOUR, second_name, second_label, second),
    ):
        possible = environment.true_range(results[0].max_steps) if kind == "true" else (-np.inf, np.inf)

        def draw(returns: FloatArray, place: int) -> dict[str, Any]:
            return _draw_one_return(axes, returns, colour, aggregate, place, possible)  # noqa: B023

        numbers[kind] = draw(choose(true_returns, proxy_returns), first)
        if measured is not None:
            numbers[kind]["optimiser"] = draw(choose(measured.true_returns, measured.proxy_returns)[None], end)
        elif published is not None:
            height = float(choose(np.array(published.true_return), np.array(published.proxy_return)))
            # White inside: not measured here.
            axes.plot(end + POINT, height, marker="s", markersize=6, markerfacecolor="white", color=colour)
            numbers[kind]["optimiser"] = {"published": height}
        for place, other in [*enumerate(before), *enumerate(after, end + has_optimiser)]:
            drawn = draw(choose(other.true_returns, other.proxy_returns)[None], place)
            numbers[kind].setdefault("others", {})[other.algorithm] = drawn
        if kept:
            numbers[kind]["demonstrations"] = _draw_kept(axes, kept, environment, kind, first)
        axes.set_ylabel(lines_of_label(label) if len(label) > 30 else label, color=TEXT_COLOURS[colour])
        axes.grid(axis="y")
        axes.margins(y=0.1)
        for boundary in {first, end} & {*range(1, len(names))}:
            axes.axvline(boundary - 0.5, color="0.7", linewidth=0.8, linestyle=":")
    if measured is not None:
        numbers["optimiser"] = _about(measured)
    if others:
        numbers["others"] = [_about(other) for other in others]
    panels[1].set_xlim(-0.5, len(names) - 0.5)
    panels[1].set_xticks(range(len(names)), names)
    of_true = numbers["true"]
    over = [of_true["interval_over"]]
    over += [drawn["interval_over"] for drawn in of_true.get("others", {}).values()]
    if measured is not None:
        over.append(of_true["optimiser"]["interval_over"])
    known = of_true["interval_95"][0][0] is not None
    over_words = " and ".join(dict.fromkeys(over)) if known else None
    _draw_legend(figure, aggregate, over_words, published is not None, bool(kept))
    episodes = results[0].lengths.shape[1]
    write_title(figure, f"{title}\n{counted(len(results), 'seed')}, {counted(episodes, 'episode')} each", 10.5)
    return figure, numbers


def _published(
    environment: EnvironmentDefinition, results: SeedResults, kept: Sequence[Selection]
) -> PublishedOptimiser | None:
    """Return the optimiser of the reference's code; None where test episodes are cut below the demonstrations' length.

    Its return is of whole episodes, which shorter ones cannot be compared with.
    """
    longest = max((int(selection.lengths.max()) for selection in kept), default=0)
    return environment.experiment.published_optimiser if results.max_steps >= longest else None


def _true_return(true_returns: FloatArray, _: FloatArray) -> FloatArray:
    return true_returns


def _second_quantity(environment: EnvironmentDefinition, results: SeedResults) -> Choice:
    """Return what is drawn below the true return."""
    wanted, options = environment.second_quantity, results.options
    if wanted is None:
        return lambda _, proxy_returns: proxy_returns
    return lambda true_returns, proxy_returns: wanted(true_returns, proxy_returns, options)


def _draw_kept(
    axes: Axes, kept: Sequence[Selection], environment: EnvironmentDefinition, kind: str, first: int
) -> list[float]:
    """Draw the means of the kept episodes in one panel, from the tick `first` on, and return them."""
    heights = []
    for of_quantile in kept:
        values = of_quantile.true_returns if kind == "true" else of_quantile.proxy_returns
        if kind == "second" and environment.second_quantity is not None:
            values = of_quantile.second_quantities
        heights.append(of_quantile.mean(values))
    axes.plot(
        first + np.arange(len(kept)) + DIAMOND, heights, linestyle="", marker="D", markersize=4.4,
        color=DEMONSTRATION_COLOUR, markeredgecolor="white", markeredgewidth=0.6, zorder=5,
    )  # fmt: skip
    return heights


def _name_of(measured: Measurement, seeds: int) -> str:
    """Return the label below an agent's point."""
    algorithm = ALGORITHMS[measured.algorithm]
    lines = [algorithm.label.replace(", greedy", ",\ngreedy"), algorithm.amount(measured.steps)]
    if len(measured.seeds) != seeds:
        lines.append(f"{len(measured.seeds)} of {seeds} seeds")
    return "\n".join(filter(None, lines)).replace("sampling quantilizer", "sampling\nquantilizer")


def _about(measured: Measurement) -> dict[str, Any]:
    return {"algorithm": measured.algorithm, "steps": measured.steps, "seeds": measured.seeds}


def _draw_one_return(
    axes: Axes, returns: FloatArray, colour: str, aggregate: Aggregate, first: int, possible: tuple[float, float]
) -> dict[str, Any]:
    """Draw one return of agents, (agents, seeds, episodes), from the tick `first` on; return the numbers in it."""
    seed_means = returns.mean(axis=2)
    centres = np.median(seed_means, axis=1) if aggregate == "median" else seed_means.mean(axis=1)
    intervals = [(mean_interval if aggregate == "mean" else median_interval)(of_agent) for of_agent in returns]
    intervals = [interval.within(*possible) for interval in intervals]
    # Side by side, because equal seeds would hide each other.
    offsets = np.linspace(-0.1, 0.1, seed_means.shape[1]) if seed_means.shape[1] > 1 else np.zeros(1)
    for place, (dots, centre, interval) in enumerate(zip(seed_means, centres, intervals, strict=True), first):
        axes.plot(place + SEEDS + offsets, dots, linestyle="", marker="o", markersize=2.6, color="black", alpha=0.6)
        reach = [[centre - interval.low], [interval.high - centre]] if interval.known else None
        axes.errorbar(
            place + POINT, centre, yerr=reach, color=colour, marker="o", markersize=6, elinewidth=1.6, capsize=2.5,
            zorder=3,
        )  # fmt: skip
    return {
        "bars": centres,
        "seed_means": seed_means,
        "interval_95": [interval.bounds for interval in intervals],
        "interval_over": intervals[0].over,
    }


def _draw_legend(figure: Figure, aggregate: Aggregate, over: str | None, published: bool, demonstrations: bool) -> None:
    """Draw the legend; `over` names what intervals are over, None if there are none."""
    grey = "0.35"
    point = aggregate if over is None else f"{aggregate}, with its 95 % interval over {over}"
    if aggregate == "median" and over == "5 seeds":
        point = "median, with the range of 5 seeds (a 94 % interval)"
    handles = [
        Line2D([], [], color=grey, marker="o", markersize=6, linestyle="-" if over else "", label=point),
        Line2D([], [], color="black", marker="o", markersize=3, linestyle="", label="one seed's mean"),
    ]
    mark: dict[str, Any] = {"markersize": 4.4, "linestyle": ""}
    if demonstrations:
        label = "demonstrations kept, mean"
        handles.append(Line2D([], [], marker="D", color=DEMONSTRATION_COLOUR, label=label, **mark))
    if published:
        label = "in the reference's code, not measured here"
        handles.append(Line2D([], [], marker="s", color=grey, markerfacecolor="white", label=label, **mark))
    write_legend(figure, handles, columns=2)
