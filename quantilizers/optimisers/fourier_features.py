"""Random Fourier features: cosines whose products are, on average, Gaussian kernels (Rahimi & Recht 2007)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: A block of features for each γ of a kernel exp(−γ |x − y|²) of standardised observations.
KERNEL_GAMMAS = (5.0, 2.0, 1.0, 0.5)
FEATURES_PER_KERNEL = 100
#: How many observations standardisation is measured on.
SAMPLED_OBSERVATIONS = 10_000


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """Features √(2/n) cos(x·frequencies + offsets), for S agents with features of their own.

    Attributes:
        mean: (S, D) of observations.
        deviation: (S, D), their standard deviation.
        frequencies: (S, D, F) of standardised observations.
        offsets: (S, F).
    """

    mean: FloatArray
    deviation: FloatArray
    frequencies: FloatArray
    offsets: FloatArray

    @classmethod
    def stack(cls, parts: Sequence[FourierFeatures]) -> FourierFeatures:
        """Put several agents' features side by side."""
        names = ("mean", "deviation", "frequencies", "offsets")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def number(self) -> int:
        """F."""
        return int(self.offsets.shape[1])

    def __call__(self, observations: npt.NDArray[Any]) -> FloatArray:
        """Return the features (S, F) of observations (S, D), one for each agent; or (n, F) of (n, D) where S is 1."""
        standardised = (observations - self.mean) / self.deviation
        phases = np.broadcast_to(self.offsets, (len(standardised), self.number)).copy()
        for dimension in range(standardised.shape[1]):
            phases += standardised[:, dimension, None] * self.frequencies[:, dimension]
        np.cos(phases, out=phases)
        phases *= np.sqrt(2 / FEATURES_PER_KERNEL)
        return phases

    def one(self, agent: int) -> FourierFeatures:
        """Return one agent's features."""
        own = slice(agent, agent + 1)
        return FourierFeatures(self.mean[own], self.deviation[own], self.frequencies[own], self.offsets[own])

    def arrays_of(self, agent: int) -> dict[str, FloatArray]:
        """Return one agent's numbers, for its file."""
        return {
            "feature_mean": self.mean[agent],
            "feature_deviation": self.deviation[agent],
            "feature_frequencies": self.frequencies[agent],
            "feature_offsets": self.offsets[agent],
        }


def draw_features(low: npt.NDArray[Any], high: npt.NDArray[Any], random: np.random.Generator) -> FourierFeatures:
    """Draw one agent's features for observations between two bounds, (D,) each.

    As the reference implementation does with scikit-learn's `StandardScaler` and `RBFSampler`, but for the random
    numbers themselves.
    """
    observations = random.uniform(low, high, size=(SAMPLED_OBSERVATIONS, len(low)))
    frequencies = [
        np.sqrt(2 * gamma) * random.standard_normal((len(low), FEATURES_PER_KERNEL)) for gamma in KERNEL_GAMMAS
    ]
    offsets = random.uniform(0, 2 * np.pi, FEATURES_PER_KERNEL * len(KERNEL_GAMMAS))
    deviation = observations.std(axis=0)
    return FourierFeatures(
        observations.mean(axis=0)[None],
        # What never varies is not scaled.
        np.where(deviation == 0, 1.0, deviation)[None],
        np.concatenate(frequencies, axis=1)[None],
        offsets[None],
    )
