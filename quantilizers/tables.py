"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantilizers.datasets import dataset_title
from quantilizers.results import SeedResults
from quantilizers.settings import Settings
from quantilizers.statistics import mean_interval


def counted(number: int, word: str) -> str:
    """Return a number of things in words, such as `1 seed` or `5 seeds`."""
    return f"{number:,} {word}{'s' if number != 1 else ''}"


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it also reads well on a terminal: text left, the rest right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def print_results(settings: Settings, results: Sequence[SeedResults]) -> None:
    """Print a row for each quantile: mean true and proxy return with 95 % intervals over seeds and episodes."""
    rows = []
    for place, quantile in enumerate(settings.quantiles):
        true = np.stack([one.true_returns[place] for one in results])
        proxy = np.stack([one.proxy_returns[place] for one in results])
        name = f"{quantile:g}" + (" (imitation)" if quantile == 1 else "")
        rows.append([name, str(mean_interval(true)), str(mean_interval(proxy)), f"{true.size:,}"])
    seeds = counted(len(results), "seed")
    print(f"{settings.environment.name}, {dataset_title(settings.layout)}, {seeds}; mean [95 % interval]")
    print(format_table(["quantile", "true return", "proxy return", "episodes"], rows))
