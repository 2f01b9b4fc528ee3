"""The gate of Minari's files, which Minari's own reader trusts.

That reader follows links and storage in other files, makes arrays as large as the metadata and pictures say, and makes
an environment, which runs the code that its specification names, where the metadata lack a space.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantilizers.arrays import check_memory
from quantilizers.errors import UserError, reason_of
from quantilizers.gates.hdf5 import HDF5Arrays, open_hdf5
from quantilizers.gates.json_files import parse_json, read_json
from quantilizers.gates.regular_files import open_regular

#: Spaces by their names in the metadata, and whose values they are.
_SPACES = {"observation_space": "observations", "action_space": "actions"}
#: Kinds of spaces whose values are arrays.
_OF_ARRAYS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
#: Minari stores larger pictures as JPEG.
_MIN_PICTURE = 32
#: Arrays of an episode with one entry a step.
_STEPS = ("rewards", "terminations", "truncations")


def check_minari(folder: Path) -> None:
    """Refuse a data set's folder unless it is what Minari writes.

    Raises:
        NotInstalledError: h5py is not installed.
        UserError: a file is missing or damaged, lies elsewhere or claims what it does not have.
    """
    try:
        metadata = read_json(folder / "data" / "metadata.json", finite=False)
        spaces = _check_metadata(metadata)
        with (
            open_regular(folder / "data" / "main_data.hdf5") as file,
            open_hdf5(file, packed=True, ragged=True) as arrays,
        ):
            arrays.check_all()
            check_memory(arrays.claimed)
            _check_episodes(arrays, metadata["total_episodes"])
            if metadata.get("jpeg_encoding", True):
                for name, space in spaces.items():
                    _check_pictures(arrays, _SPACES[name], space)
    except UserError:
        raise
    except Exception as error:  # h5py raises many kinds
        raise UserError(f"it is damaged ({reason_of(error)}); fetch or export it again") from None


def _check_metadata(metadata: Any) -> dict[str, dict[str, Any]]:
    """Return the two spaces in metadata, after checking what Minari believes."""
    if not isinstance(metadata, dict):
        raise ValueError("its metadata are no names and values")
    if metadata.get("data_format") != "hdf5":
        raise UserError(f"it is stored as {str(metadata.get('data_format'))[:60]}, which is not read; store it as hdf5")
    spaces = {}
    for name in _SPACES:
        said = metadata.get(name)
        space = parse_json(said) if isinstance(said, str) else None
        if not isinstance(space, dict):
            raise UserError(f"it lacks its {name}, without which Minari runs the code that its specification names")
        if space.get("type") not in _OF_ARRAYS:
            kind = str(space.get("type"))[:20]
            raise UserError(
                f"its {_SPACES[name]} are a {kind}, not plain arrays; collect it with Gymnasium's FlattenObservation"
                if name == "observation_space"
                else f"its {_SPACES[name]} are a {kind}, not plain arrays"
            )
        spaces[name] = space
    for name in ("dataset_id", "minari_version", "env_spec", "eval_env_spec"):
        if not isinstance(metadata.get(name, ""), str):
            raise ValueError(f"its {name} is no text")
    number = metadata.get("total_episodes")
    if type(number) is not int or number < 0:
        raise ValueError(f"its total_episodes is {str(number)[:60]!r}")
    return spaces


def _check_pictures(arrays: HDF5Arrays, part: str, space: Mapping[str, Any]) -> None:
    """Raise an error unless pictures are JPEG of the size that the space says: a small file may claim gigabytes."""
    shape = space.get("shape")
    if space.get("dtype") != "uint8" or not isinstance(shape, list) or len(shape) not in (2, 3):
        return
    if not all(type(side) is int and side >= _MIN_PICTURE for side in shape[:2]):
        return
    from PIL import Image  # Minari needs it, too

    for name in arrays:
        if name.partition("/")[2] == part:
            for row in arrays.rows(name):
                with Image.open(io.BytesIO(bytes(row)), formats=["JPEG"]) as picture:
                    if picture.size != (shape[1], shape[0]):
                        raise ValueError(f"a picture of {name} has {picture.size} points, not {shape[1], shape[0]}")


def _check_episodes(arrays: HDF5Arrays, number: int) -> None:
    """Raise a ValueError unless each episode has arrays of one length, and one observation more."""
    groups = set(arrays.groups)
    by_episode: dict[str, dict[str, list[str]]] = {}
    for name in arrays:
        episode, _, rest = name.partition("/")
        by_episode.setdefault(episode, {}).setdefault(rest.partition("/")[0], []).append(name)
    for index in range(min(number, len(groups) + 1)):
        episode = f"episode_{index}"
        if episode not in groups:
            raise ValueError(f"it has no {episode} of {number:,}")
        _check_episode(arrays, episode, by_episode.get(episode, {}))


def _check_episode(arrays: HDF5Arrays, episode: str, parts: Mapping[str, Sequence[str]]) -> None:
    missing = [part for part in (*_STEPS, "observations", "actions") if part not in parts]
    if missing:
        raise ValueError(f"its {episode} lacks {missing[0]}")
    shapes = {name: arrays.shape(name) for name in (f"{episode}/{part}" for part in _STEPS)}
    (first, *_) = shapes.values()
    if len(first) != 1 or first[0] < 1 or any(shape != first for shape in shapes.values()):
        raise ValueError(f"{', '.join(shapes)} have the shapes {', '.join(map(str, shapes.values()))}")
    for part, more in (("observations", 1), ("actions", 0)):
        for name in parts[part]:
            if arrays.shape(name)[:1] != (first[0] + more,):
                raise ValueError(f"{name} has the shape {arrays.shape(name)}, not {first[0] + more} entries")
