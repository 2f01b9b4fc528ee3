#!/usr/bin/env python3
"""Measure the shipped data sets for their cards: docs/data/ENV_NAME/DATASET_NAME.md.

    python scripts/data_cards.py           rewrites the measurements
    python scripts/data_cards.py --check   writes nothing; exit code 2 if a card does not match its file

People write the upper half of a card; this program writes everything below the heading "Measured".
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import summarise
from quantilizers.errors import UserError
from quantilizers.files import atomic_write, sha256_of
from quantilizers.numbers_in_words import spread
from quantilizers.terminal import format_table

ROOT = Path(__file__).resolve().parent.parent
CARDS = ROOT / "docs" / "data"
HEADING = "## Measured\n"


def shipped() -> list[Path]:
    """Return the data sets that have a card, relative to `log/`: ENV_NAME/DATASET_NAME.npz."""
    return sorted(card.relative_to(CARDS).with_suffix(".npz") for card in CARDS.glob("*/*.md"))


def measured(data_set: Path) -> str:
    """Return the measured half of the card of a data set, which is relative to `log/`.

    Raises:
        UserError: the data set cannot be read.
    """
    path = ROOT / "log" / data_set
    summary = summarise(Demonstrations.load(path, data_set.parent.name))
    rows = [
        ["file", f"`log/{data_set.as_posix()}`"],
        ["bytes", f"{path.stat().st_size:,}"],
        ["SHA-256", f"`{sha256_of(path)}`"],
        ["episodes", f"{summary.number:,}"],
        ["players, as the file names them", summary.players],
        ["steps", f"{summary.lengths.sum():,}"],
        ["steps an episode: mean [range]", spread(summary.lengths)],
        ["true return: mean [range]", spread(summary.true_returns)],
        ["proxy return: mean [range]", spread(summary.proxy_returns)],
    ]
    with np.load(path, allow_pickle=False) as file:
        arrays = [[f"`{key}`", f"{file[key].dtype.name}", f"{file[key].shape}"] for key in file.files]
    return "\n\n".join(
        [HEADING.strip(), format_table(["", ""], rows), format_table(["array", "type", "shape"], arrays)]
    )


def card_of(data_set: Path) -> tuple[str, str]:
    """Return the present and the correct text of a card.

    Raises:
        UserError: the card has no heading "Measured", or its data set cannot be read.
    """
    card = CARDS / data_set.with_suffix(".md")
    present = card.read_text(encoding="utf-8")
    about, heading, _ = present.partition(HEADING)
    if not heading:
        raise UserError(f"{card} has no heading {HEADING.strip()!r}")
    return present, f"{about}{measured(data_set)}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/data_cards.py", description=__doc__)
        parser.add_argument("--check", action="store_true", help="write nothing; fail if a card is out of date")
        options = parser.parse_args(arguments)
        for data_set in shipped():
            present, wanted = card_of(data_set)
            if present == wanted:
                continue
            if options.check:
                raise UserError(f"the card of {data_set.as_posix()} is out of date; run: python scripts/data_cards.py")
            card = CARDS / data_set.with_suffix(".md")
            with atomic_write(card) as temporary:
                temporary.write_text(wanted, encoding="utf-8")
            print(f"wrote {card}")

    return run_program("scripts/data_cards.py", work)


if __name__ == "__main__":
    sys.exit(main())
