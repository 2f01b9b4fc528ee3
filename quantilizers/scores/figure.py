"""The figure of a curve: true and proxy score against the square root of the KL divergence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from quantilizers.figures.style import (
    PROXY_COLOUR,
    TRUE_COLOUR,
    in_house_style,
    lines_of_label,
    new_figure,
    write_labels,
    write_legend,
    write_title,
)
from quantilizers.numbers_in_words import counted
from quantilizers.scores.curves import ScoreCurve

#: Least distance between labelled points, as a share of the axis.
_LABEL_ROOM = 0.09


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
        panel.set_ylabel(lines_of_label(label))
        panel.axhline(means[0], color="0.6", linewidth=0.8, linestyle=":", zorder=0, label="base distribution")
    if curve.turn is not None and curve.turn.kind == "turns":
        low, high = pressures[curve.turn.low], pressures[curve.turn.high]
        axes[0].axvspan(low, high, color="0.9", zorder=-1, linewidth=2, label="turn, 95 %")
    write_legend(figure, axes[0].get_legend_handles_labels()[0], columns=4)
    axes[-1].set_xlabel("√KL divergence from the base distribution (√nats)")
    for panel in axes:
        panel.margins(x=0.1)  # room for labels of the first and the last point
    how = "pooled over groups" if curve.pooled else counted(curve.table.groups, "group")
    write_title(figure, f"{curve.strengths[-1].rule.label}, {counted(curve.table.number, 'sample')}, {how}")
    top = axes[0]
    if curve.true:
        values = np.array([one.estimate for one in curve.true])
    else:
        values = np.array([one.estimate for one in curve.proxy])
    write_labels(
        figure,
        top,
        [
            (float(pressures[p]), float(values[p]), curve.strengths[p].label, "0.25")
            for p in _labelled(pressures, 0 if curve.turn is None else curve.turn.best)
            if np.isfinite(values[p])
        ],
    )
    return figure, curve.as_numbers()


def _labelled(pressures: npt.NDArray[Any], best: int) -> list[int]:
    """Return the points whose labels have room: the best, the ends, and those between that are not too near."""
    chosen: list[int] = []
    for place in (best, len(pressures) - 1, 0, *range(len(pressures))):
        if all(abs(pressures[place] - pressures[other]) > _LABEL_ROOM * pressures[-1] for other in chosen):
            chosen.append(place)
    return chosen
