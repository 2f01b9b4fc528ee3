"""Principal components of observations: two axes along which a data set's observations differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError
from quantilizers.rewards import FloatArray


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """A plane through observations of D numbers (Pearson 1901; Hotelling 1933).

    Attributes:
        centre: (D,), the mean observation.
        scale: (D,), the standard deviation of each number, so that units do not decide; 1 where it does not vary.
        axes: (2, D), orthonormal, of the standardised observations; the first shows the most variance.
        explained: (2,), share of the variance along each axis.
    """

    centre: FloatArray
    scale: FloatArray
    axes: FloatArray
    explained: FloatArray

    @classmethod
    def of(cls, observations: npt.NDArray[Any]) -> PrincipalComponents:
        """Fit the plane.

        Args:
            observations: (n, D), from n = 2 and D = 2 on.

        Raises:
            UserError: the observations have one number, or are all the same.
        """
        rows = observations.astype(np.float64)
        if rows.shape[1] < 2:
            raise UserError("observations of one number have no two principal components")
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        standardised = (rows - centre) / scale
        # Of the D × D matrix, for n may be millions.
        variances, axes = np.linalg.eigh(standardised.T @ standardised / len(rows))
        if variances[-1] <= 0:
            raise UserError("the observations are all the same; they have no principal components")
        first_two = axes[:, [-1, -2]].T
        # The sign of an eigenvector is arbitrary: its largest entry is positive here.
        largest = first_two[[0, 1], np.abs(first_two).argmax(axis=1)]
        return cls(centre, scale, first_two * np.sign(largest)[:, None], variances[[-1, -2]] / variances.sum())

    def transform(self, observations: npt.NDArray[Any]) -> FloatArray:
        """Return where observations (n, D) lie in the plane, (n, 2)."""
        places: FloatArray = (observations.astype(np.float64) - self.centre) / self.scale @ self.axes.T
        return places
