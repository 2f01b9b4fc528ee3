"""The figure of `map_selection.py`: effects of selection by number of demonstrations, skill and q."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from quantilizers.figures.style import in_house_style, new_figure, write_legend, write_title

#: Blue is a gain, red a loss; colour-blind readers can tell them apart, and every cell shows its number.
COLOURS = "RdBu"
CORRELATION_COLOURS = "PuOr_r"
#: One colour per quantile, from Okabe & Ito (2008).
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


@dataclass(frozen=True, eq=False)
class EffectPanel:
    """One map."""

    title: str  # shown above it
    bounds: npt.NDArray[np.float64]  # estimates, lower and upper ends of their intervals, (3, skills, numbers)
    significant: npt.NDArray[np.bool_]  # estimates that differ from 0, (skills, numbers)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The estimates, (skills, numbers)."""
        estimates: npt.NDArray[np.float64] = self.bounds[0]
        return estimates


@in_house_style
def draw_effect_map(
    correlation: EffectPanel,
    kept: Sequence[EffectPanel],
    policies: Sequence[EffectPanel],
    skills: Sequence[str],
    numbers: Sequence[int],
    title: str,
    unit: str = "true return",
) -> Figure:
    """Draw one map per panel; significant cells are bold and have a star.

    Args:
        correlation: rank correlation of proxy and true return.
        kept: for each q, mean true return of the selected episodes minus that of all episodes.
        policies: for each q, true return of policies of the top episodes minus that of policies of random ones.
        skills: row names, the least skilled first.
        numbers: demonstrations of each column.
        title: of the figure.
        unit: of the effects.
    """
    columns = 1 + len(policies)
    figure = new_figure(max(2.5, 0.75 * len(numbers)) * columns + 1.2, 1.0 + 2 * (0.55 * len(skills) + 0.9))
    axes = figure.subplots(2, columns, squeeze=False, sharex=True, sharey=True)
    image = _draw(axes[0, 0], correlation, CORRELATION_COLOURS, 1.0, "{:.2f}")
    figure.colorbar(image, ax=axes[:, 0], location="left", fraction=0.06, pad=0.02, label="rank correlation")
    axes[1, 0].remove()
    scatter = figure.add_subplot(2, columns, columns + 1)
    _draw_scatter(scatter, correlation, policies, unit)
    # Each row has its own scale, because policies keep only part of the gain of the selected episodes.
    for row, (panels, label) in enumerate(((kept, "kept − all episodes"), (policies, "policies: top − random"))):
        reach = max(float(np.nanmax(np.abs(panel.values))) for panel in panels) or 1.0
        for column, panel in enumerate(panels, start=1):
            image = _draw(axes[row, column], panel, COLOURS, reach, "{:+.0f}")
        figure.colorbar(image, ax=axes[row, 1:], fraction=0.04, pad=0.01, label=f"{label}\n({unit})")
    for ax in (*axes[0], *axes[1, 1:]):
        ax.set_xticks(range(len(numbers)), [f"{number:,}" for number in numbers])
        ax.set_yticks(range(len(skills)), skills)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    axes[0, 0].tick_params(labelbottom=True, labelleft=True)
    axes[0, 0].set_xlabel("demonstrations")
    for column in range(1, columns):
        axes[1, column].set_xlabel("demonstrations")
    axes[1, 1].tick_params(labelleft=True)
    axes[0, 0].set_ylabel("players, by skill")
    write_legend(figure, scatter.get_legend_handles_labels()[0], columns=len(policies))
    write_title(figure, title, 10.5)
    return figure


def _draw_scatter(axes: Axes, correlation: EffectPanel, policies: Sequence[EffectPanel], unit: str) -> None:
    """Draw the policies' effect against the correlation, one point with its interval per cell."""
    for panel, (marker, colour) in zip(policies, itertools.cycle(zip("o^sDv", SERIES_COLOURS, strict=True))):
        estimates, lows, highs = (part.ravel() for part in panel.bounds)
        axes.errorbar(
            correlation.values.ravel(), estimates, yerr=[estimates - lows, highs - estimates], linestyle="",
            marker=marker, markersize=4, elinewidth=0.6, color=colour, alpha=0.8, label=panel.title,
        )  # fmt: skip
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="rank correlation", ylabel=f"top − random\n({unit})")


def _draw(axes: Axes, panel: EffectPanel, colours: str, reach: float, written: str) -> AxesImage:
    """Draw one map, with the most skilled players in the top row."""
    image = axes.imshow(panel.values, cmap=colours, norm=Normalize(-reach, reach), aspect="auto", origin="lower")
    axes.set_title(panel.title, fontsize=9.5)
    for (row, column), value in np.ndenumerate(panel.values):
        if not np.isfinite(value):
            axes.text(column, row, "–", ha="center", va="center", fontsize=8.5)
            continue
        star = bool(panel.significant[row, column])
        text = written.format(value).replace("-", "−")
        if not any(digit in text for digit in "123456789"):
            text = text.lstrip("+−")
        text += "*" if star else ""
        dark = abs(value) > 0.6 * reach
        axes.text(
            column, row, text, ha="center", va="center", fontsize=8.5, color="white" if dark else "black",
            fontweight="bold" if star else "normal",
        )  # fmt: skip
    return image


def panel_numbers(panel: EffectPanel) -> dict[str, Any]:
    """Return a panel as JSON values; non-finite numbers become None."""
    named = {
        name: [[float(value) if np.isfinite(value) else None for value in row] for row in part]
        for name, part in zip(("values", "lows", "highs"), panel.bounds, strict=True)
    }
    return {"title": panel.title, **named, "significant": panel.significant.tolist()}
