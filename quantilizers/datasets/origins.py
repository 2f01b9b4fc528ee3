"""The file that defines the environment of a folder of data sets, because two files may have one name."""

from __future__ import annotations

import json
from pathlib import Path

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import origin_of
from quantilizers.errors import UserError
from quantilizers.files import atomic_write, sha256_of
from quantilizers.gates.json_files import read_json
from quantilizers.layout import Layout

#: Notes the file of the environment beside its data sets.
NOTE = "environment.json"


def check_origin(layout: Layout, environment: EnvironmentDefinition) -> None:
    """Refuse the data sets of another file's environment that has the same name.

    The noted file may have moved: it counts only while it is there and differs.

    Raises:
        UserError: they are another's; the message names both files.
    """
    here, noted = origin_of(environment), _noted(layout)
    if here is None or noted is None or noted == here or not noted.is_file() or sha256_of(noted) == sha256_of(here):
        return
    raise UserError(
        f"{layout.data.parent} has the data sets of {noted}, and {here} gives its environment the same name; "
        'give one of them another, name="…", or this run another --log_dir'
    )


def note_origin(layout: Layout, environment: EnvironmentDefinition) -> None:
    """Note the file of an environment beside its data sets, if there are any."""
    here, path = origin_of(environment), layout.data.parent / NOTE
    if here is not None and path.parent.is_dir() and _noted(layout) != here:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"file": str(here)}) + "\n", encoding="utf-8")


def _noted(layout: Layout) -> Path | None:
    """Return the noted file; None if none is noted, or the note is damaged."""
    path = layout.data.parent / NOTE
    if not path.is_file():
        return None
    try:
        return Path(read_json(path)["file"])
    except (ValueError, TypeError, LookupError):
        return None
