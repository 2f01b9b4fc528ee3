"""Selecting rows within groups: the quantilizer's selection, or as many rows at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantilizers.choices import truth, whole_number
from quantilizers.errors import UserError
from quantilizers.quantilize import RULES, check_quantile, number_kept
from quantilizers.scores.samples import Samples


def select(
    proxy: npt.ArrayLike,
    group: npt.ArrayLike | None = None,
    *,
    q: float | None = None,
    n: int | None = None,
    k: int = 1,
    random: bool = False,
    seed: int = 0,
) -> npt.NDArray[np.intp]:
    """Return the rows that a quantilizer selects within each group, in the order of the table.

    With q, the best floor(q·m) of the m rows of each group, which has 1/q or more. With n and k, the best k of n rows
    drawn at random. Rows that tie at the edge are drawn at random. The matched control draws as many without looking at
    the scores.

    >>> select([3.0, 1.0, 2.0, 9.0, 8.0, 7.0], ["a", "a", "a", "b", "b", "b"], q=0.34).tolist()
    [0, 3]

    Args:
        proxy: (R,) finite scores.
        group: (R,) decision problem of each row; None is a single one.
        q: fraction of each group.
        n: number of rows drawn from each group.
        k: number of the best of those.
        random: select as many at random.
        seed: of all draws.

    Raises:
        UserError: neither q nor n is given, or both, or they are impossible, or a group has fewer than n or
            1/q rows.
    """
    samples = Samples.of(proxy, None, group)
    seed, k, random = whole_number("seed", seed, 0), whole_number("k", k), truth("random", random)
    if (q is None) == (n is None):
        raise UserError("a selection needs either q, or n and k")
    if q is not None:
        if k != 1:
            raise UserError("k belongs to n; q alone says how many rows are selected")
        check_quantile(q)
        hardest = RULES["quantile"].at(q)
        samples.check_draws(hardest.draws, "rows", needs=f"{hardest.label} needs")
    elif k > (n := whole_number("n", n)):
        raise UserError(f"the best {k} of {n} rows are impossible; k is from 1 to n")
    else:
        samples.check_draws(n, "rows")
    generator = np.random.default_rng(seed)
    draws = generator.random(samples.number)  # orders rows that tie, and all rows of a random selection
    kept: list[npt.NDArray[np.intp]] = []
    for place in range(samples.groups):
        rows = np.arange(samples.offsets[place], samples.offsets[place + 1])
        wanted = number_kept(q, len(rows)) if q is not None else k
        if n is not None:
            rows = generator.permutation(rows)[:n]
        keys = draws[rows] if random else -samples.proxy[rows]
        kept.append(rows[np.lexsort((draws[rows], keys))[:wanted]])
    found: npt.NDArray[np.intp] = np.sort(samples.order[np.concatenate(kept)])
    return found
