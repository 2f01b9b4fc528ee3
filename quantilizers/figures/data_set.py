"""Figures of a data set: what each quantile keeps, how both returns go together, and their course in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from quantilizers.datasets.summary import Correlation, SelectionSummary, Summary
from quantilizers.figures.style import (
    DEMONSTRATION_COLOUR,
    PROXY_COLOUR,
    TEXT_COLOURS,
    TRUE_COLOUR,
    in_house_style,
    new_figure,
    write_legend,
    write_title,
)
from quantilizers.numbers_in_words import short
from quantilizers.rewards import FloatArray


@in_house_style
def draw_data_set(
    summary: Summary, quantiles: Sequence[float], title: str, true_label: str, proxy_label: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw episodes, true against proxy return, and below them the range of proxy returns that each quantile keeps."""
    kept = [summary.selection(quantile) for quantile in quantiles]
    correlation = summary.correlation()
    row = 0.45 if any(of_quantile.tied_left_out for of_quantile in kept) else 0.3
    figure = new_figure(7.2, 3.9 + row * len(kept))
    episodes, ranges = figure.subplots(2, 1, sharex=True, height_ratios=(3.0, row * len(kept) + 0.2))
    episodes.scatter(
        summary.proxy_returns, summary.true_returns, s=20, color=DEMONSTRATION_COLOUR, alpha=0.5, linewidth=0
    )
    episodes.set_ylabel(true_label)
    episodes.tick_params(labelbottom=False)
    write_title(figure, f"{title}\nepisodes {summary.number:,}; players {summary.players}; {_in_words(correlation)}")
    _draw_ranges(ranges, kept, float(summary.proxy_returns.max()))
    ranges.set_xlabel(proxy_label)
    dot: dict[str, Any] = {"linestyle": "", "markersize": 5}
    handles = [
        Line2D([], [], marker="o", color=DEMONSTRATION_COLOUR, alpha=0.5, label="one episode", **dot),
        Patch(facecolor=PROXY_COLOUR, edgecolor="black", linewidth=0.6, label="proxy returns kept"),
        Line2D([], [], marker="d", color="white", markeredgecolor="black", label="their mean", **dot),
    ]
    write_legend(figure, handles, columns=3)
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
    if summary.grouping is not None:
        grouping = summary.grouping
        numbers["groups"] = {"number": len(grouping.sizes), "variance_between": grouping.between}
        numbers["within"] = summary.within
    return figure, numbers


def _in_words(correlation: Correlation) -> str:
    if correlation.pearson is None or correlation.spearman is None:
        return "no correlation, because one of the returns does not vary"
    return f"Pearson {correlation.pearson:.2f}, Spearman {correlation.spearman:.2f}".replace("-", "−")


def _draw_ranges(axes: Axes, kept: Sequence[SelectionSummary], highest: float) -> None:
    """Draw a bar for each quantile over the proxy returns that it keeps, with a mark at their mean."""
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
    axes.set_yticks(rows, [f"q = {of_quantile.quantile:g} keeps {of_quantile.number:,}" for of_quantile in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    notes = axes.secondary_yaxis("right")
    notes.set_yticks(rows, [_note(of_quantile) for of_quantile in kept])
    notes.tick_params(axis="y", length=0)
    notes.spines["right"].set_visible(False)


def _note(kept: SelectionSummary) -> str:
    tied = f"\n{kept.tied_left_out:,} tied left out" if kept.tied_left_out else ""
    return f"mean true {short(kept.true_return).replace('-', '−')}{tied}"


@in_house_style
def draw_correlation(summary: Summary, title: str, true_label: str, proxy_label: str) -> tuple[Figure, dict[str, Any]]:
    """Draw a dot for each episode, and the least-squares line that predicts the true from the proxy return."""
    figure = new_figure(6.0, 4.6)
    axes = figure.subplots()
    proxy, true = summary.proxy_returns, summary.true_returns
    axes.scatter(proxy, true, s=20, color=DEMONSTRATION_COLOUR, alpha=0.4, linewidth=0)
    correlation = summary.correlation()
    numbers: dict[str, Any] = {"proxy_returns": proxy, "true_returns": true, "pearson": correlation.pearson}
    numbers["spearman"] = correlation.spearman
    if correlation.pearson is not None:
        # SciPy's statistics take as long to import as matplotlib.
        from scipy import stats

        line = stats.linregress(proxy, true)
        ends = np.array([proxy.min(), proxy.max()])
        axes.plot(ends, line.intercept + line.slope * ends, color=TRUE_COLOUR, linewidth=1.6)
        numbers["line"] = {"slope": float(line.slope), "intercept": float(line.intercept)}
    axes.set(xlabel=proxy_label, ylabel=true_label)
    write_title(figure, f"{title}\n{summary.number:,} episodes; {_in_words(correlation)}")
    return figure, numbers


#: Weight of the past in the moving average, which reaches back about ten episodes.
SMOOTHING = 0.9


def smoothed(values: FloatArray, smoothing: float = SMOOTHING) -> FloatArray:
    """Return the exponential moving average of values (n,), with the bias of its start corrected.

    >>> smoothed(np.array([1.0, 1.0, 4.0]), 0.5).round(3)
    array([1.   , 1.   , 2.714])
    """
    averages, total, weight = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        total = smoothing * total + (1 - smoothing) * value
        weight = smoothing * weight + (1 - smoothing)
        averages[index] = total / weight
    return averages


@in_house_style
def draw_in_order(summary: Summary, title: str, true_label: str, proxy_label: str) -> tuple[Figure, dict[str, Any]]:
    """Draw both returns of each episode in the order of the file, smoothed: do players get better?"""
    figure = new_figure(7.2, 5.0)
    numbers: dict[str, Any] = {"smoothing": SMOOTHING}
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, kind, returns, label, colour in (
        (upper, "true", summary.true_returns, true_label, TRUE_COLOUR),
        (lower, "proxy", summary.proxy_returns, proxy_label, PROXY_COLOUR),
    ):
        episodes = np.arange(1, len(returns) + 1)
        course = smoothed(returns)
        axes.plot(episodes, returns, linestyle="", marker="o", markersize=2.5, color=colour, alpha=0.5)
        axes.plot(episodes, course, color=TEXT_COLOURS[colour], linewidth=2.0)
        axes.set_ylabel(label.replace(" (", "\n("))
        axes.grid(True)
        numbers[kind] = {"returns": returns, "smoothed": course}
    lower.set_xlabel("episode, in the order of the file")
    write_title(figure, f"{title}\nlines: average that weighs an episode {SMOOTHING:g} times as much as the next")
    return figure, numbers
