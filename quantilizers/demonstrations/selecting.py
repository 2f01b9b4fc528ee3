"""Which of N episodes a quantile keeps."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt


def number_kept(quantile: float, number: int) -> int:
    """Return how many of `number` demonstrations quantile q keeps: max(1, floor(q·N)).

    The product is that of the decimal number the user wrote: 0.29 of 100 is 29, though the nearest binary
    fraction to 0.29 lies below it.
    """
    return max(1, math.floor(Decimal(str(quantile)) * number))


def best_episodes(proxy_returns: npt.NDArray[Any], quantile: float) -> npt.NDArray[np.intp]:
    """Return the indices of the top q of N episodes by proxy return, best first (Taylor 2016; Carey 2019).

    Args:
        proxy_returns: (N,), the ranking; ties keep the order of the file.
        quantile: q, 0 < q ≤ 1.

    Returns:
        max(1, floor(q·N)) of them.
    """
    best_first: npt.NDArray[np.intp] = np.argsort(-np.asarray(proxy_returns, dtype=np.float64), kind="stable")
    return best_first[: number_kept(quantile, len(best_first))]
