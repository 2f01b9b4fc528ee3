"""Keys for environments that do not say how people play them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition, Keyboard
from quantilizers.errors import UserError
from quantilizers.play.keys import bounds_of

#: The letters that play, in columns of two and in rows. P pauses and R restarts.
_COLUMNS = (("q", "a"), ("w", "s"), ("e", "d"), ("t", "g"), ("y", "h"), ("u", "j"), ("i", "k"), ("o", "l"))
_ROWS = "qwetyuioasdfghjklzxcvbnm"

Effect = tuple[str, str, tuple[float, ...]]


def keyboard_of(environment: EnvironmentDefinition) -> Keyboard:
    """Return how people play an environment: as it says, otherwise with keys that are assigned to its actions.

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
    """Return how many pictures of an environment people are shown a second."""
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


def _values(name: str, classes: Sequence[Sequence[float]]) -> Iterator[Effect]:
    """Yield a key, what it does in words, and its effect, for each value of each component but its first."""
    needed = [len(values) - 1 for values in classes]
    columns = len(classes) <= len(_COLUMNS) and max(needed) <= 2
    if not columns and sum(needed) > len(_ROWS):
        raise UserError(_too_many(name, f"its actions need {sum(needed)} of them and there are {len(_ROWS)}"))
    letters = iter(_ROWS)
    for component, values in enumerate(classes):
        for index, value in enumerate(values[1:]):
            key = _COLUMNS[component][index] if columns else next(letters)
            yield key, f"action[{component}] = {value:g}", _along(component, len(classes), value - values[0])


def _pushes(environment: EnvironmentDefinition) -> tuple[tuple[float, ...], list[Effect]]:
    """Return the action without a key, and for each component of a `Box` what its two keys do."""
    low, high = bounds_of(environment.action_space)
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
