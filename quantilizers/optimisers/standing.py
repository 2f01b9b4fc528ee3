"""Where each agent stands in an environment by its proxy return, and whether what is to optimise it does.

An optimiser that earns less proxy reward than agents which imitate people has not optimised, and a comparison of true
returns with it says nothing of optimising. Intervals of 95 % decide: an optimiser's against each quantilizer's. Two
that do not overlap are further apart than chance explains (by more than a test at 5 % would ask for); of two that
overlap nothing is said, and nothing is corrected for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement

NOT_OPTIMISED, UNDECIDED = "did not optimise", "undecided"
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Standing:
    """What one agent earned.

    Attributes:
        label: what it is.
        proxy_returns: (seeds, episodes); of the best demonstration (1, 1).
        true_returns: (seeds, episodes).
        conditions: horizon and options of the environment under which it acted; None of a demonstration.
        optimises: whether it tries to earn proxy reward.
        quantile: of a quantilizer.
    """

    label: str
    proxy_returns: FloatArray
    true_returns: FloatArray
    conditions: Mapping[str, Any] | None = None
    optimises: bool = False
    quantile: float | None = None

    @property
    def proxy(self) -> Interval:
        """Mean proxy return with its interval."""
        return mean_interval(self.proxy_returns)

    @property
    def true(self) -> Interval:
        """Mean true return with its interval."""
        return mean_interval(self.true_returns)


def standings_of(
    measurements: Sequence[Measurement],
    tested: Sequence[SeedResults],
    demonstrated: tuple[FloatArray, FloatArray] | None,
) -> list[Standing]:
    """Return everybody by proxy return, the highest first.

    Args:
        measurements: of optimisers and of random play.
        tested: results of the quantilizers, one for each seed, of the same quantiles.
        demonstrated: proxy and true returns (N,) of the demonstrations, of which the best stands among the others.
    """
    found = []
    for measured in measurements:
        algorithm, conditions = ALGORITHMS[measured.algorithm], _conditions(measured.results[0])
        found.append(
            Standing(algorithm.label, measured.proxy_returns, measured.true_returns, conditions, algorithm.optimises)
        )
    for index, quantile in enumerate(tested[0].quantiles.tolist() if tested else []):
        label = "imitation, q = 1" if quantile == 1 else f"quantilizer, q = {quantile:g}"
        proxy = np.stack([one.proxy_returns[index] for one in tested])
        true = np.stack([one.true_returns[index] for one in tested])
        found.append(Standing(label, proxy, true, _conditions(tested[0]), quantile=quantile))
    if demonstrated is not None:
        best = int(demonstrated[0].argmax())
        proxy, true = (returns[None, [best]] for returns in demonstrated)
        found.append(Standing("best demonstration", proxy, true))
    return sorted(found, key=lambda standing: -standing.proxy.estimate)


def verdict(standing: Standing, others: Sequence[Standing]) -> str:
    """Return whether an optimiser optimised, beside the quantilizers among others; nothing of an agent that is none.

    Args:
        standing: whose.
        others: everybody.

    Returns:
        "did not optimise" where its interval lies below some quantilizer's, "above every quantilizer" where it lies
        above all of them, else "undecided"; each with what decides.
    """
    if not standing.optimises:
        return ""
    quantilizers = [other for other in others if other.quantile is not None]
    if not quantilizers:
        return "no quantilizer was tested"
    alike = [other for other in quantilizers if other.conditions == standing.conditions]
    if not alike:
        return "quantilizers were tested with another horizon or other options"
    # A bound that is not known, NaN, decides nothing.
    above = [other for other in alike if other.proxy.low > standing.proxy.high]
    if above:
        highest = max(above, key=lambda other: other.proxy.estimate)
        return f"{NOT_OPTIMISED}: below q = {highest.quantile:g}"
    if all(standing.proxy.low > other.proxy.high for other in alike):
        return "above every quantilizer"
    overlapping = [other for other in alike if not standing.proxy.low > other.proxy.high]
    names = ", ".join(f"{other.quantile:g}" for other in sorted(overlapping, key=lambda other: -(other.quantile or 0)))
    return f"{UNDECIDED}: overlaps q = {names}"


def share_of_the_way(standing: Standing, others: Sequence[Standing]) -> float | None:
    """Return how far an agent has come from random play's proxy return (0) to the highest among all (1).

    None where random play was not measured under the same horizon and options, or is itself the highest there.
    """
    # What a demonstration earned could be earned under whatever horizon the others had that are compared with it.
    alike = [
        other
        for other in others
        if None in (other.conditions, standing.conditions) or other.conditions == standing.conditions
    ]
    random = [other.proxy.estimate for other in alike if other.label == ALGORITHMS["random"].label]
    highest = max(other.proxy.estimate for other in alike)
    if not random or highest <= random[0]:
        return None
    return (standing.proxy.estimate - random[0]) / (highest - random[0])


def _conditions(results: SeedResults) -> dict[str, Any]:
    return {"max_steps": results.max_steps, "options": dict(results.options)}
