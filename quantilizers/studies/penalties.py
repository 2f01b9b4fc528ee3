"""A study at any λ: what policies do that the proxy does not see, and the λ from which that costs more than it earns.

No agent sees the true reward U − λ·L, so one study tells the true return at every λ, from the proxy return U and the
implicit loss L, such as a cheat rate. The verdicts of a study are about the λ of its tests, which may be so small that
losses cost nothing; those about L are here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from quantilizers.choices import Budget
from quantilizers.evaluation.intervals import Interval, even_penalty
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import Arm, ArmResults
from quantilizers.studies.report import Row, StudyReport, report

#: From true and proxy returns to the losses of episodes.
LossOf = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Losses:
    """The implicit losses of a study's policies.

    Attributes:
        found: the report of a study, in which losses stand for true returns.
        evens: for each budget and q below 1 the λ at which policies of the top q earn as much as imitation, paired by
            seed; above it the one with the smaller loss earns more.
    """

    found: StudyReport
    evens: Mapping[tuple[Budget, float], Interval]

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {
            "quantity": self.found.quantity,
            "rows": [self._row_numbers(row) for row in self.found.rows],
            "verdicts": self.found.as_numbers()["verdicts"],
            "even_with_imitation": [
                {"budget": budget, "quantile": quantile}
                | dict(zip(("lambda", "low", "high"), even.as_numbers(), strict=True))
                for (budget, quantile), even in self.evens.items()
            ],
        }

    def _row_numbers(self, row: Row) -> dict[str, Any]:
        return {
            "quantile": row.quantile,
            "budget": row.budget,
            "kept": row.top.kept_true_return,
            "top": self.found.true_interval(row.top).as_numbers(),
            "bottom": None if row.bottom is None else self.found.true_interval(row.bottom).as_numbers(),
            "random": [float(results.true_returns.mean()) for results in row.random],
        }


def losses_of(
    results: Mapping[Arm, ArmResults],
    loss_of: LossOf,
    quantity: str,
    all_proxy_returns: npt.NDArray[Any],
    optimiser: FloatArray | None = None,
    same_seeds: bool = True,
) -> Losses:
    """Return the losses of a study's arms, and compare them as the study compares true returns.

    Args:
        results: of the arms.
        loss_of: see `LossOf`.
        quantity: the name of a loss.
        all_proxy_returns: of the demonstrations, (N,).
        optimiser: its losses, (seeds, episodes), if it was measured.
        same_seeds: whether the optimiser has the policies' seeds.
    """
    losses = {
        arm: replace(
            found,
            true_returns=loss_of(found.true_returns, found.proxy_returns),
            kept_true=loss_of(found.kept_true, found.kept_proxy),
        )
        for arm, found in results.items()
    }
    found = report(losses, all_proxy_returns, optimiser, same_seeds, quantity=quantity)
    evens = {}
    for row in found.rows:
        if row.quantile < 1:
            imitation = losses[Arm(1.0, "top", 0, row.budget)]
            more_proxy, more_loss = (
                getattr(row.top, name).mean(axis=1) - getattr(imitation, name).mean(axis=1)
                for name in ("proxy_returns", "true_returns")
            )
            evens[row.budget, row.quantile] = even_penalty(more_proxy, more_loss)
    return Losses(found, evens)
