"""CMA-ES: evolution with an adapted covariance matrix. Maximises what is known by trying only.

Source: Hansen (2016), *The CMA evolution strategy: a tutorial*, with its default settings (table 1) but for the
number of candidates of a generation, which the caller chooses, and for negative weights, which are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class EvolutionStrategy:
    """A normal distribution of candidates that moves to where they are good.

    >>> strategy = EvolutionStrategy(dimensions=2, candidates=12, step=0.5)
    >>> for generation in range(60):
    ...     tried = strategy.draw(np.random.default_rng([0, generation]))
    ...     strategy.learn(tried, -np.square(tried - [3.0, -1.0]).sum(axis=1))
    >>> strategy.mean.round(3).tolist()
    [3.0, -1.0]

    Args:
        dimensions: D, numbers of a candidate.
        candidates: of a generation, at least 2.
        step: the first standard deviation in every direction; the first mean is 0.

    Attributes:
        mean: (D,) of the distribution.
        step: its overall size.
        covariance: (D, D) of its shape.
    """

    def __init__(self, dimensions: int, candidates: int, step: float) -> None:
        self.mean = np.zeros(dimensions)
        self.step = step
        self.covariance = np.eye(dimensions)
        self._candidates = candidates
        self._parents = candidates // 2
        weights = np.log((candidates + 1) / 2) - np.log(np.arange(1, self._parents + 1))
        self._weights = weights / weights.sum()
        effective = 1 / np.square(self._weights).sum()
        self._effective = effective
        self._step_rate = (effective + 2) / (dimensions + effective + 5)
        self._step_damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (dimensions + 1)) - 1) + self._step_rate
        self._path_rate = (4 + effective / dimensions) / (dimensions + 4 + 2 * effective / dimensions)
        self._rank_one_rate = 2 / ((dimensions + 1.3) ** 2 + effective)
        self._rank_many_rate = min(
            1 - self._rank_one_rate, 2 * (effective - 2 + 1 / effective) / ((dimensions + 2) ** 2 + effective)
        )
        self._usual_length = np.sqrt(dimensions) * (1 - 1 / (4 * dimensions) + 1 / (21 * dimensions**2))
        self._step_path, self._path = np.zeros(dimensions), np.zeros(dimensions)
        self._generations = 0

    def draw(self, generator: np.random.Generator) -> FloatArray:
        """Draw a generation, (candidates, D)."""
        axes, lengths = self._axes()
        standard = generator.standard_normal((self._candidates, len(self.mean)))
        return self.mean + self.step * (standard * lengths) @ axes.T

    def learn(self, tried: FloatArray, worth: FloatArray) -> None:
        """Move the distribution.

        Args:
            tried: (candidates, D), of `draw`.
            worth: (candidates,), the greater the better; among equals the first counts as the better.
        """
        self._generations += 1
        axes, lengths = self._axes()
        moves = (tried - self.mean) / self.step
        best = moves[np.argsort(-worth, kind="stable")[: self._parents]]
        move = self._weights @ best
        self.mean = self.mean + self.step * move
        whitened = axes @ ((axes.T @ move) / lengths)
        rate = self._step_rate
        self._step_path = (1 - rate) * self._step_path + np.sqrt(rate * (2 - rate) * self._effective) * whitened
        length = float(np.linalg.norm(self._step_path))
        grown = np.sqrt(1 - (1 - rate) ** (2 * self._generations))
        steady = length / grown < (1.4 + 2 / (len(self.mean) + 1)) * self._usual_length
        rate = self._path_rate
        gained = np.sqrt(rate * (2 - rate) * self._effective) * move if steady else 0.0
        self._path = (1 - rate) * self._path + gained
        one, many = self._rank_one_rate, self._rank_many_rate
        lost = 0.0 if steady else rate * (2 - rate)
        self.covariance = (
            (1 - one - many + one * lost) * self.covariance
            + one * np.outer(self._path, self._path)
            + many * (best.T * self._weights) @ best
        )
        self.step *= float(np.exp(self._step_rate / self._step_damping * (length / self._usual_length - 1)))

    def _axes(self) -> tuple[FloatArray, FloatArray]:
        """Return the covariance's eigenvectors (D, D) and the square roots of its eigenvalues (D,)."""
        values, vectors = np.linalg.eigh((self.covariance + self.covariance.T) / 2)
        return vectors, np.sqrt(np.maximum(values, 1e-20))
