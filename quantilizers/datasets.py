"""Finding a data set by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from quantilizers.demonstrations import (
    WITHOUT_OBSERVATIONS,
    Demonstrations,
    WrongEnvironmentError,
    check_environment,
    load_demonstrations,
)
from quantilizers.envs import environment_names, load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import Layout, data_files


def load_dataset(layout: Layout, environment: EnvironmentDefinition) -> Demonstrations:
    """Read the data set that a layout names.

    Raises:
        UserError: there is none of that name (the message lists those there are), or it is no data set.
    """
    folder = layout.data.with_suffix("")
    if environment.load_folder is not None and folder.is_dir() and not layout.data.exists():
        return environment.load_folder(folder, layout.cache)
    if not layout.data.exists():
        present = _names_of_datasets(layout.data.parent, environment)
        raise UserError(
            f"no data set {layout.dataset!r} for {environment.name} ({layout.data}); "
            f"there {'are' if len(present) != 1 else 'is'}: {', '.join(present) or 'none'}; "
            f"record one with play/gather_data.py --env_id {environment.name} or fetch people's play with "
            "scripts/load_data.sh"
        )
    try:
        return load_demonstrations(layout.data, environment)
    except WrongEnvironmentError as error:
        others = [name for name in environment_names() if _fits(error.demonstrations, name)]
        if len(others) == 1:
            raise UserError(f"{layout.data} is a recording of {others[0]}; give --env_name {others[0]}") from None
        raise


def _names_of_datasets(folder: Path, environment: EnvironmentDefinition) -> list[str]:
    """Return the names under which `load_dataset` finds something in an environment's folder."""
    names = [path.stem for path in data_files(folder)]
    if environment.load_folder is not None:
        names += [path.name for path in folder.glob("[!.]*") if path.is_dir()]
    return sorted(names)


def _fits(demonstrations: Demonstrations, name: str) -> bool:
    try:
        check_environment(demonstrations, load_environment(name))
    except WrongEnvironmentError:
        return False
    return True


def with_observations(demonstrations: Demonstrations, environment: EnvironmentDefinition) -> Demonstrations:
    """Return demonstrations with their observations, made anew where the file left them out.

    Raises:
        UserError: they cannot be made, because the actions and seeds do not give the recorded rewards.
    """
    shape = demonstrations.observations.shape[2:]
    if environment.replay_observations is None or shape != WITHOUT_OBSERVATIONS:
        return demonstrations
    return replace(demonstrations, observations=environment.replay_observations(demonstrations))


def dataset_title(layout: Layout) -> str:
    """Return a data set's name for people, which says so where all its players were simulated."""
    title = f"data set {layout.dataset}"
    if not layout.data.is_file():
        return title
    with np.load(layout.data, allow_pickle=False) as file:
        names = file["player"] if "player" in file.files else np.array([])
    simulated = names.dtype.kind == "U" and names.size > 0 and all(name.startswith("simulated") for name in names)
    return title + (" (simulated players)" if simulated else "")
