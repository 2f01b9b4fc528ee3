"""Fields of recordings by their roles, and which of them is the true reward."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.choices import RecordedReward
from quantilizers.datasets.names import NAMES, field_of, fields_of
from quantilizers.datasets.which_reward import Foreign, WhichRewardError
from quantilizers.demonstrations.episodes import STEP_PREFIX, Episodes, check_returns
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError, did_you_mean, shown

Array = npt.NDArray[Any]
_IS_REWARD = re.compile(r"(^|[_./])(rewards?|rews?|r|r_b_t|scores?|utility|utilities)$", re.IGNORECASE)
_IS_TRUE = re.compile(
    r"(^|[_./])((true|gt|ground_?truth)_(rewards?|rews?|scores?|utility)|(rewards?|rews?)_(true|gt|ground_?truth))$",
    re.IGNORECASE,
)
#: Perhaps the true reward: such a field beside one of rewards has to be told from it.
_IS_TRUTH = re.compile(r"(^|[./])(true|truth|ground_?truth)$", re.IGNORECASE)
#: Rewards that their name says not to be the true ones.
_IS_OTHER = re.compile(
    r"(^|[_./])(proxy|surrogate|normali[sz]ed|norm|scaled|clipped|shaped|intrinsic|predicted|learned|estimated)"
    r"_(rewards?|rews?|scores?|utility)$",
    re.IGNORECASE,
)
_FOR_INFO = ("infos/", "info/", "info_", "env_infos/")


@dataclass(frozen=True)
class Wanted:
    """How a recording is to be read.

    Attributes:
        true_reward: the field that holds the true reward; None takes the only field of rewards, if that is one.
        environment: where it was recorded, if that is known.
        reward: which reward it contains, if it does not tell.

    Raises:
        UserError: `true_reward` names the true reward, and `reward` says that it is another.
    """

    true_reward: str | None = None
    environment: EnvironmentDefinition | None = None
    reward: RecordedReward | None = None

    def __post_init__(self) -> None:
        if self.true_reward is not None and self.reward not in (None, "true"):
            raise UserError(
                f"{self.true_reward!r} cannot be the true reward and the {self.reward} one; say one of both"
            )

    def foreign(self, episodes: Episodes) -> Foreign:
        """Return episodes of another project, with what is known of their rewards."""
        return Foreign(episodes, "true" if self.true_reward is not None else self.reward)

    def reward_among(self, where: object, names: Collection[str], steps: Collection[str]) -> str:
        """Return the field that holds the true reward.

        Args:
            where: the file, for messages.
            names: all fields.
            steps: those with one number a step.

        Raises:
            WhichRewardError: it must be named.
            UserError: the named one is not there.
        """
        if self.true_reward is not None:
            named = [name for name in names if name == self.true_reward] or [
                name for name in names if last_part(name) == self.true_reward
            ]
            if len(named) != 1 or named[0] not in steps:
                hint = did_you_mean(self.true_reward, steps) or ";"
                what = "has no field" if not named else "has no one number a step in"
                raise UserError(f"{where} {what} {self.true_reward!r}{hint} fields of steps are {listed(steps)}")
            return named[0]
        candidates = [name for name in steps if is_reward(name) or _IS_TRUE.search(name) or _IS_TRUTH.search(name)]
        true = [name for name in candidates if _IS_TRUE.search(name)]
        if self.reward not in (None, "true"):
            candidates, true = [name for name in candidates if name not in true] or candidates, []
        if not candidates:
            raise WhichRewardError(
                f"{where} has no field called reward; fields with a number a step are {listed(steps)}"
            )
        if len(candidates) > 1 and len(true) != 1:
            raise WhichRewardError(
                f"{where}: it cannot be told which field is the {self.reward or 'true'} reward: {listed(candidates)}"
            )
        if self.reward is None and not true and _IS_OTHER.search(candidates[0]):
            raise WhichRewardError(f"{where}: the only field of rewards is {shown(candidates[0])}: which reward is it?")
        return (true or candidates)[0]


def is_reward(name: str) -> bool:
    """Return whether a field is called as rewards are."""
    return bool(_IS_REWARD.search(name))


def listed(names: Iterable[str]) -> str:
    """Return the first of some names, for messages."""
    found = [shown(name) for name in names]
    return (", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")) or "none"


def last_part(name: str) -> str:
    """Return a name without its groups."""
    return name.rpartition("/")[2]


def info_name(name: str) -> str:
    """Return the name of a further field of each step, without the group of infos that it stands in."""
    for prefix in _FOR_INFO:
        name = name.removeprefix(prefix)
    return name.replace("/", "_")


#: Roles of fields that have one entry an episode, or a step, and go with an episode.
OF_EPISODES = ("seed", "player", "group")


@dataclass(frozen=True, eq=False)
class Reading:
    """Episodes, and notes on how they were read.

    Attributes:
        episodes: with the true rewards; with those recorded, if `foreign` says so.
        notes: for the user.
        foreign: the recorded rewards of another project, until the environment is known.
        field: the field of another project's recording that the rewards were read from.
    """

    episodes: Episodes
    notes: tuple[str, ...] = ()
    foreign: Foreign | None = None
    field: str | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Named arrays, which are read when a reader asks for them.

    Attributes:
        path: the file, for messages.
        types: shapes and types by name.
        read: returns an array.
    """

    path: Path
    types: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
    read: Callable[[str], Array]

    @property
    def names(self) -> list[str]:
        """Return all names."""
        return list(self.types)

    @property
    def in_roles(self) -> set[str]:
        """Return the names of fields that have a role, which are neither rewards nor infos."""
        return {name for role in NAMES for name in fields_of(self.names, role)}

    def length(self, name: str) -> int:
        """Return the number of an array's entries; -1 of a single number."""
        shape = self.types[name][0]
        return shape[0] if shape else -1

    def is_number(self, name: str) -> bool:
        """Return whether an array holds numbers."""
        return self.types[name][1].kind in "biuf"

    def per_step(self, number: int) -> list[str]:
        """Return the names of arrays with one number a step, of (n,) or (n, 1)."""
        shapes = ((number,), (number, 1))
        return [name for name in self.names if self.types[name][0] in shapes and self.is_number(name)]


def with_field_as_rewards(path: Path, episodes: Episodes, wanted: Wanted) -> Episodes:
    """Return episodes of this project's layout with the further array that the user named as their true rewards."""
    name = wanted.true_reward
    if name in (None, "rews"):
        return episodes
    extras = dict(episodes.extras)
    steps = [key for key, array in extras.items() if array.shape == episodes.done.shape and array.dtype.kind in "biuf"]
    key = next((key for key in steps if key in (name, f"{STEP_PREFIX}{name}")), "")
    if not key:
        hint = did_you_mean(str(name), [one.removeprefix(STEP_PREFIX) for one in steps]) or ";"
        raise UserError(f"{path} has no field {name!r}{hint} fields of steps are {listed(['rews', *steps])}")
    rewards = np.where(episodes.done, 0, extras.pop(key))
    return replace(episodes, true_rewards=rewards, extras={**extras, f"{STEP_PREFIX}rews": episodes.true_rewards})


def required(source: Source, role: str) -> list[str]:
    """Return the fields with a role; refuse a recording without any."""
    found = fields_of(source.names, role)
    if not found:
        raise UserError(
            f"{source.path} has no {role}, which are called {', '.join(NAMES[role][:4])} or the like; it has "
            f"{', '.join(map(shown, source.names[:12]))}"
        )
    return found


def observations_of(source: Source, fields: Sequence[str], wanted: Wanted) -> tuple[Array, list[str]]:
    """Return the observations (n, …): one field, or several as Gymnasium's FlattenObservation joins those of a Dict."""
    shape = wanted.environment.observation_shape if wanted.environment is not None else None
    if len(fields) == 1:
        found = source.read(fields[0])
        if found.dtype.kind == "U":
            raise UserError(
                f"{source.path}: {shown(fields[0])} are text, such as the names of files with pictures; read these, "
                "and save the pictures as an array"
            )
        return (found[:, np.newaxis] if shape == (1,) and found.ndim == 1 else found), []
    shapes = {name: source.types[name][0][1:] for name in fields}
    shapes |= {name: source.read(name).shape[1:] for name, one in shapes.items() if -1 in one}
    total = sum(int(np.prod(one)) for one in shapes.values())
    alike = [name for name, one in shapes.items() if one == shape]
    if len(alike) == 1 and shape != (total,):
        return source.read(alike[0]), [f"observations are its field {shown(alike[0])}, the only one of shape {shape}"]
    if shape is not None and shape != (total,):
        described = ", ".join(f"{shown(name)} {one}" for name, one in shapes.items())
        raise UserError(
            f"{source.path}: its observations have the fields {described}, of which none, and not all joined, has the "
            f"shape {shape} of {wanted.environment.name if wanted.environment else 'the environment'}"
        )
    parts = [source.read(name) for name in fields]
    joined = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    return joined, [f"observations are its fields {', '.join(map(shown, fields))}, joined in this order"]


def actions_of(source: Source) -> Array:
    """Return the actions (n,) or (n, …): one field, or several that are joined."""
    fields = required(source, "actions")
    parts = [source.read(name) for name in fields]
    return parts[0] if len(parts) == 1 else np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def passed_over(names: Iterable[str], observations: Sequence[str], actions: Sequence[str]) -> list[str]:
    """Return notes on fields that have a name of observations or actions and were not read as such."""
    notes = []
    for role, taken in (("observations", observations), ("actions", actions)):
        known = {name.casefold() for name in NAMES[role]}
        others = [name for name in names if name.casefold() in known and name not in taken]
        if others:
            notes.append(f"{role} are its {listed(taken)}, not its {listed(others)}")
    return notes


def number_of_steps(source: Source) -> int:
    """Return n, which is at least 1."""
    name = required(source, "actions")[0]
    if not (number := source.length(name)):
        raise UserError(f"{source.path}: {shown(name)} is empty; a recording has a step or more")
    return number


def reward_of(source: Source, number: int, wanted: Wanted) -> tuple[str, Array]:
    """Return the name of the true reward and its values (n,)."""
    used = source.in_roles
    steps = [name for name in source.per_step(number) if name not in used]
    called = [name for name in source.names if is_reward(name) and source.is_number(name)]
    if called and not {*called} & {*steps} and wanted.true_reward is None:
        raise UserError(
            f"{source.path}: {shown(called[0])} has {source.length(called[0]):,} entries, and actions {number:,}; each "
            "step has one of both"
        )
    name = wanted.reward_among(source.path, source.names, steps)
    return name, source.read(name).reshape(number)


def check_noted_returns(source: Source, episodes: Episodes) -> None:
    """Refuse episodes whose file notes other returns: sums of no field of rewards, the one that was read or another."""
    name = field_of(source.names, "returns")
    if name is None or source.types[name][0] != (episodes.number,):
        return
    returns, shape = source.read(name), episodes.done.shape
    others = [array for key, array in episodes.step_info.items() if is_reward(key) and array.size == episodes.done.size]
    for rewards in (episodes.true_rewards, *others):
        try:
            check_returns(returns, replace(episodes, true_rewards=rewards.reshape(shape)))
        except UserError:
            continue
        return
    raise UserError(f"{source.path}: {name} are not the sums of the rewards of its episodes; it is damaged")


def marks_of(source: Source, role: str, number: int) -> npt.NDArray[np.bool_] | None:
    """Return the marks (n,) of a role; None if there are none."""
    name = field_of(source.names, role)
    if name is None or source.types[name][0] not in ((number,), (number, 1)):
        return None
    marks = source.read(name).reshape(number)
    if marks.dtype.kind not in "biuf" or not np.isin(marks, (0, 1)).all():
        raise UserError(
            f"{source.path}: {shown(name)} holds values other than 0 and 1 and cannot mark the ends of episodes"
        )
    return marks.astype(np.bool_)
