"""Joining episodes of one environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, STEP_PREFIX, Episodes
from quantilizers.errors import UserError

#: What stands for an episode whose file does not have an extra array that another one has, by kind of array.
MISSING: dict[str, Any] = {"i": -1, "f": np.nan, "U": ""}


def concatenate(parts: Sequence[Episodes]) -> Episodes:
    """Join episodes, those of one part after those of another, zero padded to the longest.

    Extra arrays stay with their episodes. Where a part lacks one that another part has:

    | extra array | result |
    |---|---|
    | `info_…` | left out: rewards can be computed from all steps or from none |
    | `final_observation` of whole numbers, such as pictures | left out: no number says that one is missing |
    | `final_observation` of floats | NaN stands for it, which `Episodes.final_observations` knows |
    | any other | `MISSING` stands for it: a seed of −1, an empty name, NaN |

    Args:
        parts: one or more, of one environment.

    Raises:
        UserError: an extra array has another shape or kind in another part, or nothing can stand for it.
    """
    steps = max(part.done.shape[1] for part in parts)
    keys = list(dict.fromkeys(key for part in parts for key in part.extras))
    return Episodes(
        observations=np.concatenate([_padded(part.observations, steps) for part in parts]),
        actions=np.concatenate([_padded(part.actions, steps) for part in parts]),
        true_rewards=np.concatenate([_padded(part.true_rewards, steps) for part in parts]),
        done=np.concatenate([_padded(part.done, steps, True) for part in parts]),
        extras={key: _joined_extra(key, parts, steps) for key in keys if not _is_left_out(key, parts)},
    )


def _padded(array: npt.NDArray[Any], steps: int, padding: Any = 0) -> npt.NDArray[Any]:
    """Lengthen (N, T, …) to (N, steps, …)."""
    width = [(0, 0), (0, steps - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, width, constant_values=padding)


def _is_left_out(key: str, parts: Sequence[Episodes]) -> bool:
    if all(key in part.extras for part in parts):
        return False
    is_picture = key == FINAL_OBSERVATION and any(
        part.extras[key].dtype.kind != "f" for part in parts if key in part.extras
    )
    return key.startswith(STEP_PREFIX) or is_picture


def _joined_extra(key: str, parts: Sequence[Episodes], steps: int) -> npt.NDArray[Any]:
    arrays = [part.extras.get(key) for part in parts]
    if key.startswith(STEP_PREFIX):
        arrays = [None if array is None else _padded(array, steps) for array in arrays]
    known = [array for array in arrays if array is not None]
    if len({(array.dtype.kind, array.shape[1:]) for array in known}) > 1:
        raise UserError(f"{key} is not of the same kind and shape in every file; take it out of one of them")
    shape, dtype = known[0].shape[1:], np.result_type(*known)
    if len(known) < len(parts) and dtype.kind not in MISSING:
        raise UserError(f"{key} is in some of the files only, and nothing can stand for it in the others")
    return np.concatenate(
        [
            np.full((part.number, *shape), MISSING[dtype.kind], dtype=dtype) if array is None else array
            for part, array in zip(parts, arrays, strict=True)
        ]
    )
