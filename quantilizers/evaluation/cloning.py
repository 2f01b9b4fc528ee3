"""What policies earn beside the episodes that they imitate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.results import SeedResults
from quantilizers.policies.treatment import REFERENCE, Selection, Treatment


@dataclass(frozen=True, eq=False)
class Cloning:
    """How the policies of one quantile compare with the demonstrations.

    Attributes:
        kept: the episodes that they imitate.
        true_return: mean of the policies.
        proxy_return: mean of the policies.
        proxy_percentile: share of all demonstrations whose proxy return is below the policies' mean, in per cent.
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
        """Return it as JSON can hold it."""
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


def kept_episodes(
    demonstrations: Demonstrations, quantiles: Iterable[float], treatment: Treatment = REFERENCE
) -> list[Selection]:
    """Return what policies of each quantile imitate.

    Args:
        demonstrations: all of them.
        quantiles: each 0 < q ≤ 1.
        treatment: how episodes are chosen and weighted.

    Raises:
        UserError: a quantile is impossible, or the demonstrations cannot be ranked.
    """
    return list(treatment.choose_all(demonstrations, quantiles, observations=False).values())


def compare_with_demonstrations(
    kept: Sequence[Selection], results: Sequence[SeedResults], all_proxy_returns: npt.NDArray[Any]
) -> list[Cloning]:
    """Return for each quantile how its policies compare with the episodes that they imitate.

    Args:
        kept: what each quantile keeps.
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
