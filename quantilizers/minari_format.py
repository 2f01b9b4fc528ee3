"""Demonstrations as Minari lays them out: spaces, episodes and metadata. `minari_bridge` says what stands for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition

FINAL, TERMINATED = "final_observation", "terminated"


def observation_space(observations: npt.NDArray[Any]) -> spaces.Box:
    """Return a space in the file's own precision, which the environment's may not have."""
    kind = observations.dtype
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.kind in "iu" else (-np.inf, np.inf)
    return spaces.Box(low, high, observations.shape[2:], kind.type)  # type: ignore[arg-type]


def action_space(actions: npt.NDArray[Any], environment: EnvironmentDefinition) -> spaces.Space[Any]:
    """Return Gymnasium's usual space for actions: a number of choices, or a box for several components."""
    classes = environment.action_classes
    if len(classes) == 1 and classes[0] == tuple(range(len(classes[0]))):
        return spaces.Discrete(len(classes[0]))
    low, high = (np.array([pick(one) for one in classes], dtype=actions.dtype) for pick in (min, max))
    return spaces.Box(low, high, dtype=actions.dtype.type)


def episodes_of(demonstrations: Demonstrations, environment: EnvironmentDefinition) -> Iterator[dict[str, Any]]:
    """Yield the fields of Minari's `EpisodeBuffer` for each episode."""
    discrete = isinstance(action_space(demonstrations.actions, environment), spaces.Discrete)
    seeds = demonstrations.extras.get("seed")
    finals = demonstrations.extras.get(FINAL)
    lengths = demonstrations.lengths
    terminated = demonstrations.extras.get(TERMINATED, lengths < environment.max_steps)
    for index, length in enumerate(lengths):
        observations = demonstrations.observations[index, :length]
        final = observations[-1] if finals is None else finals[index]
        actions = demonstrations.actions[index, :length]
        last = np.arange(length) == length - 1
        yield {
            "seed": int(seeds[index]) if seeds is not None and seeds[index] >= 0 else None,
            "observations": np.concatenate([observations, final[np.newaxis]]),
            "actions": actions[:, 0].astype(np.int64) if discrete else actions,
            "rewards": demonstrations.true_rewards[index, :length],
            "terminations": last & bool(terminated[index]),
            "truncations": last & ~np.bool_(terminated[index]),
        }


def format_of(demonstrations: Demonstrations, environment: EnvironmentDefinition) -> dict[str, Any]:
    """Return what Minari has no place for and importing needs."""
    arrays = {
        "obs": demonstrations.observations,
        "acs": demonstrations.actions,
        "rews": demonstrations.true_rewards,
        **{f"extras/{key}": array for key, array in demonstrations.extras.items()},
    }
    return {
        "environment": environment.name,
        "steps": demonstrations.done.shape[1],
        "rewards": "true rewards",
        "final_observations": "recorded" if FINAL in demonstrations.extras else "the last ones repeated",
        "dtypes": {key: array.dtype.str for key, array in arrays.items()},
    }


def metadata_of_episodes(demonstrations: Demonstrations, environment: EnvironmentDefinition) -> list[dict[str, Any]]:
    """Return what is said of each episode: its returns, and the file's further arrays under `extras/`."""
    true_returns = demonstrations.true_returns
    proxy_returns = environment.proxy_rewards(demonstrations).sum(axis=1)
    rows = []
    for index in range(demonstrations.number):
        row: dict[str, Any] = {"proxy_return": float(proxy_returns[index]), "true_return": float(true_returns[index])}
        if "lamb" in environment.options:
            # Files hold true rewards with λ = 1, so that the cheat rate is what they lack to the score.
            row["cheat_rate"] = row["proxy_return"] - row["true_return"]
        for key, array in demonstrations.extras.items():
            row[f"extras/{key}"] = str(array[index]) if array.dtype.kind == "U" else array[index]
        rows.append(row)
    return rows


def our_extras(metadata: list[dict[str, Any]], types: dict[str, str]) -> dict[str, npt.NDArray[Any]]:
    """Return the further arrays of a data set that was exported here."""
    keys = [key.removeprefix("extras/") for key in types if key.startswith("extras/")]
    return {key: np.array([one["extras"][key] for one in metadata], dtype=types[f"extras/{key}"]) for key in keys}


def their_extras(episodes: list[Any], metadata: list[dict[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return what another library's data set has beside observations, actions and rewards."""
    seeds = [one.get("seed") for one in metadata]
    extras = {
        FINAL: np.array([one.observations[-1] for one in episodes]),
        TERMINATED: np.array([bool(one.terminations[-1]) for one in episodes]),
    }
    if any(seed is not None for seed in seeds):
        extras["seed"] = np.array([-1 if seed is None else seed for seed in seeds], dtype=np.int64)
    return extras


def stack(arrays: Sequence[npt.NDArray[Any]], steps: int, kind: str | None) -> npt.NDArray[Any]:
    """Stack arrays (t, …) to (N, steps, …), zero padded, of a kind; None is their own."""
    stacked = np.zeros((len(arrays), steps, *arrays[0].shape[1:]), dtype=kind or arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked
