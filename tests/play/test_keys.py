from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pygame
import pytest
from gymnasium import spaces

from quantilizers.commands.gather_data import parse_changes
from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition, Keyboard
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from quantilizers.play.keys import ActionKeys, frames_per_second, key_code, key_of, keyboard_of
from quantilizers.rewards import own

TORQUES = spaces.Box(-1.0, 1.0, (2,))
JOINTS = Keyboard(
    controls={"x": "bend", "y": "stretch"},
    effects={"x": (1.0, 0.0), "y": (-1.0, 0.0), "z": (1.0, 1.0)},
    idle=(0.0, 0.0),
)
BUTTONS = Keyboard(
    controls={"left": "go left", "left+space": "jump left"},
    effects={"left": (1.0,), "up": (2.0,), "left+space": (3.0,)},
    idle=(0.0,),
)


@pytest.mark.parametrize(
    ("held", "expected"),
    [("", [0, 0]), ("x", [1, 0]), ("xy", [0, 0]), ("xz", [1, 1]), ("yz", [0, 1]), ("xyz", [1, 1])],
)
def test_effects_add_up_and_stay_within_bounds(held: str, expected: list[float]) -> None:
    keys = ActionKeys(JOINTS, TORQUES)
    assert keys.action([ord(key) for key in held]).tolist() == expected


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ((), 0),
        ((pygame.K_SPACE,), 0),  # does nothing alone
        ((pygame.K_LEFT,), 1),
        ((pygame.K_LEFT, pygame.K_UP), 2),
        ((pygame.K_UP, pygame.K_LEFT), 1),
        ((pygame.K_SPACE, pygame.K_LEFT, pygame.K_UP), 3),
    ],
)
def test_the_most_keys_then_the_latest_choose_a_whole_action(held: tuple[int, ...], expected: int) -> None:
    assert ActionKeys(BUTTONS, spaces.Discrete(4)).action(held).tolist() == [expected]


@pytest.mark.parametrize(
    ("keyboard", "space", "problem"),
    [
        (JOINTS, spaces.Box(-1.0, 1.0, (3,)), "the keyboard's action of 'no key' has 2 numbers where actions have 3"),
        (JOINTS, spaces.Discrete(3), "has 2 numbers where actions have 1"),
        (Keyboard({}, {"x": (1.0,)}, (0.0, 0.0)), TORQUES, "the keyboard's action of 'x' has 1 number where"),
        (BUTTONS, spaces.Box(-1.0, 1.0, (1,)), "joins the keys 'left.space'"),
    ],
)
def test_a_keyboard_that_does_not_fit_is_refused(keyboard: Keyboard, space: spaces.Space, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        ActionKeys(keyboard, space)


def test_changed_keys_reach_the_controls() -> None:
    keys = ActionKeys(BUTTONS, spaces.Discrete(4), {"left": "j", "space": "k"})
    assert keys.controls == [("j", "go left"), ("j+k", "jump left")]
    assert keys.action([pygame.K_j, pygame.K_k]).tolist() == [3]


def test_two_keys_can_change_places() -> None:
    keys = ActionKeys(JOINTS, TORQUES, {"x": "y", "y": "x"})
    assert keys.action([pygame.K_x]).tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("name", "code"),
    [("j", pygame.K_j), ("J", pygame.K_j), (";", pygame.K_SEMICOLON), ("left", pygame.K_LEFT), ("Ф", 1092)],
)
def test_names_of_keys(name: str, code: int) -> None:
    assert key_code(name) == code


@pytest.mark.parametrize("name", ["", " ", "\t", "öö", "escape_", "__class__"])
def test_names_of_no_key(name: str) -> None:
    with pytest.raises(UserError, match="unknown key"):
        key_code(name)


@pytest.mark.parametrize("words", [["a"], ["=b"], ["a="], ["a=b", "a=c"]])
def test_changes_of_another_form_are_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match="USUAL=WANTED"):
        parse_changes(words)


@pytest.mark.parametrize("name", environment_names())
def test_every_key_of_every_environment_plays_an_action_it_has(name: str) -> None:
    environment = load_environment(name)
    keyboard = environment.keyboard
    for action in (keyboard.idle, *keyboard.effects.values()):
        assert len(action) == len(environment.action_classes)
        for value, classes in zip(action, environment.action_classes, strict=True):
            assert value in classes
    assert set(keyboard.controls) <= set(keyboard.effects)


def test_keys_are_those_of_the_reference() -> None:
    """Hopper: j/k foot, a/d middle joint, w/s top joint. Mountain Car: a left, s nothing, d right."""
    hopper = load_environment("Hopper-v2").keyboard.effects
    assert np.array([hopper[key] for key in "jkadws"]).tolist() == [
        [0, 0, 1], [0, 0, -1], [0, -1, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0],
    ]  # fmt: skip
    car = load_environment("MountainCar-v0").keyboard
    assert [car.effects[key] for key in "asd"] == [(0,), (1,), (2,)]
    assert car.idle == (1,)


def definition_of(space: spaces.Space[Any], keyboard: Keyboard | None = None) -> EnvironmentDefinition:
    return EnvironmentDefinition("Any-v0", own, 10, spaces=(spaces.Box(-1, 1, (2,)), space), keyboard=keyboard)


def action_of(space: spaces.Space[Any], *names: str) -> list[float]:
    keys = ActionKeys(keyboard_of(definition_of(space)), space)
    return keys.action([key_code(name) for name in names]).tolist()


def test_a_keyboard_that_is_given_is_kept() -> None:
    for name in environment_names():
        assert keyboard_of(load_environment(name)) is load_environment(name).keyboard


def test_choices() -> None:
    assert [action_of(spaces.Discrete(2), *keys) for keys in ((), ("left",), ("right",))] == [[0], [0], [1]]
    assert [action_of(spaces.Discrete(3), *keys) for keys in ((), ("left",), ("right",))] == [[1], [0], [2]]
    assert [action_of(spaces.Discrete(10), *keys) for keys in ((), ("1",), ("9",), ("0",))] == [[0], [0], [8], [9]]
    assert action_of(spaces.Discrete(4, start=5), "3") == [7]


def test_components_move_together_and_stay_within_their_bounds() -> None:
    box = spaces.Box(np.array([-2.0, 0.5]), np.array([2.0, 3.0]), dtype=np.float64)
    assert action_of(box) == [0.0, 0.5]
    assert action_of(box, "q", "w") == [2.0, 3.0]
    assert action_of(box, "a") == [-2.0, 0.5]
    assert action_of(box, "q", "a") == [0.0, 0.5]
    assert action_of(spaces.Box(-np.inf, np.inf, (1,)), "q") == [1.0]
    assert action_of(spaces.MultiBinary(3), "q", "e") == [1.0, 0.0, 1.0]
    assert action_of(spaces.MultiDiscrete([2, 4]), "q", "w") == [1.0, 1.0]
    assert action_of(spaces.MultiDiscrete([3, 3]), "q", "a", "s") == [2.0, 2.0]


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
    known = definition_of(space)
    assert known.action_classes is not None
    reached = [action_of(space)] + [action_of(space, key) for key in keyboard_of(known).effects]
    for component, values in enumerate(known.action_classes):
        assert {action[component] for action in reached} == set(values)
    assert all(space.contains(environment_action(np.array(action), space)) for action in reached)
    assert set(keyboard_of(known).controls) == set(keyboard_of(known).effects)


def test_keys_of_one_component_stand_one_above_the_other_where_they_can() -> None:
    assert list(keyboard_of(definition_of(spaces.MultiDiscrete([3, 2, 3]))).effects) == ["q", "a", "w", "e", "d"]
    assert list(keyboard_of(definition_of(spaces.MultiDiscrete([2, 4]))).effects) == ["q", "w", "e", "t"]


@pytest.mark.parametrize(
    ("bounds", "classes"),
    [((-2, 2), 2), ((-2, 2), 5), ((0, 1), 3), ((-np.inf, np.inf), ((-5.0, 0.0, 7.0), (1.0, 3.0)))],
)
def test_what_is_played_in_a_box_is_one_of_its_classes(bounds: tuple[float, float], classes: Any) -> None:
    space = spaces.Box(*bounds, (2,))
    definition = replace(definition_of(space), classes=classes)
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
    assert frames_per_second(definition_of(spaces.Discrete(50))) == 30
    for name in environment_names():
        assert frames_per_second(load_environment(name)) == load_environment(name).keyboard.frames_per_second


@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(11), spaces.MultiBinary(25), spaces.MultiDiscrete([13, 14]), spaces.Box(-1, 1, (9,))],
)
def test_more_actions_than_keys_ask_for_a_keyboard(space: spaces.Space[Any]) -> None:
    with pytest.raises(UserError, match="give its definition a keyboard"):
        keyboard_of(definition_of(space))


@pytest.mark.parametrize(
    ("key", "scancode", "known", "found"),
    [
        (1092, pygame.KSCAN_A, {ord("a")}, ord("a")),  # ф on a Russian keyboard stands where a is
        (1092, pygame.KSCAN_A, {1092}, 1092),  # --keys a=ф
        (ord("q"), pygame.KSCAN_A, {ord("a"), ord("q")}, ord("q")),  # a French keyboard has q there
        (pygame.K_LEFT, pygame.KSCAN_LEFT, set(), pygame.K_LEFT),
        (1079, pygame.KSCAN_P, set(), ord("p")),  # the key that pauses
    ],
)
def test_letters_of_other_alphabets_are_the_keys_in_their_place(
    key: int, scancode: int, known: set[int], found: int
) -> None:
    assert key_of(pygame.event.Event(pygame.KEYDOWN, key=key, scancode=scancode), known) == found
    assert key_of(pygame.event.Event(pygame.KEYDOWN, key=ord("d")), known) == ord("d")
