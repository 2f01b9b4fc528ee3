"""Plans: the actions of whole episodes, found before they are played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.optimisers.agents import load_agent
from quantilizers.optimisers.jobs import Job


@dataclass(frozen=True, eq=False)
class Plans:
    """The plans of E episodes, of at most T steps.

    Attributes:
        actions: (E, T, A), as files keep actions; zero after an episode's end.
        lengths: (E,) steps.
        expected: (E,) returns of the reward that was planned on.
        more: what else the planner keeps, by names of its own.
    """

    actions: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64]
    expected: npt.NDArray[np.float64]
    more: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of_episodes(cls, actions: Sequence[npt.NDArray[Any]], expected: Sequence[float]) -> Plans:
        """Return the plans of episodes from the actions (t, A) of each."""
        lengths = np.array([len(one) for one in actions], dtype=np.int64)
        padded = np.zeros((len(actions), int(lengths.max(initial=0)), *actions[0].shape[1:]), dtype=actions[0].dtype)
        for row, one in zip(padded, actions, strict=True):
            row[: len(one)] = one
        return cls(padded, lengths, np.array(expected, dtype=np.float64))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], components: int) -> Plans:
        """Return the plans in an agent's file.

        Args:
            arrays: of `as_arrays`.
            components: A.

        Raises:
            UserError: they do not fit together.
        """
        try:
            actions, lengths, expected = (arrays[name] for name in ("actions", "lengths", "expected"))
        except KeyError as error:
            raise UserError(f"{error.args[0]} is missing") from None
        number = len(actions) if actions.ndim == 3 else -1
        if not (lengths.shape == expected.shape == (number,)) or actions.shape[2] != components:
            raise UserError("actions, lengths and expected returns do not fit together")
        if lengths.dtype.kind != "i" or lengths.min(initial=1) < 1 or lengths.max(initial=1) > actions.shape[1]:
            raise UserError("the lengths of plans are impossible")
        if actions.dtype.kind not in "if" or not np.isfinite(actions).all():
            raise UserError("an action is no number")
        known = ("actions", "lengths", "expected")
        return cls(actions, lengths, expected, {name: arrays[name] for name in arrays if name not in known})

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what an agent's file holds."""
        return {"actions": self.actions, "lengths": self.lengths, "expected": self.expected, **self.more}

    @property
    def number(self) -> int:
        """E."""
        return len(self.lengths)


class FollowedPlans:
    """Plans as `quantilizers.policies.policy.Policies`: one policy in some of the episodes, from their starts on.

    Args:
        plans: of all episodes.
        episodes: those that are played.
    """

    def __init__(self, plans: Plans, episodes: slice) -> None:
        self._actions = plans.actions[episodes]
        self._step = 0

    def begin(self, episodes: int) -> None:
        """Begin the episodes."""
        self._step = 0

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Return the next actions (1, E, A)."""
        # An episode that goes on where its plan ends is found out by what it earns.
        step = min(self._step, self._actions.shape[1] - 1)
        self._step += 1
        return self._actions[None, :, step]


def plans_of(job: Job, environment: EnvironmentDefinition) -> Plans | None:
    """Return the plans in a planner's file; None where there is none of this job's.

    Raises:
        UserError: it is damaged.
    """
    agent = load_agent(job)
    if agent is None:
        return None
    try:
        return Plans.from_arrays(agent.arrays, environment.action_components)
    except UserError as error:
        raise UserError(f"{job.agent} is damaged ({error}); delete it to plan anew") from None
