"""Tables in Markdown that also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantilizers.datasets.summary import Summary
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.evaluation.cloning import Cloning
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.numbers_in_words import short, spread
from quantilizers.policies.selection_settings import Selection


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it also reads well on a terminal: text left, the rest right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def results_table(
    results: Sequence[SeedResults], cloning: Sequence[Cloning], environment: EnvironmentDefinition
) -> str:
    """Return `results_cells` as a table."""
    return format_table(*results_cells(results, cloning, environment))


def results_cells(
    results: Sequence[SeedResults], cloning: Sequence[Cloning], environment: EnvironmentDefinition
) -> tuple[list[str], list[list[str]]]:
    """Return the head, and a row for each quantile: its selection, and the returns of its policies.

    The policies' mean returns have 95 % intervals; the table's head says over what. What the environment's figures
    show beside the true return, such as −I/λ, has a column where it is not the proxy return.
    """
    rows, over = [], ""
    for index, of_quantile in enumerate(cloning):
        kept = of_quantile.kept
        true = mean_interval(np.stack([of_seed.true_returns[index] for of_seed in results]))
        true = true.within(*environment.true_range(results[0].max_steps))
        proxy = mean_interval(np.stack([of_seed.proxy_returns[index] for of_seed in results]))
        over = true.over
        rows.append([
            f"{kept.quantile:g}" + (" (imitation)" if kept.quantile == 1 else ""),
            _number_kept(kept),
            f"{kept.lengths.sum():,}",
            short(kept.true_return),
            short(kept.proxy_return),
            str(true),
            str(proxy),
            short(of_quantile.gap),
            f"{of_quantile.proxy_percentile:.0f} %",
            *_second_cells(results, index, kept, environment),
        ])  # fmt: skip
    head = [
        "q", "keeps", "steps", "true return kept", "proxy return kept", f"policies' true return, over {over}",
        "policies' proxy return", "cloning gap", "proxy percentile",
    ]  # fmt: skip
    if environment.figures.second_axis is not None:
        label = (environment.figures.second_label or "second axis").partition(" (")[0]
        head += [f"{label} kept", f"policies' {label}"]
    return head, rows


def _second_cells(
    results: Sequence[SeedResults], index: int, kept: Selection, environment: EnvironmentDefinition
) -> list[str]:
    """Return the second axis of the kept episodes and of the policies of one quantile, if there is one."""
    second = environment.second_quantity
    if second is None:
        return []
    # Recorded true rewards are those under the environment's own options, whatever policies are tested with.
    of_kept = kept.mean(second(kept.true_returns, kept.proxy_returns, environment.options))
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


def summary_tables(title: str, summary: Summary, quantiles: Sequence[float]) -> str:
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
    head = ["q", "keeps", "mean true return", "mean proxy return", "lowest proxy kept", "tied, left out"]
    tables = [format_table([title, "mean [range]"], overview), "", format_table(head, rows)]
    return "\n".join([*tables, *("" for _ in summary.remarks[:1]), *summary.remarks])


def _correlation_in_words(value: float | None) -> str:
    return "none, one of them does not vary" if value is None else f"{value:.3f}"
