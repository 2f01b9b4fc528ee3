"""Proxy rewards of recorded episodes, and what else a definition computes of them, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from quantilizers.choices import FINAL_OBSERVATIONS, FinalObservation, check_choice
from quantilizers.demonstrations.episodes import (
    FINAL_OBSERVATION,
    MISSING,
    STEP_PREFIX,
    TERMINATED,
    WITHOUT_OBSERVATIONS,
    Episodes,
)
from quantilizers.envs.actions import environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.identity import digest
from quantilizers.errors import UserError, fault_of, guarded
from quantilizers.rewards import FloatArray, Reward, Steps


def proxy_rewards(
    environment: EnvironmentDefinition, episodes: Episodes, options: Mapping[str, Any] | None = None
) -> FloatArray:
    """Return the proxy rewards (N, T) of episodes under some options and the defaults of the others; zero on padding.

    Raises:
        UserError: the recording lacks something that the proxy depends on.
    """
    proxy, _ = environment.rewards(options)
    # Recorded true rewards are those under the default options.
    _, true = environment.rewards()
    own = _own_rewards(environment, episodes, true) if proxy.own_weight else None
    return rewards_from_own(environment, proxy, own, episodes)


def true_rewards(
    environment: EnvironmentDefinition, episodes: Episodes, options: Mapping[str, Any] | None = None
) -> FloatArray:
    """Return the true rewards (N, T) of episodes under some options; recordings hold those under the defaults.

    Raises:
        UserError: the recording lacks something that the true reward under these options depends on.
    """
    if environment.true_options(options) == environment.true_options():
        return np.where(episodes.done, 0.0, episodes.true_rewards)
    _, default = environment.rewards()
    _, true = environment.rewards(options)
    try:
        own = _own_rewards(environment, episodes, default) if true.own_weight else None
        (old, new) = _only_weights_differ(default, true)
        if old and own is not None:
            # The part is what the recorded rewards have beside the own ones, and needs no field of the recording.
            part = (episodes.true_rewards.astype(np.float64) - default.own_weight * own) / old
            return np.where(episodes.done, 0.0, true.own_weight * own + new * part)
        return rewards_from_own(environment, true, own, episodes)
    except UserError as error:
        changed = [
            f"{name} = {value}"
            for name, value in environment.true_options(options).items()
            if value != environment.true_options()[name]
        ]
        raise UserError(
            f"the demonstrations' true rewards under {', '.join(changed)} cannot be computed, and those under the "
            f"defaults do not compare with policies': {error}"
        ) from None


def _only_weights_differ(one: Reward, other: Reward) -> tuple[float, float]:
    """Return the weights of the only part that is not the environment's own, if both rewards have the same; else 0."""
    parts = [reward.without_own.parts for reward in (one, other)]
    if [len(found) for found in parts] != [1, 1]:
        return 0.0, 0.0
    (first,), (second,) = parts
    same = (first.kind, first.info) == (second.kind, second.info) and _same_function(first.quantity, second.quantity)
    return (first.weight, second.weight) if same else (0.0, 0.0)


def _same_function(one: Any, other: Any) -> bool:
    """Return whether two functions have the same code, and the same values in closures, defaults and attributes."""
    if not (hasattr(one, "__dict__") and hasattr(other, "__dict__")):
        return one is other  # what it was made with is unknown, as of an `operator.itemgetter`
    values = [
        (found, getattr(found, "__defaults__", None), getattr(found, "__kwdefaults__", None)) for found in (one, other)
    ]
    return digest(*values[0]) == digest(*values[1])


def final_observations(environment: EnvironmentDefinition, episodes: Episodes) -> npt.NDArray[Any] | None:
    """Return the observations after the last actions, (N, …): recorded, or computed by the definition; else None.

    Raises:
        UserError: the definition's function returns another shape.
    """
    compute = environment.recordings.final_observations
    if episodes.final_observations is not None or compute is None:
        return episodes.final_observations
    shape = (episodes.number, *episodes.observations.shape[2:])
    with guarded(f"final_observations of {environment.name}"):
        found = compute(episodes)
    return _of_shape(found, shape, "final_observations", environment)


def complete(environment: EnvironmentDefinition, episodes: Episodes, how: FinalObservation) -> tuple[Episodes, str]:
    """Return episodes with what stands for missing final observations, and a line that says so if it was needed.

    Args:
        environment: whose rewards may read observations after the steps.
        episodes: of it.
        how: `repeat` takes each last observation. `drop` leaves out each last step with its reward: the observation
            before it is then the final one. `needed` changes nothing.

    Raises:
        UserError: the choice is unknown, or `drop` would leave nothing of an episode.
    """
    check_choice("final_observation", how, FINAL_OBSERVATIONS)
    rewards = environment.rewards()
    is_read = any(reward.without_own.parts for reward in rewards)
    observed = isinstance(episodes.observations, np.ndarray) and (
        episodes.observations.shape[2:] == environment.observation_shape
    )
    if how == "needed" or not is_read or not observed or final_observations(environment, episodes) is not None:
        return episodes, ""
    rows, last = np.arange(episodes.number), episodes.lengths - 1
    extras = {**episodes.extras, FINAL_OBSERVATION: np.asarray(episodes.observations[rows, last])}
    if how == "repeat":
        number, known = episodes.number, episodes.extras.get(FINAL_OBSERVATION)
        if known is not None and known.shape == extras[FINAL_OBSERVATION].shape and known.dtype.kind == "f":
            is_missing = np.isnan(known).reshape(number, -1).any(axis=1)
            number = int(is_missing.sum())
            at = is_missing.reshape(-1, *[1] * (known.ndim - 1))
            extras[FINAL_OBSERVATION] = np.where(at, extras[FINAL_OBSERVATION], known)
        repeated = replace(episodes, extras=extras)
        return repeated, f"the last observation stands for the one after the last action in {number:,} episodes"
    if (last == 0).any():
        raise UserError(
            f"episode {int(np.argmax(last == 0))} has one step, and nothing is left if its last step is dropped; "
            "leave it out, or use repeat"
        )
    done = episodes.done.copy()
    done[rows, last] = True
    real = ~done
    cut = {key: _zero_where(done, array) if key.startswith(STEP_PREFIX) else array for key, array in extras.items()}
    if TERMINATED in cut:
        cut[TERMINATED] = np.zeros_like(cut[TERMINATED])
    shortened = Episodes(
        _zero_where(done, episodes.observations),
        _zero_where(done, episodes.actions),
        _zero_where(done, episodes.true_rewards),
        done,
        cut,
    )
    return shortened.select(slice(None)), (
        f"the last step of each of {episodes.number:,} episodes is left out with its true reward; {real.sum():,} steps "
        "are left"
    )


def _zero_where(done: npt.NDArray[np.bool_], array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(done.reshape(*done.shape, *[1] * (array.ndim - 2)), np.zeros((), dtype=array.dtype), array)


def _of_shape(
    found: Any, shape: tuple[int, ...], function: str, environment: EnvironmentDefinition
) -> npt.NDArray[Any]:
    """Return what a function of a definition computed; NumPy would repeat one of fewer entries for all episodes."""
    array: npt.NDArray[Any] = np.asarray(found)
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise UserError(
            f"{function} of {environment.name} returned {array.dtype} of shape {array.shape}, not numbers of shape "
            f"{shape}"
        )
    return array


def groups(environment: EnvironmentDefinition, episodes: Episodes) -> npt.NDArray[np.intp] | None:
    """Return the number of each episode's group, (N,), from 0 on in the order of the file; None if none is known.

    Raises:
        UserError: an episode has no group, or the definition names an array that the recording lacks.
    """
    declared = environment.recordings.group
    if declared is None or isinstance(declared, str):
        name = declared or "group"
        if name not in episodes.extras:
            if declared is None:
                return None
            raise UserError(
                f"the recording has no array {name}, which {environment.name} takes for the groups of episodes; "
                f"it has: {', '.join(episodes.extras) or 'none'}"
            )
        labels = episodes.extras[name]
    else:
        name = f"group of {environment.name}"
        with guarded(name):
            labels = np.asarray(declared(episodes))
    if labels.ndim == 0 or len(labels) != episodes.number or labels.dtype.kind not in "biufU":
        raise UserError(f"{name} is {labels.dtype} of shape {labels.shape}, not a label for each of {episodes.number}")
    missing = _without_label(labels.reshape(len(labels), -1))
    if missing:
        raise UserError(f"{name} is missing in {missing:,} of {episodes.number:,} episodes, as after joining files")
    _, first, numbers = np.unique(labels.reshape(len(labels), -1), axis=0, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.intp)
    order[np.argsort(first)] = np.arange(len(first))
    found: npt.NDArray[np.intp] = order[numbers.reshape(-1)]
    return found


def _without_label(labels: npt.NDArray[Any]) -> int:
    """Return how many labels (N, D) are those that `concatenate` writes for episodes that have none."""
    mark = MISSING.get(labels.dtype.kind)
    if mark is None:
        return 0
    is_mark = np.isnan(labels) if labels.dtype.kind == "f" else labels == mark
    return int(is_mark.all(axis=1).sum())


def _own_rewards(environment: EnvironmentDefinition, episodes: Episodes, true: Reward) -> FloatArray:
    """Compute the environment's own rewards (N, T) from the true rewards; files hold only the latter."""
    if environment.recordings.own_rewards is not None:
        with guarded(f"own_rewards of {environment.name}"):
            found = environment.recordings.own_rewards(episodes)
        return _of_shape(found, episodes.done.shape, "own_rewards", environment)
    if true.own_weight == 0:
        raise UserError(
            f"{environment.name}'s own reward is part of its proxy but not of its true reward, and files hold only "
            "the latter; give the definition recordings=Recordings(own_rewards=...)"
        )
    others = rewards_from_own(environment, true.without_own, None, episodes)
    own: FloatArray = (episodes.true_rewards.astype(np.float64) - others) / true.own_weight
    return np.where(episodes.done, 0.0, own)


def rewards_from_own(
    environment: EnvironmentDefinition, reward: Reward, own: FloatArray | None, episodes: Episodes
) -> FloatArray:
    """Return a reward (N, T) over recorded episodes, given the environment's own rewards (N, T) if it contains them.

    Raises:
        UserError: the recording lacks something that the reward depends on, or its function fails.
    """
    steps = _steps(environment, episodes, reward) if reward.without_own.parts else None
    try:
        found = reward.over_episodes(own, steps, episodes.done)
    except UserError as error:
        raise UserError(f"{environment.name}'s reward cannot be computed for recorded episodes: {error}") from error
    except (Exception, SystemExit) as error:  # whatever the functions of a definition raise
        raise UserError(
            f"{environment.name}'s reward cannot be computed for recorded episodes: {fault_of(error)}"
        ) from error
    wrong = ~np.isfinite(found)
    if wrong.any():
        episode, step = (int(places[0]) for places in np.nonzero(wrong))
        raise UserError(
            f"{environment.name}'s reward is {found[episode, step]:g} in recorded episode {episode}, step {step}; such "
            "episodes cannot be ranked. Mend the reward's function, or leave the episode out"
        )
    return found


def _steps(environment: EnvironmentDefinition, episodes: Episodes, reward: Reward) -> Steps:
    """Return all real steps, episode after episode."""
    real = ~episodes.done
    missing = [name for name in reward.info if name not in episodes.step_info]
    if missing:
        raise UserError(
            f"the recording does not hold info_{missing[0]} of each step, which a reward of {environment.name} "
            "depends on; record it again"
        )
    return Steps(
        observations=_observations_after(environment, episodes)[real],
        actions=environment_actions(episodes.actions[real], environment.action_space),
        info={name: episodes.step_info[name][real] for name in reward.info},
    )


def _observations_after(environment: EnvironmentDefinition, episodes: Episodes) -> npt.NDArray[Any]:
    """Return the observations after each action, (N, T, …): the next step's, and at the end the final one."""
    known = environment.recordings
    if episodes.observations.shape[2:] == WITHOUT_OBSERVATIONS and known.replay_observations is not None:
        raise UserError("the recording has no observations to compute a reward of")
    finals = final_observations(environment, episodes)
    if finals is None:
        raise UserError(
            "the recording has no final_observation, the observation after each last action, which a reward of "
            f"{environment.name} depends on; --final_observation repeat takes the last one before it, drop leaves out "
            "each last step, or give the definition Recordings(final_observations=...)"
        )
    space = environment.observation_space
    # Recorded choices may be floats; in play they are whole numbers.
    dtype = episodes.observations.dtype if isinstance(space, Box) else space.dtype
    after = np.zeros_like(episodes.observations, dtype=dtype)
    after[:, :-1] = episodes.observations[:, 1:]
    after[np.arange(episodes.number), episodes.lengths - 1] = finals
    return after
