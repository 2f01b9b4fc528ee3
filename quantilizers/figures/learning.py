"""The figure of how both returns went while an optimiser learned: the proxy's rises, the true one's need not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.figures.style import PROXY_COLOUR, TEXT_COLOURS, TRUE_COLOUR, in_house_style, new_figure
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.paths import binned_means
from quantilizers.rewards import FloatArray

MOST_BINS, EPISODES_PER_BIN = 40, 5


@in_house_style
def learning_figure(
    curves: Sequence[LearningCurve],
    seeds: Sequence[int],
    algorithm: str,
    environment: EnvironmentDefinition,
    options: Mapping[str, Any] | None = None,
) -> tuple[Figure, dict[str, Any]]:
    """Draw how both returns went: a thin line for each seed, a thick one for all.

    Args:
        curves: one for each seed; seeds without an episode have no line.
        seeds: which they are, for the record.
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        environment: where they learned.
        options: of the environment; those that are not given have their defaults.

    Returns:
        The figure and the numbers in it.
    """
    label, shown_options = ALGORITHMS[algorithm].label, {**environment.options, **(options or {})}
    fewest = min(len(curve.steps) for curve in curves)
    # Where some seeds have ended, the mean of the others is of a choice of them.
    last_step = min((curve.steps[-1] for curve in curves if curve.steps), default=1)
    edges = np.linspace(0, last_step, max(2, min(MOST_BINS, fewest // EPISODES_PER_BIN) + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    second = environment.figures.second_axis
    kinds: list[tuple[str, str, str, Callable[[FloatArray, FloatArray], FloatArray]]] = [
        ("proxy", PROXY_COLOUR, environment.figures.proxy_label, lambda true, proxy: proxy),
        ("true", TRUE_COLOUR, environment.figures.true_label, lambda true, proxy: true),
    ]
    if second is not None:
        # What tells gaming from playing well where both returns look alike.
        label_of_second = environment.figures.second_label or environment.figures.proxy_label
        kinds.append(("second", PROXY_COLOUR, label_of_second, lambda true, proxy: second(true, proxy, shown_options)))
    figure = new_figure(6.4, 0.6 + 2.3 * len(kinds))
    panels = figure.subplots(len(kinds), sharex=True)
    numbers: dict[str, Any] = {"algorithm": algorithm, "seeds": list(seeds), "bin_edges": edges}
    for axes, (kind, colour, name, wanted) in zip(panels, kinds, strict=True):
        of_seeds = [
            (curve.steps, wanted(np.array(curve.true_returns), np.array(curve.proxy_returns))) for curve in curves
        ]
        lines = [binned_means(steps, returns, edges) for steps, returns in of_seeds]
        pooled = binned_means(np.concatenate([s for s, _ in of_seeds]), np.concatenate([r for _, r in of_seeds]), edges)
        for line in lines:
            seen = np.isfinite(line)
            axes.plot(middles[seen], line[seen], color=colour, linewidth=0.7, alpha=0.5, marker=".", markersize=1.5)
        seen = np.isfinite(pooled)
        axes.plot(middles[seen], pooled[seen], color=TEXT_COLOURS[colour], linewidth=2.0)
        axes.set_ylabel(name.replace(" (", "\n("))
        axes.grid(color="0.9", linewidth=0.6)
        numbers[kind] = {"seeds": [_or_none(line) for line in lines], "all": _or_none(pooled)}
    panels[-1].set_xlabel("training steps of each seed")
    panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    # Over the whole figure, which has room for the longest name; the panels have not.
    number = counted(len(curves), "seed")
    figure.suptitle(f"{label} learns from the proxy reward of {environment.name}: {number}", fontsize=10.5)
    return figure, numbers


def _or_none(line: npt.NDArray[np.float64]) -> list[float | None]:
    """Return numbers for JSON, which has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in line]
