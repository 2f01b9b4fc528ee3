"""What policies earn beside the episodes that they imitate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.weighting import effective_sample_size, kl_divergence
from quantilizers.evaluation.intervals import FloatArray
from quantilizers.evaluation.results import SeedResults
from quantilizers.policies.policy import fingerprint
from quantilizers.policies.treatment import REFERENCE, Treatment


@dataclass(frozen=True, eq=False)
class Kept:
    """The k episodes that policies of a quantile imitate, of N.

    Attributes:
        quantile: q.
        weights: (k,) of the episodes; they sum to 1. A quantile keeps episodes that all weigh alike.
        number: N.
        true_returns: (k,).
        proxy_returns: (k,).
        lengths: (k,) steps.
        data: identifies the episodes, as `quantilizers.policies.policy.fingerprint` does.
    """

    quantile: float
    weights: FloatArray
    number: int
    true_returns: FloatArray
    proxy_returns: FloatArray
    lengths: npt.NDArray[np.int64]
    data: str

    @property
    def effective_number(self) -> float:
        """How many equally weighted episodes vary as little; k where all weigh alike (Kish 1965)."""
        return effective_sample_size(self.weights)

    @property
    def divergence(self) -> float:
        """KL divergence from N equally weighted episodes, in nats; of the top q it is log(1/q) but for rounding."""
        return kl_divergence(np.concatenate([self.weights, np.zeros(self.number - len(self.weights))]))

    @property
    def true_return(self) -> float:
        """Mean true return, by the weights."""
        return self.mean(self.true_returns)

    @property
    def proxy_return(self) -> float:
        """Mean proxy return, by the weights."""
        return self.mean(self.proxy_returns)

    def mean(self, values: FloatArray) -> float:
        """Return the weighted mean of the episodes' values (k,)."""
        # Of equal weights it is the plain mean, to the bit.
        alike = bool((self.weights == self.weights[0]).all())
        return float(values.mean() if alike else self.weights @ values)


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
) -> list[Kept]:
    """Return what policies of each quantile imitate.

    Args:
        demonstrations: all of them.
        quantiles: each 0 < q ≤ 1.
        treatment: how episodes are chosen and weighted.

    Raises:
        UserError: a quantile is impossible, or the demonstrations cannot be ranked.
    """
    kept = []
    for quantile, chosen in treatment.choose_all(demonstrations, quantiles, observations=False).items():
        split = chosen.demonstrations
        kept.append(
            Kept(
                quantile,
                chosen.weights,
                chosen.number,
                split.true_returns,
                split.proxy_returns,
                split.lengths,
                fingerprint(split),
            )
        )
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
