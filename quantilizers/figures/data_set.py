"""The figure of a data set: its episodes, and what each quantile keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from quantilizers.datasets.summary import SelectionSummary, Summary
from quantilizers.figures.style import DEMONSTRATION_COLOUR, PROXY_COLOUR, in_house_style, new_figure
from quantilizers.numbers_in_words import short


@in_house_style
def draw_data_set(
    summary: Summary, quantiles: Sequence[float], title: str, true_label: str, proxy_label: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw the episodes, true against proxy return, and below on the same axis what each quantile keeps.

    Args:
        summary: of the data set.
        quantiles: the fractions to show.
        title: names the data set.
        true_label: axis label of the true return.
        proxy_label: axis label of the proxy return.

    Returns:
        The figure, and the numbers in it.
    """
    kept = [summary.kept(quantile) for quantile in quantiles]
    correlation = summary.correlation()
    row = 0.45 if any(of_quantile.tied_left_out for of_quantile in kept) else 0.3
    figure = new_figure(7.2, 3.9 + row * len(kept))
    episodes, ranges = figure.subplots(2, 1, sharex=True, height_ratios=(3.0, row * len(kept) + 0.2))
    episodes.scatter(
        summary.proxy_returns, summary.true_returns, s=20, color=DEMONSTRATION_COLOUR, alpha=0.5, linewidth=0
    )
    episodes.set_ylabel(true_label)
    episodes.tick_params(labelbottom=False)
    episodes.spines["right"].set_visible(False)
    found = "no correlation, for one of the two returns does not vary"
    if correlation.pearson is not None and correlation.spearman is not None:
        found = f"Pearson {correlation.pearson:.2f}, Spearman {correlation.spearman:.2f}".replace("-", "−")
    figure.suptitle(f"{title}\nepisodes {summary.number:,}; players {summary.players}; {found}", fontsize=10)
    _draw_ranges(ranges, kept, float(summary.proxy_returns.max()))
    ranges.set_xlabel(proxy_label)
    dot: dict[str, Any] = {"linestyle": "", "markersize": 5}
    handles = [
        Line2D([], [], marker="o", color=DEMONSTRATION_COLOUR, alpha=0.5, label="one episode", **dot),
        Patch(facecolor=PROXY_COLOUR, edgecolor="black", linewidth=0.6, label="proxy returns kept"),
        Line2D([], [], marker="d", color="white", markeredgecolor="black", label="their mean", **dot),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    numbers: dict[str, Any] = {
        "players": summary.players,
        "episodes": summary.number,
        "steps": int(summary.lengths.sum()),
        "lengths": summary.lengths,
        "true_returns": summary.true_returns,
        "proxy_returns": summary.proxy_returns,
        "correlation": asdict(correlation),
        "kept": [asdict(of_quantile) for of_quantile in kept],
    }
    return figure, numbers


def _draw_ranges(axes: Axes, kept: Sequence[SelectionSummary], highest: float) -> None:
    """A bar for each quantile over the proxy returns that it keeps, a mark at their mean; the rest in words."""
    rows = np.arange(len(kept))
    cuts = np.array([of_quantile.cut for of_quantile in kept])
    bars = axes.barh(rows, highest - cuts, 0.5, left=cuts, color=PROXY_COLOUR, edgecolor="black", linewidth=0.6)
    for bar in bars:
        # Bars would end the axis where they end, and cut the first and the last dot above in half.
        bar.sticky_edges.x.clear()
    marker: dict[str, Any] = {
        "linestyle": "",
        "marker": "d",
        "color": "white",
        "markeredgecolor": "black",
        "markersize": 6,
    }
    axes.plot([of_quantile.proxy_return for of_quantile in kept], rows, **marker)
    axes.margins(x=0.04)
    axes.spines["right"].set_visible(False)
    axes.set_yticks(rows, [f"q = {of_quantile.quantile:g} keeps {of_quantile.number:,}" for of_quantile in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    words = axes.secondary_yaxis("right")
    words.set_yticks(rows, [_in_words(of_quantile) for of_quantile in kept])
    words.tick_params(axis="y", length=0)
    words.spines["right"].set_visible(False)


def _in_words(kept: SelectionSummary) -> str:
    tied = f"\n{kept.tied_left_out:,} tied left out" if kept.tied_left_out else ""
    return f"mean true {short(kept.true_return).replace('-', '−')}{tied}"
