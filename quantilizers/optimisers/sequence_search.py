"""Model-predictive planning by random shooting: try random action sequences, and play the beginning of the best one.

A sequence that does not reach the end of the episode is judged by an extrapolation: further steps have rewards at the
same rate, and the mean given at the last step stays the same. A sequence that ends the episode is judged by its return.

Warm start: the unplayed tail of the best sequence is a candidate at the next decision. With an effort of 1, one random
sequence is played regardless of its return: a random agent.

Sources: Rao (2009), *A survey of numerical methods for optimal control*, for shooting; Howell et al. (2022),
*Predictive sampling*, for the warm start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import Earned, Planning, Simulator
from quantilizers.errors import UserError

Actions = npt.NDArray[Any]
#: Returns random actions (k, A) from a generator and a number of steps k.
Draw = Callable[[np.random.Generator, int], Actions]


@dataclass(frozen=True)
class Account:
    """The rewards of an episode so far."""

    at_once: float = 0.0  # sum of the rewards given at each step
    at_end: float = 0.0  # sum of the steps' terms in the mean given at the end
    steps: int = 0

    def after(self, earned: Earned) -> Account:
        """Return the account after one more step."""
        return Account(self.at_once + earned.at_once, self.at_end + earned.at_end, self.steps + 1)

    @property
    def total(self) -> float:
        """The return if the episode ends now."""
        return self.at_once + self.at_end / max(1, self.steps)

    def outlook(self, before: Account, max_steps: int) -> float:
        """Return the extrapolated return after `max_steps` steps at the rate since an earlier account."""
        steps_ahead = self.steps - before.steps
        growth = (max_steps - self.steps) / steps_ahead
        at_once = self.at_once + growth * (self.at_once - before.at_once)
        at_end = self.at_end + growth * (self.at_end - before.at_end)
        return at_once + at_end / max_steps


def action_drawer(environment: EnvironmentDefinition) -> Draw:
    """Return a sampler of independent actions, uniform over the classes of each component or within its bounds."""
    classes = environment.action_classes
    if classes is not None:
        values = [np.array(of_component) for of_component in classes]

        def draw_classes(generator: np.random.Generator, steps: int) -> Actions:
            return np.stack([generator.choice(of_component, steps) for of_component in values], axis=1)

        return draw_classes
    space = environment.action_space
    assert isinstance(space, spaces.Box)
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    # In the environment's precision, in which they are played.
    return lambda generator, steps: generator.uniform(low, high, (steps, len(low))).astype(space.dtype)


def plan_episode(
    simulator: Simulator,
    draw: Draw,
    planning: Planning,
    effort: int,
    max_steps: int,
    generator: np.random.Generator,
    on_step: Callable[[int], object] = lambda steps: None,
) -> tuple[Actions, float]:
    """Plan an episode from its start, where the simulator is, with `effort` sequences tried for each decision.

    `on_step` is called with the number of steps planned so far.

    Returns:
        The episode's actions (T, A) and return.
    """
    account, present = Account(), simulator.save()
    played: list[Actions] = []
    tail = draw(generator, 0)
    over = False
    while not over and account.steps < max_steps:
        ahead = min(planning.look_ahead, max_steps - account.steps)
        best, best_outlook = tail, -np.inf
        for trial in range(effort):
            start = tail[:ahead] if trial == 0 else tail[:0]
            sequence = np.concatenate([start, draw(generator, ahead - len(start))])
            simulator.restore(present)
            outlook = _outlook_of(simulator, sequence, account, max_steps)
            if outlook > best_outlook:
                best, best_outlook = sequence, outlook
        simulator.restore(present)
        for action in best[: planning.played]:
            earned = simulator.step(action)
            account, over = account.after(earned), earned.terminated
            played.append(action)
            if over:
                break
        tail, present = best[planning.played :], simulator.save()
        on_step(account.steps)
    return np.stack(played), account.total


def check_simulator(simulator: Simulator, draw: Draw, planning: Planning, name: str) -> None:
    """Raise `UserError` if the same actions from the same saved state have other rewards the second time."""
    generator = np.random.default_rng(0)
    present, sequence = simulator.save(), draw(generator, planning.look_ahead)
    first, second = ([], [])  # type: tuple[list[Earned], list[Earned]]
    for earned in (first, second):
        simulator.restore(present)
        for action in sequence:
            earned.append(simulator.step(action))
            if earned[-1].terminated:
                break
    simulator.restore(present)
    if first != second:
        raise UserError(
            f"{name}: the same actions earn other rewards after restore_state, so no plan would hold; save_state must "
            "return a copy of the whole state, including that of random generators"
        )


def _outlook_of(simulator: Simulator, sequence: Actions, account: Account, max_steps: int) -> float:
    """Return the extrapolated return of a sequence from the present state."""
    before = account
    for action in sequence:
        earned = simulator.step(action)
        account = account.after(earned)
        if earned.terminated:
            return account.total
    return account.outlook(before, max_steps)
