"""Observations and actions of policies in their test episodes, and two principal components of observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.evaluation.rollouts import episode_batches, randomness_of, roll_out
from quantilizers.policies.policy import Policies
from quantilizers.rewards import FloatArray


def visited(
    environment: EnvironmentDefinition,
    policies: Policies,
    seeds: Sequence[int],
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return observations (n, …) and actions (n, A) of all steps of the first test episodes of policies, one a seed.

    Raises:
        UserError: the environment cannot be made.
    """
    observer = _Observer(policies)
    for batch in episode_batches(episodes, environment.parallel_episodes):
        roll_out(environment, observer, *randomness_of(seeds, batch), max_steps, options)
    return np.concatenate(observer.observations), np.concatenate(observer.actions)


class _Observer:
    """Policies that record observations and actions of episodes that still run."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self.observations: list[npt.NDArray[Any]] = []
        self.actions: list[npt.NDArray[Any]] = []

    def begin(self, episodes: int) -> None:
        """Begin episodes as the policies do."""
        self._policies.begin(episodes)

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions as the policies do."""
        actions = self._policies.act(observations, generators, running)
        self.observations.append(observations[running])
        self.actions.append(actions[running])
        return actions


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """A plane through observations of D numbers (Pearson 1901; Hotelling 1933).

    Attributes:
        centre: (D,), the mean observation.
        scale: (D,), the standard deviation of each number; 1 where it is constant.
        axes: (2, D), orthonormal, of the standardised observations; the first shows the most variance.
        explained: (2,), share of the variance along each axis.
    """

    centre: FloatArray
    scale: FloatArray
    axes: FloatArray
    explained: FloatArray

    @classmethod
    def of(cls, observations: npt.NDArray[Any]) -> PrincipalComponents:
        """Fit the plane to observations (n, D).

        Raises:
            UserError: the observations have one number, or are all the same.
        """
        rows = observations.astype(np.float64)
        if rows.shape[1] < 2:
            raise UserError("observations of one number have no two principal components")
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        standardised = (rows - centre) / scale
        # Of the D × D matrix, because n may be millions.
        variances, axes = np.linalg.eigh(standardised.T @ standardised / len(rows))
        if variances[-1] <= 0:
            raise UserError("the observations are all the same; they have no principal components")
        first_two = axes[:, [-1, -2]].T
        # The sign of an eigenvector is arbitrary: its largest entry is positive here.
        largest = first_two[[0, 1], np.abs(first_two).argmax(axis=1)]
        return cls(centre, scale, first_two * np.sign(largest)[:, None], variances[[-1, -2]] / variances.sum())

    def transform(self, observations: npt.NDArray[Any]) -> FloatArray:
        """Return the places of observations (n, D) in the plane, (n, 2)."""
        places: FloatArray = (observations.astype(np.float64) - self.centre) / self.scale @ self.axes.T
        return places
