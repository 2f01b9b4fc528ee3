"""Recipes: everything that a product was made from.

Policies, measurements, study arms, agents and caches each note their recipe. A product is finished if its file is whole
and its recipe is the requested one; otherwise a message names the first difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from quantilizers.errors import reason_of, shown
from quantilizers.gates.json_files import parse_json

#: How a message describes entries that are no ordinary settings.
_SENTENCES = {
    "environment": "on {found}, not {wanted}",
    "quantile": "for quantile {found}, not {wanted}",
    "seed": "for seed {found}, not {wanted}",
    "code": "by version {found} of the training code, not {wanted}",
}
#: Entries that files of version 0.2.0 do not note, and their values there: its policies had no history, were trained
#: for epochs, imitated the top episodes with equal weights, and came from version 1 of the training code.
NOT_NOTED: Mapping[str, Any] = {
    "training.history": 0,
    "training.updates": 0,
    "treatment.select": "top",
    "treatment.subset": 0,
    "treatment.budget": "epochs",
    "treatment.method": "quantile",
    "treatment.match": "kl",
    "treatment.weight": "steps",
    "treatment.within": "all",
    "protocol.within": "all",
    "protocol.groups": "",
    "weights": "",
    "scaling": "none",
    "protocol.scaling": "none",
    "code": 1,
}
#: A group that files of version 0.2.0 do not note, which have none: it is compared only if the file has it.
UNKNOWN = "definition"


@dataclass(frozen=True)
class Recipe:
    """Everything that a product was made from, such as environment, data, hyper-parameters, seed and code version.

    Entries are stored as JSON reads them: tuples become lists, and NumPy's numbers plain ones.

    >>> wanted = Recipe({"training": {"learning_rate": 0.001, "hidden_units": (20, 20)}, "seed": 3})
    >>> found = Recipe.parse('{"seed": 3, "training": {"hidden_units": [20, 20], "learning_rate": 0.1}}')
    >>> found.difference(wanted)
    'with learning_rate 0.1, not 0.001'

    Attributes:
        entries: JSON values by name. A group of settings is a nested mapping.
        sentences: descriptions of a difference in entries or groups that people cannot read, such as hashes, by name:
            "on other demonstrations than data set demo holds now".
    """

    entries: Mapping[str, Any]
    sentences: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        try:
            entries = json.loads(json.dumps(dict(self.entries), default=_plain))
        except RecursionError:
            raise ValueError("its recipe is nested too deeply") from None
        object.__setattr__(self, "entries", entries)

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read a recipe from a file, which may hold anything.

        Raises:
            ValueError: the text is no JSON object, too long or too deeply nested.
        """
        try:
            entries = parse_json(text)
        except ValueError as error:
            raise ValueError(f"its recipe: {reason_of(error)}") from None
        if not isinstance(entries, dict):
            raise ValueError(f"its recipe is {shown(entries)[:60]!r}")
        return cls(entries)

    @property
    def text(self) -> str:
        """Canonical JSON, which `parse` reads."""
        return json.dumps(self.entries, sort_keys=True)

    @property
    def identity(self) -> str:
        """The SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def difference(self, wanted: Recipe, only: Iterable[str] | None = None) -> str:
        """Describe the first entry in which this recipe differs from a requested one; empty if there is none.

        An entry that only one of them has is a difference, unless it is None, for a flag that was not given. Where
        files of version 0.2.0 do not note an entry, its value is that of `NOT_NOTED`; what they do not know of the
        environment's definition is not compared.

        Args:
            wanted: the requested recipe.
            only: names of the entries and groups that are compared, such as `options`, or `treatment.weight` for an
                entry of a group; None compares all.

        Returns:
            Words that continue "the policy was trained": `with learning_rate 0.1, not 0.001`.
        """
        here, there = dict(_leaves(self.entries)), dict(_leaves(wanted.entries))
        compared = None if only is None else {tuple(name.split(".")) for name in only}
        for path in dict.fromkeys([*there, *here]):
            if compared is not None and not any(path[: len(names)] == names for names in compared):
                continue
            if UNKNOWN in path[:-1] and not any(UNKNOWN in noted[:-1] for noted in here):
                continue
            default = NOT_NOTED.get(".".join(path), _ABSENT)
            found, asked = here.get(path, default), there.get(path, default)
            nothing = all(value is None or value is _ABSENT for value in (found, asked))
            if found != asked and not nothing:
                sentence = next((wanted.sentences[name] for name in path if name in wanted.sentences), None)
                return sentence or _sentence(path[-1], found, asked)
        return ""


_ABSENT = object()


def _leaves(entries: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of every entry that is not a group."""
    for name, value in entries.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _sentence(name: str, found: Any, wanted: Any) -> str:
    noted = shown(name)
    if found is _ABSENT:
        return f"without {noted}, not with {noted} {shown(wanted)}"
    if wanted is _ABSENT:
        return f"with {noted} {shown(found)}, not without it"
    if wanted is None:
        return f"with --{noted} {shown(found)}, and this run is without --{noted}"
    if found is None:
        return f"without --{noted}, and this run is with --{noted} {shown(wanted)}"
    if name in _SENTENCES:
        return _SENTENCES[name].format(found=shown(found), wanted=shown(wanted))
    return f"with {noted} {shown(found)}, not {shown(wanted)}"


def _plain(value: Any) -> Any:
    """Convert a value to one that JSON can hold."""
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)
