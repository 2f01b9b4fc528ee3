"""Export to and import from Minari, the format in which many libraries read offline data.

An exported data set has these fields:

| Minari | here |
|---|---|
| rewards | the true rewards |
| episode metadata `proxy_return`, `true_return` | the sums over the episode |
| episode metadata `implicit_loss` | the environment's `second_axis`, such as the cheat rate, if it defines one |
| episode metadata `extras` | the file's further arrays: seed, player, recorded_at, … |
| infos | the file's arrays `info_…`; zero at the reset, which has an entry in Minari |
| terminations, truncations | the array `terminated`, or (1) |
| the observation after the last action | the array `final_observation`, or (2) |

(1) If a file lacks it, episodes shorter than the environment's `max_steps` count as terminated and all others as
truncated. (2) If a file lacks it, the environment's `final_observations` computes it, or else the last observation is
repeated; the data set's metadata say which.

Export and import are lossless. The seeds, final observations, terminations and numeric infos of another library's
data set become further arrays of the file, so a second export keeps them too. Episodes that Minari added to an exported
data set have no player and none of the file's other arrays.

An exported data set's specification makes the environment that pays its rewards, the true ones. A data set that was
collected in an environment of this library contains the proxy rewards, unless its specification says `reward="true"`;
import computes the true ones (`quantilizers.datasets.which_reward`).
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.choices import RecordedReward
from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError
from quantilizers.datasets.minari_files import check_minari
from quantilizers.datasets.which_reward import Foreign, told_by, with_true_rewards
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, MISSING, STEP_PREFIX, TERMINATED, Episodes
from quantilizers.envs.actions import environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import spec_of
from quantilizers.envs.recorded_rewards import final_observations
from quantilizers.errors import (
    ExistsError,
    MissingError,
    NotInstalledError,
    UnreadableError,
    UserError,
    reason_of,
)
from quantilizers.gates.hdf5 import KINDS

#: The key of our own fields in Minari's metadata.
OURS = "quantilizers"
#: Prefix of the names of a file's further arrays in metadata.
EXTRAS = "extras/"
_NUMERIC_KINDS = "biuf"
#: Most bytes of an item of a further array, such as a name.
_MAX_ITEM = 2**16


def _minari() -> ModuleType:
    """Return Minari, which is optional."""
    try:
        for name in ("h5py", "PIL"):
            importlib.import_module(name)
        return importlib.import_module("minari")
    except ImportError as error:
        raise NotInstalledError(f"{error.name} is not installed", str(error.name)) from None


def export_dataset(
    demonstrations: Demonstrations,
    minari_id: str,
    *,
    author: str | None = None,
    code: str | None = None,
    force: bool = False,
) -> None:
    """Write demonstrations to Minari's local folder (`MINARI_DATASETS_PATH`, otherwise `~/.minari/datasets`).

    Args:
        demonstrations: the demonstrations.
        minari_id: `namespace/name-v0`; the namespace is optional.
        author: author of the data set, for Minari's field of that name.
        code: the address of the code that made it, for Minari's `code_permalink`.
        force: replace an existing data set of that id.

    Raises:
        NotInstalledError: Minari is not installed.
        ExistsError: Minari has that id already.
        UserError: the id is invalid, or this Minari is too old for pictures.
    """
    minari = _minari()
    environment = demonstrations.environment
    metadata = _metadata_of_episodes(demonstrations)
    folder = _folder_of(minari_id)
    # Minari ignores hidden folders.
    aside = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        if not force:
            raise ExistsError(f"Minari has {minari_id} already ({folder})")
        folder.rename(aside)
    buffer = importlib.import_module("minari.data_collector").EpisodeBuffer
    try:
        with warnings.catch_warnings():
            # Minari warns about each missing description.
            warnings.simplefilter("ignore", UserWarning)
            dataset = minari.create_dataset_from_buffers(
                dataset_id=minari_id,
                buffer=[buffer(**fields) for fields in _episodes_of(demonstrations)],
                author=author,
                code_permalink=code,
                observation_space=_observation_space(demonstrations),
                action_space=_action_space(demonstrations),
                description=f"Demonstrations of {environment.name}; rewards are the true rewards.",
                **_lossless(minari, demonstrations.episodes),
            )
        dataset.storage.update_metadata({OURS: _format_of(demonstrations), **_specification(environment)})
        dataset.storage.update_episode_metadata(metadata)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.exists():
            aside.rename(folder)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
        if isinstance(error, (ValueError, TypeError, LookupError, RuntimeError)):
            raise UserError(f"Minari cannot hold these episodes: {reason_of(error)}") from error
        raise
    shutil.rmtree(aside, ignore_errors=True)


def import_dataset(
    minari_id: str, environment: EnvironmentDefinition, *, reward: RecordedReward | None = None
) -> Demonstrations:
    """Read a Minari data set of an environment, exported by this project or another library.

    Args:
        minari_id: its id.
        environment: its environment.
        reward: which reward it contains, for a data set that does not tell: `true`, `proxy`, or `own`, the
            environment's own.

    Raises:
        NotInstalledError: Minari is not installed.
        MissingError: Minari has no such data set.
        UserError: it cannot be read, is of another environment, or does not tell which reward it contains.
    """
    minari = _minari()
    if not _folder_of(minari_id).is_dir():
        raise MissingError(f"Minari has no data set {minari_id}")
    try:
        check_minari(_folder_of(minari_id))
        dataset = minari.load_dataset(minari_id)
        episodes = list(dataset.iterate_episodes())
        metadata = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
        ours, spec = dataset.storage.metadata.get(OURS), dataset.env_spec
    except UnreadableError:
        raise
    except Exception as error:  # Minari and h5py raise many kinds
        raise UserError(f"{minari_id} cannot be read: {reason_of(error)}") from None
    if not episodes:
        raise UserError(f"{minari_id} has no episode")
    if not all(
        isinstance(array, np.ndarray) for episode in episodes for array in (episode.observations, episode.actions)
    ):
        raise UserError(f"{minari_id}: its observations or actions are not plain arrays")
    lengths = np.array([len(episode.rewards) for episode in episodes])
    try:
        steps, types = int(lengths.max()), dict[str, str]()
        if ours:
            steps, types = _noted_format(ours, steps, environment)
        found = Episodes(
            observations=_stack([episode.observations[:-1] for episode in episodes], steps, types.get("obs")),
            actions=_stack([one.actions.reshape(len(one.actions), -1) for one in episodes], steps, types.get("acs")),
            true_rewards=_stack([episode.rewards for episode in episodes], steps, types.get("rews")),
            done=np.arange(steps) >= lengths[:, np.newaxis],
            extras=_our_extras(episodes, metadata, steps, types) if ours else _their_extras(episodes, metadata, steps),
        )
        Demonstrations(found, environment)  # refuses another environment's before rewards are compared
        foreign = Foreign(found, "true") if ours else told_by(spec, found, environment)
        return Demonstrations(with_true_rewards(foreign.said_to_be(reward), environment), environment)
    except UserError as error:
        kind = WrongEnvironmentError if isinstance(error, WrongEnvironmentError) else UserError
        raise kind(f"{minari_id}: {error}") from None
    except Exception as error:  # metadata may be anything
        raise UserError(f"{minari_id} cannot be read: {reason_of(error)}") from None


def _noted_format(ours: Any, longest: int, environment: EnvironmentDefinition) -> tuple[int, dict[str, str]]:
    """Return the number of steps, and the types of arrays, in our metadata; raise an error unless they fit."""
    steps, types = ours["steps"], ours["dtypes"]
    if type(steps) is not int or steps > max(longest, environment.max_steps):
        raise ValueError(f"its steps are {str(steps)[:60]!r}, and its longest episode has {longest:,}")
    for name, kind in types.items():
        dtype = np.dtype(kind)
        if dtype.kind not in KINDS or not 0 < dtype.itemsize <= _MAX_ITEM:
            raise ValueError(f"its {name[:60]} holds {kind[:60]}, which is neither numbers nor text")
    return max(steps, longest), types


def _specification(environment: EnvironmentDefinition) -> dict[str, str]:
    """Return Minari's metadata of the environment that pays true rewards; nothing for a definition in memory."""
    if not environment.is_at_address:
        return {}
    return {"env_spec": spec_of(environment, "true", max_steps=environment.max_steps).to_json()}


def _observation_space(demonstrations: Demonstrations) -> spaces.Space[Any]:
    """Return the environment's space in the file's precision; an unbounded one if the file's shape differs."""
    observations, space = demonstrations.episodes.observations, demonstrations.environment.observation_space
    shape, dtype = observations.shape[2:], observations.dtype
    if not isinstance(space, spaces.Box):
        return space
    same = shape == space.shape
    low, high = (space.low, space.high) if same else (np.full(shape, -np.inf), np.full(shape, np.inf))
    return _box(low, high, dtype)


def _action_space(demonstrations: Demonstrations) -> spaces.Space[Any]:
    """Return the environment's action space; a box in the file's precision."""
    space = demonstrations.environment.action_space
    if isinstance(space, spaces.Box):
        return _box(space.low, space.high, demonstrations.episodes.actions.dtype)
    return space


def _box(low: npt.NDArray[Any], high: npt.NDArray[Any], dtype: np.dtype[Any]) -> spaces.Box:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if np.isfinite(low).all() and np.isfinite(high).all():
            low, high = np.clip(low, limits.min, limits.max), np.clip(high, limits.min, limits.max)
        else:
            low, high = (np.full(low.shape, limit, dtype=dtype) for limit in (limits.min, limits.max))
    return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype.type)


def _final_observations(demonstrations: Demonstrations) -> tuple[npt.NDArray[Any], str]:
    """Return the observations after the last actions, (N, …), and their origin."""
    episodes, environment = demonstrations.episodes, demonstrations.environment
    left_out = episodes.observations.shape[2:] != environment.observation_shape
    finals = episodes.final_observations if left_out else final_observations(environment, episodes)
    if finals is not None:
        origin = "computed" if episodes.final_observations is None else "recorded"
        return finals.astype(episodes.observations.dtype), origin
    return episodes.observations[np.arange(episodes.number), episodes.lengths - 1], "the last ones repeated"


def _episodes_of(demonstrations: Demonstrations) -> Iterator[dict[str, Any]]:
    """Yield the fields of Minari's `EpisodeBuffer` for each episode."""
    episodes, space = demonstrations.episodes, demonstrations.environment.action_space
    seeds = episodes.extras.get("seed")
    finals, _ = _final_observations(demonstrations)
    lengths = episodes.lengths
    terminated = episodes.extras.get(TERMINATED, lengths < demonstrations.environment.max_steps)
    for index, length in enumerate(lengths):
        last = np.arange(length) == length - 1
        actions = episodes.actions[index, :length]
        if isinstance(space, spaces.Box):  # its actions keep their precision
            actions = actions.reshape(length, *space.shape)
        else:
            actions = environment_actions(actions, space)
        yield {
            "seed": int(seeds[index]) if seeds is not None and seeds[index] >= 0 else None,
            "observations": np.concatenate([episodes.observations[index, :length], finals[index][np.newaxis]]),
            "actions": actions,
            "rewards": episodes.true_rewards[index, :length],
            "terminations": last & bool(terminated[index]),
            "truncations": last & ~np.bool_(terminated[index]),
            "infos": _infos_of(episodes, index, length) or None,
        }


def _infos_of(episodes: Episodes, index: int, length: int) -> dict[str, npt.NDArray[Any]]:
    """Return the infos of each step, (t + 1, …), with zeros for the reset, which Minari counts."""
    return {
        name: np.concatenate([np.zeros_like(array[index, :1]), array[index, :length]])
        for name, array in episodes.step_info.items()
    }


def _format_of(demonstrations: Demonstrations) -> dict[str, Any]:
    """Return the metadata that import needs and Minari has no field for."""
    episodes = demonstrations.episodes
    arrays = {
        "obs": episodes.observations,
        "acs": episodes.actions,
        "rews": episodes.true_rewards,
        **{f"{EXTRAS}{key}": array for key, array in episodes.extras.items()},
    }
    return {
        "environment": demonstrations.environment.name,
        "steps": episodes.done.shape[1],
        "rewards": "true rewards",
        "final_observations": _final_observations(demonstrations)[1],
        "dtypes": {key: array.dtype.str for key, array in arrays.items()},
    }


def _metadata_of_episodes(demonstrations: Demonstrations) -> list[dict[str, Any]]:
    """Return each episode's metadata: its returns, and the file's further arrays under `extras/`."""
    if demonstrations.options:  # the specification makes the environment with its defaults
        demonstrations = replace(demonstrations, options={})
    episodes = demonstrations.episodes
    columns = {"proxy_return": demonstrations.proxy_returns, "true_return": demonstrations.true_returns}
    if (second := demonstrations.second_quantities) is not None:
        columns["implicit_loss"] = second
    extras = {key: array for key, array in episodes.extras.items() if not _is_among_steps(key, episodes)}
    rows = []
    for index in range(episodes.number):
        row: dict[str, Any] = {name: float(values[index]) for name, values in columns.items()}
        for key, array in extras.items():
            row[f"{EXTRAS}{key}"] = str(array[index]) if array.dtype.kind == "U" else array[index]
        rows.append(row)
    return rows


def _is_among_steps(key: str, episodes: Episodes) -> bool:
    """Return whether Minari stores an extra array with the steps, rather than in metadata."""
    if key != FINAL_OBSERVATION:
        return key.startswith(STEP_PREFIX)
    recorded = episodes.final_observations
    return recorded is not None and recorded.dtype == episodes.observations.dtype


def _our_extras(
    episodes: Sequence[Any], metadata: Sequence[dict[str, Any]], steps: int, types: Mapping[str, str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the further arrays of a data set that `export_dataset` wrote and Minari may have added episodes to."""
    extras = {}
    for name, dtype in types.items():
        key = name.removeprefix(EXTRAS)
        if key == name:
            continue
        if key.startswith(STEP_PREFIX):
            fields = _step_fields(key.removeprefix(STEP_PREFIX), episodes)
            if fields is not None:  # every episode has it
                extras[key] = _stack(fields, steps, dtype)
        elif key == FINAL_OBSERVATION:
            finals = [row.get("extras", {}).get(key) for row in metadata]
            pairs = zip(finals, episodes, strict=True)
            extras[key] = _exact(np.array([one.observations[-1] if end is None else end for end, one in pairs]), dtype)
        else:
            extras[key] = _exact(
                np.array([_of_episode(key, *one, dtype) for one in zip(metadata, episodes, strict=True)]), dtype
            )
    return extras


def _of_episode(key: str, row: Mapping[str, Any], episode: Any, dtype: str) -> Any:
    """Return the entry of a further array for one episode; what Minari knows of an episode that it added itself."""
    if key in row.get("extras", {}):
        return row["extras"][key]
    if key == "seed":
        return MISSING["i"] if row.get("seed") is None else row["seed"]
    if key == TERMINATED:
        return bool(episode.terminations[-1])
    kind = np.dtype(dtype).kind
    if kind not in MISSING:
        raise UserError(f"an episode was added to it since its export, without {key}")
    return MISSING[kind]


def _their_extras(
    episodes: Sequence[Any], metadata: Sequence[dict[str, Any]], steps: int
) -> dict[str, npt.NDArray[Any]]:
    """Return further arrays from another library's data set."""
    seeds = [row.get("seed") for row in metadata]
    extras = {
        FINAL_OBSERVATION: np.array([episode.observations[-1] for episode in episodes]),
        TERMINATED: np.array([bool(episode.terminations[-1]) for episode in episodes]),
    }
    if any(seed is not None for seed in seeds):
        extras["seed"] = _seeds_of(seeds)
    for name in episodes[0].infos or {}:
        fields = _step_fields(name, episodes)
        if fields is not None:
            extras[f"{STEP_PREFIX}{name}"] = _stack(fields, steps, None)
    return extras


def _seeds_of(seeds: Sequence[Any]) -> npt.NDArray[Any]:
    """Return seeds (N,), −1 where there is none. Minari draws them from 64 bits."""
    if all(seed is not None and seed >= 0 for seed in seeds) and max(map(int, seeds)) > np.iinfo(np.int64).max:
        return np.array([int(seed) for seed in seeds], dtype=np.uint64)
    known = [-1 if seed is None or int(seed) > np.iinfo(np.int64).max else int(seed) for seed in seeds]
    return np.array(known, dtype=np.int64)


def _step_fields(name: str, episodes: Sequence[Any]) -> list[npt.NDArray[Any]] | None:
    """Return a field of infos at the steps of each episode, (t, …); None if not all have it in one shape."""
    fields: list[Any] = [(episode.infos or {}).get(name) for episode in episodes]
    if not all(_is_of_steps(field, len(episode)) for field, episode in zip(fields, episodes, strict=True)):
        return None
    if len({field.shape[1:] for field in fields}) > 1:
        return None
    return [field[-len(episode) :] for field, episode in zip(fields, episodes, strict=True)]


def _is_of_steps(field: Any, length: int) -> bool:
    """Return whether a field of infos has a number for each step, with or without the reset."""
    is_numbers = isinstance(field, np.ndarray) and field.ndim > 0 and field.dtype.kind in _NUMERIC_KINDS
    return is_numbers and len(field) in (length, length + 1)


def _stack(arrays: Sequence[npt.NDArray[Any]], steps: int, dtype: str | None) -> npt.NDArray[Any]:
    """Stack arrays (t, …) to (N, steps, …), zero padded, in a dtype if it holds their values, else in their own."""
    if len({array.shape[1:] for array in arrays}) > 1:
        raise UserError("its episodes differ in the shape of observations, actions or rewards")
    stacked = np.zeros((len(arrays), steps, *arrays[0].shape[1:]), dtype=np.result_type(*arrays))
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked if dtype is None else _exact(stacked, dtype)


def _exact(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return an array in the dtype of the exported file, or unchanged if that cannot hold its values."""
    if array.dtype.kind not in _NUMERIC_KINDS:
        return array.astype(np.result_type(array.dtype, dtype))
    converted = array.astype(dtype)
    return converted if np.array_equal(converted, array, equal_nan=array.dtype.kind == "f") else array


def _folder_of(minari_id: str) -> Path:
    """Return the folder of a Minari data set, whether it exists or not."""
    try:
        importlib.import_module("minari.dataset.minari_dataset").parse_dataset_id(minari_id)
    except (ValueError, TypeError):
        raise UserError(f"{minari_id!r} is not an id of Minari's; give one such as people/mine-v0") from None
    folder: Path = importlib.import_module("minari.storage.datasets_root_dir").get_dataset_path(minari_id)
    return folder


def _lossless(minari: ModuleType, episodes: Episodes) -> dict[str, bool]:
    """Return the argument that keeps Minari from storing images as JPEG."""
    if "jpeg_encoding" in inspect.signature(minari.create_dataset_from_buffers).parameters:
        return {"jpeg_encoding": False}
    sides = episodes.observations.shape[2:4]
    if episodes.observations.dtype == np.uint8 and len(sides) == 2 and min(sides) >= 32:
        raise UserError("this Minari keeps pictures as JPEG only, which blurs them; install 0.5.4 or later")
    return {}
