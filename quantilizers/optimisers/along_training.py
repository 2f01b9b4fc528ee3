"""What training episodes tell of a training: both returns along it, and whether the proxy's still rises.

Nothing is run for this: agents act as they do while they learn, exploring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.optimisers.agents import LearningCurve
from quantilizers.optimisers.paths import OptimisationPath, PathPoint

#: Of how many equal parts of a budget of steps the means are compared.
PARTS = 10
#: A rise by no more than this fraction of the whole rise is none.
LEAST_RISE = 0.01
#: Points of a path along training.
PATH_POINTS = 10


def stands_still(curve: LearningCurve, steps: int, budget: int) -> bool:
    """Return whether training has brought the proxy return as far as it goes, so that the rest can be saved.

    Its mean over the last whole tenth of the budget is compared with that over the tenth before, from half of the
    budget on: it stands still if it rose by at most a hundredth of the way from the first tenth's mean to the highest.

    Args:
        curve: the training episodes.
        steps: of training so far.
        budget: steps of training at most.
    """
    done = steps * PARTS // budget
    if done < PARTS // 2:
        return False
    edges = np.linspace(0, budget * done / PARTS, done + 1)
    means = binned_means(curve.steps, curve.proxy_returns, edges)
    if not np.isfinite(means).all():
        return False
    return bool(means[-1] - means[-2] <= LEAST_RISE * (means.max() - means[0]))


def path_of_training(
    curves: Sequence[LearningCurve],
    seeds: Sequence[int],
    algorithm: str,
    environment: str,
    max_steps: int,
    options: Mapping[str, Any],
) -> OptimisationPath | None:
    """Return both returns in ten equal parts of a training, each with the mean of every seed's training episodes.

    Parts in which some seed ended no episode have no point. Where seeds were trained for different numbers of steps,
    the path ends with the shortest.

    Args:
        curves: one for each seed.
        seeds: which they are.
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        environment: its name.
        max_steps: the horizon that was in force.
        options: the environment's options that were in force.

    Returns:
        None where some seed ended no episode at all, or no part has one of every seed.
    """
    if not all(curve.steps for curve in curves):
        return None
    edges = np.linspace(0, min(curve.steps[-1] for curve in curves), PATH_POINTS + 1)
    true = np.stack([binned_means(curve.steps, curve.true_returns, edges) for curve in curves])
    proxy = np.stack([binned_means(curve.steps, curve.proxy_returns, edges) for curve in curves])
    points = tuple(
        PathPoint(float(edges[part + 1]), true[:, part, None], proxy[:, part, None])
        for part in range(PATH_POINTS)
        if np.isfinite(proxy[:, part]).all()
    )
    if not points:
        return None
    return OptimisationPath(algorithm, environment, max_steps, dict(options), "training steps", tuple(seeds), points)


def binned_means(
    steps: npt.ArrayLike, returns: npt.ArrayLike, edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the mean return of the episodes that end within each bin of steps, NaN where none does.

    Args:
        steps: (n,) at which the episodes end.
        returns: (n,).
        edges: (bins + 1,) of the bins, each of which has its upper edge; episodes outside all of them are left out.
    """
    within = (np.asarray(steps, dtype=float) > edges[0]) & (np.asarray(steps, dtype=float) <= edges[-1])
    bins = np.searchsorted(edges, np.asarray(steps, dtype=float)[within], side="left") - 1
    number = len(edges) - 1
    counts = np.bincount(bins, minlength=number)
    sums = np.bincount(bins, weights=np.asarray(returns, dtype=float)[within], minlength=number)
    means: npt.NDArray[np.float64] = np.divide(sums, counts, out=np.full(number, np.nan), where=counts > 0)
    return means
