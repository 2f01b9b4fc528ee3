"""Declared settings: how a dataclass declares one, and the values that several of them accept."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from quantilizers.errors import UserError, did_you_mean, shown

#: Which episodes a quantile keeps: the top by proxy return, or as many others as a control.
SelectionName = Literal["top", "random", "bottom", "top_players", "within_players"]
SELECTIONS: tuple[SelectionName, ...] = get_args(SelectionName)
#: Controls that tell apart choosing players and choosing among a player's episodes.
PLAYER_SELECTIONS: tuple[SelectionName, ...] = ("top_players", "within_players")
#: Which distance from the base distribution makes a rule as strong as a quantile.
Match = Literal["kl", "effective_size"]
MATCHES: tuple[Match, ...] = get_args(Match)
#: The unit that has equal weight in the cloning loss: each episode, as in the theory, or each step.
Unit = Literal["steps", "episodes"]
UNITS: tuple[Unit, ...] = get_args(Unit)
#: Among which episodes a quantile ranks: all, or those of the same group, such as a start or a question.
Within = Literal["all", "group"]
WITHINS: tuple[Within, ...] = get_args(Within)
#: How long policies are trained: passes over what they learn from, or gradient steps.
Budget = Literal["epochs", "updates"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)
#: A reward that a recording of another project may contain; `own` is the environment's own.
RecordedReward = Literal["true", "proxy", "own"]
RECORDED_REWARDS: tuple[RecordedReward, ...] = get_args(RecordedReward)
#: What stands for the observation after an episode's last action in recordings without it: nothing, and rewards that
#: need it are refused; the last observation; or, where the last step is dropped, the observation before that step.
FinalObservation = Literal["needed", "repeat", "drop"]
FINAL_OBSERVATIONS: tuple[FinalObservation, ...] = get_args(FinalObservation)
#: How class probabilities become an action.
Acting = Literal["most_probable", "expected_value", "sample"]
PolicyFamilyName = Literal["multilayer_perceptron", "convolutional"]
#: How perceptrons scale observations: by the demonstrations' means and deviations, or not at all.
Scaling = Literal["standard", "none"]


#: Bits of the largest whole number that messages hold.
_MOST_BITS = 4096
#: Largest whole number of a setting that declares no other.
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class Limits:
    """Bounds of a number."""

    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    most: float = math.inf

    def hold(self, value: float) -> bool:
        """Return whether a number is within the bounds."""
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        limits = {"above": self.above, "from": self.least, "below": self.below, "at most": self.most}
        return " and ".join(f"{word} {limit:.12g}" for word, limit in limits.items() if math.isfinite(limit))


def declared(default: Any, about: str, flag: str = "", **more: Any) -> Any:
    """Return a dataclass's field with a default that declares a `setting`."""
    return field(default=default, metadata=setting(about, flag, **more))


def setting(
    about: str,
    flag: str = "",
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    **declared: Any,
) -> dict[str, Any]:
    """Return the metadata of a dataclass's field from which its flag, key in YAML, help and check are made.

    Args:
        about: a line of help.
        flag: its name on the command line and in YAML, without dashes; empty for the field's name.
        least: the smallest number, itself allowed.
        above: the greatest number that is too small.
        below: the smallest number that is too large.
        most: the largest number, itself allowed.
        **declared: how it differs from a setting that accepts any word:
            `shown`: a description of the default, for help.
            `aliases`: other names of the flag.
            `type`: of each value, such as int; by default that of the default. A `bool` is a switch without a value.
            `several`: whether it takes several values.
            `longest`: the most values that it takes; it may then have none.
            `metavar`: the placeholder of the value in help.
            `choices`: the words that it accepts.
            `why`: the reason of its limits.
            `stages`: those that depend on it; by default all.
    """
    limits = Limits(least, above, below, most)
    limited = {} if limits == Limits() else {"limits": limits}
    return {"help": about, "flag": flag, **limited, **declared}


def settings_in(declaring: Any) -> dict[str, Field[Any]]:
    """Return the settings that a dataclass declares, by their flags."""
    declared = [one for one in fields(declaring) if "flag" in one.metadata]
    return {one.metadata["flag"] or one.name: one for one in declared}


def type_of(setting: Field[Any]) -> type:
    """Return the type of a setting's values, or of each value if it takes several."""
    if "type" in setting.metadata:
        found: type = setting.metadata["type"]
        return found
    default = setting.default
    if isinstance(default, tuple) and default:
        return type(default[0])
    return str if default is None or default is MISSING else type(default)


def given_to(declaring: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass that flags set, with their values.

    Args:
        declaring: the dataclass.
        values: by flag, without those that were not given.
    """
    given = {one: values[flag] for flag, one in settings_in(declaring).items() if flag in values}
    return {one.name: tuple(value) if one.metadata.get("several") else value for one, value in given.items()}


def check_settings(declaring: Any, flags: bool = True) -> None:
    """Refuse unknown words and impossible numbers in the declared settings of a frozen dataclass's instance.

    Numbers with limits get their declared type, and several of them become a tuple. A setting whose default is None
    may be None.

    Args:
        declaring: the instance.
        flags: whether messages name flags; otherwise they name fields, for callers from Python.

    Raises:
        UserError: there is one.
    """
    for flag, one in settings_in(declaring).items():
        value = getattr(declaring, one.name)
        checked = check_setting(f"--{flag}" if flags else one.name, one, value)
        if checked is not value:
            object.__setattr__(declaring, one.name, checked)


def check_setting(name: str, setting: Field[Any], value: Any) -> Any:
    """Return the value of a setting, numbers in their declared type.

    Raises:
        UserError: it is impossible; the message begins with the name.
    """
    about = setting.metadata
    several = bool(about.get("several"))
    if value is None and setting.default is None:
        return value
    if "choices" in about:
        for word in value if several else [value]:
            check_choice(name, word, about["choices"], several)
    if "limits" in about:
        return _numbers(name, value, setting) if several else _number(name, value, setting)
    return value


def as_tuple(name: str, value: Any, example: str) -> tuple[Any, ...]:
    """Return several values as a tuple; refuse a single one, and a string, whose letters would be taken one by one.

    Raises:
        UserError: it is none.
    """
    try:
        if isinstance(value, (str, bytes, Mapping)):
            raise TypeError
        return tuple(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; give a list, such as {example}") from None


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of Python or NumPy as one of Python; refuse other values, such as True and 1.5.

    Raises:
        UserError: it is none, or below the least.
    """
    try:
        found = None if type(value).__name__ in ("bool", "bool_") else operator.index(value)
    except TypeError:
        found = None
    if found is None or found < least:
        raise UserError(f"{name} is {shown_value(value)}; give a whole number from {least} on")
    if found.bit_length() > _MOST_BITS:
        raise UserError(f"{name} is {shown_value(found)}, which is too large")
    return found


def truth(name: str, value: Any) -> bool:
    """Return True or False of Python or NumPy as Python's; refuse other values, such as "no", which counts as true.

    Raises:
        UserError: it is neither.
    """
    if type(value).__name__ not in ("bool", "bool_"):
        raise UserError(f"{name} is {shown_value(value)}; give True or False")
    return bool(value)


def shown_value(value: Any) -> str:
    """Return a value of Python for a message; that of a whole number that Python does not write is its size."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"a whole number of {value.bit_length():,} bits"
    return shown(repr(value))


def _number(name: str, value: Any, setting: Field[Any]) -> int | float:
    """Return a number of the declared type; refuse one outside of the limits."""
    limits: Limits = setting.metadata["limits"]
    whole = type_of(setting) is int
    try:
        found = None if isinstance(value, (bool, str, bytes)) else operator.index(value) if whole else float(value)
    except (TypeError, ValueError, OverflowError):
        found = None
    if whole and found is not None and found > MAX_NUMBER and math.isinf(limits.most):
        limits = replace(limits, most=MAX_NUMBER)
    if found is None or not limits.hold(found) or found in (math.inf, -math.inf):
        why = f"; {setting.metadata['why']}" if "why" in setting.metadata else ""
        raise UserError(f"{name} is {value!r}; give a {'whole ' if whole else ''}number {limits}{why}")
    return found


def _numbers(name: str, values: Any, setting: Field[Any]) -> tuple[int | float, ...]:
    """Return several numbers of the declared type; refuse too many, and one outside of the limits."""
    about = setting.metadata
    try:
        if isinstance(values, (str, bytes, Mapping)) or len(values) > about["longest"]:
            raise TypeError
        return tuple(_number(name, value, setting) for value in values)
    except (TypeError, UserError):
        kind = "whole numbers" if type_of(setting) is int else "numbers"
        default: Any = setting.default
        example = about["shown"] if default is None else " ".join(map(str, default))
        raise UserError(
            f"{name} is {values!r}; give at most {about['longest']} {kind} {about['limits']}, such as {example}"
        ) from None


def check_choice(name: str, word: object, known: Collection[str], several: bool = False) -> None:
    """Refuse a word that is not among those known.

    Args:
        name: of the flag or argument.
        word: its value.
        known: the values that it accepts.
        several: whether it accepts several of them, separated by blanks on the command line.

    Raises:
        UserError: it is not; the message names the closest known word, and lists all of them.
    """
    choices, text = tuple(known), str(word)
    if word in choices:
        return
    hint = did_you_mean(text, choices) or ";"
    separate = [part for part in re.split(r"[\s,;+]+", text) if part]
    if several and len(separate) > 1 and not {*separate} - {*choices}:
        hint = f"; separate several by blanks: {' '.join(separate)};"
    raise UserError(f"{name} is {word!r}{hint} it is one of {', '.join(choices)}")
