"""The study of controls as a figure and as tables: what policies of the top, random and bottom episodes earn."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from quantilizers.choices import Budget
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.figures.against_lambda import even_in_words
from quantilizers.figures.style import (
    DEMONSTRATION_COLOUR,
    grid_of_panels,
    in_house_style,
    quantile_name,
    write_legend,
    write_title,
)
from quantilizers.numbers_in_words import counted, short
from quantilizers.quantilize import RULES, SOFTER_RULES, number_kept
from quantilizers.rewards import FloatArray
from quantilizers.studies.bounds import COSTS, BoundChecks, Guarantee, RolloutBounds
from quantilizers.studies.controls import ArmResults
from quantilizers.studies.penalties import Losses
from quantilizers.studies.report import PRIMARY, Row, StudyReport
from quantilizers.terminal import terminal_table, wrapped

#: The questions about policies of the top episodes, by what these are compared with.
OTHERS = {PRIMARY: "than as many random", "imitation": "than imitation", "optimiser": "than the optimiser"}
#: Selections that are compared with random ones, in the words of tables.
SELECTED = {PRIMARY: "top", "top_players": "of the top players", "within_players": "top within each player"}
#: Answers to whether policies keep a bound.
KEEP = {"kept": "yes", "broken": "NO", "undecided": "undecided"}
#: Verdicts on losses.
HIGHER: Mapping[str, str] = {"supported": "higher", "contradicted": "lower", "undecided": "undecided"}
#: How each series is drawn: label, colour (Okabe & Ito 2008) and marker, from left to right at each q.
SERIES: Mapping[str, tuple[str, str, str]] = {
    "top": ("top episodes", "#0072B2", "o"),
    "random": ("as many random episodes, each dot a choice", "#999999", "s"),
    "bottom": ("bottom episodes", "#D55E00", "v"),
    "top_players": ("episodes of the top players", "#E69F00", "^"),
    "within_players": ("top episodes within each player", "#56B4E9", "<"),
    **{rule.name: (f"all, weighted {rule.weighted}", rule.colour, rule.marker) for rule in SOFTER_RULES},
}


@dataclass(frozen=True, eq=False)
class Group:
    """One series at one q."""

    series: str  # one of `SERIES`
    quantile: float
    interval: Interval  # mean true return of the policies
    dots: FloatArray  # mean true return of each seed, or of each random subset
    kept: float | None = None  # mean true return of the episodes that the policies imitate; None draws no diamond


@in_house_style
def draw_study(
    panels: Mapping[str, Sequence[Group]], title: str, label: str, optimiser: Interval | None = None
) -> tuple[Figure, dict[str, Any]]:
    """Draw a panel for each budget, with all series side by side at each q; bars are 95 % intervals.

    A horizontal line shows the optimiser's true return, if it was measured, and a band its interval.
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
        panel.set_xticks(range(len(quantiles)), [quantile_name(quantile) for quantile in quantiles])
        panel.grid(axis="y")
        panel.set_title(name, fontsize=10)
    axes.ravel()[0].set_ylabel(label)
    write_title(figure, title, 10.5)
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
    write_legend(figure, handles, columns=2)
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
        "interval_95": interval.bounds if interval.known else None,
        "interval_over": interval.over,
        "dots": group.dots,
        "kept": group.kept,
    }


def groups_of(found: StudyReport, budget: Budget) -> list[Group]:
    """Return the groups of one budget's panel."""
    groups = []
    for row in found.rows_of(budget):
        arms = {"top": row.top, "bottom": row.bottom, **row.players, **row.softer}
        for series, results in arms.items():
            if results is not None:
                means, interval = results.true_returns.mean(axis=1), found.true_interval(results)
                groups.append(Group(series, row.quantile, interval, means, results.kept_true_return))
        if row.random:
            subsets = row.random_true_returns.mean(axis=(1, 2))
            interval = replace(mean_interval(subsets[:, None]), over=counted(len(subsets), "random choice"))
            interval = interval.within(*found.possible)
            kept = float(np.mean([results.kept_true_return for results in row.random]))
            groups.append(Group("random", row.quantile, interval, subsets, kept))
    return groups


def study_tables(found: StudyReport, wide: bool = False) -> str:
    """Return a table of the true returns of policies for each budget."""
    head = ["q", "keeps", "top", "random subsets", "bottom", "cloning gap", "proxy percentile", "kept: true", "steps"]
    parts = []
    for budget in dict.fromkeys(row.budget for row in found.rows):
        parts += [
            f"\nbudget {budget}: true returns of policies",
            terminal_table(head, [_row(found, row) for row in found.rows_of(budget)], wide),
        ]
        by_player = [
            [
                f"{row.quantile:g}",
                SELECTED[selection],
                str(found.true_interval(results)),
                short(results.kept_true_return),
                short(results.cloning_gap),
            ]
            for row in found.rows_of(budget)
            for selection, results in row.players.items()
        ]
        if by_player:
            parts += [
                "\nas many episodes, chosen by player:",
                terminal_table(["q", "episodes", "policies", "kept: true", "cloning gap"], by_player, wide),
            ]
        softer = [_softer_row(found, row, results) for row in found.rows_of(budget) for results in row.softer.values()]
        if softer:
            parts += [
                "\nall episodes, weighted as strongly as q:",
                terminal_table(
                    ["q", "method", "policies", "kept: true", "effective number", "cloning gap"], softer, wide
                ),
            ]
    return "\n".join(parts)


def verdict_tables(found: StudyReport, wide: bool = False) -> str:
    """Return a table of verdicts for each budget, with a column for each question.

    A cell holds the decision and the difference of the mean true returns; with `wide` its 95 % interval, too.
    """
    parts = [
        "\nDo policies of the top q earn more true return than the others?",
        wrapped(
            "The primary question compares them with those of as many random episodes, and Holm's correction is over "
            "its tests under all budgets. Other questions are secondary, with a correction over all of theirs."
        ),
    ]
    budgets = list(dict.fromkeys(row.budget for row in found.rows))

    def cells_of(budget: Budget, questions: Mapping[str, str]) -> dict[str, list[str]]:
        return {
            name: [
                f"{verdict.decision} {verdict.interval if wide else short(verdict.interval.estimate)}"
                for verdict in found.verdicts[budget, question]
            ]
            for question, name in questions.items()
            if (budget, question) in found.verdicts
        }

    for budget in budgets:
        below = [row for row in found.rows_of(budget) if row.quantile < 1]
        columns = cells_of(budget, OTHERS)
        if any(row.random_higher is not None for row in below):
            random = [
                "–" if row.random_higher is None else f"{row.random_higher} of {len(row.random)}" for row in below
            ]
            columns = {**dict(itertools.islice(columns.items(), 2)), "random than imitation": random, **columns}
        rows = [[f"{row.quantile:g}", *cells] for row, *cells in zip(below, *columns.values(), strict=True)]
        parts += [
            f"\nbudget {budget}: decision, and difference of the means",
            terminal_table(["q", *columns], rows, wide),
        ]
    if any(row.players for row in found.rows):
        parts.append("\nPlayers or their episodes? Other selections, against as many random episodes:")
        for budget in budgets:
            columns = cells_of(budget, SELECTED)
            below = [row for row in found.rows_of(budget) if row.quantile < 1]
            rows = [[f"{row.quantile:g}", *cells] for row, *cells in zip(below, *columns.values(), strict=True)]
            parts += [f"\nbudget {budget}", terminal_table(["q", *columns], rows, wide)]
    softer = [
        [budget, f"{quantile:g}", RULES[question].label, f"{verdict.decision} {verdict.interval}"]
        for (budget, question), verdicts in found.verdicts.items()
        if question in RULES
        for quantile, verdict in zip(
            (row.quantile for row in found.rows_of(budget) if row.quantile < 1), verdicts, strict=True
        )
    ]
    if softer:
        parts += [
            "\nDo policies of all episodes, weighted as strongly as q, earn more than those of the top q?",
            terminal_table(["budget", "q", "weights", "decision, and difference [95 %]"], softer, wide),
        ]
    return "\n".join(parts)


def losses_tables(losses: Losses, wide: bool = False) -> str:
    """Return a table of implicit losses for each budget, with the λ at which policies earn as much as imitation."""
    found = losses.found
    words = f"{found.quantity} of policies: is it higher or lower than that of imitation, and of random episodes?"
    parts = ["\n" + wrapped(words)]
    head = ["q", "kept", "top", "− imitation", "− random", "even with imitation at λ", "random subsets", "bottom"]
    for budget in dict.fromkeys(row.budget for row in found.rows):
        verdicts = {
            question: iter(found.verdicts.get((budget, question), ())) for question in ("imitation", "selection")
        }
        rows = []
        for row in found.rows_of(budget):
            compared = [next(of_question, None) if row.quantile < 1 else None for of_question in verdicts.values()]
            even = losses.evens.get((budget, row.quantile))
            rows.append([
                f"{row.quantile:g}",
                short(row.top.kept_true_return),
                str(found.true_interval(row.top)),
                *("–" if one is None else f"{HIGHER[one.decision]} {one.interval}" for one in compared),
                "–" if even is None else even_in_words(even),
                _spread(row),
                "–" if row.bottom is None else str(found.true_interval(row.bottom)),
            ])  # fmt: skip
        parts += [f"\nbudget {budget}", terminal_table(head, rows, wide)]
    return "\n".join(parts)


def _spread(row: Row) -> str:
    if not row.random:
        return "–"
    means = row.random_true_returns.mean(axis=(1, 2))
    return f"{short(means.mean())} ({short(means.min())} to {short(means.max())})"


def _row(found: StudyReport, row: Row) -> list[str]:
    return [
        f"{row.quantile:g}",
        f"{len(row.top.kept_true):,}",
        str(found.true_interval(row.top)),
        _spread(row),
        "–" if row.bottom is None else str(found.true_interval(row.bottom)),
        short(row.top.cloning_gap),
        f"{row.proxy_percentile:.0f} %",
        short(row.top.kept_true_return),
        f"{int(row.top.kept_lengths.sum()):,}",
    ]


def _softer_row(found: StudyReport, row: Row, results: ArmResults) -> list[str]:
    return [
        f"{row.quantile:g}",
        results.arm.rule.label,
        str(found.true_interval(results)),
        short(results.kept_true_return),
        f"{results.effective_number:,.1f}",
        short(results.cloning_gap),
    ]


def bounds_text(checks: BoundChecks, number: int, wide: bool = False) -> str:
    """Return the bounds as tables, and a sentence for each that policies break; `number` is that of demonstrations."""
    sentence = "bounds (Taylor 2016): the top q cost at most 1/q times as much as all demonstrations, whatever the cost"
    parts = [f"\n{wrapped(sentence)}"]
    for cost, words in COSTS.items():
        kept = checks.kept[cost]
        head = ["q", "bound", "kept episodes", "policies", "policies keep it", "keeps"]
        rows = [
            [
                f"{bound.quantile:g}",
                short(limit),
                short(of_kept),
                str(bound.cost),
                KEEP[bound.finding],
                f"{number_kept(bound.quantile, number):,}",
            ]
            for limit, of_kept, bound in zip(
                kept.bounds.tolist(), kept.costs.tolist(), checks.policies[cost], strict=True
            )
        ]
        always = "the kept episodes keep it everywhere" if kept.kept else "THE KEPT EPISODES BREAK IT"
        parts += ["\n" + wrapped(f"{words}; {always}:"), terminal_table(head, rows, wide)]
    parts += [wrapped(f"- {sentence}", "  ") for sentence in checks.broken]
    return "\n".join([*parts, guarantee_text(checks.guarantee)])


def rollout_bounds_text(checks: RolloutBounds) -> str:
    """Return the bounds of a sampling quantilizer as a table for each cost."""
    parts = ["bounds (Taylor 2016), from each start"]
    for cost, words in COSTS.items():
        rows = [
            ["all rollouts", str(checks.base[cost])],
            [f"bound, n/k = {checks.ratio:g} times", short(checks.bound(cost))],
            ["episodes played", str(checks.cost[cost])],
            ["keep it", KEEP[checks.finding(cost)]],
        ]
        parts += [f"\n{words}:", terminal_table(["", "mean [95 % interval]"], rows)]
    return "\n".join(parts)


def guarantee_text(promised: Guarantee) -> str:
    """Return the guarantee E_q[U] − k/q at each q and the best q, or a line on why there is none."""
    if promised.why_not is not None:
        return f"\n{wrapped(promised.why_not)}"
    loss = promised.implicit_loss
    given = "given" if not loss.known else f"estimated, 95 % interval [{short(loss.low)}, {short(loss.high)}]"
    head = ["q", "E_q[U]", "k/q", "guarantee E_q[U] − k/q"]
    rows = [
        [f"{quantile:g}", short(proxy), short(proxy - value), f"{short(value)} [{short(low)}, {short(high)}]"]
        for quantile, proxy, value, low, high in zip(
            promised.quantiles.tolist(),
            promised.proxy.means.tolist(),
            promised.values.tolist(),
            promised.lows.tolist(),
            promised.highs.tolist(),
            strict=True,
        )
    ]
    best = f"q = {promised.best_quantile:g} [{promised.best_low:g}, {promised.best_high:g}]"
    sentence = (
        f"guarantee for the true return of the exact quantilizer (Carey 2019), k = {short(loss.estimate)} ({given}); "
        f"it is highest at {best}:"
    )
    return f"\n{wrapped(sentence)}\n{terminal_table(head, rows)}".replace("nan, nan", "no interval")
