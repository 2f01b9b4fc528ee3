"""The figure of a curve: true and proxy score against the square root of the KL divergence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from quantilizers.figures.style import PROXY_COLOUR, TRUE_COLOUR, in_house_style, new_figure, write_labels
from quantilizers.numbers_in_words import counted
from quantilizers.scores.curves import ScoreCurve


@in_house_style
def draw_curve(curve: ScoreCurve, true_label: str, proxy_label: str) -> tuple[Figure, dict[str, Any]]:
    """Draw the means with 95 % intervals, the quartiles over groups, and the turn; return the numbers, too."""
    pressures = np.sqrt(curve.divergences)
    panels = 2 if curve.true else 1
    figure = new_figure(6.4, 2.9 * panels + 0.6)
    axes = np.atleast_1d(figure.subplots(panels, 1, sharex=True))
    drawn = [(curve.true, TRUE_COLOUR, true_label)] if curve.true else []
    for panel, (intervals, colour, label) in zip(axes, [*drawn, (curve.proxy, PROXY_COLOUR, proxy_label)], strict=True):
        means, lows, highs = np.array([(one.estimate, one.low, one.high) for one in intervals]).T
        if intervals is curve.true and curve.spread.size:
            panel.fill_between(
                pressures, *curve.spread, color=colour, alpha=0.12, linewidth=0, label="middle half of groups"
            )
        panel.errorbar(
            pressures, means, yerr=[means - lows, highs - means], color=colour, marker="o", markersize=4, capsize=2,
            label="mean, 95 % interval",
        )  # fmt: skip
        panel.set_ylabel(label)
        panel.axhline(means[0], color="0.6", linewidth=0.8, linestyle=":", zorder=0, label="base distribution")
    if curve.turn is not None and curve.turn.kind == "turns":
        low, high = pressures[curve.turn.low], pressures[curve.turn.high]
        axes[0].axvspan(low, high, color="0.9", zorder=-1, linewidth=0, label="turn, 95 %")
    axes[0].legend(fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, borderaxespad=0.2)
    top = axes[0]
    top.margins(x=0.13)  # room for labels at both ends
    axes[-1].set_xlabel("√KL divergence from the base distribution (√nats)")
    places = [
        place
        for place in range(len(pressures))
        if place % math.ceil(len(pressures) / 6) == 0 or place == len(pressures) - 1
    ]
    if curve.true:
        values = np.array([one.estimate for one in curve.true])
    else:
        values = np.array([one.estimate for one in curve.proxy])
    write_labels(
        figure,
        top,
        [
            (float(pressures[p]), float(values[p]), curve.strengths[p].label, "0.25")
            for p in places
            if np.isfinite(values[p])
        ],
    )
    how = "pooled over groups" if curve.pooled else counted(curve.table.groups, "group")
    figure.suptitle(f"{curve.strengths[-1].rule.label}, {counted(curve.table.number, 'sample')}, {how}", fontsize=10)
    return figure, curve.as_numbers()
