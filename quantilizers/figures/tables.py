"""Tables, in Markdown that also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantilizers.datasets.summary import Summary
from quantilizers.evaluation.cloning import Cloning
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.numbers_in_words import short, spread


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it also reads well on a terminal: text left, the rest right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def results_table(results: Sequence[SeedResults], cloning: Sequence[Cloning]) -> str:
    """Return `results_cells` as a table."""
    return format_table(*results_cells(results, cloning))


def results_cells(results: Sequence[SeedResults], cloning: Sequence[Cloning]) -> tuple[list[str], list[list[str]]]:
    """Return the head and, for each quantile, a row: the episodes that it keeps, and what policies of them earn.

    The policies' mean returns have 95 % intervals; the table's head says over what.

    Args:
        results: one for each seed, of the same quantiles.
        cloning: for each of the quantiles, how the policies compare with the demonstrations.
    """
    rows, over = [], ""
    for index, of_quantile in enumerate(cloning):
        kept = of_quantile.kept
        true = mean_interval(np.stack([of_seed.true_returns[index] for of_seed in results]))
        proxy = mean_interval(np.stack([of_seed.proxy_returns[index] for of_seed in results]))
        over = true.over
        rows.append([
            f"{kept.quantile:g}" + (" (imitation)" if kept.quantile == 1 else ""),
            f"{len(kept.lengths):,}",
            f"{kept.lengths.sum():,}",
            short(float(kept.true_returns.mean())),
            short(float(kept.proxy_returns.mean())),
            str(true),
            str(proxy),
            short(of_quantile.gap),
            f"{of_quantile.proxy_percentile:.0f} %",
        ])  # fmt: skip
    head = [
        "q", "keeps", "steps", "true return kept", "proxy return kept", f"policies' true return, over {over}",
        "policies' proxy return", "cloning gap", "proxy percentile",
    ]  # fmt: skip
    return head, rows


def summary_tables(title: str, summary: Summary, quantiles: Sequence[float]) -> str:
    """Return what is in a data set, and what each quantile keeps of it, as two tables.

    Args:
        title: names the data set.
        summary: of it.
        quantiles: the fractions to show.
    """
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
    rows = [
        [f"{kept.quantile:g}", f"{kept.number:,}", short(kept.true_return), short(kept.proxy_return),
         short(kept.cut), f"{kept.tied_left_out:,}"]
        for kept in map(summary.kept, quantiles)
    ]  # fmt: skip
    head = ["q", "keeps", "mean true return", "mean proxy return", "lowest proxy kept", "tied, left out"]
    return "\n".join([format_table([title, "mean [range]"], overview), "", format_table(head, rows)])


def _correlation_in_words(value: float | None) -> str:
    return "none, one of them does not vary" if value is None else f"{value:.3f}"
