"""Actions as files keep them, vectors of A numbers, and as environments take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces


def environment_action(action: npt.NDArray[Any], space: spaces.Space[Any]) -> Any:
    """Turn one action (A,), as files keep it, into an environment's: a number for a discrete space, else an array."""
    return environment_actions(action[None], space)[0]


def environment_actions(actions: npt.NDArray[Any], space: spaces.Space[Any]) -> npt.NDArray[Any]:
    """Turn actions (…, A) into those of a vectorised environment: (n,) for a discrete space, else (n, …)."""
    flat = actions.reshape(-1, actions.shape[-1])
    if isinstance(space, spaces.Discrete):
        return flat[:, 0].astype(np.int64)
    return flat.reshape(len(flat), *(space.shape or ())).astype(space.dtype)


def recorded_action(action: Any) -> npt.NDArray[np.float64]:
    """Turn an environment's action into the vector (A,) that files keep."""
    return np.asarray(action, dtype=np.float64).reshape(-1)
