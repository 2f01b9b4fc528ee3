"""What a study wrote in JSON, read by those who show it: nothing in it is believed before it was looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantilizers.errors import UserError, reason_of
from quantilizers.evaluation.intervals import Interval
from quantilizers.stages.finished import record_in

#: The most of its words that are shown.
MAX_LETTERS = 300


@contextmanager
def reading_study(path: Path) -> Iterator[dict[str, Any]]:
    """Give what a study's file holds; what goes wrong while it is looked through is the file's fault.

    Raises:
        FileNotFoundError: there is none.
        UserError: it cannot be read, or is no study.
    """
    try:
        found = record_in(path)
        if not isinstance(found, dict):
            raise TypeError("it holds no names and values")
        yield found
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} is no study ({reason_of(error)}); delete it, or make it again") from None


def number_in(value: Any) -> float:
    """Return a number of a study.

    Raises:
        TypeError: it is none.
        ValueError: it is not finite.
        OverflowError: it is too large.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def words_in(value: Any) -> str:
    """Return words of a study.

    Raises:
        TypeError: they are none.
        ValueError: they cannot be shown in a line.
    """
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no words")
    if not value.isprintable() or len(value) > MAX_LETTERS:
        raise ValueError(f"{value[:40]!r} are no words for a table")
    return value


def interval_in(estimate: Any, bounds: Any) -> Interval:
    """Return an estimate of a study with its bounds, which are None where there are none.

    Raises:
        TypeError: they are no numbers.
        ValueError: they are not finite, or there are not two bounds.
        OverflowError: one is too large.
    """
    low, high = (math.nan if bound is None else number_in(bound) for bound in bounds)
    return Interval(number_in(estimate), low, high)
