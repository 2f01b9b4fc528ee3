"""HedgeTune: the number of draws at which best of n stops gaining true score (Khalaf et al. 2025)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantilizers.quantilize import RULES, Strength
from quantilizers.rewards import FloatArray
from quantilizers.scores.samples import Samples

#: Most levels of the proxy at which the true score is averaged.
_LEVELS = 64
#: Up to this many draws HedgeTune's n is judged at every whole number, beyond it at as many.
_NUMBERS = 64
#: Numbers among which the root of the residual is bracketed.
_GRID = 200
#: Residuals that are rounding, relative to the largest true score.
_ROUNDING = 1e-12


def hedge_tune(rewards: FloatArray, most: int) -> FloatArray:
    """Return the real n (…), from 1 to `most`, at which best of n stops gaining true score.

    It is the first root of R(n) = E[r(u) p_n(u) ∂/∂n log p_n(u)] with p_n(u) = n u^(n−1) and r(u) the mean true score
    at the proxy's level u in (0, 1); `most` where R stays positive, and 1 where it is not positive from the start.

    Args:
        rewards: r (…, L), at even levels, the highest proxy first.
        most: largest n.
    """
    number = rewards.shape[-1]
    edges = np.arange(number, -1, -1) / number
    grid = np.geomspace(1.0, max(float(most), 1.0 + 1e-9), _GRID)
    # ∂/∂n of u^n is u^n log u, at the edges of each level.
    slopes = edges ** grid[:, None] * np.log(np.where(edges > 0, edges, 1.0))
    # A constant reward gains nothing, so the mean can be left out, which avoids rounding.
    residuals = (rewards - rewards.mean(axis=-1, keepdims=True)) @ (slopes[:, :-1] - slopes[:, 1:]).T
    gains = residuals > _ROUNDING * np.abs(rewards).max(axis=-1, keepdims=True)
    root = gains.argmin(axis=-1)
    before = np.maximum(root - 1, 0)
    above = np.take_along_axis(residuals, before[..., None], axis=-1)[..., 0]
    below = np.take_along_axis(residuals, root[..., None], axis=-1)[..., 0]
    share = np.divide(above, above - below, out=np.zeros(root.shape), where=above > below)
    found: FloatArray = grid[before] + np.clip(share, 0, 1) * (grid[root] - grid[before])
    return np.where(gains.all(axis=-1), float(most), np.where(root == 0, 1.0, found))


def level_strengths(samples: Samples) -> list[Strength]:
    """Return selections of the even levels of the proxy, the highest first.

    They are 64, or as many as the smallest group has samples.
    """
    levels = int(min(samples.sizes.min(), _LEVELS))
    return [RULES["trimmed"].at(1 / levels, cut=place / levels) for place in range(levels)]


def rewards_by_level(tops: FloatArray, bottoms: FloatArray) -> FloatArray:
    """Return mean true scores (…, L) of levels from sums; a level without labels is interpolated."""
    rewards: FloatArray = np.divide(tops, bottoms, out=np.full(tops.shape, np.nan), where=bottoms > 0)
    places = np.arange(tops.shape[-1])
    rows = rewards.reshape(-1, len(places))
    for row in np.flatnonzero(np.isnan(rows).any(axis=1)):
        known = ~np.isnan(rows[row])
        rows[row] = np.interp(places, places[known], rows[row, known]) if known.any() else 0.0
    return rewards


def numbers_of_draws(most: int) -> npt.NDArray[np.int64]:
    """Return numbers of draws from 1 to `most`, at which best of n is estimated."""
    if most <= _NUMBERS:
        return np.arange(1, most + 1)
    return np.unique(np.rint(np.geomspace(1, most, _NUMBERS)).astype(np.int64))


def between(numbers: npt.NDArray[np.int64], drawn: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the place (…) of the number below a real n (…), and the weight of the next: n is their mean."""
    places = np.clip(np.searchsorted(numbers, drawn, side="right") - 1, 0, max(0, len(numbers) - 2))
    if len(numbers) == 1:
        return places, np.zeros(drawn.shape)
    low, high = numbers[places], numbers[places + 1]
    return places, (drawn - low) / (high - low)
