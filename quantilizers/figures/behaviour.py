"""Figures of behaviour: confusion matrices of actions, and observations in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from quantilizers.envs.actions import ActionClasses
from quantilizers.evaluation.held_out import Confusion
from quantilizers.evaluation.visited import PrincipalComponents
from quantilizers.figures.style import grid_of_panels, in_house_style, write_legend, write_title
from quantilizers.rewards import FloatArray

#: Cells of larger matrices have no room for numbers.
MOST_CLASSES_WITH_NUMBERS = 9


@in_house_style
def draw_confusion(
    confusions: Sequence[Confusion], classes: ActionClasses, title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw confusion matrices of predicted and recorded actions, in per cent of the recorded class.

    A row of panels shows a quantile, a column a component of the action.
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
    write_title(figure, f"{title}\nheld out: {confusions[0].held_out}; in per cent of what was recorded")
    return figure, numbers


#: More points of a kind are thinned at random; they would be a blot.
MOST_POINTS = 6_000
#: Of Okabe and Ito (2008); grey comes last, because the background has it.
_COLOURS = ("#D55E00", "#000000", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#999999")


@dataclass(frozen=True, eq=False)
class Points:
    """Observations in a plane, and the actions taken there."""

    label: str
    places: FloatArray  # (n, 2)
    actions: npt.NDArray[Any] | None  # (n, A); None for grey dots in the background


@in_house_style
def draw_observations(
    background: Points | None, rows: Sequence[Points], components: PrincipalComponents, title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw each set of points in a row of panels, a panel for each component of the action, coloured by the action.

    The axes are those of the components; the background is grey dots behind all panels, such as where people went.

    Returns:
        The figure, and the numbers in it: mean and spread of each row's points, and how often each action occurs.
    """
    heads = max(1 if points.actions is None else points.actions.shape[1] for points in rows)
    figure, panels = grid_of_panels(len(rows), heads, 3.2, 3.2, sharex=True, sharey=True)
    generator = np.random.default_rng(0)
    values = np.unique(np.concatenate([np.unique(points.actions) for points in rows if points.actions is not None]))
    few = len(values) <= len(_COLOURS)
    numbers: dict[str, Any] = {"explained": components.explained, "axes": components.axes, "rows": []}
    behind = None if background is None else _some(generator, background)
    for line, points in zip(panels, rows, strict=True):
        chosen = _some(generator, points)
        for head, axes in enumerate(line):
            if behind is not None:
                axes.scatter(*behind.places.T, s=3, color="0.85", linewidth=0, rasterized=True)
            actions = chosen.actions
            assert actions is not None
            if few:
                colours = np.array(_COLOURS)[np.searchsorted(values, actions[:, head])]
                axes.scatter(*chosen.places.T, s=4, c=colours, alpha=0.5, linewidth=0, rasterized=True)
            else:
                looks: dict[str, Any] = {"cmap": "viridis", "vmin": values[0], "vmax": values[-1]}
                shown = axes.scatter(*chosen.places.T, s=4, c=actions[:, head], linewidth=0, rasterized=True, **looks)
            axes.set_title(points.label + (f", component {head}" if heads > 1 else ""), fontsize=9)
        assert points.actions is not None
        numbers["rows"].append({
            "label": points.label,
            "points": len(points.places),
            "mean": points.places.mean(axis=0),
            "spread": points.places.std(axis=0),
            "actions": [_frequencies(of_head) for of_head in points.actions.T] if few else None,
        })  # fmt: skip
    if not few:
        figure.colorbar(shown, ax=panels, label="action", shrink=0.8)
    for axes in panels.ravel():
        axes.set_xlabel(f"first component, {components.explained[0]:.0%} of variance")
        axes.set_ylabel(f"second, {components.explained[1]:.0%}")
        axes.label_outer()
    handles = [Line2D([], [], linestyle="", marker="o", color="0.8", label=background.label)] if background else []
    if few:
        handles += [
            Line2D([], [], linestyle="", marker="o", color=colour, label=f"action {value:g}")
            for value, colour in zip(values, _COLOURS, strict=False)
        ]
    write_legend(figure, handles, columns=5)
    write_title(figure, title)
    return figure, numbers


def _some(generator: np.random.Generator, points: Points) -> Points:
    if len(points.places) <= MOST_POINTS:
        return points
    chosen = generator.choice(len(points.places), MOST_POINTS, replace=False)
    return Points(points.label, points.places[chosen], None if points.actions is None else points.actions[chosen])


def _frequencies(actions: npt.NDArray[Any]) -> dict[str, int]:
    values, counts = np.unique(actions, return_counts=True)
    return {f"{value:g}": int(count) for value, count in zip(values, counts, strict=True)}
