"""The frontier: true and proxy return as optimisation pressure grows, as Gao, Schulman & Hilton (2023) draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantilizers.evaluation.intervals import Interval
from quantilizers.evaluation.weighted_means import WeightedMeans
from quantilizers.figures.style import in_house_style, new_figure, write_labels, write_legend, write_title
from quantilizers.optimisers.paths import OptimisationPath, effort_text
from quantilizers.quantilize import Rule, rule_named
from quantilizers.rewards import FloatArray
from quantilizers.studies.exact import ExactCurve, TurningPoint, plain

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


@dataclass(frozen=True)
class FrontierAgent:
    """An agent that was tested."""

    label: str  # in the legend; agents of one label are one series
    true: Interval
    proxy: Interval
    # q of the demonstrations that it imitates; None for an optimiser.
    quantile: float | None = None
    # √KL of the episodes that it imitates, for the reference line; √log(1/q) by default.
    pressure: float | None = None
    # The rule by which it imitates. The curve of that rule gives its colour, unless it is the quantilizer's.
    method: str = "quantile"
    # KL from the imitator of all demonstrations, measured along its own episodes, in nats; None where it is unknown.
    divergence: Interval | None = None

    @property
    def rule(self) -> Rule:
        """The rule of the method."""
        return rule_named(self.method)

    @property
    def place(self) -> float:
        """√KL from the imitator; NaN where it is unknown."""
        return np.nan if self.divergence is None else float(np.sqrt(self.divergence.estimate))

    @property
    def reference(self) -> float:
        """√KL of the episodes that it imitates, such as √log(1/q); NaN for an optimiser."""
        if self.quantile is None:
            return np.nan
        return _pressure(self.quantile) if self.pressure is None else self.pressure


@in_house_style
def draw_frontier(
    curves: Sequence[ExactCurve],
    agents: Sequence[FrontierAgent],
    title: str,
    true_label: str = "true return",
    proxy_label: str = "proxy return",
    turn: TurningPoint | None = None,
    paths: Sequence[OptimisationPath] = (),
    pooled: ExactCurve | None = None,
    possible: tuple[float, float] = (-np.inf, np.inf),
    note: str = "",
) -> tuple[Figure, dict[str, Any]]:
    """Draw both returns against optimisation pressure, and the true against the proxy return.

    The curves are of agents; a `pooled` one also selects starts, and is drawn thin, beside quantilizers within starts.
    Bands and bars are 95 % intervals. Agents stand at their measured KL. A thin line leads to a cloned policy from the
    pressure of the episodes that it imitates, log(1/q). Agents of unknown KL stand at the right edge, beyond a dotted
    line. Paths are drawn in the plane of both returns, and those of known KL against it, too. Intervals of their true
    return stay within the `possible` ones. A `note` is written below the title.
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
    colours = {agent.label: agent.rule.colour for agent in agents if not agent.rule.is_quantile}
    looks = {
        label: (colours.get(label, CLONED_COLOUR), CLONED_MARKERS[place % 6], 5.0) for place, label in enumerate(cloned)
    }
    looks |= {label: (OPTIMISER_COLOUR, OPTIMISER_MARKERS[place % 6], 6.5) for place, label in enumerate(optimisers)}
    reach = _largest_pressure(curves, agents, paths)
    unknown = list(dict.fromkeys(agent.label for agent in agents if agent.divergence is None))
    end = reach * (1.08 + max(0.2, 0.1 * len(unknown))) if unknown else 1.03 * reach
    on_paths = [
        FrontierAgent("", true.within(*possible), proxy)
        for path in paths
        for true, proxy in zip(path.true, path.proxy, strict=True)
    ]
    against_kl = [
        agent
        for agent, point in zip(on_paths, (point for path in paths for point in path.points), strict=True)
        if point.divergence is not None
    ]
    panels: list[tuple[Axes, Kind, str]] = [(upper, "true", true_label), (lower, "proxy", proxy_label)]
    for axes, kind, label in panels:
        for curve in curves:
            _draw_curve(axes, curve, kind)
        if pooled is not None:
            _draw_pooled(axes, pooled.pressures, getattr(pooled, kind).means, pooled)
        for path, colour in zip(paths, cycle(PATH_COLOURS)):
            _draw_pressures(axes, path, kind, colour, possible if kind == "true" else (-np.inf, np.inf))
        for agent in agents:
            returns: Interval = getattr(agent, kind)
            if agent.divergence is None:
                step = (end - 1.06 * reach) / (len(unknown) + 1)
                _draw_agent(
                    axes, 1.06 * reach + step * (1 + unknown.index(agent.label)), returns, None, agent.label, looks
                )
                continue
            _draw_agent(axes, agent.place, returns, _rooted(agent.divergence), agent.label, looks)
            if agent.quantile is not None:
                ends, level = [agent.reference, agent.place], [returns.estimate] * 2
                axes.plot(ends, level, color=looks[agent.label][0], linewidth=0.7, linestyle=":", zorder=2.0)
        axes.set_ylim(
            _limits(
                curves, [*agents, *against_kl], kind, room_below=0.12 if kind == "true" and turn is not None else 0.0
            )
        )
        # A unit in brackets goes to a line of its own: the panels are low.
        axes.set_ylabel(label.replace(" (", "\n(", 1))
    if turn is not None:
        _draw_turn(upper, turn, reach)
    _finish_pressures(upper, lower, reach, end, bool(unknown))
    for curve in curves:
        _draw_returns(plane, curve)
    if pooled is not None:
        _draw_pooled(plane, pooled.proxy.means, pooled.true.means, pooled)
    for agent in agents:
        _draw_agent(plane, agent.proxy.estimate, agent.true, agent.proxy, agent.label, looks)
    for path, colour in zip(paths, cycle(PATH_COLOURS)):
        _draw_effort(plane, path, colour, possible)
    plane.set(xlabel=proxy_label, ylabel=true_label)
    plane.set_xlim(_limits(curves, [*agents, *on_paths], "proxy"))
    plane.set_ylim(_limits(curves, [*agents, *on_paths], "true"))
    once: dict[str, Any] = {}
    for axes in (upper, lower, plane):
        axes.grid(True)
        handles, labels = axes.get_legend_handles_labels()
        once |= dict(zip(map(str, labels), handles, strict=True))
    write_legend(figure, list(once.values()), columns=len(once) if len(once) <= 5 else 4)
    write_title(figure, "\n".join([title, "bands and bars: 95 % intervals", *([note] if note else [])]), 10.5)
    write_labels(figure, plane, _labels(curves, agents, paths))
    return figure, _numbers(curves, agents, turn, paths, pooled)


def _draw_curve(axes: Axes, curve: ExactCurve, kind: Kind) -> None:
    rule, means, drawn = rule_named(curve.method), getattr(curve, kind), _drawn(curve)
    pressures = curve.pressures[drawn]
    axes.fill_between(
        pressures, means.lows[drawn], means.highs[drawn], color=rule.colour, alpha=0.16, linewidth=0, zorder=1.5
    )
    axes.plot(
        pressures, means.means[drawn], color=rule.colour, linestyle=rule.dashes, linewidth=1.7, label=rule.label,
        zorder=3 + 0.3 * rule.is_quantile,
    )  # fmt: skip


def _draw_pooled(axes: Axes, across: FloatArray, up: FloatArray, curve: ExactCurve) -> None:
    drawn = _drawn(curve)
    axes.plot(across[drawn], up[drawn], color="0.55", linewidth=0.9, label="top of all starts, pooled", zorder=2.1)


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
        place, vertical.estimate, yerr=_reach([vertical]), xerr=None if horizontal is None else _reach([horizontal]),
        color=colour, marker=marker, markersize=size, linestyle="", elinewidth=1.2, label=label, zorder=5,
    )  # fmt: skip


def _draw_returns(axes: Axes, curve: ExactCurve) -> None:
    """Draw true against proxy return, with crosses of both intervals at some q."""
    rule, drawn, marked = rule_named(curve.method), _drawn(curve), _marked(curve)
    proxy, true = curve.proxy, curve.true
    axes.plot(
        proxy.means[drawn], true.means[drawn], color=rule.colour, linestyle=rule.dashes, linewidth=1.6,
        zorder=2.5 + 0.3 * rule.is_quantile,
    )  # fmt: skip
    up, across = (np.stack([one.means - one.lows, one.highs - one.means])[:, marked] for one in (true, proxy))
    axes.errorbar(
        proxy.means[marked], true.means[marked], yerr=up, xerr=across, color=rule.colour, marker="o", markersize=3.2,
        linestyle="", elinewidth=0.7, alpha=0.6, zorder=2.4 + 0.3 * rule.is_quantile,
    )  # fmt: skip


def _draw_effort(axes: Axes, path: OptimisationPath, colour: str, possible: tuple[float, float]) -> None:
    """Draw an optimiser's path in the plane of both returns, with its intervals."""
    axes.errorbar(
        [interval.estimate for interval in path.proxy],
        [interval.estimate for interval in path.true],
        yerr=_reach([interval.within(*possible) for interval in path.true]), xerr=_reach(path.proxy),
        color=colour, marker=".", markersize=6, linewidth=1.3, elinewidth=0.7, zorder=2.2,
        label=path.legend,
    )  # fmt: skip


def _draw_pressures(axes: Axes, path: OptimisationPath, kind: Kind, colour: str, possible: tuple[float, float]) -> None:
    """Draw one of the returns along a path against √KL, if that is known."""
    known = [
        (point.divergence, getattr(point, kind).within(*possible))
        for point in path.points
        if point.divergence is not None
    ]
    if known:
        axes.errorbar(
            [float(np.sqrt(divergence.estimate)) for divergence, _ in known],
            [returns.estimate for _, returns in known],
            yerr=_reach([returns for _, returns in known]),
            color=colour, marker=".", markersize=6, linewidth=1.3, elinewidth=0.7, zorder=2.2,
        )  # fmt: skip


def _rooted(divergence: Interval) -> Interval:
    """Return the interval of √KL."""
    low, estimate, high = np.sqrt([divergence.low, divergence.estimate, divergence.high]).tolist()
    return Interval(estimate, low, high)


def _draw_turn(axes: Axes, turn: TurningPoint, reach: float) -> None:
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


def _finish_pressures(upper: Axes, lower: Axes, reach: float, end: float, unknown: bool) -> None:
    """Label the pressure axis, with q at the top of the upper panel and agents of unknown KL at the right edge."""
    lower.set_xlabel("optimisation pressure, √KL (nats)")
    lower.set_xlim(-0.04 * reach, end)
    lower.set_xticks([tick for tick in lower.get_xticks() if 0 <= tick <= 1.001 * reach])
    upper.tick_params(labelbottom=False)
    top = upper.secondary_xaxis("top")
    marked = [quantile for quantile in MARKED_QUANTILES if _pressure(quantile) <= 1.001 * reach]
    written: list[float] = []
    for quantile in marked:  # labels that would overlap are left out
        if not written or _pressure(quantile) - _pressure(written[-1]) > 0.075 * end:
            written.append(quantile)
    top.set_xticks([_pressure(quantile) for quantile in written], [f"{quantile:g}" for quantile in written], fontsize=8)
    top.set_xlabel("q of the quantilizer", fontsize=9)
    if not unknown:
        return
    for axes in (upper, lower):
        axes.axvline(1.06 * reach, color="0.6", linewidth=0.8, linestyle=":")
    lower.annotate(
        "KL unknown", ((1.06 * reach + end) / 2, 0), xycoords=lower.get_xaxis_transform(),
        xytext=(0, -5), textcoords="offset points", ha="center", va="top", fontsize=8,
    )  # fmt: skip


def _labels(
    curves: Sequence[ExactCurve], agents: Sequence[FrontierAgent], paths: Sequence[OptimisationPath]
) -> list[tuple[float, float, str, str]]:
    """Return place, text and colour of each label: effort at the ends of paths, and q beside quantilizers."""
    wanted: list[tuple[float, float, str, str]] = []
    for path, colour in zip(paths, cycle(PATH_COLOURS)):
        for end in {0, len(path.points) - 1}:
            text = f"{path.effort_name} {effort_text(path.efforts[end])}"
            wanted.append((path.proxy[end].estimate, path.true[end].estimate, text, colour))
    for agent in agents:
        if agent.quantile is not None and agent.rule.is_quantile:
            wanted.append((agent.proxy.estimate, agent.true.estimate, f"{agent.quantile:g}", CLONED_COLOUR))
    for curve in curves:
        if rule_named(curve.method).is_quantile:
            wanted.extend(
                (float(curve.proxy.means[i]), float(curve.true.means[i]), f"q = {curve.quantiles[i]:g}", "black")
                for i in np.flatnonzero(_marked(curve))
            )
    return wanted


def _drawn(curve: ExactCurve) -> npt.NDArray[np.bool_]:
    """Return which points of a curve (M,) are of enough episodes."""
    enough: npt.NDArray[np.bool_] = curve.true.effective_sizes >= FEWEST_EPISODES * (1 - 1e-9)
    return enough


def _marked(curve: ExactCurve) -> npt.NDArray[np.bool_]:
    """Return which points of a curve (M,) have crosses of intervals: those nearest to the marked q."""
    marked = np.zeros(len(curve.quantiles), dtype=np.bool_)
    logs = np.log(curve.quantiles)
    for quantile in MARKED_QUANTILES:
        nearest = int(np.abs(logs - np.log(quantile)).argmin())
        # Of a grid that ends before it there is none.
        marked[nearest] |= abs(logs[nearest] - np.log(quantile)) < 0.1
    return marked & _drawn(curve)


def _largest_pressure(
    curves: Sequence[ExactCurve], agents: Sequence[FrontierAgent], paths: Sequence[OptimisationPath]
) -> float:
    reaches = [float(curve.pressures[_drawn(curve)].max(initial=0.0)) for curve in curves]
    reaches += [agent.place for agent in agents if agent.divergence is not None]
    reaches += [
        float(np.sqrt(point.divergence.estimate))
        for path in paths
        for point in path.points
        if point.divergence is not None
    ]
    return max(reaches, default=0.0) or 1.0


def _limits(
    curves: Sequence[ExactCurve], agents: Sequence[FrontierAgent], kind: Kind, room_below: float = 0.0
) -> tuple[float, float]:
    """Return limits that show all means, the intervals of agents, and of bands as much as is twice the means' range."""
    intervals: list[Interval] = [getattr(agent, kind) for agent in agents]
    shown = [np.array([interval.estimate, interval.low, interval.high]) for interval in intervals]
    bands = []
    for curve in curves:
        means, drawn = getattr(curve, kind), _drawn(curve)
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


def _reach(intervals: Sequence[Interval]) -> FloatArray:
    """Return how far intervals (n) reach below and above, (2, n); NaN draws no bar."""
    return np.array([(one.estimate - one.low, one.high - one.estimate) for one in intervals]).T


def _numbers(
    curves: Sequence[ExactCurve],
    agents: Sequence[FrontierAgent],
    turn: TurningPoint | None,
    paths: Sequence[OptimisationPath],
    pooled: ExactCurve | None,
) -> dict[str, Any]:
    of_paths = [
        {
            "label": path.label,
            "effort": path.effort_label,
            "efforts": path.efforts,
            "true": [_of_interval(interval) for interval in path.true],
            "proxy": [_of_interval(interval) for interval in path.proxy],
            "nats_per_episode": [one.divergence and _of_interval(one.divergence) for one in path.points],
        }
        for path in paths
    ]
    of_curves = [_of_curve(curve) for curve in curves]
    of_agents = [
        {
            "label": agent.label,
            "quantile": agent.quantile,
            "pressure": None if agent.divergence is None else agent.place,
            "nats_per_episode": None if agent.divergence is None else _of_interval(agent.divergence),
            "reference": None if agent.quantile is None else agent.reference,
            "true": _of_interval(agent.true),
            "proxy": _of_interval(agent.proxy),
        }
        for agent in agents
    ]
    of_turn = turn and {name: getattr(turn, name) for name in ("quantile", "low", "high", "found")}
    of_pooled = {} if pooled is None else {"pooled": _of_curve(pooled)}
    return {"paths": of_paths, "curves": of_curves, **of_pooled, "agents": of_agents, "turn": of_turn}


def _of_curve(curve: ExactCurve) -> dict[str, Any]:
    return {
        "method": curve.method,
        "quantiles": curve.quantiles,
        "pressures": curve.pressures,
        "true": _of_means(curve.true),
        "proxy": _of_means(curve.proxy),
        "drawn": _drawn(curve),
    }


def _of_means(means: WeightedMeans) -> dict[str, list[float | None]]:
    return {name: plain(getattr(means, name)) for name in ("means", "lows", "highs")}


def _of_interval(interval: Interval) -> dict[str, float | None]:
    return dict(zip(("estimate", "low", "high"), interval.as_numbers(), strict=True))
