"""The frontier: true and proxy return as optimisation pressure grows, as Gao, Schulman & Hilton (2023) draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from quantilizers.evaluation.intervals import FloatArray, Interval
from quantilizers.evaluation.weighted_means import WeightedMeans
from quantilizers.figures.style import in_house_style, new_figure
from quantilizers.optimisers.paths import OptimisationPath
from quantilizers.quantilize import rule_named

Kind = Literal["true", "proxy"]
CLONED_COLOUR, OPTIMISER_COLOUR = "#D55E00", "#0072B2"
#: A marker for each series.
CLONED_MARKERS, OPTIMISER_MARKERS = "Dop<>d", "sv^PX*"
#: Of optimisers' paths, one after the other.
PATH_COLOURS = ("#56B4E9", "#E69F00", "#999999", "#F0E442")
#: q at the top of the pressure axis, and beside the exact quantilizer in the right panel.
MARKED_QUANTILES = (1.0, 0.5, 0.25, 0.1, 0.04, 0.01, 0.004, 0.001)
#: Means of fewer episodes are not drawn: their intervals would be as wide as the panel.
FEWEST_EPISODES = 5.0


class Curve(Protocol):
    """What a method earns as pressure grows, such as `quantilizers.studies.exact.Curve`."""

    @property
    def method(self) -> str:
        """Name of its rule."""

    @property
    def quantiles(self) -> FloatArray:
        """(M,)."""

    @property
    def pressures(self) -> FloatArray:
        """√KL (M,)."""

    @property
    def true(self) -> WeightedMeans:
        """True returns."""

    @property
    def proxy(self) -> WeightedMeans:
        """Proxy returns."""


class Turn(Protocol):
    """Where the true return is highest, such as `quantilizers.studies.exact.TurningPoint`."""

    @property
    def quantile(self) -> float:
        """The quantile there."""

    @property
    def low(self) -> float:
        """Lower bound of it."""

    @property
    def high(self) -> float:
        """Upper bound."""

    @property
    def found(self) -> bool:
        """Whether the true return is known to rise and to fall."""


@dataclass(frozen=True)
class Agent:
    """An agent that was tested.

    Attributes:
        label: what stands in the legend; agents of one label are one series.
        true: its true return.
        proxy: its proxy return.
        quantile: q of the demonstrations that it imitates. None is an optimiser, whose KL from the players nobody
            knows.
        pressure: √KL of the episodes that it imitates, where it is drawn; √log(1/q) by default. A cloned policy's own
            KL is not known either.
        method: the curve that it is a clone of, whose colour it has unless that is the quantilizer's.
    """

    label: str
    true: Interval
    proxy: Interval
    quantile: float | None = None
    pressure: float | None = None
    method: str = "quantile"

    @property
    def place(self) -> float:
        """√KL of the episodes that it imitates; NaN for an optimiser."""
        if self.quantile is None:
            return np.nan
        return _pressure(self.quantile) if self.pressure is None else self.pressure


@in_house_style
def draw_frontier(
    curves: Sequence[Curve],
    agents: Sequence[Agent],
    title: str,
    true_label: str = "true return",
    proxy_label: str = "proxy return",
    turn: Turn | None = None,
    paths: Sequence[OptimisationPath] = (),
) -> tuple[Figure, dict[str, Any]]:
    """Draw both returns against optimisation pressure, and the true against the proxy return.

    Bands and bars are 95 % intervals; an agent without one has no bar. Optimisers stand at the right edge, beyond a
    dotted line. The paths of optimisers are drawn where no KL is needed: in the plane of both returns.

    Args:
        curves: of the exact quantilizer and softer cuts.
        agents: cloned quantilizers and optimisers.
        title: of the figure.
        true_label: axis label of the true return.
        proxy_label: axis label of the proxy return.
        turn: of the exact quantilizer's true return; None draws none.
        paths: of optimisers, from little effort to much.

    Returns:
        The figure, and the numbers in it.
    """
    figure = new_figure(10.8, 6.0)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.05))
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    plane = figure.add_subplot(grid[:, 1])
    cloned, optimisers = (
        list(dict.fromkeys(agent.label for agent in agents if (agent.quantile is None) == optimises))
        for optimises in (False, True)
    )
    colours = {agent.label: rule_named(agent.method).colour for agent in agents if agent.method != "quantile"}
    looks = {
        label: (colours.get(label, CLONED_COLOUR), CLONED_MARKERS[place % 6], 5.0) for place, label in enumerate(cloned)
    }
    looks |= {label: (OPTIMISER_COLOUR, OPTIMISER_MARKERS[place % 6], 6.5) for place, label in enumerate(optimisers)}
    reach = _largest_pressure(curves, agents)
    end = reach * (1.08 + max(0.2, 0.1 * len(optimisers))) if optimisers else 1.03 * reach
    panels: list[tuple[Axes, Kind, str]] = [(upper, "true", true_label), (lower, "proxy", proxy_label)]
    for axes, kind, label in panels:
        for curve in curves:
            _draw_curve(axes, curve, kind)
        for agent in agents:
            place = agent.place
            if agent.label in cloned:
                # Clones of several methods stand side by side.
                place += 0.02 * reach * (cloned.index(agent.label) - (len(cloned) - 1) / 2)
            if agent.quantile is None:
                step = (end - 1.06 * reach) / (len(optimisers) + 1)
                place = 1.06 * reach + step * (1 + optimisers.index(agent.label))
            _draw_agent(axes, place, getattr(agent, kind), None, agent.label, looks)
        axes.set_ylim(_limits(curves, agents, kind, room_below=0.12 if kind == "true" and turn is not None else 0.0))
        # A unit in brackets goes to a line of its own: the panels are low.
        axes.set_ylabel(label.replace(" (", "\n(", 1))
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
    if turn is not None:
        _draw_turn(upper, turn, reach)
    _finish_pressures(upper, lower, reach, end, bool(optimisers))
    for curve in curves:
        _draw_path(plane, curve)
    for agent in agents:
        _draw_agent(plane, agent.proxy.estimate, agent.true, agent.proxy, agent.label, looks)
    plane.set(xlabel=proxy_label, ylabel=true_label)
    on_paths = [
        Agent(f"{path.label} of more and more effort", true, proxy)
        for path in paths
        for true, proxy in zip(path.true, path.proxy, strict=True)
    ]
    for place, path in enumerate(paths):
        _draw_effort(plane, path, PATH_COLOURS[place % len(PATH_COLOURS)])
    plane.set_xlim(_limits(curves, [*agents, *on_paths], "proxy"))
    plane.set_ylim(_limits(curves, [*agents, *on_paths], "true"))
    plane.grid(color="0.92", linewidth=0.6)
    plane.set_axisbelow(True)
    once: dict[str, Any] = {}
    for axes in (upper, plane):
        handles, labels = axes.get_legend_handles_labels()
        once |= dict(zip(map(str, labels), handles, strict=True))
    # More than four of the longest names side by side would be wider than the figure.
    columns = len(once) if len(once) <= 5 else 4
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5)
    figure.suptitle(f"{title}\nbands and bars: 95 % intervals", fontsize=10.5)
    _label_points(figure, plane, curves, agents, paths)
    return figure, _numbers(curves, agents, turn, paths)


def _draw_curve(axes: Axes, curve: Curve, kind: Kind) -> None:
    rule = rule_named(curve.method)
    means, drawn = _means(curve, kind), _drawn(curve)
    pressures = curve.pressures[drawn]
    axes.fill_between(
        pressures, means.lows[drawn], means.highs[drawn], color=rule.colour, alpha=0.16, linewidth=0, zorder=1.5
    )
    axes.plot(
        pressures,
        means.means[drawn],
        color=rule.colour,
        linestyle=rule.dashes,
        linewidth=1.7,
        label=rule.label,
        zorder=3 + _first(curve),
    )


def _draw_agent(
    axes: Axes,
    place: float,
    vertical: Interval,
    horizontal: Interval | None,
    label: str,
    looks: Mapping[str, tuple[str, str, float]],
) -> None:
    colour, marker, size = looks[label]
    axes.errorbar(
        place,
        vertical.estimate,
        yerr=_reach(vertical),
        xerr=None if horizontal is None else _reach(horizontal),
        color=colour,
        marker=marker,
        markersize=size,
        linestyle="",
        elinewidth=1.2,
        label=label,
        zorder=5,
    )


def _draw_path(axes: Axes, curve: Curve) -> None:
    """Draw true against proxy return, with crosses of both intervals at some q."""
    rule = rule_named(curve.method)
    drawn = _drawn(curve)
    proxy, true = curve.proxy.means[drawn], curve.true.means[drawn]
    axes.plot(proxy, true, color=rule.colour, linestyle=rule.dashes, linewidth=1.6, zorder=2.5 + _first(curve))
    marked = _marked(curve)
    axes.errorbar(
        curve.proxy.means[marked],
        curve.true.means[marked],
        yerr=_reaches(curve.true, marked),
        xerr=_reaches(curve.proxy, marked),
        color=rule.colour,
        marker="o",
        markersize=3.2,
        linestyle="",
        elinewidth=0.7,
        alpha=0.6,
        zorder=2.4 + _first(curve),
    )


def _draw_effort(axes: Axes, path: OptimisationPath, colour: str) -> None:
    """Draw an optimiser's path in the plane of both returns, with its intervals."""
    axes.errorbar(
        [interval.estimate for interval in path.proxy],
        [interval.estimate for interval in path.true],
        yerr=np.concatenate([_reach_or_none(interval) for interval in path.true], axis=1),
        xerr=np.concatenate([_reach_or_none(interval) for interval in path.proxy], axis=1),
        color=colour, marker=".", markersize=6, linewidth=1.3, elinewidth=0.7, zorder=2.2,
        label=f"{path.label} of more and more effort",
    )  # fmt: skip


def _draw_turn(axes: Axes, turn: Turn, reach: float) -> None:
    """Draw where the exact quantilizer turns, along the panel's lower edge."""
    upright = axes.get_xaxis_transform()
    center, ends = _pressure(turn.quantile), [_pressure(turn.high), _pressure(turn.low)]
    axes.plot(ends, [0.05, 0.05], color="0.35", linewidth=2.2, transform=upright, solid_capstyle="butt")
    axes.plot(center, 0.05, color="0.35", marker="^", markersize=6, transform=upright, linestyle="")
    text = f"q = {turn.quantile:g} [{turn.low:g}, {turn.high:g}]"
    side = "left" if center < 0.3 * reach else "right" if center > 0.7 * reach else "center"
    axes.annotate(
        f"turns at {text}" if turn.found else f"highest at {text}, turn undecided",
        (ends[0] if side == "left" else ends[1] if side == "right" else center, 0.05), xycoords=upright,
        xytext=(0, 5), textcoords="offset points", ha=side, va="bottom", fontsize=7.5, color="0.25",
    )  # fmt: skip


def _finish_pressures(upper: Axes, lower: Axes, reach: float, end: float, optimisers: bool) -> None:
    """Label the pressure axis, with q at the top of the upper panel and the optimisers at the right edge."""
    lower.set_xlabel("optimisation pressure, √KL (nats)")
    lower.set_xlim(-0.04 * reach, end)
    lower.set_xticks([tick for tick in lower.get_xticks() if 0 <= tick <= 1.001 * reach])
    upper.tick_params(labelbottom=False)
    top = upper.secondary_xaxis("top")
    marked = [quantile for quantile in MARKED_QUANTILES if _pressure(quantile) <= 1.001 * reach]
    # 0.004 would run into its neighbours.
    written = [quantile for quantile in marked if quantile != 0.004 or 0.001 not in marked]
    top.set_xticks([_pressure(quantile) for quantile in written], [f"{quantile:g}" for quantile in written], fontsize=8)
    top.set_xlabel("q of the quantilizer", fontsize=9)
    if not optimisers:
        return
    for axes in (upper, lower):
        axes.axvline(1.06 * reach, color="0.6", linewidth=0.8, linestyle=":")
    lower.annotate(
        "optimisers,\nKL unknown", ((1.06 * reach + end) / 2, 0), xycoords=lower.get_xaxis_transform(),
        xytext=(0, -5), textcoords="offset points", ha="center", va="top", fontsize=8,
    )  # fmt: skip


def _label_points(
    figure: Figure,
    axes: Axes,
    curves: Sequence[Curve],
    agents: Sequence[Agent],
    paths: Sequence[OptimisationPath],
) -> None:
    """Write q beside points of quantilizers, and effort at the ends of paths, each where it covers least."""
    wanted: list[tuple[float, float, str, str]] = []
    for place, path in enumerate(paths):
        for end in {0, len(path.points) - 1}:
            point = path.proxy[end].estimate, path.true[end].estimate
            wanted.append((*point, f"effort {path.efforts[end]:,.0f}", PATH_COLOURS[place % len(PATH_COLOURS)]))
    for agent in agents:
        if agent.quantile is not None and agent.method == "quantile":
            wanted.append((agent.proxy.estimate, agent.true.estimate, f"{agent.quantile:g}", CLONED_COLOUR))
    for curve in curves:
        if curve.method == "quantile":
            wanted.extend(
                (float(curve.proxy.means[i]), float(curve.true.means[i]), f"q = {curve.quantiles[i]:g}", "black")
                for i in np.flatnonzero(_marked(curve))
            )
    figure.draw_without_rendering()
    # Labels keep off the points, the lines and each other, in pixels.
    pixel, frame = figure.dpi / 72, axes.get_window_extent()
    taken = _covered(axes, curves, agents, pixel)
    offsets = [(reach * x, reach * y) for reach in (7, 13, 20) for x in (1, 0, -1) for y in (1, 0, -1) if x or y]
    for x, y, text, colour in wanted:
        best: tuple[float, Any, Bbox] | None = None
        for dx, dy in offsets:
            note = axes.annotate(
                text, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=7.5, color=colour,
                ha=_side(dx, "left", "right"), va=_side(dy, "bottom", "top"), zorder=6,
                path_effects=[patheffects.withStroke(linewidth=2.0, foreground="white")],
            )  # fmt: skip
            note.set_in_layout(False)
            extent = note.get_window_extent()
            # The nearer is the better, where as much is covered.
            cost = sum(_overlap(extent, other) for other in taken) + _outside(extent, frame) + pixel * np.hypot(dx, dy)
            if best is None or cost < best[0]:
                if best is not None:
                    best[1].remove()
                best = (cost, note, extent)
            else:
                note.remove()
        assert best is not None
        taken.append(best[2])


def _covered(axes: Axes, curves: Sequence[Curve], agents: Sequence[Agent], pixel: float) -> list[Bbox]:
    """Return what stands in the right panel, as boxes in pixels."""
    boxes = []
    for agent in agents:
        (center,) = axes.transData.transform([(agent.proxy.estimate, agent.true.estimate)])
        boxes.append(_square(center, 3.5 * pixel))
    for curve in curves:
        drawn = _drawn(curve)
        path = axes.transData.transform(np.stack([curve.proxy.means[drawn], curve.true.means[drawn]], axis=1))
        boxes.extend(
            _square(start + share * (end - start), 1.0 * pixel)
            for start, end in pairwise(path)
            for share in np.linspace(0, 1, 1 + int(np.hypot(*(end - start)) / (2 * pixel)), endpoint=False)
        )
    crosses = [(agent.proxy, agent.true) for agent in agents]
    for curve in curves:
        crosses += [
            (
                Interval(curve.proxy.means[place], curve.proxy.lows[place], curve.proxy.highs[place]),
                Interval(curve.true.means[place], curve.true.lows[place], curve.true.highs[place]),
            )
            for place in np.flatnonzero(_marked(curve))
        ]
    for proxy, true in crosses:
        ends = [
            (proxy.low, true.estimate), (proxy.high, true.estimate), (proxy.estimate, true.low),
            (proxy.estimate, true.high),
        ]  # fmt: skip
        left, right, bottom, top = axes.transData.transform(ends)
        for one, other in ((left, right), (bottom, top)):
            if np.isfinite([one, other]).all():
                boxes.append(Bbox.from_extents(one[0] - 0.4, one[1] - 0.4, other[0] + 0.4, other[1] + 0.4))
    return boxes


def _side(offset: float, positive: str, negative: str) -> str:
    return "center" if offset == 0 else positive if offset > 0 else negative


def _square(point: npt.NDArray[Any], reach: float) -> Bbox:
    return Bbox.from_extents(point[0] - reach, point[1] - reach, point[0] + reach, point[1] + reach)


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))


def _outside(extent: Bbox, frame: Bbox) -> float:
    return float(extent.width * extent.height) - _overlap(extent, frame)


def _means(curve: Curve, kind: Kind) -> WeightedMeans:
    return curve.true if kind == "true" else curve.proxy


def _drawn(curve: Curve) -> npt.NDArray[np.bool_]:
    """Return which points of a curve (M,) are of enough episodes."""
    enough: npt.NDArray[np.bool_] = curve.true.effective_sizes >= FEWEST_EPISODES * (1 - 1e-9)
    return enough


def _marked(curve: Curve) -> npt.NDArray[np.bool_]:
    """Return which points of a curve (M,) have crosses of intervals: those nearest to the marked q."""
    marked = np.zeros(len(curve.quantiles), dtype=np.bool_)
    logs = np.log(curve.quantiles)
    for quantile in MARKED_QUANTILES:
        nearest = int(np.abs(logs - np.log(quantile)).argmin())
        # Of a grid that ends before it there is none.
        marked[nearest] |= abs(logs[nearest] - np.log(quantile)) < 0.1
    return marked & _drawn(curve)


def _largest_pressure(curves: Sequence[Curve], agents: Sequence[Agent]) -> float:
    reaches = [float(curve.pressures[_drawn(curve)].max(initial=0.0)) for curve in curves]
    reaches += [agent.place for agent in agents if agent.quantile is not None]
    return max(reaches, default=0.0) or 1.0


def _limits(
    curves: Sequence[Curve], agents: Sequence[Agent], kind: Kind, room_below: float = 0.0
) -> tuple[float, float]:
    """Return limits that show all means, the intervals of agents, and of bands as much as is twice the means' range."""
    intervals: list[Interval] = [getattr(agent, kind) for agent in agents]
    shown = [np.array([interval.estimate, interval.low, interval.high]) for interval in intervals]
    bands = []
    for curve in curves:
        means, drawn = _means(curve, kind), _drawn(curve)
        shown.append(means.means[drawn])
        bands += [means.lows[drawn], means.highs[drawn]]
    values = np.concatenate([*shown, np.empty(0)])
    if not np.isfinite(values).any():
        return 0.0, 1.0
    everything = np.concatenate([values, *bands])
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.5 * (high - low)
    low, high = max(np.nanmin(everything), low - room), min(np.nanmax(everything), high + room)
    margin = 0.05 * (high - low) or 0.5
    return float(low - margin - room_below * (high - low)), float(high + margin)


def _pressure(quantile: float) -> float:
    """Return √KL of a quantilizer."""
    return float(np.sqrt(max(0.0, -np.log(quantile))))


def _first(curve: Curve) -> float:
    """Return a little for the exact quantilizer, which lies above the other curves."""
    return 0.3 if curve.method == "quantile" else 0.0


def _reach(interval: Interval) -> FloatArray | None:
    if not interval.known:
        return None
    return np.array([[interval.estimate - interval.low], [interval.high - interval.estimate]])


def _reach_or_none(interval: Interval) -> FloatArray:
    """Return how far an interval reaches, (2, 1); nowhere where it is not known."""
    reach = _reach(interval)
    return np.zeros((2, 1)) if reach is None else reach


def _reaches(means: WeightedMeans, chosen: npt.NDArray[np.bool_]) -> FloatArray:
    return np.stack([(means.means - means.lows)[chosen], (means.highs - means.means)[chosen]])


def _numbers(
    curves: Sequence[Curve], agents: Sequence[Agent], turn: Turn | None, paths: Sequence[OptimisationPath]
) -> dict[str, Any]:
    return {
        "paths": [
            {
                "label": path.label,
                "effort": path.effort_label,
                "efforts": path.efforts,
                "true": [_plain(interval) for interval in path.true],
                "proxy": [_plain(interval) for interval in path.proxy],
            }
            for path in paths
        ],
        "curves": [
            {
                "method": curve.method,
                "quantiles": curve.quantiles,
                "pressures": curve.pressures,
                "true": _band(curve.true),
                "proxy": _band(curve.proxy),
                "drawn": _drawn(curve),
            }
            for curve in curves
        ],
        "agents": [
            {
                "label": agent.label,
                "quantile": agent.quantile,
                "pressure": None if agent.quantile is None else agent.place,
                "true": _plain(agent.true),
                "proxy": _plain(agent.proxy),
            }
            for agent in agents
        ],
        "turn": None
        if turn is None
        else {"quantile": turn.quantile, "low": turn.low, "high": turn.high, "found": turn.found},
    }


def _band(means: WeightedMeans) -> dict[str, list[float | None]]:
    named = {"means": means.means, "lows": means.lows, "highs": means.highs}
    return {name: [None if np.isnan(value) else value for value in row.tolist()] for name, row in named.items()}


def _plain(interval: Interval) -> dict[str, float | None]:
    bounds = {"low": interval.low, "high": interval.high} if interval.known else {"low": None, "high": None}
    return {"estimate": interval.estimate, **bounds}
