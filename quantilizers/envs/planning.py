"""The settings of planners, and the simulators on which they try actions and take them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt

from quantilizers.choices import as_tuple, check_choice, whole_number
from quantilizers.errors import UserError, fault_of, guarded
from quantilizers.rewards import BoolArray, FloatArray, Reward, Steps

PlanningMethod = Literal["sequences", "policies", "dynamic_programme"]
#: The unit of each method's effort, as an axis label.
EFFORT_LABELS: dict[PlanningMethod, str] = {
    "sequences": "sequences tried for each decision",
    "policies": "policies tried",
    "dynamic_programme": "steps looked ahead",
}


@dataclass(frozen=True)
class Planning:
    """How planners optimise in an environment, and how they take actions back.

    Attributes:
        method: `sequences` tries random sequences of actions from the current state and plays the beginning of the best
            one; it needs a `simulator`, or `save_state` and `restore_state`. `policies` searches linear policies from
            exact starts by CMA-ES; it needs observations that are vectors. `dynamic_programme` computes the value of
            every state on a grid for every number of remaining steps; it needs `dynamics`.
        effort: default effort: sequences tried for each decision, policies tried, or steps looked ahead.
        efforts: efforts at which the curve of both returns against effort is measured, ascending.
        betas: values of β at which the curve of KL control is measured, ascending; their unit is one over the proxy's.
            The middle one is the default.
        look_ahead: steps of a sequence.
        played: steps of the best sequence that are played before the next decision.
        simulator: from a `Reward` to a `Simulator`, or its path; None makes one of the environment itself.
        dynamics: `Dynamics`, or the path of one.
        save_state: from a game, as the definition's `make` makes it, to a copy of everything that decides how the game
            continues, including the state of its random number generator if its steps are random.
        restore_state: puts a game back into a state that `save_state` returned; it may be called repeatedly.

    Raises:
        UserError: a number is impossible.
    """

    method: PlanningMethod = "sequences"
    effort: int = 20
    efforts: tuple[int, ...] = (1, 2, 5, 10, 20, 40)
    betas: tuple[float, ...] = ()
    look_ahead: int = 25
    played: int = 5
    simulator: str | Callable[[Reward], Simulator] | None = None
    dynamics: str | Dynamics | None = None
    save_state: Callable[[Any], Any] | None = None
    restore_state: Callable[[Any, Any], None] | None = None

    def __post_init__(self) -> None:
        check_choice("method", self.method, EFFORT_LABELS)
        for name in ("effort", "look_ahead", "played"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        efforts = as_tuple("efforts", self.efforts, "[1, 2, 5]")
        object.__setattr__(self, "efforts", tuple(whole_number("efforts", effort) for effort in efforts))
        if not self.efforts or self.efforts[0] < 1 or (np.diff(self.efforts) <= 0).any():
            raise UserError(
                f"efforts is {self.efforts!r}; a planner's efforts ascend from 1 or more, such as (1, 2, 5)"
            )
        if any(not 0 < beta < np.inf for beta in self.betas) or (np.diff(self.betas) <= 0).any():
            raise UserError(f"betas is {self.betas!r}; values of beta ascend from above 0, such as (0.1, 0.2)")
        if not 1 <= self.played <= self.look_ahead:
            raise UserError(f"played is {self.played!r}; a planner plays 1 to look_ahead ({self.look_ahead}) steps")

    @property
    def effort_label(self) -> str:
        """The unit of the effort, as an axis label."""
        return EFFORT_LABELS[self.method]


@dataclass(frozen=True)
class Earned:
    """The reward of one step: the part given at once, and the part added to the mean that is given at the end."""

    at_once: float
    at_end: float
    terminated: bool


class Simulator(Protocol):
    """One episode that can return to an earlier state. It has no horizon."""

    def start(self, seed: int) -> None:
        """Start an episode as the environment reset with this seed does."""

    def step(self, action: npt.NDArray[Any]) -> Earned:
        """Take a step with an action (A,), in the form of files."""

    def save(self) -> Any:
        """Return the present state."""

    def restore(self, state: Any) -> None:
        """Go back to a state; this may be repeated."""


class GameSimulator:
    """A simulator of any environment whose definition saves and restores its state.

    The game returns its own reward. `to_action` converts an action (A,), in the form of files, to the game's.
    """

    def __init__(
        self,
        game: gymnasium.Env[Any, Any],
        reward: Reward,
        save_state: Callable[[Any], Any],
        restore_state: Callable[[Any, Any], None],
        to_action: Callable[[npt.NDArray[Any]], Any],
    ) -> None:
        self._game, self._reward, self._to_action = game, reward, to_action
        self._save, self._restore = save_state, restore_state

    def start(self, seed: int) -> None:
        """Reset the game."""
        with guarded(f"reset of {type(self._game.unwrapped).__name__}"):
            self._game.reset(seed=seed)

    def step(self, action: npt.NDArray[Any]) -> Earned:
        """Step the game."""
        taken = self._to_action(action)
        try:
            observation, own, terminated, truncated, info = self._game.step(taken)
        except (Exception, SystemExit) as error:  # whatever an environment raises
            name = type(self._game.unwrapped).__name__
            raise UserError(f"the environment {name} failed in step: {fault_of(error)}, in a plan") from error
        fields = {name: np.asarray(info[name])[None] for name in self._reward.info}
        steps = Steps(np.asarray(observation)[None], np.asarray(taken)[None], fields)
        at_once, at_end = self._reward.at_once_and_at_end(np.array([float(own)]), steps)
        return Earned(float(at_once[0]), float(at_end[0]), bool(terminated or truncated))

    def save(self) -> Any:
        """Return the definition's copy of the state."""
        try:
            return self._save(self._game)
        except (Exception, SystemExit) as error:  # whatever the definition's function raises
            raise UserError(f"save_state failed: {fault_of(error)}") from error

    def restore(self, state: Any) -> None:
        """Go back to a state, as the definition does it."""
        try:
            self._restore(self._game, state)
        except (Exception, SystemExit) as error:  # whatever the definition's function raises
            raise UserError(f"restore_state failed: {fault_of(error)}") from error


@dataclass(frozen=True)
class Dynamics:
    """Dynamics of a state of D numbers under a few actions.

    Attributes:
        low: the least value of each number.
        high: the greatest value of each number.
        points: the number of grid points in each direction.
        actions: the number of actions, which count from 0.
        start: from a reset seed to the state (D,) in which its episode begins.
        advance: from n states (n, D) and actions (n,) to the states after them, the environment's own rewards (n,) and
            whether the episodes are over (n,). States after an episode's end must advance as if it continued.
        observe: from states (n, D) to observations.
        state_of: from observations to states (n, D), where observations show the whole state; None where they do not.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    points: tuple[int, ...]
    actions: int
    start: Callable[[int], FloatArray]
    advance: Callable[[FloatArray, npt.NDArray[np.int64]], tuple[FloatArray, FloatArray, BoolArray]]
    observe: Callable[[FloatArray], npt.NDArray[Any]]
    state_of: Callable[[npt.NDArray[Any]], FloatArray] | None = None
