from __future__ import annotations

import numpy as np
import pygame
import pytest
from gymnasium import spaces

from quantilizers.commands.gather_data import parse_changes
from quantilizers.envs.definition import Keyboard
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from quantilizers.play.keys import ActionKeys, key_code

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
    ("name", "code"), [("j", pygame.K_j), ("J", pygame.K_j), (";", pygame.K_SEMICOLON), ("left", pygame.K_LEFT)]
)
def test_names_of_keys(name: str, code: int) -> None:
    assert key_code(name) == code


@pytest.mark.parametrize("name", ["", " ", "ö", "escape_", "__class__"])
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
