"""Recordings whose steps stand in one row, episode after episode: where episodes end, and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.contents import Contents
from quantilizers.datasets.fields import (
    OF_EPISODES,
    Reading,
    Source,
    Wanted,
    actions_of,
    check_noted_returns,
    info_name,
    listed,
    marks_of,
    number_of_steps,
    observations_of,
    passed_over,
    required,
    reward_of,
)
from quantilizers.datasets.names import field_of, fields_of
from quantilizers.demonstrations.episodes import STEP_PREFIX, TERMINATED, Episodes
from quantilizers.errors import UserError, shown
from quantilizers.numbers_in_words import counted

Array = npt.NDArray[Any]
#: Roles of fields that mark the last steps of episodes.
_MARKS = ("terminated", "truncated", "done")


def read_row(contents: Contents, wanted: Wanted) -> Reading:
    """Read steps that stand in one row, (n, …), with episode after episode."""
    source = Source(contents.path, contents.types, contents.read)
    number = number_of_steps(source)
    fields = required(source, "observations")
    name, rewards = reward_of(source, number, wanted)
    notes = passed_over(source.names, fields, required(source, "actions"))
    found = _lengths(source, number, fields, wanted)
    lengths, order = found.lengths, found.order
    notes += found.notes
    observations, more = observations_of(source, fields, wanted)
    notes += more
    actions = actions_of(source)
    next_fields = fields_of(source.names, "next_observations")
    following = observations_of(source, next_fields, wanted)[0] if next_fields and found.has_finals else None
    steps = int(lengths.sum())
    extras, left_out = _extras(source, number, lengths, order, {name, *fields, *next_fields})
    notes += left_out
    if found.terminated is not None:
        extras[TERMINATED] = found.terminated
    has_finals = len(observations) == number + len(lengths) and following is None
    if not has_finals and len(observations) != number:
        raise UserError(
            f"{contents.path}: {listed(fields)} has {len(observations):,} entries for {number:,} steps in "
            f"{counted(len(lengths), 'episode')}; each step has one, and each episode may have one more"
        )
    episodes = Episodes.from_flat(
        observations if has_finals else observations[order][:steps],
        actions[order][:steps],
        rewards[order][:steps],
        lengths=lengths,
        next_observations=None if following is None else following[order][:steps],
        extras=extras,
    )
    check_noted_returns(source, episodes)
    return Reading(episodes, tuple(notes), field=name)


@dataclass(frozen=True, eq=False)
class _Lengths:
    """Where episodes begin and end.

    Attributes:
        lengths: (N,) of the episodes.
        order: (n,) the order in which their steps stand in the file.
        notes: on how they were told.
        terminated: (N,) whether each episode ended by itself; None if the file does not tell.
        has_finals: whether next observations at the ends belong to the episodes that end.
    """

    lengths: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    notes: Sequence[str] = ()
    terminated: npt.NDArray[np.bool_] | None = None
    has_finals: bool = True


def _lengths(source: Source, number: int, fields: Sequence[str], wanted: Wanted) -> _Lengths:
    """Return where episodes begin and end."""
    path, names = source.path, source.names
    in_order = np.arange(number)
    episode = field_of(names, "episode")
    if episode is not None and source.length(episode) == number:
        return _by_episode(source, episode, number)
    if "indices" in names and source.types["indices"][1].kind in "iu":  # imitation's: where all but the first begin
        lengths = np.diff(np.concatenate([[0], source.read("indices").astype(np.int64).ravel(), [number]]))
        ended = source.read("terminal").astype(np.bool_) if "terminal" in names else None
        return _Lengths(lengths, in_order, (), ended if ended is not None and ended.shape == lengths.shape else None)
    lengths_name = field_of(names, "lengths")
    if lengths_name is not None and len(source.types[lengths_name][0]) == 1:
        lengths = source.read(lengths_name)
        if lengths.dtype.kind not in "iu" or int(lengths.sum()) != number or lengths.min() < 1:
            raise UserError(f"{path}: {lengths_name} do not add up to its {number:,} steps")
        return _Lengths(lengths.astype(np.int64), in_order)
    if "episode_ends" in names and source.types["episode_ends"][1].kind in "iu":
        ends = source.read("episode_ends").astype(np.int64)
        if ends.ndim != 1 or not len(ends) or ends[-1] != number or np.diff(ends, prepend=0).min() < 1:
            raise UserError(f"{path}: episode_ends do not rise to its {number:,} steps")
        return _Lengths(np.diff(ends, prepend=0), in_order)
    starts = marks_of(source, "starts", number)
    if starts is not None:
        if not starts[0]:
            raise UserError(f"{path}: its first step begins no episode, which its marks of starts say; it was cut")
        return _Lengths(np.diff(np.append(np.flatnonzero(starts), number)), in_order)
    return _by_ends(source, number, fields, wanted)


def _by_episode(source: Source, name: str, number: int) -> _Lengths:
    """Return episodes by a field that names the episode of each step."""
    path, values = source.path, source.read(name).reshape(number)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise UserError(f"{path}: {shown(name)} is missing at step {int(np.flatnonzero(np.isnan(values))[0]) + 1:,}")
    _, first, inverse, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    episode = ranks[inverse.reshape(-1)]
    _check_one_each(source, name, number, values, np.sort(first)[episode])
    lengths = counts[np.argsort(first)].astype(np.int64)
    step_name, notes = field_of(source.names, "step"), []
    step = source.read(step_name).reshape(-1) if step_name and source.length(step_name) == number else None
    if step is not None and step.dtype.kind not in "iuf":
        step = None
    in_file = np.arange(number)
    order = np.lexsort((step, episode)) if step is not None else np.argsort(episode, kind="stable")
    if (order != in_file).any():
        if step is None and all(field_of(source.names, role) is None for role in _MARKS):
            apart = values[order[np.argmax(order != in_file)]]
            raise UserError(
                f"{path}: the steps of {shown(name)} {_label(apart)} stand apart, and neither numbers of steps nor "
                "marks of ends tell whether they are one episode; sort its rows, or add a field step"
            )
        notes.append(
            f"its rows were sorted by {shown(name)}{f' and {shown(str(step_name))}' if step is not None else ''}"
        )
    if step is not None and step_name != "time":
        _check_steps(path, str(step_name), step[order], episode[order], values[order])
    last = np.cumsum(lengths) - 1
    ended = None
    for role in _MARKS:
        marks = marks_of(source, role, number)
        if marks is None:
            continue
        early = marks[order]
        if role == "terminated":
            ended = early[last]
        early[last] = False
        if early.any():
            raise UserError(
                f"{path}: {field_of(source.names, role)} is true within {shown(name)} "
                f"{_label(values[order][np.argmax(early)])}, which goes on; its episodes cannot be told"
            )
    return _Lengths(lengths, order, notes, ended)


def _label(value: Any) -> str:
    """Return the number or name of an episode."""
    return f"{value:g}" if isinstance(value, np.floating) else shown(value)


def _check_one_each(source: Source, name: str, number: int, called: Array, first: npt.NDArray[np.intp]) -> None:
    """Refuse episodes with several seeds, players or groups: their numbers begin again for each of these.

    `first` (n,) is the first step of each step's episode.
    """
    for role in OF_EPISODES:
        field = field_of(source.names, role)
        if field is None or source.types[field][0] not in ((number,), (number, 1)):
            continue
        labels = np.unique(source.read(field).reshape(number), return_inverse=True)[1].reshape(-1)
        differs = labels != labels[first]
        if differs.any():
            raise UserError(
                f"{source.path}: {shown(name)} {_label(called[np.argmax(differs)])} has several values of "
                f"{shown(field)}; if each of these counts its own episodes, number all episodes differently"
            )


def _check_steps(path: Path, name: str, step: Array, episode: Array, called: Array) -> None:
    """Refuse numbers of steps that are not equally far apart within episodes: some are missing or twice."""
    within = np.flatnonzero(np.diff(episode) == 0)
    strides = np.diff(step)[within]
    if not len(strides):
        return
    common = np.median(strides)
    wrong = (strides != common) | (strides == 0)
    if wrong.any():
        place = int(within[np.argmax(wrong)])
        raise UserError(
            f"{path}: {shown(name)} goes from {step[place]:g} to {step[place + 1]:g} in episode "
            f"{_label(called[place])}, where steps are {common:g} apart; steps are missing or twice"
        )


def _by_ends(source: Source, number: int, fields: Sequence[str], wanted: Wanted) -> _Lengths:
    """Return episodes by marks at their last steps, and by observations that do not follow from the step before."""
    path = source.path
    found = {role: marks_of(source, role, number) for role in _MARKS}
    marks = [one for one in found.values() if one is not None]
    ends = np.logical_or.reduce(marks) if marks else np.zeros(number, dtype=np.bool_)
    notes: list[str] = []
    following, has_finals = fields_of(source.names, "next_observations"), True
    if following:
        now, after = (observations_of(source, one, replace(wanted, environment=None))[0] for one in (fields, following))
        if now.shape != after.shape:
            raise UserError(f"{path}: {shown(following[0])} has shape {after.shape}, and observations {now.shape}")
        follows = ~(now[1:] != after[:-1]).any(axis=tuple(range(1, now.ndim)))
        breaks = ~follows & ~ends[:-1]
        if breaks.sum() > max(1, (~ends).sum() / 2):
            raise UserError(
                f"{path}: {int(breaks.sum()):,} of {number:,} next observations are not those of the next step: its "
                "steps are shuffled, or are no steps of episodes; give a recording in its order, with its ends"
            )
        if breaks.any():
            ended = counted(int(breaks.sum()), "episode")
            notes.append(f"{ended} without a mark ended where the next observation is not that of the next step")
        # Vectorised environments reset themselves, and give the next episode's first observation as this one's last.
        if ends[:-1].any() and follows[ends[:-1]].all() and (now[1:] != now[:-1]).any():
            has_finals = False
            notes.append("next observations at its ends are those of the next episodes, and were left out")
        ends[:-1] |= breaks
        ends[-1] = True
    else:
        step = field_of(source.names, "step")
        if step is not None and source.length(step) == number and source.is_number(step):
            resets = np.diff(source.read(step).reshape(number).astype(np.float64)) <= 0
            missed = int((resets & ~ends[:-1]).sum())
            if missed and marks:
                notes.append(f"{counted(missed, 'episode')} without a mark ended where {shown(step)} begins again")
            if missed or not ends.any():
                ends[:-1] |= resets
                ends[-1] = True
            if not resets.any() and not marks:
                notes.append(f"its {shown(step)} never begins again, so it is one episode")
        elif not ends.any():
            raise UserError(
                f"{path}: no step is marked as the end of an episode"
                + ("" if marks else ", by a field such as episode, done, terminals and timeouts, or lengths")
                + "; give the ends or lengths to quantilizers.Episodes.from_flat(…)"
            )
    left = number - 1 - int(np.flatnonzero(ends)[-1])
    if left:
        notes.append(f"its last {counted(left, 'step')} without an end were left out")
    lengths = np.diff(np.flatnonzero(ends), prepend=-1)
    only_terminals = found["terminated"] is not None and found["truncated"] is None and found["done"] is None
    environment = wanted.environment
    if only_terminals and not following and (environment is None or lengths.max() > environment.max_steps):
        raise UserError(
            f"{path}: it marks terminated episodes, and not those that a time limit cut; its longest episode, of "
            f"{int(lengths.max()):,} steps, may be several. Add timeouts, or give the lengths to "
            "quantilizers.Episodes.from_flat(…)"
        )
    terminated = found["terminated"]
    known = terminated is not None and (found["truncated"] is not None or bool(following))
    by_itself = terminated[ends] if known and terminated is not None else None
    return _Lengths(lengths, np.arange(number), notes, by_itself, has_finals)


def _extras(
    source: Source, number: int, lengths: npt.NDArray[np.int64], order: npt.NDArray[np.int64], used: set[str]
) -> tuple[dict[str, Array], list[str]]:
    """Return further arrays, those of episodes that have a role and numbers of each step as `info_…`, and notes."""
    extras: dict[str, Array] = {}
    notes: list[str] = []
    steps = int(lengths.sum())
    last = np.cumsum(lengths) - 1
    for role in OF_EPISODES:
        name = field_of(source.names, role)
        if name is None:
            continue
        values = source.read(name)
        if values.shape == (number,):
            rows = values[order][:steps]
            first = rows[last - lengths + 1]
            values = first if (np.repeat(first, lengths) == rows).all() else values
        if values.shape == (len(lengths),) and len(lengths) > 0:
            whole = values.dtype.kind == "f" and np.isfinite(values).all() and (values == values.round()).all()
            extras[role] = values.astype(np.int64) if whole and role == "seed" else values
        else:
            notes.append(
                f"its {shown(name)} was left out, which is neither one for each episode nor alike in its steps"
            )
    roles = source.in_roles | used | {"indices", "episode_ends"}
    for name, (shape, kind) in source.types.items():
        key = f"{STEP_PREFIX}{info_name(name)}"
        if name not in roles and shape[:1] == (number,) and kind.kind in "biuf" and key not in extras:
            values = source.read(name)
            if values.dtype.kind in "biuf":
                extras[key] = values[order][:steps]
    return extras, notes
