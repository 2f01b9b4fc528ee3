"""Results of benchmarks: pairs of measurements, their file, and their table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from quantilizers.errors import UserError
from quantilizers.files import atomic_write

#: How two sides are compared: by a ratio greater than 1 where this project is better, or by the difference.
How = Literal["peer / here", "here / peer", "here - peer"]
#: The lines of a page between which the table stands.
BEGIN, END = "<!-- what scripts/benchmark.py --table writes begins -->", "<!-- and ends -->"
HEAD = "| work | against | here | peer | ratio | aim | row |\n|---|---|--:|--:|--:|--:|---|"


@dataclass(frozen=True)
class Comparison:
    """Measurements of some work by this project and by a peer, in turn."""

    row: str  # of `scripts/benchmark.py`
    work: str  # description
    against: str  # the peer
    here: tuple[float, ...]  # this project's measurements, in `unit`
    peer: tuple[float, ...]  # the peer's
    unit: str
    how: How  # pairs are compared
    aim: str = ""  # the wanted result

    def ratios(self) -> list[float]:
        """Return the ratio or difference of each pair; a side that was measured less often counts with its median."""
        here, peer = list(self.here), list(self.peer)
        if len(here) != len(peer):
            here, peer = (here, [statistics.median(peer)] * len(here)) if len(here) > len(peer) else (
                [statistics.median(here)] * len(peer), peer
            )  # fmt: skip
        pairs = zip(here, peer, strict=True)
        if self.how == "here - peer":
            return [mine - theirs for mine, theirs in pairs]
        return [theirs / mine if self.how == "peer / here" else mine / theirs for mine, theirs in pairs]


@dataclass
class Results:
    """Results of one run; `quick` marks tiny sizes, whose numbers mean nothing; `skipped` and `failed` give reasons."""

    machine: dict[str, Any]
    versions: dict[str, str]
    quick: bool
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    comparisons: list[Comparison] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the results so far.

        Raises:
            UserError: the file cannot be written.
        """
        content = asdict(self)
        for of_file, comparison in zip(content["comparisons"], self.comparisons, strict=True):
            of_file["ratio"] = _spread(comparison.ratios())
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read the file of a run.

    Raises:
        UserError: it is missing or none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        comparisons = []
        for found in content.pop("comparisons"):
            found.pop("ratio")
            comparisons.append(Comparison(**{**found, "here": tuple(found["here"]), "peer": tuple(found["peer"])}))
        content |= {name: [(row, why) for row, why in content[name]] for name in ("skipped", "failed")}
        return Results(**{**content, "comparisons": comparisons})
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no file of scripts/benchmark.py ({type(error).__name__}: {error})") from None


def markdown_of_file(path: Path) -> str:
    """Return a file's table in Markdown, with the machine and the missing rows below it.

    Raises:
        UserError: it is missing or no file of a benchmark.
    """
    found = read(path)
    lines = [HEAD, *map(markdown, found.comparisons), ""]
    machine = found.machine
    lines.append(f"Measured {found.started[:10]} on {machine['cores']} cores of {machine['processor']}.")
    if found.quick:
        lines.append("The sizes were tiny: the numbers say nothing.")
    lines += [f"{row}: left out: {reason}." for row, reason in found.skipped]
    lines += [f"{row}: failed: {reason}." for row, reason in found.failed]
    return "\n".join(lines)


def put_into_page(table: str, page: Path) -> None:
    """Write a table between the markers of a page.

    Raises:
        UserError: the page cannot be read or written, or has no such lines.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {page}: {error.strerror or error}") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{page} has no place for the table; it needs the lines {BEGIN} and {END}")
    with atomic_write(page) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def markdown(comparison: Comparison) -> str:
    """Return a comparison as a row of the table `HEAD`."""
    unit = comparison.unit
    ratios = comparison.ratios()
    ratio = f"{_said(ratios)} {unit} more" if comparison.how == "here - peer" else f"{_said(ratios)} times"
    cells = [
        comparison.work,
        comparison.against,
        f"{_said(comparison.here)} {unit}",
        f"{_said(comparison.peer)} {unit}",
        ratio,
        comparison.aim,
        f"`{comparison.row}`",
    ]
    return f"| {' | '.join(cells)} |"


def _said(values: Sequence[float]) -> str:
    """Return the median, and the extremes of several values."""
    middle = _number(statistics.median(values))
    return middle if len(values) < 2 else f"{middle} [{_number(min(values))}, {_number(max(values))}]"


def _number(value: float) -> str:
    """Return three significant digits, or a whole number.

    >>> [_number(value) for value in (0.01234, 1.234, 12.34, 12345.6, 0)]
    ['0.0123', '1.23', '12.3', '12,346', '0']
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
