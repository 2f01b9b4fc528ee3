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
from quantilizers.rewards import FloatArray

#: Percentiles at the ends of the whiskers.
WHISKERS = (5, 95)
#: Matplotlib's names of the percentiles of a box.
_PARTS = ("whislo", "q1", "med", "q3", "whishi")


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
        boxes = {
            "policies": [_box(values) for values in of_policies],
            "kept": [_box(getattr(one, f"{kind}_returns"), _unequal_weights(one)) for one in kept],
        }
        for of_agents, side, face in ((boxes["policies"], -1, colour), (boxes["kept"], 1, "0.75")):
            axes.bxp(
                [dict(zip(_PARTS, box.values(), strict=True)) for box in of_agents], positions=places + side * 0.19,
                widths=0.3, showfliers=False, patch_artist=True, boxprops={"facecolor": face},
                medianprops={"color": "black"}, manage_ticks=False,
            )  # fmt: skip
        for of_seed in results:
            axes.plot(
                places - 0.19, getattr(of_seed, f"{kind}_returns").mean(axis=1), linestyle="", marker="o",
                markersize=2.6, color="black", zorder=4,
            )  # fmt: skip
        axes.set_ylabel(label.replace(" (", "\n("))
        axes.grid(axis="y")
        numbers[kind] = boxes
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


def _unequal_weights(kept: Selection) -> FloatArray | None:
    """Return the weights of the kept episodes (k,); None where all are equal."""
    return None if (kept.weights == kept.weights[0]).all() else kept.weights


def _box(values: FloatArray, weights: FloatArray | None = None) -> dict[str, float]:
    """Return the percentiles of values (n,) that a box shows; those of weighted values are values themselves."""
    percents = (WHISKERS[0], 25, 50, 75, WHISKERS[1])
    if weights is None:
        found = np.percentile(values, percents)
    else:
        found = np.percentile(values, percents, weights=weights, method="inverted_cdf")
    return dict(zip(("low", "first_quartile", "median", "third_quartile", "high"), found, strict=True))


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
        weights = _unequal_weights(split)
        for row, (kind, colour) in enumerate((("true", TRUE_COLOUR), ("proxy", PROXY_COLOUR))):
            axes = panels[row, column]
            of_seeds = [getattr(of_seed, f"{kind}_returns")[column] for of_seed in results]
            for returns in of_seeds:
                axes.ecdf(returns, color=colour, linewidth=1.0, alpha=0.75)
            axes.ecdf(kept[kind], weights, color=DEMONSTRATION_COLOUR, linewidth=1.6, linestyle="--")
            axes.grid(True)
            axes.tick_params(labelsize=8.5)
            numbers[kind].append({"demonstrations": kept[kind], "seeds": of_seeds})
            if weights is not None:
                numbers[kind][-1]["weights"] = weights
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
