"""The families of policies that imitate demonstrations, and what each of them offers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.settings import Settings


class Policies(Protocol):
    """P trained policies that act side by side."""

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose an action in each of E episodes of each policy.

        What one policy does depends on its own observations and generator only, not on which others act beside
        it.

        Args:
            observations: (P, E, …).
            generators: one for each policy, for families that sample.
            running: (P, E), which episodes still go on; what is chosen in the others does not matter.

        Returns:
            Actions (P, E, A).
        """
        ...


class PolicyFamily(Protocol):
    """What a module of this package that is named by `EnvironmentDefinition.policy` offers."""

    def train(self, settings: Settings, splits: Mapping[float, Demonstrations]) -> None:
        """Train and save one policy for each quantile and seed.

        Args:
            settings: names the seeds and the files.
            splits: for each quantile, the demonstrations that it keeps.
        """
        ...

    def load(self, environment: EnvironmentDefinition, paths: Sequence[Path]) -> Policies:
        """Load trained policies so that they act side by side, in the given order.

        Raises:
            UserError: a file is no policy of this environment.
        """
        ...


def family_of(environment: EnvironmentDefinition) -> PolicyFamily:
    """Import and return the policy family that imitates in an environment."""
    return cast(PolicyFamily, importlib.import_module(f"{__name__}.{environment.policy}"))
