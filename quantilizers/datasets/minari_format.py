"""Demonstrations as Minari lays them out: spaces, episodes and metadata. `minari_bridge` says what stands for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, STEP_PREFIX, Episodes
from quantilizers.envs.actions import environment_actions
from quantilizers.errors import UserError

TERMINATED = "terminated"
#: What the names of a file's further arrays begin with in metadata.
EXTRAS = "extras/"
#: Kinds of arrays that are numbers, which Minari keeps for each step.
_NUMBERS = "biuf"


def observation_space(demonstrations: Demonstrations) -> spaces.Box:
    """Return the environment's space in the file's own precision; unbounded where the file keeps something else."""
    observations, space = demonstrations.episodes.observations, demonstrations.environment.observation_space
    shape, dtype = observations.shape[2:], observations.dtype
    same = shape == space.shape
    low, high = (space.low, space.high) if same else (np.full(shape, -np.inf), np.full(shape, np.inf))
    return _box(low, high, dtype)


def action_space(demonstrations: Demonstrations) -> spaces.Space[Any]:
    """Return the environment's space of actions; a box in the file's own precision."""
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


def final_observations(demonstrations: Demonstrations) -> tuple[npt.NDArray[Any], str]:
    """Return the observations after the last actions, (N, …), and where they come from, in a word."""
    episodes, environment = demonstrations.episodes, demonstrations.environment
    dtype = episodes.observations.dtype
    recorded = episodes.final_observations
    if recorded is not None:
        return recorded.astype(dtype), "recorded"
    if (
        environment.recordings.final_observations is not None
        and episodes.observations.shape[2:] == environment.observation_shape
    ):
        return environment.recordings.final_observations(episodes).astype(dtype), "computed"
    return episodes.observations[np.arange(episodes.number), episodes.lengths - 1], "the last ones repeated"


def episodes_of(demonstrations: Demonstrations) -> Iterator[dict[str, Any]]:
    """Yield the fields of Minari's `EpisodeBuffer` for each episode."""
    episodes, space = demonstrations.episodes, demonstrations.environment.action_space
    seeds = episodes.extras.get("seed")
    finals, _ = final_observations(demonstrations)
    lengths = episodes.lengths
    terminated = episodes.extras.get(TERMINATED, lengths < demonstrations.environment.max_steps)
    for index, length in enumerate(lengths):
        last = np.arange(length) == length - 1
        yield {
            "seed": int(seeds[index]) if seeds is not None and seeds[index] >= 0 else None,
            "observations": np.concatenate([episodes.observations[index, :length], finals[index][np.newaxis]]),
            "actions": _their_actions(episodes.actions[index, :length], space),
            "rewards": episodes.true_rewards[index, :length],
            "terminations": last & bool(terminated[index]),
            "truncations": last & ~np.bool_(terminated[index]),
            "infos": _infos_of(episodes, index, length) or None,
        }


def _their_actions(actions: npt.NDArray[Any], space: spaces.Space[Any]) -> npt.NDArray[Any]:
    """Turn actions (t, A) into those of a space; of a box, in their own precision."""
    if isinstance(space, spaces.Box):
        return actions.reshape(len(actions), *space.shape)
    return environment_actions(actions, space)


def _infos_of(episodes: Episodes, index: int, length: int) -> dict[str, npt.NDArray[Any]]:
    """Return what info said after each step, (t + 1, …); the reset, which Minari counts, said nothing: zero."""
    infos = {}
    for name, array in episodes.step_info.items():
        if array.dtype.kind not in _NUMBERS:
            raise UserError(f"{STEP_PREFIX}{name} holds {array.dtype}, and only numbers can go to Minari for each step")
        infos[name] = np.concatenate([np.zeros_like(array[index, :1]), array[index, :length]])
    return infos


def format_of(demonstrations: Demonstrations) -> dict[str, Any]:
    """Return what Minari has no place for and importing needs."""
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
        "final_observations": final_observations(demonstrations)[1],
        "dtypes": {key: array.dtype.str for key, array in arrays.items()},
    }


def metadata_of_episodes(demonstrations: Demonstrations) -> list[dict[str, Any]]:
    """Return what is said of each episode: its returns, and the file's further arrays under `extras/`."""
    episodes, environment = demonstrations.episodes, demonstrations.environment
    columns = {"proxy_return": demonstrations.proxy_returns, "true_return": demonstrations.true_returns}
    if environment.figures.second_axis is not None:
        columns["implicit_loss"] = environment.figures.second_axis(
            columns["true_return"], columns["proxy_return"], environment.options
        )
    extras = {key: array for key, array in episodes.extras.items() if not _is_among_steps(key, episodes)}
    rows = []
    for index in range(episodes.number):
        row: dict[str, Any] = {name: float(values[index]) for name, values in columns.items()}
        for key, array in extras.items():
            row[f"{EXTRAS}{key}"] = str(array[index]) if array.dtype.kind == "U" else array[index]
        rows.append(row)
    return rows


def _is_among_steps(key: str, episodes: Episodes) -> bool:
    """Whether an extra array goes where Minari keeps steps, so that metadata need not hold it."""
    if key != FINAL_OBSERVATION:
        return key.startswith(STEP_PREFIX)
    recorded = episodes.final_observations
    return recorded is not None and recorded.dtype == episodes.observations.dtype


def our_extras(
    episodes: Sequence[Any], metadata: Sequence[dict[str, Any]], steps: int, types: Mapping[str, str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the further arrays of a data set that was exported here."""
    extras = {}
    for name, dtype in types.items():
        key = name.removeprefix(EXTRAS)
        if key == name:
            continue
        if key.startswith(STEP_PREFIX):
            field = key.removeprefix(STEP_PREFIX)
            extras[key] = stack([episode.infos[field][1:] for episode in episodes], steps, dtype)
        elif all(key in row.get("extras", {}) for row in metadata):
            extras[key] = np.array([row["extras"][key] for row in metadata], dtype=dtype)
        else:
            extras[key] = np.array([episode.observations[-1] for episode in episodes], dtype=dtype)
    return extras


def their_extras(
    episodes: Sequence[Any], metadata: Sequence[dict[str, Any]], steps: int
) -> dict[str, npt.NDArray[Any]]:
    """Return what another library's data set has beside observations, actions and rewards."""
    seeds = [row.get("seed") for row in metadata]
    extras = {
        FINAL_OBSERVATION: np.array([episode.observations[-1] for episode in episodes]),
        TERMINATED: np.array([bool(episode.terminations[-1]) for episode in episodes]),
    }
    if any(seed is not None for seed in seeds):
        extras["seed"] = np.array([-1 if seed is None else seed for seed in seeds], dtype=np.int64)
    for name in episodes[0].infos or {}:
        fields: list[Any] = [(episode.infos or {}).get(name) for episode in episodes]
        if all(_is_of_steps(field, len(episode)) for field, episode in zip(fields, episodes, strict=True)):
            after = [field[-len(episode) :] for field, episode in zip(fields, episodes, strict=True)]
            extras[f"{STEP_PREFIX}{name}"] = stack(after, steps, None)
    return extras


def _is_of_steps(field: Any, length: int) -> bool:
    """Whether a field of infos is numbers for each step, with or without those of the reset."""
    is_numbers = isinstance(field, np.ndarray) and field.ndim > 0 and field.dtype.kind in _NUMBERS
    return is_numbers and len(field) in (length, length + 1)


def stack(arrays: Sequence[npt.NDArray[Any]], steps: int, dtype: str | None) -> npt.NDArray[Any]:
    """Stack arrays (t, …) to (N, steps, …), zero padded, in a dtype; None is their own."""
    stacked = np.zeros((len(arrays), steps, *arrays[0].shape[1:]), dtype=dtype or arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked
