"""Numbers as tables and messages write them."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt


def counted(number: int, word: str) -> str:
    """Return a number and its noun, in the plural where that is due.

    >>> counted(1, "seed"), counted(2000, "seed")
    ('1 seed', '2,000 seeds')
    """
    return f"{number:,} {word}{'s' if number != 1 else ''}"


def all_or_some(some: int, number: int, noun: str, plural: str) -> str:
    """Return a subject and its verb for some of a number of things.

    >>> [all_or_some(some, number, "policy", "policies") for some, number in ((1, 1), (2, 2), (3, 3), (1, 3))]
    ['the policy is', 'both policies are', 'all 3 policies are', '1 of 3 policies is']
    """
    if some < number:
        return f"{some:,} of {number:,} {plural} {'is' if some == 1 else 'are'}"
    return {1: f"the {noun} is", 2: f"both {plural} are"}.get(number, f"all {number:,} {plural} are")


def short(value: float) -> str:
    """Return a number for a table; numbers below 10 get one more digit.

    >>> short(0.6034), short(-1234.5)
    ('0.603', '-1,234.50')
    """
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.2f}"


def spread(values: npt.NDArray[Any]) -> str:
    """Return the mean and the range of values, for a table.

    >>> import numpy as np
    >>> spread(np.array([100, 160])), spread(np.array([-12.5, 3.0]))
    ('130.0 [100, 160]', '-4.750 [-12.50, 3.000]')
    """
    if values.dtype.kind in "iu":
        return f"{values.mean():,.1f} [{values.min():,}, {values.max():,}]"
    return f"{short(values.mean())} [{short(values.min())}, {short(values.max())}]"
