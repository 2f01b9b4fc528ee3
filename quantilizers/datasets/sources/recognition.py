"""Reading a data file of unknown origin: its layout and the environment it was recorded in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from quantilizers.arrays import load_arrays
from quantilizers.datasets.demonstrations import Demonstrations, check_environment
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.demonstrations.reference_layout import REQUIRED, to_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError


def environment_of(
    episodes: Episodes, folders: Iterable[str], environments: Sequence[EnvironmentDefinition] | None = None
) -> EnvironmentDefinition:
    """Return the environment that episodes are of.

    A folder that is called like an environment decides, whatever its case; without one, the shapes of the
    observations and the values of the actions do.

    Args:
        episodes: what was recorded.
        folders: names of the folders that the file lies in.
        environments: those that it may be; None is all that ship.

    Raises:
        UserError: no environment has such observations and actions, or several have.
    """
    known = list(map(load_environment, environment_names())) if environments is None else environments
    within = {folder.casefold() for folder in folders}
    named = [environment for environment in known if environment.name.casefold() in within]
    if len(named) == 1:
        check_environment(episodes, named[0])
        return named[0]
    fitting, misfits = [], []
    for environment in named or known:
        try:
            check_environment(episodes, environment)
        except UserError as error:
            misfits.append(str(error))
        else:
            fitting.append(environment)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(environment.name for environment in fitting)
        raise UserError(f"fits {names}; put it into a folder called like the one it was recorded in")
    names = ", ".join(environment.name for environment in known)
    raise UserError(f"fits none of {names}: {misfits[0]}")


def read_recording(
    file: Path, folders: Iterable[str], environments: Sequence[EnvironmentDefinition] | None = None
) -> tuple[Demonstrations, list[str]]:
    """Read an npz file in this project's layout or the reference implementation's.

    Args:
        file: the file.
        folders: names of the folders that tell the environment.
        environments: those that it may be of; None is all that ship.

    Returns:
        The demonstrations, and what was changed to make them, a few words each.

    Raises:
        UserError: it cannot be read or is not a data set.
    """
    episodes, notes = to_episodes(load_arrays(file, REQUIRED))
    return Demonstrations(episodes, environment_of(episodes, folders, environments)), notes
