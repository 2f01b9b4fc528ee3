"""The stage `inspect`: what is in a data set, and what each quantile would keep of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from quantilizers.datasets import load_dataset
from quantilizers.figures import DEMONSTRATION_COLOUR, PROXY_COLOUR, new_figure, save_figure
from quantilizers.settings import Settings
from quantilizers.summary import Correlation, Kept, Summary, short, spread, summarise
from quantilizers.tables import format_table


def run(settings: Settings) -> None:
    """Print what is in the data set, and draw its returns.

    Raises:
        UserError: there is no such data set, or it cannot be read.
    """
    summary = summarise(load_dataset(settings.layout, settings.environment), settings.environment)
    kept = [summary.kept(quantile) for quantile in settings.quantiles]
    correlation = summary.correlation()
    print(describe(settings, summary, kept, correlation))
    figure = _draw(settings, summary, kept, correlation)
    numbers: dict[str, Any] = {
        "players": summary.players,
        "episodes": summary.number,
        "steps": int(summary.lengths.sum()),
        "lengths": summary.lengths,
        "true_returns": summary.true_returns,
        "proxy_returns": summary.proxy_returns,
        "correlation": asdict(correlation),
        "kept": [asdict(one) for one in kept],
    }
    save_figure(figure, settings.layout.figure("inspect"), settings, numbers)


def describe(settings: Settings, summary: Summary, kept: list[Kept], correlation: Correlation) -> str:
    """Return the tables that the stage prints."""
    overview = [
        ["players", summary.players],
        ["episodes", f"{summary.number:,}"],
        ["steps", f"{summary.lengths.sum():,}"],
        ["steps an episode", spread(summary.lengths)],
        ["true return", spread(summary.true_returns)],
        ["proxy return", spread(summary.proxy_returns)],
        ["correlation of the two, Pearson", _number(correlation.pearson)],
        ["correlation of the two, Spearman", _number(correlation.spearman)],
    ]
    rows = [
        [f"{one.quantile:g}", f"{one.number:,}", short(one.true_return), short(one.proxy_return),
         short(one.cut), f"{one.tied_left_out:,}"]
        for one in kept
    ]  # fmt: skip
    head = ["q", "keeps", "mean true return", "mean proxy return", "lowest proxy kept", "tied, left out"]
    title = f"{settings.environment.name}, data set {settings.layout.dataset}"
    return "\n".join([format_table([title, "mean [range]"], overview), "", format_table(head, rows)])


def _number(value: float | None) -> str:
    return "none, one of them does not vary" if value is None else f"{value:.3f}"


def _draw(settings: Settings, summary: Summary, kept: list[Kept], correlation: Correlation) -> Figure:
    """Above, the episodes: true against proxy return. Below, on the same axis, what each quantile keeps."""
    row = 0.45 if any(one.tied_left_out for one in kept) else 0.3
    figure = new_figure(7.2, 3.9 + row * len(kept))
    episodes, ranges = figure.subplots(2, 1, sharex=True, height_ratios=(3.0, row * len(kept) + 0.2))
    episodes.scatter(
        summary.proxy_returns, summary.true_returns, s=20, color=DEMONSTRATION_COLOUR, alpha=0.5, linewidth=0
    )
    episodes.set_ylabel(settings.environment.true_label)
    episodes.tick_params(labelbottom=False)
    episodes.spines["right"].set_visible(False)
    found = "no correlation, for one of the two returns does not vary"
    if correlation.pearson is not None and correlation.spearman is not None:
        found = f"Pearson {correlation.pearson:.2f}, Spearman {correlation.spearman:.2f}".replace("-", "−")
    title = f"{settings.environment.name}, data set {settings.layout.dataset}"
    figure.suptitle(f"{title}\nepisodes {summary.number:,}; players {summary.players}; {found}", fontsize=10)
    _draw_ranges(ranges, kept, float(summary.proxy_returns.max()))
    ranges.set_xlabel(settings.environment.proxy_label)
    dot: dict[str, Any] = {"linestyle": "", "markersize": 5}
    handles = [
        Line2D([], [], marker="o", color=DEMONSTRATION_COLOUR, alpha=0.5, label="one episode", **dot),
        Patch(facecolor=PROXY_COLOUR, edgecolor="black", linewidth=0.6, label="proxy returns kept"),
        Line2D([], [], marker="d", color="white", markeredgecolor="black", label="their mean", **dot),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    return figure


def _draw_ranges(axes: Axes, kept: list[Kept], highest: float) -> None:
    """A bar for each quantile over the proxy returns that it keeps, a mark at their mean; the rest in words."""
    rows = np.arange(len(kept))
    cuts = np.array([one.cut for one in kept])
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
    axes.plot([one.proxy_return for one in kept], rows, **marker)
    axes.margins(x=0.04)
    axes.spines["right"].set_visible(False)
    axes.set_yticks(rows, [f"q = {one.quantile:g} keeps {one.number:,}" for one in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    words = axes.secondary_yaxis("right")
    words.set_yticks(rows, [_in_words(one) for one in kept])
    words.tick_params(axis="y", length=0)
    words.spines["right"].set_visible(False)


def _in_words(one: Kept) -> str:
    tied = f"\n{one.tied_left_out:,} tied left out" if one.tied_left_out else ""
    return f"mean true {short(one.true_return).replace('-', '−')}{tied}"
