"""Returns of policies compared with those of the episodes that they imitate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.evaluation.results import SeedResults
from quantilizers.policies.selection_settings import Selection


@dataclass(frozen=True, eq=False)
class Cloning:
    """The policies of one quantile compared with the demonstrations.

    Attributes:
        kept: selection of the episodes that they imitate.
        true_return: mean of the policies.
        proxy_return: mean of the policies.
        proxy_percentile: percentage of all demonstrations whose proxy return is below the policies' mean.
    """

    kept: Selection
    true_return: float
    proxy_return: float
    proxy_percentile: float

    @property
    def gap(self) -> float:
        """The cloning gap: mean true return of the policies less that of the episodes that they imitate."""
        return self.true_return - self.kept.true_return

    def as_numbers(self) -> dict[str, Any]:
        """Return values for JSON."""
        kept = self.kept
        return {
            "quantile": kept.quantile,
            "episodes": len(kept.lengths),
            "effective_episodes": kept.effective_number,
            "kl_divergence": kept.divergence,
            "steps": int(kept.lengths.sum()),
            "true_return": kept.true_return,
            "proxy_return": kept.proxy_return,
            "sha256": kept.data,
            "policies_true_return": self.true_return,
            "policies_proxy_return": self.proxy_return,
            "cloning_gap": self.gap,
            "proxy_percentile": self.proxy_percentile,
        }


def compare_with_demonstrations(
    kept: Sequence[Selection], results: Sequence[SeedResults], all_proxy_returns: npt.NDArray[Any]
) -> list[Cloning]:
    """Compare the policies of each quantile with the episodes that they imitate.

    Args:
        kept: the selection of each quantile.
        results: one for each seed, of the same quantiles in the same order.
        all_proxy_returns: of all demonstrations, (N,).
    """
    compared = []
    for index, of_quantile in enumerate(kept):
        true = np.stack([of_seed.true_returns[index] for of_seed in results])
        proxy = float(np.stack([of_seed.proxy_returns[index] for of_seed in results]).mean())
        percentile = 100 * float((all_proxy_returns < proxy).mean())
        compared.append(Cloning(of_quantile, float(true.mean()), proxy, percentile))
    return compared
