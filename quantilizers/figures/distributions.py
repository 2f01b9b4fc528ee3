"""The figure of whole distributions: of the returns of the kept demonstrations, and of each seed's episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.style import DEMONSTRATION_COLOUR, PROXY_COLOUR, TRUE_COLOUR, in_house_style, new_figure


@in_house_style
def draw_distributions(
    demonstrations: Demonstrations, results: Sequence[SeedResults], seeds: Sequence[int], title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw the cumulative distributions of both returns, a column for each quantile.

    Args:
        demonstrations: those that the quantiles choose from.
        results: one for each seed, of the same quantiles.
        seeds: whose results they are.
        title: of the figure.

    Returns:
        The figure, and the numbers in it.
    """
    environment, quantiles = demonstrations.environment, results[0].quantiles.tolist()
    figure = new_figure(max(6.4, 1.6 + 2.1 * len(quantiles)), 5.2)
    panels = figure.subplots(2, len(quantiles), sharey=True, sharex="row", squeeze=False)
    numbers: dict[str, Any] = {"quantiles": quantiles, "seeds": list(seeds), "true": [], "proxy": []}
    for column, quantile in enumerate(quantiles):
        split = demonstrations.top(quantile)
        kept = {"true": split.true_returns, "proxy": split.proxy_returns}
        for row, (kind, colour) in enumerate((("true", TRUE_COLOUR), ("proxy", PROXY_COLOUR))):
            axes = panels[row, column]
            of_seeds = [getattr(of_seed, f"{kind}_returns")[column] for of_seed in results]
            for returns in of_seeds:
                axes.ecdf(returns, color=colour, linewidth=1.0, alpha=0.75)
            axes.ecdf(kept[kind], color=DEMONSTRATION_COLOUR, linewidth=1.6, linestyle="--")
            axes.grid(color="0.9", linewidth=0.6)
            axes.tick_params(labelsize=8.5)
            numbers[kind].append({"demonstrations": kept[kind], "seeds": of_seeds})
        name = "imitation, q = 1" if quantile == 1 else f"q = {quantile:g}"
        panels[0, column].set_title(f"{name}\n{split.number} demonstrations", fontsize=9.5)
    for row, label in enumerate((environment.figures.true_label, environment.figures.proxy_label)):
        panels[row, 0].set_ylabel("fraction of episodes ≤ x")
        panels[row, len(quantiles) // 2].set_xlabel(label)
    figure.legend(
        handles=[
            Line2D([], [], color=DEMONSTRATION_COLOUR, linestyle="--", label="kept demonstrations"),
            Line2D([], [], color=TRUE_COLOUR, label="true return, a line for each seed"),
            Line2D([], [], color=PROXY_COLOUR, label="proxy return, a line for each seed"),
        ],
        loc="outside lower center", ncols=3, frameon=False, fontsize=8.5,
    )  # fmt: skip
    figure.suptitle(title, fontsize=10.5)
    return figure, numbers
