"""Declared settings: how a dataclass declares one, and the values that several of them accept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import Field, field, fields
from typing import Any, Literal, get_args

from quantilizers.errors import UserError, did_you_mean

#: Which episodes a quantile keeps.
SelectionName = Literal["top", "random", "bottom"]
SELECTIONS: tuple[SelectionName, ...] = get_args(SelectionName)
#: Which distance from the base distribution makes a rule as strong as a quantile.
Match = Literal["kl", "effective_size"]
MATCHES: tuple[Match, ...] = get_args(Match)
#: The unit that has equal weight in the cloning loss: each episode, as in the theory, or each step.
Unit = Literal["steps", "episodes"]
UNITS: tuple[Unit, ...] = get_args(Unit)
#: How long policies are trained: passes over what they learn from, or gradient steps.
Budget = Literal["epochs", "updates"]
BUDGETS: tuple[Budget, ...] = get_args(Budget)
#: How class probabilities become an action.
Acting = Literal["most_probable", "expected_value", "sample"]
PolicyFamilyName = Literal["multilayer_perceptron", "convolutional"]


def declared(default: Any, about: str, flag: str = "", **more: Any) -> Any:
    """Return a dataclass's field with a default that declares a `setting`."""
    return field(default=default, metadata=setting(about, flag, **more))


def setting(about: str, flag: str = "", **declared: Any) -> dict[str, Any]:
    """Return the metadata of a dataclass's field from which its flag, key in YAML, help and check are made.

    Args:
        about: a line of help.
        flag: its name on the command line and in YAML, without dashes; empty for the field's name.
        **declared: how it differs from a setting that accepts any word:
            `shown`: a description of the default, for help.
            `aliases`: other names of the flag.
            `type`: of each value, such as int. A `bool` is a switch without a value.
            `several`: whether it takes several values.
            `metavar`: the placeholder of the value in help.
            `choices` and `noun`: the words that it accepts, and the noun for one of them.
            `least` and `why`: the smallest value, and the reason.
            `stages`: those that depend on it; by default all.
    """
    return {"help": about, "flag": flag, **declared}


def settings_in(declaring: Any) -> dict[str, Field[Any]]:
    """Return the settings that a dataclass declares, by their flags."""
    declared = [one for one in fields(declaring) if "flag" in one.metadata]
    return {one.metadata["flag"] or one.name: one for one in declared}


def given_to(declaring: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass that flags set, with their values.

    Args:
        declaring: the dataclass.
        values: by flag, without those that were not given.
    """
    given = {one: values[flag] for flag, one in settings_in(declaring).items() if flag in values}
    return {one.name: tuple(value) if one.metadata.get("several") else value for one, value in given.items()}


def check_settings(declaring: Any) -> None:
    """Refuse an unknown word or a number that is too small in the declared settings of a dataclass's instance.

    Raises:
        UserError: there is one; the message names the flag.
    """
    for flag, one in settings_in(declaring).items():
        value = getattr(declaring, one.name)
        for single in value if one.metadata.get("several") and value is not None else [value]:
            if single is None:
                continue
            if "choices" in one.metadata:
                check_choice(one.metadata["noun"], single, one.metadata["choices"], f"--{flag}")
            if "least" in one.metadata and single < one.metadata["least"]:
                why = f"; {one.metadata['why']}" if "why" in one.metadata else ""
                raise UserError(f"--{flag} must be at least {one.metadata['least']}{why}")


def check_choice(noun: str, word: str, known: Collection[str], flag: str) -> None:
    """Refuse a word that is not among those known.

    Raises:
        UserError: it is not; the message names the closest one that is.
    """
    if word not in known:
        hint = did_you_mean(word, known) or ";"
        raise UserError(f"unknown {noun} {word!r}{hint} choices of {flag}: {', '.join(known)}")
