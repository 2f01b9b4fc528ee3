"""What policies earn beside the episodes that they imitate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.intervals import FloatArray
from quantilizers.evaluation.results import SeedResults
from quantilizers.policies.policy import fingerprint


@dataclass(frozen=True, eq=False)
class Kept:
    """The k episodes that a quantile keeps.

    Attributes:
        quantile: q.
        true_returns: (k,).
        proxy_returns: (k,).
        lengths: (k,) steps.
        data: identifies the episodes, as `quantilizers.policies.policy.fingerprint` does.
    """

    quantile: float
    true_returns: FloatArray
    proxy_returns: FloatArray
    lengths: npt.NDArray[np.int64]
    data: str


@dataclass(frozen=True, eq=False)
class Cloning:
    """How the policies of one quantile compare with the demonstrations.

    Attributes:
        kept: the episodes that they imitate.
        true_return: mean of the policies.
        proxy_return: mean of the policies.
        proxy_percentile: share of all demonstrations whose proxy return is below the policies' mean, in per cent.
    """

    kept: Kept
    true_return: float
    proxy_return: float
    proxy_percentile: float

    @property
    def gap(self) -> float:
        """The cloning gap: mean true return of the policies less that of the episodes that they imitate."""
        return self.true_return - float(self.kept.true_returns.mean())

    def as_numbers(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        kept = self.kept
        return {
            "quantile": kept.quantile,
            "episodes": len(kept.lengths),
            "steps": int(kept.lengths.sum()),
            "true_return": float(kept.true_returns.mean()),
            "proxy_return": float(kept.proxy_returns.mean()),
            "sha256": kept.data,
            "policies_true_return": self.true_return,
            "policies_proxy_return": self.proxy_return,
            "cloning_gap": self.gap,
            "proxy_percentile": self.proxy_percentile,
        }


def kept_episodes(demonstrations: Demonstrations, quantiles: Iterable[float]) -> list[Kept]:
    """Return what each quantile keeps.

    Raises:
        UserError: a quantile is impossible, or the demonstrations cannot be ranked.
    """
    kept = []
    for quantile in quantiles:
        top = demonstrations.top(quantile)
        kept.append(Kept(quantile, top.true_returns, top.proxy_returns, top.lengths, fingerprint(top)))
    return kept


def compare_with_demonstrations(
    kept: Sequence[Kept], results: Sequence[SeedResults], all_proxy_returns: npt.NDArray[Any]
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
