"""Tables in Markdown that also reads well on a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

import numpy as np

from quantilizers.datasets.summary import Summary
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError, shown
from quantilizers.evaluation.cloning import Cloning
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.numbers_in_words import short, spread
from quantilizers.policies.selection_settings import Selection

#: Heads of columns of `results_cells`.
KEPT_TRUE, POLICIES_TRUE, POLICIES_PROXY = "kept: true", "policies: true", "policies: proxy"


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table in aligned columns: the first to the left, the others to the right.

    Text from files is made printable.
    """
    head, rows = list(map(shown, head)), [list(map(shown, row)) for row in rows]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def terminal_width() -> int:
    """Return the columns of the terminal, at least 80; 80 where the output is no terminal."""
    return max(80, shutil.get_terminal_size((80, 24)).columns)


def terminal_table(head: Sequence[str], rows: Sequence[Sequence[str]], wide: bool = False) -> str:
    """Return a table that fits the terminal; a line names the last columns if they are left out for that.

    With `wide` the table has all columns. Columns are in the order of their importance.
    """
    head, rows = list(map(shown, head)), [list(map(shown, row)) for row in rows]
    number = len(head)
    while number > 1 and not wide and _width([row[:number] for row in (head, *rows)]) > terminal_width():
        number -= 1
    table = format_table(head[:number], [row[:number] for row in rows])
    if number == len(head):
        return table
    return table + "\n" + wrapped(f"more columns with --wide: {', '.join(head[number:])}")


def _width(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 3 for column in zip(*rows, strict=True)) + 1


def wrapped(text: str, indent: str = "") -> str:
    """Return prose in lines that fit the terminal; words are never divided. Later lines begin with `indent`."""
    width = min(terminal_width(), 100)
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def results_cells(
    results: Sequence[SeedResults], cloning: Sequence[Cloning], environment: EnvironmentDefinition
) -> tuple[list[str], list[list[str]]]:
    """Return the head, and a row for each quantile: its selection, and the returns of its policies.

    The policies' mean returns have 95 % intervals over what `results_title` says. What the environment's figures show
    beside the true return, such as −I/λ, has a column where it is not the proxy return. The most important columns come
    first; the last ones are left out where a terminal is too narrow.
    """
    rows = []
    for index, of_quantile in enumerate(cloning):
        kept = of_quantile.kept
        true = mean_interval(np.stack([of_seed.true_returns[index] for of_seed in results]))
        true = true.within(*environment.true_range(results[0].max_steps))
        proxy = mean_interval(np.stack([of_seed.proxy_returns[index] for of_seed in results]))
        rows.append([
            f"{kept.quantile:g}",
            short(kept.true_return),
            str(true),
            str(proxy),
            _number_kept(kept),
            short(kept.proxy_return),
            short(of_quantile.gap),
            f"{of_quantile.proxy_percentile:.0f} %",
            f"{kept.lengths.sum():,}",
            *_second_cells(results, index, kept, environment),
        ])  # fmt: skip
    head = [
        "q", KEPT_TRUE, POLICIES_TRUE, POLICIES_PROXY, "keeps", "kept: proxy", "cloning gap", "proxy percentile",
        "steps",
    ]  # fmt: skip
    if environment.figures.second_axis is not None:
        label = (environment.figures.second_label or "second axis").partition(" (")[0]
        head += [f"kept: {label}", f"policies: {label}"]
    return head, rows


def results_title(environment: str, dataset: str, results: Sequence[SeedResults]) -> str:
    """Return the line above `results_cells`: of what the returns are, and over what their intervals."""
    over = mean_interval(np.stack([of_seed.true_returns[0] for of_seed in results])).over
    return wrapped(f"{environment}, {dataset}; mean returns [95 % interval over {over}]; q = 1 is imitation")


def _second_cells(
    results: Sequence[SeedResults], index: int, kept: Selection, environment: EnvironmentDefinition
) -> list[str]:
    """Return the second axis of the kept episodes and of the policies of one quantile, if there is one."""
    second = environment.second_quantity
    if second is None:
        return []
    of_kept = kept.mean(kept.second_quantities)
    try:
        policies = str(
            mean_interval(
                np.stack([second(one.true_returns[index], one.proxy_returns[index], one.options) for one in results])
            )
        )
    except UserError:
        # Options under which it cannot be known, such as λ = 0.
        policies = "–"
    return [short(of_kept), policies]


def _number_kept(kept: Selection) -> str:
    """Return the number of episodes imitated, or their effective number where they are weighted."""
    effective = kept.effective_number
    alike = abs(effective - len(kept.lengths)) < 1e-6 * effective
    return f"{len(kept.lengths):,}" if alike else f"{effective:,.1f} of {len(kept.lengths):,}"


def summary_tables(title: str, summary: Summary, quantiles: Sequence[float], wide: bool = False) -> str:
    """Return two tables: the content of a data set, and the selection of each quantile."""
    correlation = summary.correlation()
    overview = [
        ["players", summary.players],
        ["episodes", f"{summary.number:,}"],
        ["steps", f"{summary.lengths.sum():,}"],
        ["steps an episode", spread(summary.lengths)],
        ["true return", spread(summary.true_returns)],
        ["proxy return", spread(summary.proxy_returns)],
        ["correlation of the two, Pearson", _correlation_in_words(correlation.pearson)],
        ["correlation of the two, Spearman", _correlation_in_words(correlation.spearman)],
    ]
    if (grouping := summary.grouping) is not None:
        sizes, between = grouping.sizes, grouping.between
        overview += [
            ["groups", f"{len(sizes):,}, of {sizes.min():,} to {sizes.max():,} episodes"],
            ["share of the proxy's variance between groups", "unknown" if between is None else f"{between:.0%}"],
        ]
    rows = [
        [f"{kept.quantile:g}", f"{kept.number:,}", short(kept.true_return), short(kept.proxy_return),
         short(kept.cut), f"{kept.tied_left_out:,}"]
        for kept in map(summary.selection, quantiles)
    ]  # fmt: skip
    head = ["q", "keeps", "true return", "proxy return", "lowest proxy kept", "tied, left out"]
    tables = [title, format_table(["", "mean [range]"], overview), "", terminal_table(head, rows, wide)]
    return "\n".join([*tables, *("" for _ in summary.remarks[:1]), *map(wrapped, summary.remarks)])


def _correlation_in_words(value: float | None) -> str:
    return "none, one of them does not vary" if value is None else f"{value:.3f}"
