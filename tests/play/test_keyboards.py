from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition, Keyboard
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from quantilizers.play.keyboards import frames_per_second, keyboard_of
from quantilizers.play.keys import ActionKeys, key_code
from quantilizers.rewards import own


def environment(space: spaces.Space[Any], keyboard: Keyboard | None = None) -> EnvironmentDefinition:
    return EnvironmentDefinition("Any-v0", own, 10, spaces=(spaces.Box(-1, 1, (2,)), space), keyboard=keyboard)


def held(space: spaces.Space[Any], *names: str) -> list[float]:
    keys = ActionKeys(keyboard_of(environment(space)), space)
    return keys.action([key_code(name) for name in names]).tolist()


def test_a_keyboard_that_is_given_is_kept() -> None:
    for name in environment_names():
        assert keyboard_of(load_environment(name)) is load_environment(name).keyboard


def test_choices() -> None:
    assert [held(spaces.Discrete(2), *keys) for keys in ((), ("left",), ("right",))] == [[0], [0], [1]]
    assert [held(spaces.Discrete(3), *keys) for keys in ((), ("left",), ("right",))] == [[1], [0], [2]]
    assert [held(spaces.Discrete(10), *keys) for keys in ((), ("1",), ("9",), ("0",))] == [[0], [0], [8], [9]]
    assert held(spaces.Discrete(4, start=5), "3") == [7]


def test_components_move_together_and_stay_within_their_bounds() -> None:
    box = spaces.Box(np.array([-2.0, 0.5]), np.array([2.0, 3.0]), dtype=np.float64)
    assert held(box) == [0.0, 0.5]
    assert held(box, "q", "w") == [2.0, 3.0]
    assert held(box, "a") == [-2.0, 0.5]
    assert held(box, "q", "a") == [0.0, 0.5]
    assert held(spaces.Box(-np.inf, np.inf, (1,)), "q") == [1.0]
    assert held(spaces.MultiBinary(3), "q", "e") == [1.0, 0.0, 1.0]
    assert held(spaces.MultiDiscrete([2, 4]), "q", "w") == [1.0, 1.0]
    assert held(spaces.MultiDiscrete([3, 3]), "q", "a", "s") == [2.0, 2.0]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(2),
        spaces.Discrete(3, start=-1),
        spaces.Discrete(10),
        spaces.MultiBinary(3),
        spaces.MultiBinary((2, 2)),
        spaces.MultiBinary(12),
        spaces.MultiDiscrete([3, 2, 3]),
        spaces.MultiDiscrete([2, 5], start=[1, -2]),
    ],
)
def test_every_value_of_every_component_has_a_key(space: spaces.Space[Any]) -> None:
    known = environment(space)
    assert known.action_classes is not None
    reached = [held(space)] + [held(space, key) for key in keyboard_of(known).effects]
    for component, values in enumerate(known.action_classes):
        assert {action[component] for action in reached} == set(values)
    assert all(space.contains(environment_action(np.array(action), space)) for action in reached)
    assert set(keyboard_of(known).controls) == set(keyboard_of(known).effects)


def test_keys_of_one_component_stand_one_above_the_other_where_they_can() -> None:
    assert list(keyboard_of(environment(spaces.MultiDiscrete([3, 2, 3]))).effects) == ["q", "a", "w", "e", "d"]
    assert list(keyboard_of(environment(spaces.MultiDiscrete([2, 4]))).effects) == ["q", "w", "e", "t"]


@pytest.mark.parametrize(
    ("bounds", "classes"),
    [((-2, 2), 2), ((-2, 2), 5), ((0, 1), 3), ((-np.inf, np.inf), ((-5.0, 0.0, 7.0), (1.0, 3.0)))],
)
def test_what_is_played_in_a_box_is_one_of_its_classes(bounds: tuple[float, float], classes: Any) -> None:
    space = spaces.Box(*bounds, (2,))
    definition = replace(environment(space), classes=classes)
    keyboard, known = keyboard_of(definition), definition.action_classes
    assert known is not None
    keys = ActionKeys(keyboard, space, classes=known)
    reached: list[set[float]] = [set(), set()]
    for number in range(len(keyboard.effects) + 1):
        for together in combinations(keyboard.effects, number):
            for values, value in zip(reached, keys.action([key_code(name) for name in together]), strict=True):
                values.add(float(value))
    for values, possible in zip(reached, known, strict=True):
        assert {possible[0], possible[-1]} <= values <= {*possible}


def test_pictures_a_second() -> None:
    assert frames_per_second(environment(spaces.Discrete(50))) == 30
    for name in environment_names():
        assert frames_per_second(load_environment(name)) == load_environment(name).keyboard.frames_per_second


@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(11), spaces.MultiBinary(25), spaces.MultiDiscrete([13, 14]), spaces.Box(-1, 1, (9,))],
)
def test_more_actions_than_keys_ask_for_a_keyboard(space: spaces.Space[Any]) -> None:
    with pytest.raises(UserError, match="give its definition a keyboard"):
        keyboard_of(environment(space))
