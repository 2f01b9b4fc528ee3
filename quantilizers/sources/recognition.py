"""Reading a data file of unknown origin: its layout and the environment it was recorded in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from quantilizers.arrays import load_arrays
from quantilizers.demonstrations import Demonstrations, check_environment
from quantilizers.envs import environment_names, load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.sources.reference_layout import REQUIRED, to_demonstrations


def environment_of(demonstrations: Demonstrations, folders: Iterable[str]) -> EnvironmentDefinition:
    """Return the environment that demonstrations are of.

    A folder that is called like an environment decides, whatever its case; without one, the shapes of the
    observations and the values of the actions do.

    Args:
        demonstrations: what was recorded.
        folders: names of the folders that the file lies in.

    Raises:
        UserError: no environment has such observations and actions, or several have.
    """
    within = {folder.casefold() for folder in folders}
    named = [name for name in environment_names() if name.casefold() in within]
    if len(named) == 1:
        environment = load_environment(named[0])
        check_environment(demonstrations, environment)
        return environment
    fitting, misfits = [], []
    for name in named or environment_names():
        environment = load_environment(name)
        try:
            check_environment(demonstrations, environment)
        except UserError as error:
            misfits.append(str(error))
        else:
            fitting.append(environment)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(environment.name for environment in fitting)
        raise UserError(f"fits {names}; put it into a folder called like the one it was recorded in")
    raise UserError(f"fits none of {', '.join(environment_names())}: {misfits[0]}")


def read_recording(file: Path, folders: Iterable[str]) -> tuple[EnvironmentDefinition, Demonstrations, list[str]]:
    """Read an npz file in this project's layout or the reference implementation's.

    Args:
        file: the file.
        folders: names of the folders that tell the environment.

    Returns:
        The environment, the demonstrations, and what was changed to make them, a few words each.

    Raises:
        UserError: it cannot be read or is no data set.
    """
    demonstrations, notes = to_demonstrations(load_arrays(file, REQUIRED))
    return environment_of(demonstrations, folders), demonstrations, notes
