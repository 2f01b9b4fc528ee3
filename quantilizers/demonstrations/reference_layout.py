"""Episodes from arrays in the layouts of the reference implementation and of OpenAI baselines.

Differences from this project's layout, and how they are converted:

| found | becomes |
|---|---|
| `acs` (N, T), one number each step | (N, T, 1) |
| `done` of 0 and 1 | bool |
| no `done` | steps at an episode's end whose `obs`, `acs` and `rews` are all zero count as padding |
| an episode without a step, which the reference's recorder leaves when it is closed right after a reset | left out |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import Episodes, check_returns
from quantilizers.errors import UserError

REQUIRED = ("obs", "acs", "rews")
_KNOWN = (*REQUIRED, "done", "ep_rets")


def to_episodes(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Episodes, list[str]]:
    """Make episodes of arrays in any of the layouts above.

    Args:
        arrays: `obs` (N, T, …), `acs` (N, T, A) or (N, T), `rews` (N, T), optionally `done` (N, T) and `ep_rets`
            (N,), and further arrays with one entry for each episode.

    Returns:
        The episodes, and a short note on each change.

    Raises:
        UserError: they cannot be episodes; the message says why.
    """
    observations, actions, true_rewards = (arrays[key] for key in REQUIRED)
    notes = []
    if actions.ndim == 2:
        actions = actions[..., np.newaxis]
    if "done" in arrays:
        done = _as_bool(arrays["done"])
    else:
        done = _zero_tail(observations, actions, true_rewards)
        notes.append("it has no done, so all-zero steps at an episode's end count as padding")
    uneven = [key for key, array in arrays.items() if np.shape(array)[:1] != done.shape[:1]]
    if uneven or done.ndim != 2 or done.shape[1] == 0:
        raise UserError(f"{', '.join(uneven) or 'done'} does not have one entry for each episode, of at least one step")
    kept = np.flatnonzero(~done[:, 0])
    if not len(kept):
        raise UserError("no episode has a step")
    if len(kept) < len(done):
        notes.append(f"{len(done) - len(kept)} of {len(done)} episodes have no step and were left out")
    episodes = Episodes(
        observations=observations[kept],
        actions=actions[kept],
        true_rewards=true_rewards[kept],
        done=done[kept],
        extras={key: array[kept] for key, array in arrays.items() if key not in _KNOWN},
    )
    if "ep_rets" in arrays:
        returns = arrays["ep_rets"]
        if returns.ndim != 1 or returns.dtype.kind not in "iuf":
            raise UserError(f"ep_rets is {returns.dtype} {returns.shape}, not one return for each episode")
        check_returns(returns[kept], episodes)
    return episodes, notes


def _as_bool(done: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if done.dtype == np.bool_:
        return done
    if done.dtype.kind not in "iuf" or not np.isin(done, (0, 1)).all():
        raise UserError(f"done holds {done.dtype} other than 0 and 1")
    return done.astype(np.bool_)


def _zero_tail(*arrays: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which steps (N, T) begin a tail of zeros in every array."""
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) != 1 or any(array.ndim < 2 or array.dtype.kind not in "biuf" for array in arrays):
        raise UserError("obs, acs and rews are not numbers of the same (episodes, steps)")
    number, steps = shapes.pop()
    used = np.zeros((number, steps), dtype=np.bool_)
    for array in arrays:
        used |= array.reshape(number, steps, -1).any(axis=-1)
    used_later: npt.NDArray[np.bool_] = np.logical_or.accumulate(used[:, ::-1], axis=1)[:, ::-1]
    return ~used_later
