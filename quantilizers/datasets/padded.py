"""Recordings whose episodes are padded to the longest, (N, T, …)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays
from quantilizers.datasets.contents import Contents
from quantilizers.datasets.fields import (
    OF_EPISODES,
    Reading,
    Source,
    Wanted,
    actions_of,
    check_noted_returns,
    info_name,
    passed_over,
    required,
    with_field_as_rewards,
)
from quantilizers.datasets.names import field_of
from quantilizers.demonstrations.episodes import STEP_PREFIX, Episodes, check_returns
from quantilizers.errors import UserError, shown
from quantilizers.rewards import BoolArray

Array = npt.NDArray[Any]


def read_padded(contents: Contents, wanted: Wanted) -> Reading:
    """Read episodes (N, T, …), padded to the longest."""
    source = Source(contents.path, contents.types, contents.read)
    path, fields = contents.path, required(source, "observations")
    acted = required(source, "actions")
    shape = source.types[acted[0]][0][:2]
    used = source.in_roles
    steps = [
        name for name in source.names if name not in used and source.types[name][0] == shape and source.is_number(name)
    ]
    name = wanted.reward_among(path, source.names, steps)
    if len(fields) != 1:
        raise UserError(f"{path}: observations are several fields, {', '.join(fields)}; join them to one")
    observations, actions, rewards = source.read(fields[0]), actions_of(source), source.read(name)
    notes = passed_over(source.names, fields, acted)
    if observations.shape[0] != shape[0] or observations.shape[1] not in (shape[1], shape[1] + 1):
        raise UserError(f"{path}: {fields[0]} have shape {observations.shape}, and actions {actions.shape}")
    lengths, note = _padded_lengths(source, shape, observations, actions, rewards)
    notes += note
    played, left_out = _with_steps(lengths > 0)
    notes += left_out
    real = np.arange(shape[1]) < lengths[:, np.newaxis]
    extras: dict[str, Array] = {}
    for role in OF_EPISODES:
        other = field_of(source.names, role)
        if other is not None and source.types[other][0] == (shape[0],):
            extras[role] = source.read(other)[played]
        elif other is not None:
            notes.append(f"its {shown(other)} was left out, which is not one for each episode")
    for other, (of, kind) in source.types.items():
        if other not in used and other != name and of[:2] == shape and kind.kind in "biuf":
            extras[f"{STEP_PREFIX}{info_name(other)}"] = source.read(other)[real]
    if observations.shape[1] == shape[1] + 1:
        with_last = np.arange(shape[1] + 1) <= np.where(lengths > 0, lengths, -1)[:, np.newaxis]
        row = observations[with_last]
    else:
        row = observations[real]
    episodes = Episodes.from_flat(row, actions[real], rewards[real], lengths=lengths[played], extras=extras)
    if len(played) == len(lengths):
        check_noted_returns(source, episodes)
    return Reading(episodes, tuple(notes), field=name)


def _with_steps(has_steps: BoolArray) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the indices of the episodes that have a step, and a note if others have none."""
    played = np.flatnonzero(has_steps)
    if not len(played):
        raise UserError("no episode has a step")
    number = len(has_steps)
    left_out = [f"{number - len(played)} of {number} episodes have no step and were left out"]
    return played, left_out if len(played) < number else []


def _until_last(filled: BoolArray) -> BoolArray:
    """Return which steps (N, T) are filled or before a filled one."""
    return np.logical_or.accumulate(filled[:, ::-1], axis=1)[:, ::-1]


def _padded_lengths(
    source: Source, shape: tuple[int, ...], observations: Array, actions: Array, rewards: Array
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the length of each padded episode, and notes."""
    path, names = source.path, source.names
    name = field_of(names, "lengths")
    if name is not None and source.types[name][0] in ((shape[0],), (shape[0], 1)):
        lengths = source.read(name).reshape(-1)
        if lengths.dtype.kind not in "iuf" or lengths.min() < 0 or lengths.max() > shape[1] or (lengths % 1).any():
            raise UserError(f"{path}: {name} are not whole numbers up to {shape[1]:,}")
        return lengths.astype(np.int64), []
    mask = field_of(names, "mask")
    if mask is not None and source.types[mask][0] == shape:
        real = source.read(mask).astype(np.bool_)
        if (~real[:, :-1] & real[:, 1:]).any():
            raise UserError(f"{path}: {mask} is not 1 on the steps of an episode and 0 on its padding")
        return real.sum(axis=1), []
    filled = np.zeros(shape, dtype=np.bool_)
    for array in (observations[:, -shape[1] :], actions, rewards):
        filled |= ((array != 0) & (array == array)).reshape(*shape, -1).any(axis=-1)  # NaN is padding, too
    marks = [source.read(one) for role in ("terminated", "truncated", "done") if (one := field_of(names, role))]
    marks = [one.reshape(shape).astype(np.bool_) for one in marks if one.shape in (shape, (*shape, 1))]
    if not marks:
        return _until_last(filled).sum(axis=1), [
            "it has no done, so steps of zeros or NaN at an episode's end count as padding"
        ]
    done = np.logical_or.reduce(marks)
    first = np.where(done.any(axis=1), done.argmax(axis=1), shape[1])
    places = np.arange(shape[1])
    if not filled[places >= first[:, np.newaxis]].any():
        return first, ["steps where it is done hold nothing and count as padding"]
    if filled[places > first[:, np.newaxis]].any():
        raise UserError(
            f"{path}: an episode goes on after the step where it is done; give its lengths to Episodes.from_flat"
        )
    return np.minimum(first + 1, shape[1]), ["the first step where it is done is the last of an episode"]


#: Arrays of this layout, and all arrays that are no extras.
_REQUIRED = ("obs", "acs", "rews")
_KNOWN = (*_REQUIRED, "done", "ep_rets")


def read_reference_layout(contents: Contents, wanted: Wanted) -> Reading:
    """Read the layout of OpenAI baselines' GAIL, of the reference implementation, or this project's."""
    episodes, notes = from_reference_layout(load_arrays(contents.path, _REQUIRED, only=contents.types))
    return Reading(with_field_as_rewards(contents.path, episodes, wanted), tuple(notes))


def from_reference_layout(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Episodes, list[str]]:
    """Make episodes of arrays in that layout, with a note on each change; refuse other arrays.

    | found | becomes |
    |---|---|
    | `acs` (N, T), one number each step | (N, T, 1) |
    | `done` of 0 and 1 | bool |
    | no `done` | steps at an episode's end whose `obs`, `acs` and `rews` are all zero count as padding |
    | an episode without a step, as the reference's recorder leaves when closed right after a reset | left out |

    Args:
        arrays: `obs` (N, T, …), `acs` (N, T, A) or (N, T), `rews` (N, T), optionally `done` (N, T) and `ep_rets`
            (N,), and further arrays with one entry for each episode.
    """
    observations, actions, true_rewards = (arrays[key] for key in _REQUIRED)
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
    played, left_out = _with_steps(~done[:, 0])
    notes += left_out
    extras = {key: array[played] for key, array in arrays.items() if key not in _KNOWN}
    episodes = Episodes(observations[played], actions[played], true_rewards[played], done[played], extras)
    if "ep_rets" in arrays:
        returns = arrays["ep_rets"]
        if returns.ndim != 1 or returns.dtype.kind not in "iuf":
            raise UserError(f"ep_rets is {returns.dtype} {returns.shape}, not one return for each episode")
        check_returns(returns[played], episodes)
    return episodes, notes


def _as_bool(done: npt.NDArray[Any]) -> BoolArray:
    if done.dtype == np.bool_:
        return done
    if done.dtype.kind not in "iuf" or not np.isin(done, (0, 1)).all():
        raise UserError(f"done holds {done.dtype} other than 0 and 1")
    return done.astype(np.bool_)


def _zero_tail(*arrays: npt.NDArray[Any]) -> BoolArray:
    """Return which steps (N, T) begin a tail of zeros in every array."""
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) != 1 or any(array.ndim < 2 or array.dtype.kind not in "biuf" for array in arrays):
        raise UserError("obs, acs and rews are not numbers of the same (episodes, steps)")
    number, steps = shapes.pop()
    used = np.zeros((number, steps), dtype=np.bool_)
    for array in arrays:
        used |= array.reshape(number, steps, -1).any(axis=-1)
    return ~_until_last(used)
