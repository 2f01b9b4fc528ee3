"""Figures of whole distributions of returns: boxes, and cumulative distributions of each seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.style import (
    DEMONSTRATION_COLOUR,
    PROXY_COLOUR,
    TRUE_COLOUR,
    in_house_style,
    new_figure,
    quantile_name,
    write_legend,
    write_title,
)
from quantilizers.numbers_in_words import counted
from quantilizers.policies.selection_settings import Selection

#: Percentiles at the ends of the whiskers.
WHISKERS = (5, 95)


@in_house_style
def draw_boxes(
    environment: EnvironmentDefinition, results: Sequence[SeedResults], kept: Sequence[Selection], title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw a box over all seeds' episodes for each quantile, and beside it one of the demonstrations that it keeps."""
    quantiles = results[0].quantiles.tolist()
    figure = new_figure(max(5.4, 1.4 + 1.0 * len(quantiles)), 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    numbers: dict[str, Any] = {"quantiles": quantiles, "whiskers": WHISKERS}
    places = np.arange(len(quantiles))
    for axes, kind, label, colour in (
        (upper, "true", environment.figures.true_label, TRUE_COLOUR),
        (lower, "proxy", environment.figures.proxy_label, PROXY_COLOUR),
    ):
        of_policies = [
            np.concatenate([getattr(of_seed, f"{kind}_returns")[index] for of_seed in results])
            for index in range(len(quantiles))
        ]
        of_kept = [getattr(of_quantile, f"{kind}_returns") for of_quantile in kept]
        for values, side, face in ((of_policies, -1, colour), (of_kept, 1, "0.75")):
            boxes = axes.boxplot(
                values, positions=places + side * 0.19, widths=0.3, whis=WHISKERS, showfliers=False, patch_artist=True,
                medianprops={"color": "black"}, manage_ticks=False,
            )  # fmt: skip
            for box in boxes["boxes"]:
                box.set_facecolor(face)
        for of_seed in results:
            axes.plot(
                places - 0.19, getattr(of_seed, f"{kind}_returns").mean(axis=1), linestyle="", marker="o",
                markersize=2.6, color="black", zorder=4,
            )  # fmt: skip
        axes.set_ylabel(label.replace(" (", "\n("))
        axes.grid(axis="y")
        numbers[kind] = {"policies": [_box(values) for values in of_policies], "kept": [_box(v) for v in of_kept]}
    lower.set_xticks(places, [quantile_name(quantile) for quantile in quantiles])
    handles = [
        Patch(facecolor=TRUE_COLOUR, edgecolor="black", label="true return, episodes of all seeds"),
        Patch(facecolor=PROXY_COLOUR, edgecolor="black", label="proxy return, episodes of all seeds"),
        Patch(facecolor="0.75", edgecolor="black", label="demonstrations kept"),
        Line2D([], [], linestyle="", marker="o", color="black", markersize=3, label="one seed's mean"),
    ]
    write_legend(figure, handles, columns=2)
    episodes = counted(results[0].lengths.shape[1], "episode")
    write_title(
        figure,
        f"{title}\n{counted(len(results), 'seed')}, {episodes} each; boxes: quartiles, whiskers: "
        f"{WHISKERS[0]} to {WHISKERS[1]} %",
    )
    return figure, numbers


def _box(values: Any) -> dict[str, float]:
    low, first, median, third, high = np.percentile(values, (WHISKERS[0], 25, 50, 75, WHISKERS[1]))
    return {"low": low, "first_quartile": first, "median": median, "third_quartile": third, "high": high}


@in_house_style
def draw_distributions(
    selections: Sequence[Selection], results: Sequence[SeedResults], seeds: Sequence[int], title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw the cumulative distributions of both returns, a column for each quantile, whose selection is given."""
    environment, quantiles = selections[0].demonstrations.environment, results[0].quantiles.tolist()
    figure = new_figure(max(6.4, 1.6 + 2.1 * len(quantiles)), 5.2)
    panels = figure.subplots(2, len(quantiles), sharey=True, sharex="row", squeeze=False)
    numbers: dict[str, Any] = {"quantiles": quantiles, "seeds": list(seeds), "true": [], "proxy": []}
    for column, quantile in enumerate(quantiles):
        split = selections[column]
        kept = {"true": split.true_returns, "proxy": split.proxy_returns}
        weights = None if (split.weights == split.weights[0]).all() else split.weights
        for row, (kind, colour) in enumerate((("true", TRUE_COLOUR), ("proxy", PROXY_COLOUR))):
            axes = panels[row, column]
            of_seeds = [getattr(of_seed, f"{kind}_returns")[column] for of_seed in results]
            for returns in of_seeds:
                axes.ecdf(returns, color=colour, linewidth=1.0, alpha=0.75)
            axes.ecdf(kept[kind], weights, color=DEMONSTRATION_COLOUR, linewidth=1.6, linestyle="--")
            axes.grid(True)
            axes.tick_params(labelsize=8.5)
            numbers[kind].append({"demonstrations": kept[kind], "seeds": of_seeds})
        panels[0, column].set_title(
            f"{quantile_name(quantile, ', ')}\n{len(split.lengths)} demonstrations", fontsize=9.5
        )
    for row, label in enumerate((environment.figures.true_label, environment.figures.proxy_label)):
        panels[row, 0].set_ylabel("fraction of episodes ≤ x")
        panels[row, len(quantiles) // 2].set_xlabel(label)
    handles = [
        Line2D([], [], color=DEMONSTRATION_COLOUR, linestyle="--", label="kept demonstrations"),
        Line2D([], [], color=TRUE_COLOUR, label="true return, a line for each seed"),
        Line2D([], [], color=PROXY_COLOUR, label="proxy return, a line for each seed"),
    ]
    write_legend(figure, handles, columns=3)
    write_title(figure, title, 10.5)
    return figure, numbers
