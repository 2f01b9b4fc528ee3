"""Recordings that keep each episode by itself: a row of lists in a table, or a group of an HDF5 file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec

from quantilizers.arrays import check_memory
from quantilizers.datasets.columns import nested, text_lists
from quantilizers.datasets.contents import Contents
from quantilizers.datasets.fields import (
    OF_EPISODES,
    Reading,
    Source,
    Wanted,
    actions_of,
    info_name,
    listed,
    marks_of,
    number_of_steps,
    observations_of,
    passed_over,
    required,
    reward_of,
)
from quantilizers.datasets.names import NAMES, field_of, fields_of
from quantilizers.datasets.which_reward import WhichRewardError, told_by
from quantilizers.demonstrations.episodes import STEP_PREFIX, TERMINATED, Episodes
from quantilizers.errors import UserError, reason_of, shown
from quantilizers.gates.json_files import parse_json, read_json

Array = npt.NDArray[Any]


def read_lists(contents: Contents, wanted: Wanted) -> Reading:
    """Read a table with one row an episode, whose columns are lists with one entry a step."""
    path, lists = contents.path, dict(contents.lists)
    names = list(contents.types)
    action = _one_of(path, lists, "actions")
    seen = _one_of(path, lists, "observations")
    actions, lengths = nested(path, action, lists[action], 1)
    observations, observed = nested(path, seen, lists[seen], 1)
    flat: dict[str, Array] = {}
    infos: dict[str, Array] = {}
    for name in lists:
        if name in (action, seen):
            continue
        texts = text_lists(lists[name])
        if texts is not None:
            infos |= _infos(texts, lengths) if name in ("infos", "info") else {}
            continue
        values, number = nested(path, name, lists[name], 1)
        if (number == lengths).all():
            flat[name] = values
    steps = [
        name for name, values in flat.items()
        if values.size == len(values)
        and all(field_of([name], role) is None for role in ("done", "terminated", "truncated", "step"))
    ]  # fmt: skip
    name = wanted.reward_among(path, [*names, *infos], [*steps, *infos])
    rewards = flat[name] if name in flat else infos[name]
    if not ((observed == lengths).all() or (observed == lengths + 1).all()):
        raise UserError(f"{path}: {seen} is not as long as {action} in each row, or one longer by the last observation")
    if not (lengths > 0).all():
        raise UserError(f"{path}, row {int(np.argmin(lengths > 0)) + 1:,}: the episode has no step")
    extras: dict[str, Array] = {f"{STEP_PREFIX}{key}": values for key, values in infos.items() if key != name}
    for key, values in flat.items():
        if key != name and all(field_of([key], role) is None for role in NAMES):
            extras[f"{STEP_PREFIX}{info_name(key)}"] = values
    for role in (*OF_EPISODES, TERMINATED):
        other = field_of(names, role)
        if other is not None and other not in lists:
            extras[role] = contents.read(other)
    following = field_of(list(flat), "next_observations")
    episodes = Episodes.from_flat(
        observations,
        actions,
        rewards.reshape(len(rewards)),
        lengths=lengths,
        next_observations=None if following is None else flat[following],
        extras=extras,
    )
    return Reading(episodes, tuple(passed_over(lists, [seen], [action])), field=name)


def _one_of(path: Path, lists: Mapping[str, Any], role: str) -> str:
    found = field_of(list(lists), role)
    if found is None:
        raise UserError(
            f"{path} has no column of lists for {role}, which are called {', '.join(NAMES[role][:4])} or the like; "
            f"it has {', '.join(map(shown, list(lists)[:12])) or 'none'}"
        )
    return found


def _infos(texts: Sequence[Sequence[str]], lengths: npt.NDArray[np.int64]) -> dict[str, Array]:
    """Return the numbers that every step of all episodes has in its info, which is JSON."""
    steps = []
    for row in texts:
        for text in row or []:
            try:
                info = parse_json(text)
            except (ValueError, RecursionError):
                return {}
            steps.append(info if isinstance(info, dict) else {})
    if len(steps) != int(lengths.sum()) or not steps:
        return {}
    keys = [key for key, value in steps[0].items() if isinstance(value, (bool, int, float))]
    common = [key for key in keys if all(isinstance(step.get(key), (bool, int, float)) for step in steps)]
    return {key: np.array([float(step[key]) for step in steps]) for key in common}


#: An array in the group of an episode, such as `data/demo_0/obs/state`, or of an episode, such as `actions_0`.
_EPISODE = re.compile(r"^(?P<stem>.*?[^\d/])(?P<number>\d+)/(?P<name>.+)$|^(?P<array>[^/]*?[^\d/_])_(?P<place>\d+)$")


def read_groups(contents: Contents, wanted: Wanted) -> Reading:
    """Read a file with a group or arrays for each episode, in the order of the numbers in their names."""
    path = contents.path
    families: dict[str, dict[int, dict[str, str]]] = {}
    for full in contents.types:
        found = _EPISODE.match(full)
        if found:
            number, name = found["number"] or found["place"], found["name"] or found["array"]
            families.setdefault(found["stem"] or "", {}).setdefault(int(number), {})[name] = full
    if not families:
        raise UserError(f"{path} has no groups that are episodes; it has {contents.described()}")
    stem = max(families, key=lambda one: len(families[one]))
    parts: list[dict[str, Any]] = []
    for number, members in sorted(families[stem].items()):
        prefix = f"{stem}{number}" if stem else ""
        source = Source(
            path / (prefix or f"episode {number}"),
            {name: contents.types[full] for name, full in members.items()},
            partial(_member, contents, members),
        )
        parts.append(_group(source, wanted, contents.attributes.get(prefix, {})))
        _check_fields(source, parts[0], parts[-1])
    return Reading(_joined(path, parts), tuple(parts[0]["notes"]), field=parts[0]["field"])


def _check_fields(source: Source, first: Mapping[str, Any], part: Mapping[str, Any]) -> None:
    """Refuse an episode whose rewards or observations are other fields than those of the first episode."""
    if part["field"] != first["field"]:
        raise WhichRewardError(
            f"{source.path}: its rewards are the field {shown(part['field'])}, and those of the first episode "
            f"{shown(first['field'])}"
        )
    if (part["fields"], part["notes"]) != (first["fields"], first["notes"]):
        raise UserError(
            f"{source.path}: its observations are the fields {listed(part['fields'])}, and those of the first episode "
            f"{listed(first['fields'])}"
        )


def read_minari(contents: Contents, wanted: Wanted) -> Reading:
    """Read a data set of Minari, whose specification may name the reward that it contains."""
    path = contents.path
    file = (path if path.is_dir() else path.parent) / "metadata.json"
    file = path / "data" / "metadata.json" if path.is_dir() and not file.is_file() else file
    try:
        noted = read_json(file) if file.is_file() else dict(contents.attributes[""])
        spec = EnvSpec.from_json(noted["env_spec"]) if noted.get("env_spec") else None
    except Exception as error:  # what reads specifications raises many kinds
        raise UserError(f"{path}: its metadata cannot be read: {reason_of(error)}") from None
    if "quantilizers" in noted:
        raise UserError(f"{path} was exported by this project; python -m quantilizers.commands.minari import reads it")
    reading = read_groups(contents, wanted)
    foreign = told_by(spec, reading.episodes, wanted.environment)
    if reading.field != "rewards":  # of which the specification speaks
        foreign = replace(foreign, reward=None)
    return replace(reading, foreign=foreign.said_to_be(wanted.foreign(reading.episodes).reward))


def _member(contents: Contents, members: Mapping[str, str], name: str) -> Array:
    return contents.read(members[name])


def _group(source: Source, wanted: Wanted, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return one episode's arrays, the fields of its rewards and observations, and notes."""
    number = number_of_steps(source)
    if number < 1:
        raise UserError(f"{source.path}: the episode has no step")
    name, rewards = reward_of(source, number, wanted)
    fields = required(source, "observations")
    observations, notes = observations_of(source, fields, wanted)
    notes += passed_over(source.names, fields, required(source, "actions"))
    following = fields_of(source.names, "next_observations")
    if following and len(observations) == number:
        last = observations_of(source, following, wanted)[0][-1:]
        observations = np.concatenate([observations, last])
    used = source.in_roles | {name}
    infos = {}
    for other, (shape, kind) in source.types.items():
        if other not in used and kind.kind in "biuf" and shape[:1] in ((number,), (number + 1,)):
            infos[f"{STEP_PREFIX}{info_name(other)}"] = source.read(other)[-number:]
    noted = attributes.get("num_samples")
    if noted is not None and int(noted) != number:
        raise UserError(f"{source.path}: it has {number:,} actions and notes {int(noted):,} samples; it is damaged")
    seed = attributes.get("seed")
    terminated = marks_of(source, "terminated", number)
    return {
        "observations": observations,
        "actions": actions_of(source),
        "rewards": rewards,
        "infos": infos,
        "seed": int(seed) if isinstance(seed, (int, np.integer)) else None,
        "terminated": None if terminated is None else bool(terminated[-1]),
        "field": name,
        "fields": fields,
        "notes": notes,
    }


def _joined(path: Path, parts: Sequence[Mapping[str, Any]]) -> Episodes:
    """Return the episodes of groups; infos that one of them lacks are left out."""
    lengths = np.array([len(part["rewards"]) for part in parts])
    sizes = np.array([len(part["observations"]) for part in parts])
    if not ((sizes == lengths).all() or (sizes == lengths + 1).all()):
        raise UserError(f"{path}: an episode's observations are not as many as its actions, or one more")
    shapes = {(part["observations"].shape[1:], part["actions"].shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise UserError(f"{path}: its episodes have observations and actions of different shapes, {sorted(shapes)[:2]}")
    check_memory(sum(int(part["observations"].nbytes) for part in parts) * 2)
    extras: dict[str, Array] = {}
    for key, first in parts[0]["infos"].items():
        if all(key in part["infos"] and part["infos"][key].shape[1:] == first.shape[1:] for part in parts):
            extras[key] = np.concatenate([part["infos"][key] for part in parts])
    if any(part["seed"] is not None for part in parts):
        extras["seed"] = np.array([-1 if part["seed"] is None else part["seed"] for part in parts])
    if all(part["terminated"] is not None for part in parts):
        extras[TERMINATED] = np.array([part["terminated"] for part in parts])
    return Episodes.from_flat(
        np.concatenate([part["observations"] for part in parts]),
        np.concatenate([part["actions"] for part in parts]),
        np.concatenate([part["rewards"] for part in parts]),
        lengths=lengths,
        extras=extras,
    )
