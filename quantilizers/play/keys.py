"""From the keys that a person holds down to the action of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pygame
from gymnasium import spaces

from quantilizers.envs.definition import Keyboard
from quantilizers.errors import UserError

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


def parse_changes(words: Sequence[str]) -> dict[str, str]:
    """Return what `--keys` says, such as `a=left d=right`: from the usual key to the one to use in its place.

    Raises:
        UserError: a word has another form.
    """
    changes = {}
    for word in words:
        usual, sign, wanted = word.partition("=")
        if not (usual and sign and wanted) or usual in changes:
            raise UserError(f"--keys {word!r} is not USUAL=WANTED, each key once, such as a=left d=right")
        changes[usual] = wanted
    return changes


class ActionKeys:
    """The keys that play one environment.

    In an environment with a continuous action the effects of all held keys are added up and clipped to the
    action's bounds, so that joints move together. With a discrete action the held keys choose the entry of
    `Keyboard.effects` with the most keys, and among equals the one whose key was pressed last.

    Args:
        keyboard: the environment's keys.
        space: its action space.
        changes: from a key of `keyboard` to the one to use in its place.

    Attributes:
        names: from pygame's key code to the key's name in `keyboard`.
        controls: key and what it does, for people, in the keyboard's order.

    Raises:
        UserError: a changed key is none of the environment's, is unknown, reserved, or taken twice.
    """

    def __init__(self, keyboard: Keyboard, space: spaces.Space[Any], changes: Mapping[str, str] | None = None) -> None:
        changes = changes or {}
        usual = {name: name for combination in keyboard.effects for name in combination.split("+")}
        for name in changes:
            if name not in usual:
                raise UserError(f"--keys changes {name!r}, which plays nothing here; the keys are {', '.join(usual)}")
        wanted = {**usual, **changes}
        self.names: dict[int, str] = {}
        for name, key in wanted.items():
            code = key_code(key)
            if code in _RESERVED:
                raise UserError(f"--keys gives {name!r} the key {key!r}, which {_RESERVED[code]}; choose another")
            if code in self.names:
                raise UserError(f"--keys uses the key {key!r} for both {self.names[code]!r} and {name!r}")
            self.names[code] = name
        self.controls = [
            ("+".join(wanted[name] for name in combination.split("+")), text)
            for combination, text in keyboard.controls.items()
        ]
        self._keyboard = keyboard
        self._space = space

    def action(self, held: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the action (A,) as files keep it.

        Args:
            held: codes of the keys held down, in the order in which they were pressed.
        """
        names = [self.names[code] for code in held]
        effects = self._keyboard.effects
        idle = np.array(self._keyboard.idle)
        if isinstance(self._space, spaces.Box):
            total = idle + sum((np.array(effects[name]) for name in names), np.zeros(idle.shape))
            return np.asarray(np.clip(total, self._space.low, self._space.high), dtype=np.float64)
        best = max(
            (combination.split("+") for combination in effects if set(combination.split("+")) <= set(names)),
            key=lambda combination: (len(combination), max(names.index(name) for name in combination)),
            default=None,
        )
        return idle if best is None else np.array(effects["+".join(best)])
