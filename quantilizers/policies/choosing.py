"""From recorded actions to what a network learns, and from what it predicts to actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Space

from quantilizers.choices import Acting
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import ActionClasses


def class_indices(actions: npt.NDArray[Any], classes: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return which of the classes one component of recorded actions (n,) is, (n,)."""
    # In the recording's own precision: 0.1 in a file of float32 is not 0.1.
    values = np.asarray(classes).astype(actions.dtype if actions.dtype.kind == "f" else np.float64)
    indices: npt.NDArray[np.int64] = np.argmax(actions[:, None] == values, axis=1)
    return indices


def recorded_classes(episodes: Episodes, classes: ActionClasses) -> npt.NDArray[np.int64]:
    """Return which class each component of the action is in all real steps, (A, n), episode after episode."""
    actions = episodes.transitions()[1]
    return np.stack([class_indices(actions[:, component], values) for component, values in enumerate(classes)])


def choose(
    probabilities: npt.NDArray[Any], classes: Sequence[float], acting: Acting, drawn: npt.NDArray[np.float64] | None
) -> npt.NDArray[Any]:
    """Choose one component of actions.

    Args:
        probabilities: (…, classes).
        classes: their values.
        acting: how.
        drawn: (…) between 0 and 1, for acting by sample.

    Returns:
        Values (…).
    """
    values: npt.NDArray[Any] = np.asarray(classes)
    if acting == "expected_value":
        expected: npt.NDArray[Any] = probabilities @ values
        return expected
    if acting == "most_probable":
        chosen = np.argmax(probabilities, axis=-1)
    else:
        assert drawn is not None
        below = (np.cumsum(probabilities, axis=-1) < drawn[..., None]).sum(axis=-1)
        chosen = np.minimum(below, len(values) - 1)
    taken: npt.NDArray[Any] = np.take(values, chosen)
    return taken


def within(actions: npt.NDArray[Any], space: Space[Any]) -> npt.NDArray[np.float64]:
    """Clip predicted actions (…, A) to the bounds of their space."""
    assert isinstance(space, Box)
    clipped: npt.NDArray[np.float64] = np.clip(
        actions.astype(np.float64), space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    )
    return clipped


def rounded(actions: npt.NDArray[np.float64], space: Space[Any]) -> npt.NDArray[np.float64]:
    """Round actions (…, A) to whole numbers where their space has no others."""
    return np.rint(actions) if np.issubdtype(np.dtype(space.dtype), np.integer) else actions
