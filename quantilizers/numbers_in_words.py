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
