"""Which of N episodes a quantile keeps."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Selection


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


def select_episodes(
    proxy_returns: npt.NDArray[Any], quantile: float, selection: Selection, subset: int = 0
) -> npt.NDArray[np.intp]:
    """Return the indices of as many episodes as a quantile keeps, chosen by the proxy or against it.

    Args:
        proxy_returns: (N,), the ranking; ties keep the order of the file.
        quantile: q, 0 < q ≤ 1.
        selection: `top` is what a quantilizer imitates, best first; `bottom` the worst, worst first; `random` a random
            subset, which knows nothing of the proxy, in the order in which it was drawn.
        subset: number of the random subset. A subset of a number and q is always the same.

    Returns:
        max(1, floor(q·N)) of them.
    """
    if selection == "top":
        return best_episodes(proxy_returns, quantile)
    number = number_kept(quantile, len(proxy_returns))
    if selection == "bottom":
        worst_first: npt.NDArray[np.intp] = np.argsort(np.asarray(proxy_returns, dtype=np.float64), kind="stable")
        return worst_first[:number]
    drawn: npt.NDArray[np.intp] = np.random.default_rng([subset, number, len(proxy_returns)]).permutation(
        len(proxy_returns)
    )
    return drawn[:number]
