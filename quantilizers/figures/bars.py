"""The paper's figure: a pair of bars for each quantile, and one for each optimiser, beside the demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from quantilizers.envs.definition import EnvironmentDefinition, PublishedOptimiser
from quantilizers.evaluation.intervals import mean_interval, median_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.style import (
    DEMONSTRATION_COLOUR,
    PROXY_COLOUR,
    TEXT_COLOURS,
    TRUE_COLOUR,
    in_house_style,
    new_figure,
    quantile_name,
)
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement
from quantilizers.policies.selection_settings import Selection
from quantilizers.rewards import FloatArray

Aggregate = Literal["mean", "median"]
#: Computes the drawn values from true and proxy returns of one shape.
Choice = Callable[[FloatArray, FloatArray], FloatArray]

BAR_WIDTH = 0.38


@in_house_style
def draw_bars(
    environment: EnvironmentDefinition,
    results: Sequence[SeedResults],
    seeds: Sequence[int],
    measured: Measurement | None,
    title: str,
    aggregate: Aggregate = "mean",
    kept: Sequence[Selection] = (),
    others: Sequence[Measurement] = (),
) -> tuple[Figure, dict[str, Any]]:
    """Draw true and proxy return (or the environment's second axis) side by side.

    A dot is one seed's mean, a diamond the mean of the episodes that the policies imitate.

    Args:
        measured: the optimiser's measurement; without it the published value is drawn, if there is one.
        aggregate: of the seeds' means, the height of a bar.
        kept: the selection of each quantile; without it there are no diamonds.
        others: measurements of further agents: optimisers right of the first, others left of imitation.
    """
    published, quantiles = environment.experiment.published_optimiser, results[0].quantiles.tolist()
    has_optimiser = measured is not None or published is not None
    before = [other for other in others if not ALGORITHMS[other.algorithm].optimises]
    after = [other for other in others if ALGORITHMS[other.algorithm].optimises]
    first, end = len(before), len(before) + len(quantiles)
    # Two names with their steps stand side by side.
    width = 1.3 if others else 1.1
    figure = new_figure(max(6.4, width * (len(quantiles) + 1 + has_optimiser + len(others))), 4.4)
    left = figure.subplots()
    right = left.twinx()
    numbers: dict[str, Any] = {"seeds": list(seeds), "quantiles": quantiles}
    true_returns = np.stack([of_seed.true_returns for of_seed in results], axis=1)
    proxy_returns = np.stack([of_seed.proxy_returns for of_seed in results], axis=1)
    second_name = "proxy" if environment.figures.second_axis is None else "second"
    second_label = environment.figures.second_label or environment.figures.proxy_label
    second = _second_axis(environment, results[0])
    for axes, side, colour, kind, label, choose in (
        (left, -1, TRUE_COLOUR, "true", environment.figures.true_label, _true_return),
        (right, 1, PROXY_COLOUR, second_name, second_label, second),
    ):
        numbers[kind] = _draw_one_return(axes, choose(true_returns, proxy_returns), side, colour, aggregate, first)
        if has_optimiser:
            drawn = _draw_optimiser(axes, published, measured, choose, end, side, colour, aggregate)
            numbers[kind]["optimiser"] = drawn
        places = [*zip(before, range(first), strict=True), *zip(after, range(end + has_optimiser, 99), strict=False)]
        for other, place in places:
            returns = choose(other.true_returns, other.proxy_returns)[None]
            drawn = _draw_one_return(axes, returns, side, colour, aggregate, place)
            numbers[kind].setdefault("others", {})[other.algorithm] = drawn
        if kept:
            numbers[kind]["demonstrations"] = _draw_kept(axes, kept, environment, kind, side, first)
        axes.set_ylabel(label, color=TEXT_COLOURS[colour])
        axes.tick_params(axis="y", labelcolor=TEXT_COLOURS[colour])
    names = [*(_name_of(other, len(results)) for other in before), *map(quantile_name, quantiles)]
    if measured is not None:
        names.append(_name_of(measured, len(results)))
        numbers["optimiser"] = _about(measured)
    elif published is not None:
        names.append(f"{published.algorithm}\n(published)")
    names += [_name_of(other, len(results)) for other in after]
    if others:
        numbers["others"] = [_about(other) for other in others]
    for boundary in {first, end} & {*range(1, len(names))}:
        left.axvline(boundary - 0.5, color="0.7", linewidth=0.8, linestyle=":")
    left.set_xticks(range(len(names)), names)
    left.axhline(0, color="black", linewidth=0.8)
    right.spines["right"].set_visible(True)
    align_zeros(left, right)
    right.patch.set_visible(False)
    over = [numbers["true"]["interval_over"]]
    if measured is not None:
        over.append(numbers["true"]["optimiser"]["interval_over"])
    over += [drawn["interval_over"] for drawn in numbers["true"].get("others", {}).values()]
    known = numbers["true"]["interval_95"][0][0] is not None
    _draw_legend(
        figure,
        second_label,
        " and ".join(dict.fromkeys(over)) if known else None,
        hatched=measured is None and published is not None,
        demonstrations=bool(kept),
    )
    episodes = results[0].lengths.shape[1]
    left.set_title(
        f"{title}\n{aggregate} of {counted(len(results), 'seed')}, {counted(episodes, 'episode')} each", fontsize=10.5
    )
    return figure, numbers


def _true_return(true_returns: FloatArray, _: FloatArray) -> FloatArray:
    return true_returns


def _second_axis(environment: EnvironmentDefinition, results: SeedResults) -> Choice:
    """Return the values of the second axis."""
    wanted, options = environment.second_quantity, results.options
    if wanted is None:
        return lambda _, proxy_returns: proxy_returns
    return lambda true_returns, proxy_returns: wanted(true_returns, proxy_returns, options)


def _draw_kept(
    axes: Axes, kept: Sequence[Selection], environment: EnvironmentDefinition, kind: str, side: int, first: int
) -> list[float]:
    """Draw the means of the kept episodes on one axis, from the tick `first` on, and return them."""
    second = environment.second_quantity
    heights = []
    for of_quantile in kept:
        values = of_quantile.true_returns if kind == "true" else of_quantile.proxy_returns
        if kind == "second" and second is not None:
            # Recorded true rewards are under the environment's default options, whatever those of the tests.
            values = second(of_quantile.true_returns, of_quantile.proxy_returns, environment.options)
        heights.append(of_quantile.mean(values))
    # Diamonds stand between the bar's near edge and the dots.
    positions = first + np.arange(len(kept)) + side * BAR_WIDTH / 2 - 0.4 * BAR_WIDTH
    axes.plot(
        positions, heights, linestyle="", marker="D", markersize=4.4, color=DEMONSTRATION_COLOUR,
        markeredgecolor="white", markeredgewidth=0.6, zorder=5,
    )  # fmt: skip
    return heights


def _draw_optimiser(
    axes: Axes,
    published: PublishedOptimiser | None,
    measured: Measurement | None,
    choose: Choice,
    position: int,
    side: int,
    colour: str,
    aggregate: Aggregate,
) -> dict[str, Any]:
    """Draw the optimiser's measurement, or else a hatched bar of the published value."""
    numbers: dict[str, Any] = {}
    if published is not None:
        height = float(choose(np.array(published.true_return), np.array(published.proxy_return)))
        numbers["published"] = height
        if measured is None:
            # White inside: not measured here.
            axes.bar(
                position + side * BAR_WIDTH / 2, height, BAR_WIDTH,
                facecolor="white", edgecolor=colour, hatch="////", linewidth=1.2,
            )  # fmt: skip
    if measured is not None:
        optimised = choose(measured.true_returns, measured.proxy_returns)[None]
        numbers |= _draw_one_return(axes, optimised, side, colour, aggregate, first=position)
    return numbers


def _name_of(measured: Measurement, seeds: int) -> str:
    """Return the label below an agent's bars."""
    algorithm = ALGORITHMS[measured.algorithm]
    lines = [algorithm.label.replace(", greedy", ",\ngreedy"), algorithm.amount(measured.steps)]
    if len(measured.seeds) != seeds:
        lines.append(f"{len(measured.seeds)} of {seeds} seeds")
    return "\n".join(filter(None, lines))


def _about(measured: Measurement) -> dict[str, Any]:
    return {"algorithm": measured.algorithm, "steps": measured.steps, "seeds": measured.seeds}


def _draw_one_return(
    axes: Axes, returns: FloatArray, side: int, colour: str, aggregate: Aggregate, first: int = 0
) -> dict[str, Any]:
    """Draw the bars of one return (quantiles, seeds, episodes) left (−1) or right (1) of the ticks from `first` on."""
    seed_means = returns.mean(axis=2)
    heights = np.median(seed_means, axis=1) if aggregate == "median" else seed_means.mean(axis=1)
    positions = first + np.arange(len(returns)) + side * BAR_WIDTH / 2
    axes.bar(positions, heights, BAR_WIDTH, color=colour)
    numbers: dict[str, Any] = {"bars": heights, "seed_means": seed_means}
    # Side by side, because equal seeds would hide each other; between the diamond and the interval.
    offsets = np.linspace(-0.1, 0.08, seed_means.shape[1]) if seed_means.shape[1] > 1 else np.zeros(1)
    for position, dots in zip(positions, seed_means, strict=True):
        axes.plot(position + offsets, dots, linestyle="", marker="o", markersize=2.6, color="black", zorder=4)
    intervals = [(mean_interval if aggregate == "mean" else median_interval)(of_quantile) for of_quantile in returns]
    numbers["interval_95"] = [interval.bounds for interval in intervals]
    numbers["interval_over"] = intervals[0].over
    for position, interval in zip(positions, intervals, strict=True):
        if interval.known:
            edge = position + 0.37 * BAR_WIDTH
            ends = [interval.low, interval.high]
            axes.plot([edge, edge], ends, color="0.35", linewidth=1.3, marker="_", zorder=3)
    return numbers


def _draw_legend(figure: Figure, second_label: str, over: str | None, hatched: bool, demonstrations: bool) -> None:
    """Draw the legend; `over` names what intervals are over, None if there are none."""
    handles: list[Any] = [
        Patch(color=TRUE_COLOUR, label="true return (left)"),
        Patch(color=PROXY_COLOUR, label=f"{second_label.partition(' (')[0]} (right)"),
        Line2D([], [], color="black", marker="o", markersize=3, linestyle="", label="one seed's mean"),
    ]
    if over is not None:
        handles.append(Line2D([], [], color="0.35", marker="_", markersize=7, label=f"95 % interval over {over}"))
    if demonstrations:
        mark: dict[str, Any] = {"marker": "D", "markersize": 4.4, "linestyle": "", "color": DEMONSTRATION_COLOUR}
        handles.append(Line2D([], [], label="demonstrations kept, mean", **mark))
    if hatched:
        handles.append(Patch(facecolor="white", edgecolor="0.4", hatch="////", label="published, not measured here"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def align_zeros(*all_axes: Axes) -> None:
    """Give several y axes their zero at the same height, with room for all values on each."""
    limits = [(min(0.0, axes.dataLim.y0), max(0.0, axes.dataLim.y1)) for axes in all_axes]
    below = max(-low / (high - low or 1.0) for low, high in limits)
    above = max(high / (high - low or 1.0) for low, high in limits)
    for axes, (low, high) in zip(all_axes, limits, strict=True):
        unit = max(-low / below if below else 0.0, high / above if above else 0.0) or 1.0
        axes.set_ylim(-1.06 * unit * below, 1.06 * unit * above)
