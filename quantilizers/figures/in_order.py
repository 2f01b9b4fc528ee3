"""The figure of a data set's returns in the order of the file, smoothed: do players get better?"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from quantilizers.datasets.summary import Summary
from quantilizers.evaluation.intervals import FloatArray
from quantilizers.figures.style import PROXY_COLOUR, TEXT_COLOURS, TRUE_COLOUR, in_house_style, new_figure

#: Weight of what came before; the average reaches back about ten episodes.
SMOOTHING = 0.9


def smoothed(values: FloatArray, smoothing: float = SMOOTHING) -> FloatArray:
    """Return the exponentially weighted average of values (n,) so far, (n,), without the bias of its beginning.

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
    """Draw both returns of each episode, and their smoothed course.

    Args:
        summary: of the data set.
        title: names the data set.
        true_label: axis label of the true return.
        proxy_label: axis label of the proxy return.

    Returns:
        The figure, and the numbers in it.
    """
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
        axes.spines["right"].set_visible(False)
        axes.grid(color="0.92", linewidth=0.6)
        numbers[kind] = {"returns": returns, "smoothed": course}
    lower.set_xlabel("episode, in the order of the file")
    figure.suptitle(
        f"{title}\nlines: average that weighs an episode {SMOOTHING:g} times as much as the next", fontsize=10
    )
    return figure, numbers
