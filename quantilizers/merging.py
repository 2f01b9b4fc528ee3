"""Joining demonstrations of one environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations import Demonstrations
from quantilizers.errors import UserError

#: What stands for an episode whose file does not have an extra array that another one has, by kind of array.
MISSING: dict[str, Any] = {"i": -1, "f": np.nan, "U": ""}


def concatenate(parts: Sequence[Demonstrations]) -> Demonstrations:
    """Join demonstrations, episode after episode, zero padded to the longest.

    Extra arrays stay with their episodes. Where a part lacks one that another has, `MISSING` stands for it: a
    seed of −1, an empty name.

    Args:
        parts: one or more, of one environment.

    Raises:
        UserError: an extra array has another shape or kind in another part, or cannot be missing.
    """
    steps = max(part.done.shape[1] for part in parts)

    def padded(array: npt.NDArray[Any], padding: Any = 0) -> npt.NDArray[Any]:
        width = [(0, 0), (0, steps - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
        return np.pad(array, width, constant_values=padding)

    keys = list(dict.fromkeys(key for part in parts for key in part.extras))
    return Demonstrations(
        observations=np.concatenate([padded(part.observations) for part in parts]),
        actions=np.concatenate([padded(part.actions) for part in parts]),
        true_rewards=np.concatenate([padded(part.true_rewards) for part in parts]),
        done=np.concatenate([padded(part.done, True) for part in parts]),
        extras={key: _joined_extra(key, parts) for key in keys},
    )


def _joined_extra(key: str, parts: Sequence[Demonstrations]) -> npt.NDArray[Any]:
    known = [part.extras[key] for part in parts if key in part.extras]
    if len({(array.dtype.kind, array.shape[1:]) for array in known}) > 1:
        raise UserError(f"{key} is not of the same kind and shape in every file; take it out of one of them")
    kind, shape = known[0].dtype.kind, known[0].shape[1:]
    if len(known) < len(parts) and kind not in MISSING:
        raise UserError(f"{key} is in some of the files only, and nothing can stand for it in the others")
    return np.concatenate(
        [part.extras[key] if key in part.extras else np.full((part.number, *shape), MISSING[kind]) for part in parts]
    )
