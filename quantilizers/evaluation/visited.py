"""What policies see and do in their test episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.rollouts import episode_batches, randomness_of, roll_out
from quantilizers.policies.policy import Policies


def visited(
    environment: EnvironmentDefinition,
    policies: Policies,
    seeds: Sequence[int],
    episodes: int,
    max_steps: int,
    options: Mapping[str, Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Let policies play their first test episodes, and return every step of them.

    Args:
        environment: where.
        policies: one for each seed.
        seeds: of the policies.
        episodes: of each policy.
        max_steps: episodes are cut after so many steps.
        options: of the environment.

    Returns:
        Observations (n, …) and the actions chosen on them (n, A).

    Raises:
        UserError: the environment cannot be made.
    """
    observer = _Observer(policies)
    for batch in episode_batches(episodes, environment.parallel_episodes):
        roll_out(environment, observer, *randomness_of(seeds, batch), max_steps, options)
    return np.concatenate(observer.observations), np.concatenate(observer.actions)


class _Observer:
    """Policies that note what they see and do in episodes that still run."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self.observations: list[npt.NDArray[Any]] = []
        self.actions: list[npt.NDArray[Any]] = []

    def begin(self, episodes: int) -> None:
        """Begin episodes as the policies do."""
        self._policies.begin(episodes)

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions as the policies do."""
        actions = self._policies.act(observations, generators, running)
        self.observations.append(observations[running])
        self.actions.append(actions[running])
        return actions
