"""The figure of true returns as functions of λ, the price of what the proxy reward does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from quantilizers.evaluation.intervals import Interval, even_penalty, penalised
from quantilizers.figures.style import in_house_style, new_figure, write_legend, write_title
from quantilizers.numbers_in_words import short
from quantilizers.rewards import FloatArray

#: Points of each curve, and the ratio of the axis' end to the last crossing.
POINTS, BEYOND = 121, 10.0
OPTIMISER_STYLES = ("--", ":", "-.")


@dataclass(frozen=True, eq=False)
class AgentReturns:
    """One agent's test episodes, and the demonstrations that it imitates."""

    label: str
    proxy_returns: FloatArray  # (seeds, episodes)
    losses: FloatArray  # −I/λ of each episode, (seeds, episodes)
    kept_proxy_return: float | None = None  # mean of the demonstrations that it imitates; None for optimisers
    kept_loss: float | None = None  # their mean −I/λ; None for optimisers

    @property
    def imitates(self) -> bool:
        """Whether it imitates demonstrations."""
        return self.kept_proxy_return is not None


@in_house_style
def draw_penalties(
    arms: Sequence[AgentReturns], measured_at: float, title: str, true_label: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw the true return U − λ·L of every arm against λ, with 95 % intervals; L is the implicit loss −I/λ.

    Nothing is trained or played: an agent that never sees the true reward acts alike for every λ.

    The other arms are compared with the first, such as imitation. The λ of the tests is marked.

    Returns:
        The figure, and the numbers in it: curves, and for each other arm the λ at which it earns as much as the first.
    """
    evens = [_even(arms[0], arm) for arm in arms[1:]]
    crossings = [even.estimate for even in evens if even.estimate > 0]
    # Show where the true return of the first arm reaches 0, too.
    loss = float(arms[0].losses.mean())
    nothing_left = float(arms[0].proxy_returns.mean()) / loss if loss > 0 else 0.0
    last = max([BEYOND * crossing for crossing in crossings] + [2 * nothing_left, BEYOND * measured_at, 1000.0])
    penalties = np.geomspace(min(measured_at, 1.0) / 10, last, POINTS)
    figure = new_figure(7.2, 4.8)
    axes = figure.subplots()
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, max(sum(arm.imitates for arm in arms), 1)))
    numbers: dict[str, Any] = {"lambda": penalties, "arms": []}
    optimisers = 0
    for place, arm in enumerate(arms):
        colour: Any = colours[place] if arm.imitates else "#D55E00"
        style = "-" if arm.imitates else OPTIMISER_STYLES[optimisers % len(OPTIMISER_STYLES)]
        optimisers += not arm.imitates
        intervals = penalised(arm.proxy_returns, arm.losses, penalties)
        means = [interval.estimate for interval in intervals]
        axes.plot(penalties, means, color=colour, linestyle=style, linewidth=1.8, label=arm.label)
        if intervals[0].known:
            lows, highs = [interval.low for interval in intervals], [interval.high for interval in intervals]
            axes.fill_between(penalties, lows, highs, color=colour, alpha=0.13, linewidth=0)
        about: dict[str, Any] = {"label": arm.label, "true_return": means}
        about["interval_95"] = [one.bounds for one in intervals]
        if arm.kept_proxy_return is not None and arm.kept_loss is not None:
            kept = arm.kept_proxy_return - penalties * arm.kept_loss
            axes.plot(penalties, kept, color=colour, linewidth=0.9, linestyle=(0, (1, 2)))
            about["demonstrations"] = kept
        if place:
            about["even_with_first"] = _as_numbers(evens[place - 1])
        numbers["arms"].append(about)
    _frame(figure, arms, evens, measured_at, (penalties[0], last))
    write_title(figure, title, 10.5)
    axes.set_ylabel(true_label)
    return figure, numbers


def _even(first: AgentReturns, other: AgentReturns) -> Interval:
    """Return the λ at which two arms earn the same, paired by seed where there are as many."""
    means = [(arm.proxy_returns.mean(axis=1), arm.losses.mean(axis=1)) for arm in (first, other)]
    if len(means[0][0]) != len(means[1][0]):
        return even_penalty(*(np.array([one.mean() - two.mean()]) for one, two in zip(means[1], means[0], strict=True)))
    return even_penalty(means[1][0] - means[0][0], means[1][1] - means[0][1])


def _frame(
    figure: Figure,
    arms: Sequence[AgentReturns],
    evens: Sequence[Interval],
    measured_at: float,
    ends: tuple[float, float],
) -> None:
    """Draw everything but the curves."""
    axes = figure.axes[0]
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlim(*ends)
    highest = max(float(arm.proxy_returns.mean()) for arm in arms)
    highest = max([highest, *(arm.kept_proxy_return for arm in arms if arm.kept_proxy_return is not None)])
    # Curves that fall to minus millions would flatten all others.
    axes.set_ylim(-0.6 * abs(highest), 1.15 * abs(highest))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axvline(measured_at, color="0.6", linewidth=0.9, linestyle=":")
    for even in evens:
        if even.estimate > 0:
            axes.axvline(even.estimate, ymax=0.04, color="0.2", linewidth=1.2)
    axes.set_xlabel("λ")
    handles, _ = axes.get_legend_handles_labels()
    if any(arm.imitates for arm in arms):
        handles.append(Line2D([], [], color="0.3", linewidth=0.9, linestyle=(0, (1, 2)), label="demonstrations kept"))
    handles.append(Line2D([], [], color="0.6", linewidth=0.9, linestyle=":", label=f"λ = {measured_at:g}, as tested"))
    if any(even.estimate > 0 for even in evens):
        handles.append(
            Line2D([], [], color="0.2", linestyle="", marker="|", markersize=8, label=f"even with {arms[0].label}")
        )
    write_legend(figure, handles, columns=3)


def penalties_rows(arms: Sequence[AgentReturns]) -> list[list[str]]:
    """Return for each arm but the first a row: its label, ΔU, ΔL, and the λ at which it earns as much as the first."""
    rows = []
    for arm in arms[1:]:
        even = _even(arms[0], arm)
        rows.append([
            arm.label,
            short(float(arm.proxy_returns.mean() - arms[0].proxy_returns.mean())),
            f"{float(arm.losses.mean() - arms[0].losses.mean()):.4f}",
            even_in_words(even),
        ])  # fmt: skip
    return rows


def even_in_words(even: Interval) -> str:
    """Return the λ at which two agents earn the same, for a table; `any` where its interval is unknown."""
    if not even.estimate > 0:
        return "none: better or worse whatever λ is"
    return format(even, ",.0f") if even.known else f"{even.estimate:,.0f} [any]"


def _as_numbers(even: Interval) -> dict[str, float | None]:
    return dict(zip(("lambda", "low", "high"), even.as_numbers(), strict=True))
