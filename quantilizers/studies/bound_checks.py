"""What theory promises of a study's quantilizers, beside what was measured: the bounds, kept or broken.

Two costs are looked at, both made of true returns alone, so that they need no unit in common with the proxy:

- `failures`: an episode that is worse than the worst demonstration. None of the demonstrations is, so that the bound is
  0 at every q: a quantilizer never fails in this sense. Policies may.
- `shortfall`: how far an episode stays behind the best demonstration; 0 for those that do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.rewards import FloatArray
from quantilizers.studies.bounds import (
    CostBounds,
    Guarantee,
    PolicyBound,
    failures,
    guarantee,
    policy_bound,
    top_cost_bounds,
)

#: The costs, and what their means are in words.
COSTS = {
    "failures": "share of episodes worse than the worst demonstration",
    "shortfall": "distance to the best demonstration",
}


@dataclass(frozen=True, eq=False)
class BoundChecks:
    """The bounds at each q.

    Attributes:
        quantiles: M of them, the largest first.
        kept: for each cost, of the episodes kept; these keep the bound by theorem.
        policies: for each cost, of the policies trained on them, which need not; one for each q.
        guarantee: E_q[U] − k / q, or why it does not apply.
    """

    quantiles: tuple[float, ...]
    kept: Mapping[str, CostBounds]
    policies: Mapping[str, tuple[PolicyBound, ...]]
    guarantee: Guarantee

    @property
    def broken(self) -> list[str]:
        """A sentence for each bound that policies break."""
        return [
            bound.sentence(COSTS[cost])
            for cost, bounds in self.policies.items()
            for bound in bounds
            if bound.finding == "broken"
        ]

    def as_numbers(self) -> dict[str, Any]:
        """Return it as JSON can hold it; what is not finite is None."""
        return {
            "quantiles": list(self.quantiles),
            "costs": {
                cost: {
                    "mean_of": words,
                    "kept": self.kept[cost].as_numbers(),
                    "policies": [bound.as_numbers() for bound in self.policies[cost]],
                }
                for cost, words in COSTS.items()
            },
            "guarantee": self.guarantee.as_numbers(),
            "broken": self.broken,
        }


def check_bounds(
    true_returns: npt.NDArray[Any],
    proxy_returns: npt.NDArray[Any],
    policies: Mapping[float, npt.NDArray[Any]],
    why_not: str | None,
    implicit_loss: float | None = None,
    players: npt.NDArray[Any] | None = None,
) -> BoundChecks:
    """Compare what demonstrations and policies cost with the bounds of the quantilizer.

    Args:
        true_returns: (N,) of all demonstrations.
        proxy_returns: (N,).
        policies: for each q true returns of the policies of the top q, (seeds, episodes).
        why_not: from `quantilizers.studies.bounds.why_no_guarantee`.
        implicit_loss: k, the mean implicit loss of the base distribution, if it is known; else it is estimated.
        players: (N,), who played each demonstration; whole players are drawn for the guarantee's intervals.

    Raises:
        UserError: a quantile is impossible.
        ValueError: k is negative, or the arrays do not fit.
    """
    quantiles = tuple(sorted(policies, reverse=True))
    kept, of_policies = {}, {}
    for cost in COSTS:
        base = _cost(cost, true_returns, true_returns)
        kept[cost] = top_cost_bounds(base, proxy_returns, quantiles)
        of_policies[cost] = tuple(
            policy_bound(_cost(cost, policies[quantile], true_returns), base, quantile) for quantile in quantiles
        )
    promised = guarantee(
        proxy_returns, quantiles, implicit_loss, true_returns=true_returns, why_not=why_not, players=players
    )
    return BoundChecks(quantiles, kept, of_policies, promised)


def _cost(cost: str, true_returns: npt.NDArray[Any], demonstrations: npt.NDArray[Any]) -> FloatArray:
    """Return one of `COSTS` of each episode."""
    if cost == "failures":
        return failures(true_returns, float(demonstrations.min()))
    behind: FloatArray = np.maximum(0.0, demonstrations.max() - true_returns.astype(np.float64))
    return behind
