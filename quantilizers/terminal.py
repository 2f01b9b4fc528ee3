"""Prose and tables that fit a terminal; tables are in Markdown."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from quantilizers.errors import shown


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table in aligned columns: the first to the left, the others to the right.

    Text from files is made printable.
    """
    head, *rows = ([shown(cell).replace("|", "\\|") for cell in row] for row in (head, *rows))
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


def divided_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that fits the terminal: one that is too wide as several, each with the first column."""
    lines = [list(map(shown, row)) for row in (head, *rows)]
    blocks = [[0]]
    for place in range(1, len(head)):
        wider = [*blocks[-1], place]
        fits = len(wider) == 2 or _width([[line[one] for one in wider] for line in lines]) <= terminal_width()
        blocks = [*blocks[:-1], wider] if fits else [*blocks, [0, place]]
    divided = [[[line[one] for one in block] for line in lines] for block in blocks]
    return "\n\n".join(format_table(first, rest) for first, *rest in divided)


def _width(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 3 for column in zip(*rows, strict=True)) + 1


def wrapped(text: str, indent: str = "") -> str:
    """Return prose in lines that fit the terminal; words are never divided. Later lines begin with `indent`."""
    width = min(terminal_width(), 100)
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
