"""Actions: the classes that policies choose from, and the form that environments take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.errors import UserError

#: Single precision has all whole numbers up to this one, and not the next.
LARGEST_IN_FLOAT32 = 2**24
#: For each component of the action, its possible values in order.
ActionClasses = tuple[tuple[float, ...], ...]


def classes_of(space: spaces.Space[Any], declared: int | ActionClasses | None, name: str) -> ActionClasses | None:
    """Return the classes of an action space; None if actions are predicted by regression.

    | space | components | classes of each |
    |---|---|---|
    | `Discrete` | 1 | its numbers |
    | `MultiDiscrete` | one an entry | its numbers |
    | `MultiBinary` | one an entry | 0 and 1 |
    | `Box` | one an entry | as declared; regression if nothing is declared |

    Args:
        space: of the actions.
        declared: for a `Box`, the number of evenly spaced values of each component, or the values themselves.
        name: the environment's, for messages.

    Raises:
        UserError: no policy acts in such a space, or the declaration does not fit it.
    """
    if declared is not None and not isinstance(space, spaces.Box):
        raise UserError(f"{name}: classes are for Box actions only, and these are a {type(space).__name__}")
    if isinstance(space, spaces.Discrete):
        return (_numbers(int(space.start), int(space.n)),)
    if isinstance(space, spaces.MultiDiscrete):
        starts, numbers = np.ravel(space.start), np.ravel(space.nvec)
        return tuple(_numbers(int(start), int(number)) for start, number in zip(starts, numbers, strict=True))
    if isinstance(space, spaces.MultiBinary):
        return (_numbers(0, 2),) * int(np.prod(space.shape))
    if not isinstance(space, spaces.Box):
        raise UserError(
            f"{name}: actions are a {type(space).__name__}, which policies here cannot choose; "
            "wrap the environment so that they are Discrete, MultiDiscrete, MultiBinary or a Box"
        )
    if declared is None:
        return None
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    if isinstance(declared, int):
        if declared < 2 or not space.is_bounded():
            raise UserError(f"{name}: {declared} classes a dimension need a bounded Box and at least 2 of them")
        return tuple(tuple(np.linspace(*ends, declared).tolist()) for ends in zip(low, high, strict=True))
    if len(declared) != len(low):
        raise UserError(f"{name}: classes has {len(declared)} entries for actions of {len(low)} dimensions")
    for values, lowest, highest in zip(declared, low, high, strict=True):
        if len(values) < 2 or not all(lowest <= value <= highest for value in values):
            raise UserError(f"{name}: the classes {values} are not two or more values between {lowest} and {highest}")
    return declared


def _numbers(start: int, number: int) -> tuple[float, ...]:
    return tuple(float(value) for value in range(start, start + number))


def environment_action(action: npt.NDArray[Any], space: spaces.Space[Any]) -> Any:
    """Convert an action (A,), the form of files, to the environment's: a number for a discrete space, else an array."""
    return environment_actions(action[None], space)[0]


def environment_actions(actions: npt.NDArray[Any], space: spaces.Space[Any]) -> npt.NDArray[Any]:
    """Convert actions (…, A) to those of a vectorised environment: (n,) for a discrete space, else (n, …)."""
    flat = actions.reshape(-1, actions.shape[-1])
    return in_form_of(flat[:, 0] if isinstance(space, spaces.Discrete) else flat, len(flat), space)


def in_form_of(actions: Any, number: int, space: spaces.Space[Any]) -> npt.NDArray[Any]:
    """Return n actions, of any type and shape that hold their numbers, in the shape and type of their space, (n, …).

    Raises:
        ValueError: their numbers are more or fewer than n actions have.
    """
    formed: npt.NDArray[Any] = np.asarray(actions)
    if space.shape is None:  # a Dict, say, which has no array of numbers
        return formed[None]
    return formed.reshape(number, *space.shape).astype(space.dtype, copy=False)


def file_dtype(space: spaces.Space[Any]) -> np.dtype[Any]:
    """Return the type in which files keep actions exactly: single precision where it has all numbers of the space."""
    low, high = _ends(space)
    whole = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
    fits = max(abs(low), abs(high)) <= LARGEST_IN_FLOAT32 if whole else space.dtype != np.float64
    return np.dtype(np.float32 if fits else np.float64)


def _ends(space: spaces.Space[Any]) -> tuple[float, float]:
    """Return the lowest and the highest number of an action of whole numbers; zeros for other spaces."""
    if isinstance(space, spaces.Discrete):
        return float(space.start), float(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return float(space.start.min()), float((space.start + space.nvec).max()) - 1
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.integer):
        return float(space.low.min()), float(space.high.max())
    return 0.0, 0.0


def file_action(action: Any, space: spaces.Space[Any]) -> npt.NDArray[Any]:
    """Convert an action of an environment to (A,), the form of files.

    Raises:
        ValueError: it is not in the space; the message begins with the action.
    """
    given: npt.NDArray[Any] = np.asarray(action)
    shape = space.shape
    if shape is None or given.dtype.kind not in "biuf" or given.size != int(np.prod(shape)):
        raise ValueError(f"{action!r}, which is not in {space}")
    formed = np.asarray(in_form_of(given, 1, space)[0])
    whole = formed.dtype.kind in "biu"
    if (whole and not np.array_equal(formed, given.reshape(shape))) or not space.contains(formed):
        raise ValueError(f"{action!r}, which is not in {space}")
    return formed.reshape(-1).astype(np.float64)
