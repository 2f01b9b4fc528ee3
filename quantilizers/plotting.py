"""The stage `plot`: a figure of what was tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from quantilizers.datasets import dataset_title, load_dataset
from quantilizers.demonstrations import top_quantile
from quantilizers.envs.definition import EnvironmentDefinition, FloatArray
from quantilizers.errors import UserError
from quantilizers.figures import (
    DEMONSTRATION_COLOUR,
    PROXY_COLOUR,
    TEXT_COLOURS,
    TRUE_COLOUR,
    new_figure,
    save_figure,
)
from quantilizers.optimisers import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.results import SeedResults, load_all_results
from quantilizers.settings import Settings
from quantilizers.statistics import mean_interval
from quantilizers.tables import counted

BAR_WIDTH = 0.38


def run(settings: Settings) -> None:
    """Draw the figure in the wanted style and write it with its numbers.

    Raises:
        UserError: a seed or a quantile was not tested yet.
    """
    results = load_tested(settings)
    draw = _draw_distributions if settings.plotstyle == "distribution" else _draw_bars
    figure, numbers = draw(settings, results)
    save_figure(figure, settings.layout.figure(settings.plotstyle), settings, numbers)


def load_tested(settings: Settings) -> list[SeedResults]:
    """Read what testing measured, a seed after the other, each with the wanted quantiles.

    Raises:
        UserError: a seed or a quantile was not tested yet, or the seeds not alike.
    """
    paths = [settings.layout.rewards(seed) for seed in settings.seeds]
    return load_all_results(paths, settings.environment.name, settings.quantiles, settings.command_for("test"))


def second_axis_of(
    environment: EnvironmentDefinition, options: Mapping[str, float]
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Return what is drawn beside the true return, as a function of true and proxy returns of one shape."""
    wanted = environment.second_axis
    if wanted is None:
        return lambda _, proxy_returns: proxy_returns
    return lambda true_returns, proxy_returns: wanted(true_returns, proxy_returns, options)


def load_optimiser(settings: Settings, tested: SeedResults) -> Measurement | None:
    """Return what the optimiser was measured to earn, None where it was not.

    Args:
        settings: names the optimiser and its seeds.
        tested: results of the quantilizers that it is compared with.

    Raises:
        UserError: it was measured under another horizon or with other options of the environment.
    """
    command = settings.command_for("optimize")
    measured = load_measurement(settings.layout, settings.seeds, settings.optimiser_variant, command)
    if measured is not None:
        first = measured.results[0]
        if (first.max_steps, dict(first.options)) != (tested.max_steps, dict(tested.options)):
            raise UserError(
                "the optimiser and the quantilizers were measured with different --max_steps or options of the "
                f"environment; measure the optimiser again: {command} --max_steps {tested.max_steps}"
            )
    return measured


def _draw_bars(settings: Settings, results: Sequence[SeedResults]) -> tuple[Figure, dict[str, Any]]:
    """A pair of bars for each quantile and one for the optimiser; a black dot for each seed's mean return."""
    environment = settings.environment
    optimiser = environment.published_optimiser
    measured = load_optimiser(settings, results[0])
    figure = new_figure(max(6.4, 1.1 * (len(settings.quantiles) + 2)), 4.4)
    left = figure.subplots()
    right = left.twinx()
    numbers: dict[str, Any] = {"seeds": list(settings.seeds), "quantiles": list(settings.quantiles)}
    second = second_axis_of(environment, results[0].options)
    true_returns = np.stack([one.true_returns for one in results], axis=1)
    proxy_returns = np.stack([one.proxy_returns for one in results], axis=1)
    published = np.array(optimiser.true_return), np.array(optimiser.proxy_return)
    second_name = "proxy" if environment.second_axis is None else "second"
    second_label = environment.second_label or environment.proxy_label
    place = len(settings.quantiles)
    for axes, side, colour, kind, label, choose in (
        (left, -1, TRUE_COLOUR, "true", environment.true_label, lambda true, _: true),
        (right, 1, PROXY_COLOUR, second_name, second_label, second),
    ):
        returns, hatched = choose(true_returns, proxy_returns), float(choose(*published))
        numbers[kind] = _draw_one_return(axes, returns, side, colour, settings.plotstyle)
        if measured is None:
            # White inside: nothing here was measured.
            axes.bar(
                place + side * BAR_WIDTH / 2, hatched, BAR_WIDTH,
                facecolor="white", edgecolor=colour, hatch="////", linewidth=1.2,
            )  # fmt: skip
            numbers[kind]["optimiser"] = {"published": hatched}
        else:
            optimised = choose(measured.true_returns, measured.proxy_returns)[None]
            drawn = _draw_one_return(axes, optimised, side, colour, settings.plotstyle, first=place)
            numbers[kind]["optimiser"] = {"published": hatched, **drawn}
        axes.set_ylabel(label, color=TEXT_COLOURS[colour])
        axes.tick_params(axis="y", labelcolor=TEXT_COLOURS[colour])
    names = ["imitation\nq = 1" if quantile == 1 else f"q = {quantile:g}" for quantile in settings.quantiles]
    if measured is None:
        names.append(f"{optimiser.algorithm}\n(published)")
    else:
        names.append(f"{ALGORITHMS[measured.algorithm].label}\n{measured.steps:,} steps")
        numbers["optimiser"] = {"algorithm": measured.algorithm, "steps": measured.steps, "seeds": measured.seeds}
        if len(measured.seeds) != len(results):
            names[-1] += f"\n{len(measured.seeds)} of {len(results)} seeds"
    left.set_xticks(range(len(names)), names)
    left.axvline(place - 0.5, color="0.7", linewidth=0.8, linestyle=":")
    left.axhline(0, color="black", linewidth=0.8)
    right.spines["right"].set_visible(True)
    _align_zeros(left, right)
    right.patch.set_visible(False)

    aggregate = "median" if settings.plotstyle == "median_seeds" else "mean"
    handles: list[Any] = [
        Patch(color=TRUE_COLOUR, label="true return (left)"),
        Patch(color=PROXY_COLOUR, label=f"{second_label.partition(' (')[0]} (right)"),
        Line2D([], [], color="black", marker="o", markersize=3, linestyle="", label="one seed's mean"),
    ]
    if measured is None:
        handles.append(Patch(facecolor="white", edgecolor="0.4", hatch="////", label="published, not measured here"))
    if aggregate == "mean":
        handles.insert(3, Line2D([], [], color="0.35", marker="_", markersize=7, label="95 % interval"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    episodes = results[0].lengths.shape[1]
    left.set_title(
        f"{environment.name}, {dataset_title(settings.layout)}\n{aggregate} of {counted(len(results), 'seed')}, "
        f"{episodes:,} episodes each",
        fontsize=10.5,
    )
    return figure, numbers


def _draw_one_return(
    axes: Axes, returns: npt.NDArray[np.float64], side: int, colour: str, style: str, first: int = 0
) -> dict[str, Any]:
    """Draw the bars of one return (quantiles, seeds, episodes) left (−1) or right (1) of the ticks from `first` on."""
    seed_means = returns.mean(axis=2)
    heights = np.median(seed_means, axis=1) if style == "median_seeds" else seed_means.mean(axis=1)
    positions = first + np.arange(len(returns)) + side * BAR_WIDTH / 2
    axes.bar(positions, heights, BAR_WIDTH, color=colour)
    numbers: dict[str, Any] = {"bars": heights, "seed_means": seed_means}
    # Dots stand side by side, so that equal seeds do not hide each other, and beside the interval.
    spread = np.linspace(-0.15, 0.06, seed_means.shape[1]) if seed_means.shape[1] > 1 else np.zeros(1)
    for position, dots in zip(positions, seed_means, strict=True):
        axes.plot(position + spread, dots, linestyle="", marker="o", markersize=2.6, color="black", zorder=4)
    if style == "mean_seeds":
        intervals = [mean_interval(one) for one in returns]
        numbers["interval_95"] = [(one.low, one.high) for one in intervals]
        for position, one in zip(positions, intervals, strict=True):
            edge = position + 0.37 * BAR_WIDTH
            axes.plot([edge, edge], [one.low, one.high], color="0.35", linewidth=1.3, marker="_", zorder=3)
    return numbers


def _align_zeros(*all_axes: Axes) -> None:
    """Let several y axes have their zero at the same height, with room for everything on each."""
    limits = [(min(0.0, axes.dataLim.y0), max(0.0, axes.dataLim.y1)) for axes in all_axes]
    below = max(-low / (high - low or 1.0) for low, high in limits)
    above = max(high / (high - low or 1.0) for low, high in limits)
    for axes, (low, high) in zip(all_axes, limits, strict=True):
        unit = max(-low / below if below else 0.0, high / above if above else 0.0) or 1.0
        axes.set_ylim(-1.06 * unit * below, 1.06 * unit * above)


def _draw_distributions(settings: Settings, results: Sequence[SeedResults]) -> tuple[Figure, dict[str, Any]]:
    """Cumulative distributions of both returns: of the kept demonstrations, and of each seed's episodes."""
    environment = settings.environment
    demonstrations = load_dataset(settings.layout, environment)
    proxy_returns = environment.proxy_rewards(demonstrations).sum(axis=1)
    figure = new_figure(max(6.4, 1.6 + 2.1 * len(settings.quantiles)), 5.2)
    panels = figure.subplots(2, len(settings.quantiles), sharey=True, sharex="row", squeeze=False)
    numbers: dict[str, Any] = {"quantiles": list(settings.quantiles), "seeds": list(settings.seeds)}
    numbers |= {"true": [], "proxy": []}
    for column, quantile in enumerate(settings.quantiles):
        split = top_quantile(demonstrations, proxy_returns, quantile)
        kept = {"true": split.true_returns, "proxy": environment.proxy_rewards(split).sum(axis=1)}
        for row, (kind, colour) in enumerate((("true", TRUE_COLOUR), ("proxy", PROXY_COLOUR))):
            axes = panels[row, column]
            of_seeds = [getattr(one, f"{kind}_returns")[column] for one in results]
            for returns in of_seeds:
                axes.ecdf(returns, color=colour, linewidth=1.0, alpha=0.75)
            axes.ecdf(kept[kind], color=DEMONSTRATION_COLOUR, linewidth=1.6, linestyle="--")
            axes.grid(color="0.9", linewidth=0.6)
            axes.tick_params(labelsize=8.5)
            numbers[kind].append({"demonstrations": kept[kind], "seeds": of_seeds})
        name = "imitation, q = 1" if quantile == 1 else f"q = {quantile:g}"
        panels[0, column].set_title(f"{name}\n{split.number} demonstrations", fontsize=9.5)
    for row, label in enumerate((environment.true_label, environment.proxy_label)):
        panels[row, 0].set_ylabel("fraction of episodes ≤ x")
        panels[row, len(settings.quantiles) // 2].set_xlabel(label)
    figure.legend(
        handles=[
            Line2D([], [], color=DEMONSTRATION_COLOUR, linestyle="--", label="kept demonstrations"),
            Line2D([], [], color=TRUE_COLOUR, label="true return, one line a seed"),
            Line2D([], [], color=PROXY_COLOUR, label="proxy return, one line a seed"),
        ],
        loc="outside lower center", ncols=3, frameon=False, fontsize=8.5,
    )  # fmt: skip
    figure.suptitle(f"{environment.name}, {dataset_title(settings.layout)}", fontsize=10.5)
    return figure, numbers
