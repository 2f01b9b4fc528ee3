"""The figure of both returns against an optimiser's effort: the proxy return rises; does the true return turn?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from quantilizers.evaluation.comparisons import paired_difference
from quantilizers.evaluation.intervals import Interval
from quantilizers.figures.style import PROXY_COLOUR, TRUE_COLOUR, in_house_style, new_figure
from quantilizers.optimisers.paths import OptimisationPath

_MARKERS = "osD^vP"


@in_house_style
def draw_efforts(
    paths: Sequence[OptimisationPath], true_label: str = "true return", proxy_label: str = "proxy return"
) -> tuple[Figure, dict[str, Any]]:
    """Draw the proxy and the true return of paths of one kind of effort, with 95 % intervals over seeds.

    Args:
        paths: whose efforts count the same.
        true_label: axis label of the true return.
        proxy_label: axis label of the proxy return.

    Returns:
        The figure, and the numbers in it.
    """
    figure = new_figure(6.4, 5.2)
    panels = figure.subplots(2, sharex=True)
    numbers: dict[str, Any] = {"paths": []}
    for place, path in enumerate(paths):
        efforts = path.efforts
        of_path: dict[str, Any] = {"algorithm": path.algorithm, "efforts": efforts, "seeds": list(path.seeds)}
        for axes, kind, colour in zip(panels, ("proxy", "true"), (PROXY_COLOUR, TRUE_COLOUR), strict=True):
            intervals: list[Interval] = getattr(path, kind)
            means = np.array([interval.estimate for interval in intervals])
            known = np.array([interval.known for interval in intervals])
            reaches = np.array([[mean - one.low, one.high - mean] for mean, one in zip(means, intervals, strict=True)])
            axes.errorbar(
                efforts, means, yerr=np.where(known[:, None], reaches, 0.0).T, color=colour,
                marker=_MARKERS[place % len(_MARKERS)], markersize=4, linewidth=1.6, elinewidth=1.1, capsize=2,
                label=path.label,
            )  # fmt: skip
            of_path[kind] = [
                {"estimate": one.estimate, "interval_95": [one.low, one.high] if one.known else None}
                for one in intervals
            ]
        of_path["turn"] = turn_of(path)
        numbers["paths"].append(of_path)
    for axes, label in zip(panels, (proxy_label, true_label), strict=True):
        axes.set_ylabel(label.replace(" (", "\n(", 1))
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
    lower = panels[1]
    # A planner's efforts double; equal parts of a training do not.
    if not all(np.allclose(np.diff(path.efforts), path.efforts[0]) for path in paths):
        lower.set_xscale("log")
        lower.xaxis.set_major_locator(FixedLocator(sorted({effort for path in paths for effort in path.efforts})))
        lower.xaxis.set_minor_formatter(NullFormatter())
        lower.tick_params(axis="x", labelrotation=40)  # the greatest stand close together
    lower.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    lower.set_xlabel(paths[0].effort_label)
    if len(paths) > 1:
        panels[0].legend(frameon=False, fontsize=8.5)
    first = paths[0]
    names = ", ".join(path.label for path in paths)
    figure.suptitle(
        f"{first.environment}: {names}\nbars: 95 % intervals over {first.points[-1].true.over}", fontsize=10
    )
    return figure, numbers


def turn_of(path: OptimisationPath) -> str:
    """Return in a sentence whether the true return falls from its highest point to the greatest effort.

    The highest point is chosen by what is compared, so that a fall that is no more than noise is to be expected
    somewhere; the interval, paired by seeds, does not know of the choice.
    """
    means = [point.true_returns.mean() for point in path.points]
    if len(set(means)) == 1:
        return f"the true return is the same at every effort, {means[0]:.6g}"
    highest, last = path.points[int(np.argmax(means))], path.points[-1]
    if highest is last:
        return f"the true return is highest at the greatest effort tried, {last.effort:,.0f}"
    fall = paired_difference(last.true_returns, highest.true_returns)
    return (
        f"the true return is highest at {highest.effort:,.0f}; from there to {last.effort:,.0f} it changes by "
        f"{fall.interval} (95 % interval over {fall.over}, which does not know that the highest was chosen)"
    )
