"""The figure of how true and proxy return go together over demonstrations, with the line of least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from quantilizers.datasets.summary import Summary
from quantilizers.figures.style import DEMONSTRATION_COLOUR, TRUE_COLOUR, in_house_style, new_figure


@in_house_style
def draw_correlation(summary: Summary, title: str, true_label: str, proxy_label: str) -> tuple[Figure, dict[str, Any]]:
    """Draw a dot for each episode and the line that predicts the true from the proxy return.

    Args:
        summary: of the data set.
        title: names the data set.
        true_label: axis label of the true return.
        proxy_label: axis label of the proxy return.

    Returns:
        The figure, and the numbers in it.
    """
    figure = new_figure(6.0, 4.6)
    axes = figure.subplots()
    proxy, true = summary.proxy_returns, summary.true_returns
    axes.scatter(proxy, true, s=20, color=DEMONSTRATION_COLOUR, alpha=0.4, linewidth=0)
    correlation = summary.correlation()
    numbers: dict[str, Any] = {"proxy_returns": proxy, "true_returns": true, "pearson": correlation.pearson}
    numbers["spearman"] = correlation.spearman
    found = "no correlation, for one of the two returns does not vary"
    if correlation.pearson is not None and correlation.spearman is not None:
        line = stats.linregress(proxy, true)
        ends = np.array([proxy.min(), proxy.max()])
        axes.plot(ends, line.intercept + line.slope * ends, color=TRUE_COLOUR, linewidth=1.6)
        found = f"Pearson {correlation.pearson:.2f}, Spearman {correlation.spearman:.2f}".replace("-", "−")
        numbers["line"] = {"slope": float(line.slope), "intercept": float(line.intercept)}
    axes.set(xlabel=proxy_label, ylabel=true_label)
    axes.spines["right"].set_visible(False)
    figure.suptitle(f"{title}\n{summary.number:,} episodes; {found}", fontsize=10)
    return figure, numbers
