from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import planned_environments
import pytest
from gymnasium import spaces

from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import Earned, Planning
from quantilizers.errors import UserError
from quantilizers.optimisers.sequence_search import Account, action_drawer, check_simulator, plan_episode
from quantilizers.rewards import own

assert Path(planned_environments.__file__).parent == Path(__file__).parent
CART = planned_environments.PLANNED
DRAW = action_drawer(CART)


class Corridor:
    """The reward is the position: action 1 moves forward, 0 back; below −3 the episode is over."""

    def __init__(self, forgets: bool = False) -> None:
        self._forgets = forgets

    def start(self, seed: int) -> None:
        self.place = 0

    def step(self, action: np.ndarray) -> Earned:
        self.place += 1 if action[0] else -1
        return Earned(float(self.place), 0.0, self.place < -3)

    def save(self) -> Any:
        return self.place

    def restore(self, state: Any) -> None:
        self.place = self.place if self._forgets else state


def plan(effort: int, seed: int = 0, max_steps: int = 30) -> tuple[np.ndarray, float]:
    corridor = Corridor()
    corridor.start(0)
    planning = Planning(look_ahead=8, played=3)
    return plan_episode(corridor, DRAW, planning, effort, max_steps, np.random.default_rng(seed))


def test_an_effort_of_one_is_a_random_agent() -> None:
    actions, earned = plan(1)
    places = np.cumsum(2 * actions[:, 0] - 1)
    assert earned == places.sum()
    assert 0 < actions.mean() < 1
    ended = np.flatnonzero(places < -3)
    assert len(actions) == (ended[0] + 1 if len(ended) else 30)


def test_more_effort_earns_more() -> None:
    earned = [np.mean([plan(effort, seed)[1] for seed in range(20)]) for effort in (1, 4, 32)]
    assert earned[0] < earned[1] < earned[2]
    assert earned[2] > 0.6 * np.arange(31).sum()


def test_the_last_steps_are_planned_to_the_end_and_no_further() -> None:
    actions, _ = plan(4, max_steps=7)
    assert len(actions) == 7


def test_an_episode_is_judged_as_if_it_went_on_as_in_the_sequence() -> None:
    before = Account(at_once=10.0, at_end=4.0, steps=4)
    account = before
    for _ in range(2):
        account = account.after(Earned(3.0, 0.5, False))
    # Four more steps like the two: 3 and 0.5 each.
    assert account.outlook(before, 10) == pytest.approx(10 + 6 * 3 + (4 + 6 * 0.5) / 10)
    assert account.total == pytest.approx(16 + 5 / 6)


def test_a_simulator_that_does_not_go_back_is_refused() -> None:
    for forgets in (False, True):
        corridor = Corridor(forgets)
        corridor.start(0)
        if not forgets:
            check_simulator(corridor, DRAW, CART.planning, "Corridor")
            assert corridor.place == 0
            continue
        with pytest.raises(UserError, match="Corridor: the same actions earn other rewards"):
            check_simulator(corridor, DRAW, CART.planning, "Corridor")


@pytest.mark.parametrize(
    ("space", "classes"),
    [
        (spaces.Discrete(3, start=2), None),
        (spaces.MultiDiscrete([2, 4]), None),
        (spaces.Box(-1.0, 2.0, (2,)), None),
        (spaces.Box(-1.0, 1.0, (2,)), 3),
    ],
)
def test_random_actions_are_in_the_space_and_everywhere_in_it(space: Any, classes: int | None) -> None:
    observations = spaces.Box(0.0, 1.0, (1,))
    environment = EnvironmentDefinition("none", own, 5, spaces=(observations, space), classes=classes)
    drawn = action_drawer(environment)(np.random.default_rng(0), 300)
    assert drawn.shape == (300, environment.action_components)
    if classes is None and not isinstance(space, spaces.Box):
        assert len(np.unique(drawn[:, -1])) == (3 if isinstance(space, spaces.Discrete) else 4)
    elif classes is not None:
        assert set(drawn.ravel().tolist()) == {-1.0, 0.0, 1.0}
    for action in drawn[:20]:
        assert space.contains(environment_action(action, space))
