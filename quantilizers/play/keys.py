"""From the keys that a person holds down to the action of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pygame
from gymnasium import spaces

from quantilizers.envs.action_classes import ActionClasses
from quantilizers.envs.definition import Keyboard
from quantilizers.errors import UserError
from quantilizers.numbers_in_words import counted

PAUSE, RESTART, DISCARD, END = pygame.K_p, pygame.K_r, pygame.K_BACKSPACE, pygame.K_ESCAPE
_RESERVED = {PAUSE: "pauses", RESTART: "restarts the episode", DISCARD: "discards an episode", END: "ends"}


def key_code(name: str) -> int:
    """Return pygame's code of a key.

    Args:
        name: a character such as `j`, or pygame's word for the key such as `left` or `space`.

    Raises:
        UserError: there is no such key.
    """
    if len(name) == 1 and name.isascii() and name.isprintable() and name != " ":
        return ord(name.lower())
    code = getattr(pygame, f"K_{name.upper()}", None)
    if not isinstance(code, int):
        raise UserError(f"unknown key {name!r}; a key is a character such as j, or a word such as left or space")
    return code


def bounds_of(space: spaces.Space[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lowest and the highest value of each component of an action, (A,) each."""
    if isinstance(space, spaces.Box):
        low, high = space.low, space.high
    elif isinstance(space, spaces.MultiDiscrete):
        low, high = space.start, space.start + space.nvec - 1
    elif isinstance(space, spaces.MultiBinary):
        low, high = np.zeros(space.shape), np.ones(space.shape)
    else:
        assert isinstance(space, spaces.Discrete)
        low, high = np.array([space.start]), np.array([space.start + space.n - 1])
    return np.ravel(low).astype(np.float64), np.ravel(high).astype(np.float64)


class ActionKeys:
    """The keys that play one environment.

    Where the action is one choice (`Discrete`), the held keys choose the entry of `Keyboard.effects` with the most
    keys, and among equals the one whose key was pressed last. Elsewhere the effects of all held keys are added up,
    so that joints move together; the sum becomes the nearest action that there is.

    Args:
        keyboard: the environment's keys.
        space: its action space.
        changes: from a key of `keyboard` to the one to use in its place.
        classes: for each component of the action the values that it may have; None allows all within the bounds.

    Attributes:
        names: from pygame's key code to the key's name in `keyboard`.
        controls: key and what it does, for people, in the keyboard's order.

    Raises:
        UserError: a changed key is not one of the environment's, is unknown, reserved, or taken twice; or the keyboard
            does not fit the action space.
    """

    def __init__(
        self,
        keyboard: Keyboard,
        space: spaces.Space[Any],
        changes: Mapping[str, str] | None = None,
        classes: ActionClasses | None = None,
    ) -> None:
        changes = changes or {}
        _check_fits(keyboard, space)
        usual = {name: name for combination in keyboard.effects for name in combination.split("+")}
        for name in changes:
            if name not in usual:
                raise UserError(f"the key {name!r} plays nothing here; the keys are {', '.join(usual)}")
        wanted = {**usual, **changes}
        self.names: dict[int, str] = {}
        for name, key in wanted.items():
            code = key_code(key)
            if code in _RESERVED:
                raise UserError(f"{name!r} cannot become the key {key!r}, which {_RESERVED[code]}; choose another")
            if code in self.names:
                raise UserError(f"the key {key!r} would stand for both {self.names[code]!r} and {name!r}")
            self.names[code] = name
        self.controls = [
            ("+".join(wanted[name] for name in combination.split("+")), text)
            for combination, text in keyboard.controls.items()
        ]
        self._keyboard = keyboard
        self._space = space
        self._classes = classes

    def action(self, held: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the action (A,) as files keep it.

        Args:
            held: codes of the keys held down, in the order in which they were pressed.
        """
        names = [self.names[code] for code in held]
        effects = self._keyboard.effects
        idle = np.array(self._keyboard.idle)
        if not isinstance(self._space, spaces.Discrete):
            total = idle + sum((np.array(effects[name]) for name in names), np.zeros(idle.shape))
            return self._possible(np.clip(total, *bounds_of(self._space)))
        best = max(
            (combination.split("+") for combination in effects if set(combination.split("+")) <= set(names)),
            key=lambda combination: (len(combination), max(names.index(name) for name in combination)),
            default=None,
        )
        return idle if best is None else np.array(effects["+".join(best)])

    def _possible(self, action: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the action that has the nearest class in each component."""
        if self._classes is None:
            return action
        nearest = [
            min(values, key=lambda value: abs(value - wanted))
            for values, wanted in zip(self._classes, action.tolist(), strict=True)
        ]
        return np.array(nearest)


def _check_fits(keyboard: Keyboard, space: spaces.Space[Any]) -> None:
    """Refuse a keyboard whose effects cannot be actions of a space."""
    components = len(bounds_of(space)[0])
    for keys, action in {"no key": keyboard.idle, **keyboard.effects}.items():
        if len(action) != components:
            numbers = counted(len(action), "number")
            raise UserError(f"the keyboard's action of {keys!r} has {numbers} where actions have {components}")
        if "+" in keys and not isinstance(space, spaces.Discrete):
            raise UserError(f"the keyboard joins the keys {keys!r}, whose effects add up anyway; give each alone")
