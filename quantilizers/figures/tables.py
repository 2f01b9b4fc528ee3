"""Tables of results and of data sets, as a terminal shows them."""

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
from quantilizers.terminal import format_table, terminal_table, wrapped

#: Heads of columns of `results_cells`.
KEPT_TRUE, POLICIES_TRUE, POLICIES_PROXY = "kept: true", "policies: true", "policies: proxy"


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
