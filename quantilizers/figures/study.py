"""The study of controls as a figure: what policies of the top, of random and of the bottom episodes earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from quantilizers.evaluation.intervals import FloatArray, Interval
from quantilizers.figures.style import DEMONSTRATION_COLOUR, grid_of_panels, in_house_style
from quantilizers.quantilize import SOFTER_RULES

#: How each series is drawn: label, colour (Okabe & Ito 2008) and marker, from left to right at each q.
SERIES: Mapping[str, tuple[str, str, str]] = {
    "top": ("top episodes", "#0072B2", "o"),
    "random": ("as many random episodes, each dot a choice", "#999999", "s"),
    "bottom": ("bottom episodes", "#D55E00", "v"),
    **{rule.name: (f"all, weighted {rule.weighted}", rule.colour, rule.marker) for rule in SOFTER_RULES},
}


@dataclass(frozen=True, eq=False)
class Group:
    """What one series earns at one q.

    Attributes:
        series: one of `SERIES`.
        quantile: q.
        interval: mean true return of the policies, with its interval.
        dots: mean true returns of each seed, or of each random choice of episodes.
        kept: mean true return of the episodes that the policies imitate; None draws none.
    """

    series: str
    quantile: float
    interval: Interval
    dots: FloatArray
    kept: float | None = None


@in_house_style
def draw_study(
    panels: Mapping[str, Sequence[Group]], title: str, label: str, optimiser: Interval | None = None
) -> tuple[Figure, dict[str, Any]]:
    """Draw a panel for each budget, with all series side by side at each q; bars are 95 % intervals.

    Args:
        panels: the title of each panel and what it shows.
        title: of the figure.
        label: of the true return.
        optimiser: its true return, if it was measured: a line across, with its interval as a band.

    Returns:
        The figure, and the numbers in it.
    """
    present = [series for series in SERIES if any(group.series == series for all_ in panels.values() for group in all_)]
    quantiles = sorted({group.quantile for groups in panels.values() for group in groups}, reverse=True)
    width = max(3.6, 1.05 * len(quantiles) + 0.35 * len(present))
    figure, axes = grid_of_panels(1, len(panels), width, 3.6, sharey=True)
    for panel, (name, groups) in zip(axes.ravel(), panels.items(), strict=True):
        if optimiser is not None:
            panel.axhline(optimiser.estimate, color="0.45", linewidth=1.1, linestyle="--", zorder=1)
            if optimiser.known:
                panel.axhspan(optimiser.low, optimiser.high, color="0.45", alpha=0.12, linewidth=0, zorder=0.5)
        for group in groups:
            _draw_group(panel, group, quantiles.index(group.quantile), present)
        for border in range(1, len(quantiles)):
            panel.axvline(border - 0.5, color="0.88", linewidth=0.8, zorder=0)
        panel.set_xlim(-0.5, len(quantiles) - 0.5)
        panel.set_xticks(range(len(quantiles)), ["q = 1\nimitation" if q == 1 else f"q = {q:g}" for q in quantiles])
        panel.grid(axis="y", color="0.92", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines["right"].set_visible(False)
        panel.set_title(name, fontsize=10)
    axes.ravel()[0].set_ylabel(label)
    figure.suptitle(title, fontsize=10.5)
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.4, label=f"policies of {text}")
        for text, colour, marker in (SERIES[series] for series in present)
    ]
    dot: dict[str, Any] = {"marker": "o", "markersize": 2.4, "linestyle": "", "color": "black"}
    handles.append(Line2D([], [], label="one seed's mean", **dot))
    handles.append(
        Line2D([], [], color=DEMONSTRATION_COLOUR, marker="D", markersize=4.4, linestyle="", label="episodes imitated")
    )
    if optimiser is not None:
        handles.append(Line2D([], [], color="0.45", linestyle="--", label="optimiser"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure, {"panels": {name: [_numbers(group) for group in groups] for name, groups in panels.items()}}


def _draw_group(axes: Axes, group: Group, position: int, present: Sequence[str]) -> None:
    _, colour, marker = SERIES[group.series]
    step = 0.8 / len(present)
    # Imitation stands alone at its q.
    place = position + (0.0 if group.quantile == 1 else (present.index(group.series) - (len(present) - 1) / 2) * step)
    offsets = np.linspace(-0.16, 0.16, len(group.dots)) * step if len(group.dots) > 1 else np.zeros(1)
    axes.plot(
        place - 0.16 * step + offsets, group.dots, linestyle="", marker="o", markersize=2.4, color="black", alpha=0.55,
        zorder=2,
    )  # fmt: skip
    interval = group.interval
    reach = None
    if interval.known:
        reach = np.array([[interval.estimate - interval.low], [interval.high - interval.estimate]])
    axes.errorbar(
        place + 0.12 * step, interval.estimate, yerr=reach, color=colour, marker=marker, markersize=5.5,
        elinewidth=1.5, capsize=2.0, zorder=3,
    )  # fmt: skip
    if group.kept is not None:
        axes.plot(
            place + 0.36 * step, group.kept, linestyle="", marker="D", markersize=4.2, color=DEMONSTRATION_COLOUR,
            markeredgecolor="white", markeredgewidth=0.6, zorder=4,
        )  # fmt: skip


def _numbers(group: Group) -> dict[str, Any]:
    interval = group.interval
    return {
        "series": group.series,
        "quantile": group.quantile,
        "true_return": interval.estimate,
        "interval_95": [interval.low, interval.high] if interval.known else None,
        "interval_over": interval.over,
        "dots": group.dots,
        "kept": group.kept,
    }
