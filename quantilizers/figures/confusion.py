"""The figure of which actions policies choose where people chose others: a matrix for each component and quantile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from quantilizers.envs.actions import ActionClasses
from quantilizers.evaluation.held_out import Confusion
from quantilizers.figures.style import grid_of_panels, in_house_style

#: Cells of larger matrices have no room for numbers.
MOST_CLASSES_WITH_NUMBERS = 9


@in_house_style
def draw_confusion(
    confusions: Sequence[Confusion], classes: ActionClasses, title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw how often each class of action was predicted where each was recorded, in per cent of the recorded class.

    Args:
        confusions: one for each quantile, a row of panels each.
        classes: of each component of the action, a column of panels each.
        title: of the figure.

    Returns:
        The figure, and the numbers in it.
    """
    rows, columns = len(confusions), len(classes)
    figure, panels = grid_of_panels(rows, columns, 3.0, 3.0)
    numbers: dict[str, Any] = {"held_out": confusions[0].held_out, "quantiles": []}
    for row, confusion in zip(panels, confusions, strict=True):
        components = []
        for component, (axes, counts, values) in enumerate(zip(row, confusion.counts, classes, strict=True)):
            recorded = counts.sum(axis=1, keepdims=True)
            shares = np.divide(counts, recorded, out=np.zeros(counts.shape), where=recorded > 0)
            axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
            ticks = [f"{value:g}" for value in values]
            axes.set_xticks(range(len(ticks)), ticks)
            axes.set_yticks(range(len(ticks)), ticks)
            axes.set(xlabel="predicted", ylabel="recorded")
            name = f"q = {confusion.quantile:g}" + (f", component {component}" if columns > 1 else "")
            accuracy, most_frequent = confusion.accuracy(component), confusion.most_frequent(component)
            axes.set_title(f"{name}\nright {accuracy:.1%}, most frequent {most_frequent:.1%}", fontsize=9)
            for spine in axes.spines.values():
                spine.set_visible(True)
            if len(ticks) <= MOST_CLASSES_WITH_NUMBERS:
                for (line, place), share in np.ndenumerate(shares):
                    colour = "white" if share > 0.5 else "black"
                    axes.text(place, line, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=7.5)
            components.append({"counts": counts, "accuracy": accuracy, "most_frequent": most_frequent})
        numbers["quantiles"].append({"quantile": confusion.quantile, "components": components})
    figure.suptitle(f"{title}\nheld out: {confusions[0].held_out}; in per cent of what was recorded", fontsize=10)
    return figure, numbers
