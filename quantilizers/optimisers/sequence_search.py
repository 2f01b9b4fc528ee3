"""Model-predictive planning by random shooting: try sequences of random actions, play the beginning of the best one.

What an episode would pay in the end is not known while it is short of its end. A sequence is therefore judged by what
the episode would pay if it went on as in that sequence: rewards of steps at the same rate, and a mean that is paid at
the last step with the same mean of the steps to come. A sequence that ends the episode is judged by what that pays.

The sequence that was played from is tried again, as far as it was not played, among those of the next decision; what is
not tried anew is not forgotten. With an effort of 1, one random sequence is played whatever it pays: a random agent.

Source: Rao (2009), *A survey of numerical methods for optimal control*, for shooting; Howell et al. (2022), *Predictive
sampling*, for keeping the last best sequence.
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
#: From a generator and a number of steps k to random actions (k, A).
Draw = Callable[[np.random.Generator, int], Actions]


@dataclass(frozen=True)
class Account:
    """What an episode has earned so far.

    Attributes:
        at_once: the sum of what its steps paid.
        at_end: the sum of what they count towards the mean that is paid at the end.
        steps: so far.
    """

    at_once: float = 0.0
    at_end: float = 0.0
    steps: int = 0

    def after(self, earned: Earned) -> Account:
        """Return the account after one more step."""
        return Account(self.at_once + earned.at_once, self.at_end + earned.at_end, self.steps + 1)

    @property
    def paid(self) -> float:
        """What it has paid if it ends now."""
        return self.at_once + self.at_end / max(1, self.steps)

    def outlook(self, before: Account, max_steps: int) -> float:
        """Return what it will have paid after `max_steps` steps if it goes on as it has since another account."""
        steps_ahead = self.steps - before.steps
        growth = (max_steps - self.steps) / steps_ahead
        at_once = self.at_once + growth * (self.at_once - before.at_once)
        at_end = self.at_end + growth * (self.at_end - before.at_end)
        return at_once + at_end / max_steps


def action_drawer(environment: EnvironmentDefinition) -> Draw:
    """Return what draws actions that have nothing to do with each other.

    Args:
        environment: whose; where actions have classes each component is one of them, elsewhere uniform in its bounds.
    """
    classes = environment.action_classes
    if classes is not None:
        values = [np.array(of_component) for of_component in classes]

        def draw_classes(generator: np.random.Generator, steps: int) -> Actions:
            return np.stack([generator.choice(of_component, steps) for of_component in values], axis=1)

        return draw_classes
    space = environment.action_space
    assert isinstance(space, spaces.Box)
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    # In the environment's own precision, in which they are played.
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
    """Plan an episode that was just started.

    Args:
        simulator: at the episode's start.
        draw: random actions.
        planning: how far to look ahead and how much of it to play.
        effort: sequences tried for each decision.
        max_steps: the episode is cut after so many steps.
        generator: of the random actions.
        on_step: told of the steps planned so far.

    Returns:
        Its actions (T, A), and what they pay.
    """
    account, present = Account(), simulator.save()
    played: list[Actions] = []
    tail = draw(generator, 0)
    over = False
    while not over and account.steps < max_steps:
        ahead = min(planning.look_ahead, max_steps - account.steps)
        best, best_outlook = tail, -np.inf
        for trial in range(effort):
            kept = tail[:ahead] if trial == 0 else tail[:0]
            sequence = np.concatenate([kept, draw(generator, ahead - len(kept))])
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
    return np.stack(played), account.paid


def check_simulator(simulator: Simulator, draw: Draw, planning: Planning, name: str) -> None:
    """Refuse a simulator whose saved states do not bring back what they were saved of.

    Args:
        simulator: at an episode's start.
        draw: random actions.
        planning: how far is looked ahead.
        name: of the environment, for the message.

    Raises:
        UserError: the same actions from the same saved state earned otherwise the second time.
    """
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
            f"{name}: the same actions earn otherwise when its state was restored, so that no plan would hold; "
            "save_state must return a copy of all that decides how it goes on, its generator's state included"
        )


def _outlook_of(simulator: Simulator, sequence: Actions, account: Account, max_steps: int) -> float:
    """Try a sequence from the present state, and judge it."""
    before = account
    for action in sequence:
        earned = simulator.step(action)
        account = account.after(earned)
        if earned.terminated:
            return account.paid
    return account.outlook(before, max_steps)
