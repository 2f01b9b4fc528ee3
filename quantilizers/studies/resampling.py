"""Means of weighted episodes in resamples of a data set: the bootstrap of many weightings at once.

N episodes are drawn anew from the N, with replacement (Efron 1979), or whole players from the players where several
episodes are of one (Davison & Hinkley 1997, section 3.8). Weights by rank go to the ranks of the resample, weights
that an episode has by itself go with it, and every weighting sees the same resamples, so that curves can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.intervals import FloatArray

RESAMPLES = 1000
#: Resamples are drawn so many numbers at a time, 32 MB of them.
NUMBERS_AT_ONCE = 4_000_000


class Resampling:
    """Resamples of N episodes that are ranked by proxy return.

    Args:
        proxy_returns: (N,); ties keep their order.
        players: (N,) who played each episode; whole players are drawn. None draws episodes.
        resamples: B of them.
        seed: of the drawing; the same seed gives the same resamples.

    Raises:
        ValueError: the arrays do not fit, or there are fewer than 2 resamples.
    """

    def __init__(
        self,
        proxy_returns: npt.NDArray[Any],
        players: npt.NDArray[Any] | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        if proxy_returns.ndim != 1 or proxy_returns.size == 0:
            raise ValueError(f"proxy returns have shape {proxy_returns.shape}, not (N,)")
        if players is not None and players.shape != proxy_returns.shape:
            raise ValueError(f"players have shape {players.shape}, not {proxy_returns.shape}")
        if resamples < 2:
            raise ValueError(f"{resamples} resamples tell nothing")
        self.resamples = resamples
        self._seed = seed
        self._number = len(proxy_returns)
        self._order = np.argsort(-proxy_returns.astype(np.float64), kind="stable")
        groups = np.arange(self._number) if players is None else np.unique(players, return_inverse=True)[1]
        self._groups = groups[self._order]

    def ranked_means(self, values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> FloatArray:
        """Return means under weights by rank, (K, B, M).

        Args:
            values: (K, N), quantities of the episodes, in the order of the file.
            weights: (M, N), the best rank's first; rows sum to 1.
        """
        ranked = values[:, self._order].astype(np.float64)
        # Where players have unequal numbers of episodes, a resample has more or fewer than N. It is read at N
        # evenly spaced ranks.
        middles = np.arange(self._number) + 0.5
        means = np.empty((len(values), self.resamples, len(weights)))
        for rows, counts in self._counts():
            drawn = np.empty(counts.shape, dtype=np.intp)
            for row, of_one in zip(drawn, counts, strict=True):
                total = int(of_one.sum())
                episodes = np.repeat(np.arange(self._number), of_one)
                row[:] = episodes if total == self._number else episodes[(middles * (total / self._number)).astype(int)]
            for row, of_quantity in zip(means, ranked, strict=True):
                row[rows] = of_quantity[drawn] @ weights.T
        return means

    def weighted_means(self, values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> FloatArray:
        """Return means under weights that go with the episodes, (K, B, M).

        Args:
            values: (K, N), quantities of the episodes, in the order of the file.
            weights: (M, N), in the order of the file, on any scale. A resample in which all of the weight is missing
                has a mean of NaN.
        """
        ranked, own = values[:, self._order].astype(np.float64), weights[:, self._order].astype(np.float64)
        means = np.empty((len(values), self.resamples, len(weights)))
        for rows, counts in self._counts():
            times = counts.astype(np.float64)
            totals = times @ own.T
            for row, of_quantity in zip(means, ranked, strict=True):
                sums = times @ (own * of_quantity).T
                row[rows] = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
        return means

    def _counts(self) -> Iterator[tuple[slice, npt.NDArray[np.intp]]]:
        """Yield how often each episode, the best first, is in each resample, some resamples at a time."""
        generator = np.random.default_rng(self._seed)
        number = int(self._groups.max()) + 1
        at_once = max(1, NUMBERS_AT_ONCE // self._number)
        for first in range(0, self.resamples, at_once):
            several = min(at_once, self.resamples - first)
            drawn = generator.integers(number, size=(several, number))
            counts = np.stack([np.bincount(row, minlength=number) for row in drawn])
            yield slice(first, first + several), counts[:, self._groups]
