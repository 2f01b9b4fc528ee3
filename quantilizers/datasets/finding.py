"""Finding a data set by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantilizers.arrays import load_arrays
from quantilizers.datasets.checking import WrongEnvironmentError, check_environment
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import MissingError, did_you_mean
from quantilizers.files import data_files
from quantilizers.layout import Layout, shipped_log


def find_episodes(layout: Layout, environment: EnvironmentDefinition) -> Episodes:
    """Read the data set that a layout names.

    Raises:
        MissingError: there is none of that name; the message lists those there are.
        UserError: it is not a data set of the environment.
    """
    folder = layout.data.with_suffix("")
    if environment.recordings.load_folder is not None and folder.is_dir() and not layout.data.exists():
        return environment.recordings.load_folder(folder, layout.cache)
    path = layout.found_data
    if not path.exists():
        present = _names_of_datasets(layout.data.parent, environment)
        raise MissingError(
            f"no data set {layout.dataset!r} for {environment.name} ({layout.data})"
            f"{did_you_mean(layout.dataset, present) or ';'} "
            f"there {'are' if len(present) != 1 else 'is'}: {', '.join(present) or 'none'}"
        )
    episodes = load_episodes(path)
    try:
        check_environment(episodes, environment)
    except WrongEnvironmentError as error:
        others = [name for name in environment_names() if _fits(episodes, name)]
        hint = f"it is a recording of {others[0]}" if len(others) == 1 else "see the format of data sets"
        raise WrongEnvironmentError(f"{path}: {error}; {hint}") from None
    return episodes


def _names_of_datasets(folder: Path, environment: EnvironmentDefinition) -> list[str]:
    """Return the names under which `find_episodes` finds something in an environment's folder."""
    names = {path.stem for path in (*data_files(folder), *data_files(shipped_log() / environment.name))}
    if environment.recordings.load_folder is not None:
        names |= {path.name for path in folder.glob("[!.]*") if path.is_dir()}
    return sorted(names)


def _fits(episodes: Episodes, name: str) -> bool:
    try:
        check_environment(episodes, load_environment(name))
    except WrongEnvironmentError:
        return False
    return True


def dataset_title(layout: Layout) -> str:
    """Return a data set's name for people, which says so where all its players were simulated."""
    title = f"data set {layout.dataset}"
    if not layout.found_data.is_file():
        return title
    names = load_arrays(layout.found_data, (), only=("player",)).get("player", np.array([]))
    is_text = names.dtype.kind == "U" and names.size > 0
    simulated = is_text and all(name.startswith("simulated") for name in names.ravel())
    return title + (" (simulated players)" if simulated else "")
