"""From the keys that a person holds down to the action of a step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pygame
from gymnasium import spaces

from quantilizers.envs.actions import ActionClasses
from quantilizers.envs.definition import EnvironmentDefinition, Keyboard
from quantilizers.errors import UserError
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray

PAUSE, RESTART, DISCARD, END = pygame.K_p, pygame.K_r, pygame.K_BACKSPACE, pygame.K_ESCAPE
_RESERVED = {PAUSE: "pauses", RESTART: "restarts the episode", DISCARD: "discards an episode", END: "ends"}
#: The letters that play, in columns of two and in rows. P pauses and R restarts.
_COLUMNS = (("q", "a"), ("w", "s"), ("e", "d"), ("t", "g"), ("y", "h"), ("u", "j"), ("i", "k"), ("o", "l"))
_ROWS = "qwetyuioasdfghjklzxcvbnm"

#: A key, its description, and its effect on the action.
KeyEffect = tuple[str, str, tuple[float, ...]]


def key_code(name: str) -> int:
    """Return pygame's code of a key, named by its character (`j`, `ф`) or by pygame's word for it (`left`, `space`).

    Raises:
        UserError: there is no such key.
    """
    if len(name) == 1 and name.isprintable() and not name.isspace():
        return ord(name.lower()[0])
    code = getattr(pygame, f"K_{name.upper()}", None)
    if not isinstance(code, int):
        raise UserError(f"unknown key {name!r}; a key is a character such as j, or a word such as left or space")
    return code


#: pygame's codes of letters and digits on Latin keyboards, by their place.
_PLACES = {getattr(pygame, f"KSCAN_{sign.upper()}"): ord(sign) for sign in "abcdefghijklmnopqrstuvwxyz0123456789"}
#: From here on, codes stand for keys without a character, such as arrows.
_NO_CHARACTER = 1 << 30


def key_of(event: Any, known: Collection[int]) -> int:
    """Return the code of the key that an event is of.

    On keyboards of other alphabets, letters have codes such as that of ф: they stand for the Latin key in that place,
    unless the code itself is among those known.
    """
    key: int = event.key
    if key in known or key < 128 or key >= _NO_CHARACTER:
        return key
    return _PLACES.get(getattr(event, "scancode", None), key)


class ActionKeys:
    """The keys that play an environment.

    In a `Discrete` space the keys held down select the entry of `Keyboard.effects` that uses most of them; of several
    such entries, the one whose key was pressed last. In other spaces the effects of all held keys are added to
    `Keyboard.idle`, so that joints move together, and the sum becomes the nearest possible action.

    `changes` are from a key of the keyboard to the one that replaces it. `names` are from pygame's key code to the
    key's name in the keyboard, `controls` the keys and what they do, as text, in the keyboard's order.

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

    def action(self, held: Sequence[int]) -> FloatArray:
        """Return the action (A,), as files keep it, for the codes of the held keys in the order of their presses."""
        names = [self.names[code] for code in held]
        effects = self._keyboard.effects
        idle = np.array(self._keyboard.idle)
        if not isinstance(self._space, spaces.Discrete):
            total = idle + sum((np.array(effects[name]) for name in names), np.zeros(idle.shape))
            return self._nearest(np.clip(total, *_bounds_of(self._space)))
        best = max(
            (combination.split("+") for combination in effects if set(combination.split("+")) <= set(names)),
            key=lambda combination: (len(combination), max(names.index(name) for name in combination)),
            default=None,
        )
        return idle if best is None else np.array(effects["+".join(best)])

    def _nearest(self, action: FloatArray) -> FloatArray:
        if self._classes is None:
            return action
        nearest = [
            min(values, key=lambda value: abs(value - wanted))
            for values, wanted in zip(self._classes, action.tolist(), strict=True)
        ]
        return np.array(nearest)


def keyboard_of(environment: EnvironmentDefinition) -> Keyboard:
    """Return an environment's keyboard; if its definition has none, assign keys to its actions.

    | actions | keys | without a key |
    |---|---|---|
    | `Discrete`, 2 | the left arrow and the right one | the first |
    | `Discrete`, 3 | the left arrow for the first, the right one for the last | the second |
    | `Discrete`, up to 10 | the digits 1, 2, … 9, 0 in order | the first |
    | `MultiBinary`, `MultiDiscrete` | one for each value of each component but its first | the first values |
    | `Box`, up to 8 components | two for each component, the upper one for more and the lower one for less | 0 |

    Letters are assigned column by column (q/a, w/s, e/d, t/g, y/h, u/j, i/k, o/l) where each component needs two at
    most, otherwise row by row. In a `Box` a key pushes to the end of its component, by 1 where it has none, or to its
    last class; 0 stands for the possible value nearest to it.

    Raises:
        UserError: there are more actions than keys, or no policy could play such actions.
    """
    if environment.keyboard is not None:
        return environment.keyboard
    space, classes = environment.action_space, environment.action_classes
    if isinstance(space, spaces.Discrete):
        assert classes is not None
        return _choice(environment.name, classes[0])
    if isinstance(space, spaces.Box):
        idle, effects = _pushes(environment)
    else:
        assert classes is not None
        idle = tuple(values[0] for values in classes)
        effects = list(_values(environment.name, classes))
    return Keyboard(
        controls={key: text for key, text, _ in effects}, effects={key: effect for key, _, effect in effects}, idle=idle
    )


def frames_per_second(environment: EnvironmentDefinition) -> float:
    """Return how many pictures of an environment are shown a second."""
    return Keyboard.frames_per_second if environment.keyboard is None else environment.keyboard.frames_per_second


def _choice(name: str, actions: Sequence[float]) -> Keyboard:
    if len(actions) in (2, 3):
        keys, chosen, idle = ["left", "right"], [actions[0], actions[-1]], actions[(len(actions) - 1) // 2]
    elif len(actions) <= 10:
        keys, chosen, idle = list("1234567890")[: len(actions)], list(actions), actions[0]
    else:
        raise UserError(_too_many(name, f"there are {len(actions)} actions"))
    return Keyboard(
        controls={
            key: f"action {action:g}{', as without a key' if action == idle else ''}"
            for key, action in zip(keys, chosen, strict=True)
        },
        effects={key: (action,) for key, action in zip(keys, chosen, strict=True)},
        idle=(idle,),
    )


def _values(name: str, classes: Sequence[Sequence[float]]) -> Iterator[KeyEffect]:
    """Yield a key for each value of each component but its first."""
    needed = [len(values) - 1 for values in classes]
    columns = len(classes) <= len(_COLUMNS) and max(needed) <= 2
    if not columns and sum(needed) > len(_ROWS):
        raise UserError(_too_many(name, f"its actions need {sum(needed)} of them and there are {len(_ROWS)}"))
    letters = iter(_ROWS)
    for component, values in enumerate(classes):
        for index, value in enumerate(values[1:]):
            key = _COLUMNS[component][index] if columns else next(letters)
            yield key, f"action[{component}] = {value:g}", _along(component, len(classes), value - values[0])


def _pushes(environment: EnvironmentDefinition) -> tuple[tuple[float, ...], list[KeyEffect]]:
    """Return the idle action of a `Box`, and two keys for each component."""
    low, high = _bounds_of(environment.action_space)
    idle = np.clip(np.zeros(len(low)), low, high)
    for component, values in enumerate(environment.action_classes or ()):
        idle[component] = min(values, key=abs)
        low[component], high[component] = min(values), max(values)
    if len(low) > len(_COLUMNS):
        raise UserError(_too_many(environment.name, f"its actions have {len(low)} components"))
    effects = []
    for component, (upper, lower) in enumerate(_COLUMNS[: len(low)]):
        more, less = high[component] - idle[component], low[component] - idle[component]
        for key, push, word in ((upper, more, "more"), (lower, less, "less")):
            if push:
                size = float(push) if np.isfinite(push) else float(np.sign(push))
                effects.append((key, f"action[{component}] {word}", _along(component, len(low), size)))
    return tuple(idle.tolist()), effects


def _along(component: int, components: int, value: float) -> tuple[float, ...]:
    return tuple(value if other == component else 0.0 for other in range(components))


def _too_many(name: str, why: str) -> str:
    return f"{name} has too many actions to assign keys to: {why}; give its definition a keyboard"


def _bounds_of(space: spaces.Space[Any]) -> tuple[FloatArray, FloatArray]:
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


def _check_fits(keyboard: Keyboard, space: spaces.Space[Any]) -> None:
    components = len(_bounds_of(space)[0])
    for keys, action in {"no key": keyboard.idle, **keyboard.effects}.items():
        if len(action) != components:
            numbers = counted(len(action), "number")
            raise UserError(f"the keyboard's action of {keys!r} has {numbers} where actions have {components}")
        if "+" in keys and not isinstance(space, spaces.Discrete):
            raise UserError(f"the keyboard joins the keys {keys!r}, whose effects add up anyway; give each alone")
