"""Episodes: their arrays, checks and file, and joining several. They know no environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import check_memory, load_arrays, save_arrays
from quantilizers.errors import UserError, reason_of, shown
from quantilizers.gates.zips import is_plain_name
from quantilizers.numbers_in_words import counted
from quantilizers.rewards import FloatArray

#: Shape of an observation in files without observations, which are made from actions and reset seeds.
WITHOUT_OBSERVATIONS = (0,)
KEYS = ("obs", "acs", "rews", "done", "ep_rets")
#: The extra array that holds the observation after each episode's last action.
FINAL_OBSERVATION = "final_observation"
#: The extra array that says whether an episode ended by itself, rather than by a cut.
TERMINATED = "terminated"
#: Prefix of the names of extra arrays that have one entry a step.
STEP_PREFIX = "info_"
#: Values for episodes whose file lacks an extra array that another file has, by kind of dtype.
MISSING: dict[str, Any] = {"i": -1, "f": np.nan, "U": ""}


@dataclass(frozen=True, eq=False, repr=False)
class Episodes:
    """N episodes of at most T steps, zero padded; the layout that OpenAI baselines' GAIL loader reads.

    Attributes:
        observations: (N, T, …) before each action; `obs` in the file.
        actions: (N, T, A); `acs`.
        true_rewards: (N, T); `rews`.
        done: (N, T) bool, True on padding; `done`.
        extras: further arrays of the file, with one entry an episode, (N, …): reset seed, player, and
            `final_observation`, the observation after the last action. Those called `info_…` have one entry a step,
            (N, T, …): the environment's info under the rest of the name.

    Raises:
        UserError: the arrays cannot be episodes: wrong shapes, an empty episode, padding before an episode's end or
            with something in it, or values that are not numbers.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    true_rewards: npt.NDArray[Any]
    done: npt.NDArray[np.bool_]
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._convert_lists()
        if self.done.ndim != 2 or 0 in self.done.shape or self.done.dtype != np.bool_:
            raise UserError(f"done is {self.done.dtype} {self.done.shape}, not bool (episodes, steps)")
        for name, array in (("obs", self.observations), ("acs", self.actions), ("rews", self.true_rewards)):
            if array.shape[:2] != self.done.shape:
                raise UserError(f"{name} has shape {array.shape}, which does not begin with done's {self.done.shape}")
            if array.dtype.kind not in "biuf":
                raise UserError(f"{name} holds {array.dtype}, not numbers")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                wrong = ~np.isfinite(array).reshape(*self.done.shape, -1).all(axis=-1) & ~self.done
                place = ", in the padding, which is zero"
                if wrong.any():
                    place = " in episode {}, step {}".format(*np.argwhere(wrong)[0])
                raise UserError(f"{name} holds NaN or infinity{place}")
        if self.actions.ndim != 3 or self.true_rewards.ndim != 2:
            raise UserError(
                f"acs has shape {self.actions.shape} and rews {self.true_rewards.shape}, "
                "not (episodes, steps, components) and (episodes, steps)"
            )
        if self.done[:, 0].any():
            raise UserError(f"episode {int(np.argmax(self.done[:, 0]))} has no step")
        if (self.done[:, :-1] & ~self.done[:, 1:]).any():
            raise UserError(
                "done is True before an episode's end; it marks padding, which stands at the end only. Give episodes "
                "whose last steps are marked to Episodes.from_flat"
            )
        self._check_padding()
        for key, array in self.extras.items():
            if array.ndim == 0 or len(array) != self.number or array.dtype.kind == "O":
                raise UserError(f"{key} has shape {array.shape}, not one entry for each of {self.number} episodes")
            if key.startswith(STEP_PREFIX) and array.shape[:2] != self.done.shape:
                raise UserError(f"{key} has shape {array.shape}, which does not begin with done's {self.done.shape}")
            # Rewards are computed from these.
            if (key == FINAL_OBSERVATION or key.startswith(STEP_PREFIX)) and array.dtype.kind not in "biuf":
                raise UserError(f"{key} holds {array.dtype}, not numbers")
            if key == "seed" and (array.ndim != 1 or array.dtype.kind not in "iu" or array.min() < MISSING["i"]):
                raise UserError(
                    f"seed holds {array.dtype} of shape {array.shape}, not the reset seed of each episode: a whole "
                    "number from 0 on, or -1 where it is unknown"
                )
            if key.startswith(STEP_PREFIX) and not is_plain_name(key.removeprefix(STEP_PREFIX)):
                raise UserError(f"{shown(key)} names no field of the info; call it {STEP_PREFIX}NAME")
            if key == TERMINATED and (array.ndim != 1 or array.dtype.kind not in "biu"):
                raise UserError(
                    f"{key} holds {array.dtype} of shape {array.shape}, not whether each of {self.number} episodes "
                    "ended by itself"
                )
            if key == "player" and array.ndim != 1:
                raise UserError(f"player has shape {array.shape}, not one name for each episode")
        finals, shape = self.extras.get(FINAL_OBSERVATION), self.observations.shape[2:]
        if finals is not None and finals.shape[1:] != shape and shape != WITHOUT_OBSERVATIONS:
            raise UserError(
                f"{FINAL_OBSERVATION} has shape {finals.shape}, not that of one observation for each episode, "
                f"{(self.number, *shape)}"
            )
        if finals is not None and finals.dtype.kind == "f" and np.isinf(finals).any():
            raise UserError(f"{FINAL_OBSERVATION} holds infinity")

    def _convert_lists(self) -> None:
        """Take lists for arrays; arrays, and frames on disk, stay as they are."""
        for name in ("observations", "actions", "true_rewards", "done"):
            if isinstance(value := getattr(self, name), (list, tuple)):
                object.__setattr__(self, name, _as_array(name, value))
        if any(isinstance(value, (list, tuple)) for value in self.extras.values()):
            converted = {
                key: _as_array(key, value) if isinstance(value, (list, tuple)) else value
                for key, value in self.extras.items()
            }
            object.__setattr__(self, "extras", converted)

    def __repr__(self) -> str:
        return f"Episodes({self.words})"

    @property
    def words(self) -> str:
        """Their numbers in messages, such as `250 episodes, 31,234 steps`."""
        return f"{counted(self.number, 'episode')}, {counted(int(self.lengths.sum()), 'step')}"

    def _check_padding(self) -> None:
        """Refuse padding that is not zero: it may be real steps, of a `done` that is True at the last one as in Gym."""
        if not self.done.any():
            return
        for name, array in (("rews", self.true_rewards), ("obs", self.observations), ("acs", self.actions)):
            if not isinstance(array, np.ndarray):  # frames on disk are zero there
                continue
            filled = array[self.done].reshape(int(self.done.sum()), -1).any(axis=1)
            if filled.any():
                episode, step = (int(places[np.argmax(filled)]) for places in np.nonzero(self.done))
                raise UserError(
                    f"{name} is not zero in episode {episode}, step {step}, where done is True; done marks padding, "
                    "the steps after the last real one. If it marks the last real step, as Gym's does, use "
                    "Episodes.from_flat; if these steps are padding, set them to zero"
                )

    @property
    def number(self) -> int:
        """N, the number of episodes."""
        return len(self.done)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each episode, (N,)."""
        lengths: npt.NDArray[np.int64] = np.sum(~self.done, axis=1, dtype=np.int64)
        return lengths

    @property
    def true_returns(self) -> FloatArray:
        """True return of each episode, (N,)."""
        returns: FloatArray = np.where(self.done, 0.0, self.true_rewards).sum(axis=1, dtype=np.float64)
        return returns

    @property
    def final_observations(self) -> npt.NDArray[Any] | None:
        """The observations after the last actions, (N, …); None if the file lacks one of them."""
        finals = self.extras.get(FINAL_OBSERVATION)
        if finals is None or finals.shape[1:] != self.observations.shape[2:]:
            return None
        # Merged files have NaN where a part had none.
        return None if finals.dtype.kind == "f" and np.isnan(finals).any() else finals

    @property
    def step_info(self) -> dict[str, npt.NDArray[Any]]:
        """Further quantities of each step, (N, T, …), by name."""
        return {
            key.removeprefix(STEP_PREFIX): array for key, array in self.extras.items() if key.startswith(STEP_PREFIX)
        }

    @classmethod
    def from_flat(
        cls,
        observations: npt.ArrayLike,
        actions: npt.ArrayLike,
        rewards: npt.ArrayLike,
        *,
        ends: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        next_observations: npt.ArrayLike | None = None,
        extras: Mapping[str, npt.ArrayLike] | None = None,
    ) -> Episodes:
        """Make episodes of n steps that stand in one row, as most libraries of offline data keep them.

        >>> episodes = Episodes.from_flat([[0.0], [0.5], [0.9]], [1, 1, 0], [0, 1, 1], lengths=[2, 1])
        >>> episodes.number, episodes.lengths.tolist(), episodes.true_returns.tolist()
        (2, [2, 1], [1.0, 1.0])

        Args:
            observations: (n, …) before each action; or (n + N, …), with the one after the last action of each episode.
            actions: (n,) or (n, …).
            rewards: (n,), the true rewards.
            ends: (n,), true at the last step of each episode. Give either these or `lengths`.
            lengths: (N,), the number of steps of each episode.
            next_observations: (n, …) after each action; the last of each episode is kept.
            extras: further arrays with one entry an episode, (N, …), such as `seed` and `player`; those called
                `info_…` have one entry a step, (n, …).

        Raises:
            UserError: the arrays do not fit together, or steps after the last end belong to no episode.
        """
        acted, paid = _as_array("actions", actions), _as_array("rewards", rewards)
        if paid.ndim != 1 or len(paid) == 0 or acted.shape[:1] != paid.shape:
            raise UserError(f"rewards have shape {paid.shape} and actions {acted.shape}; each has one entry a step")
        number = _lengths_of(len(paid), ends, lengths)
        seen = _as_array("observations", observations)
        final = _as_array("next_observations", next_observations) if next_observations is not None else None
        more = {key: _as_array(key, value) for key, value in (extras or {}).items()}
        last = np.cumsum(number) - 1
        if len(seen) == len(paid) + len(number) and final is None:
            # Each episode has one observation more than steps.
            is_final = np.zeros(len(seen), dtype=np.bool_)
            is_final[last + np.arange(1, len(number) + 1)] = True
            more[FINAL_OBSERVATION], seen = seen[is_final], seen[~is_final]
        elif final is not None:
            if final.shape != seen.shape:
                raise UserError(f"next_observations have shape {final.shape} and observations {seen.shape}")
            more[FINAL_OBSERVATION] = final[last]
        if len(seen) != len(paid):
            raise UserError(
                f"there are {len(seen):,} observations for {len(paid):,} steps in {len(number):,} episodes; "
                "each step has one, and each episode may have one more"
            )
        per_step = {"obs": seen, "acs": acted.reshape(len(acted), -1), "rews": paid}
        for key in [key for key in more if key.startswith(STEP_PREFIX)]:
            if more[key].shape[:1] != paid.shape:
                raise UserError(f"{key} has shape {more[key].shape}, not one entry for each of {len(paid):,} steps")
            per_step[key] = more.pop(key)
        steps = int(number.max())
        check_memory(sum(array.nbytes // len(paid) for array in per_step.values()) * steps * len(number))
        done = np.arange(steps) >= number[:, np.newaxis]
        padded = {key: np.zeros((*done.shape, *array.shape[1:]), dtype=array.dtype) for key, array in per_step.items()}
        for key, array in per_step.items():
            padded[key][~done] = array
        return cls(padded.pop("obs"), padded.pop("acs"), padded.pop("rews"), done, {**more, **padded})

    def select(self, episodes: npt.NDArray[np.intp] | slice) -> Episodes:
        """Return the given episodes, in the given order, without the padding that all of them share.

        A slice shares the arrays; indices copy them.
        """
        steps = int(self.lengths[episodes].max())
        return Episodes(
            observations=self.observations[episodes, :steps],
            actions=self.actions[episodes, :steps],
            true_rewards=self.true_rewards[episodes, :steps],
            done=self.done[episodes, :steps],
            extras={
                key: array[episodes, :steps] if key.startswith(STEP_PREFIX) else array[episodes]
                for key, array in self.extras.items()
            },
        )

    def transitions(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return all real steps, episode after episode: observations (n, …) and actions (n, A)."""
        real = ~self.done
        return self.observations[real], self.actions[real]

    def save(self, path: str | Path) -> None:
        """Write the npz file, atomically. The same episodes give the same bytes.

        Raises:
            UserError: the file cannot be written.
        """
        arrays = (self.observations, self.actions, self.true_rewards, self.done, self.true_returns)
        save_arrays(Path(path), {**self.extras, **dict(zip(KEYS, arrays, strict=True))})


def _as_array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an array of numbers or words; refuse rows of different lengths and other objects."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise UserError(f"{name} cannot be an array: {reason_of(error)}") from None
    if array.dtype.kind not in "biufU" or array.ndim == 0:
        raise UserError(f"{name} holds {array.dtype} of shape {array.shape}, not an array of numbers")
    return array


def _lengths_of(steps: int, ends: npt.ArrayLike | None, lengths: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    """Return the lengths of the episodes that `Episodes.from_flat` is given."""
    if (ends is None) == (lengths is None):
        raise UserError("give either ends, true at the last step of each episode, or the lengths of the episodes")
    if lengths is not None:
        number = _as_array("lengths", lengths)
        if number.ndim != 1 or number.dtype.kind not in "iu" or number.min() < 1 or int(number.sum()) != steps:
            raise UserError(f"lengths are not whole numbers from 1 on that add up to {steps:,} steps")
        return number.astype(np.int64)
    marks = _as_array("ends", ends if ends is not None else [])
    if marks.shape != (steps,) or not np.isin(marks, (0, 1)).all():
        raise UserError(f"ends has shape {marks.shape} and type {marks.dtype}, not true or false for {steps:,} steps")
    places = np.flatnonzero(marks)
    left = steps - (int(places[-1]) + 1 if len(places) else 0)
    if left:
        raise UserError(
            f"the last {left:,} of {steps:,} steps belong to no episode that ends; leave them out, or set their last "
            "end to keep them as an episode that was cut"
        )
    return np.diff(places, prepend=-1).astype(np.int64)


def load_episodes(path: Path) -> Episodes:
    """Read episodes from an npz file, and check them.

    Raises:
        UserError: the file cannot be read or is no data set; the message names the file and the problem.
    """
    arrays = load_arrays(path, KEYS)
    observations, actions, true_rewards, done, returns = map(arrays.pop, KEYS)
    try:
        done = _without_last_steps(done, true_rewards, returns)
        episodes = Episodes(observations, actions, true_rewards, done, extras=arrays)
        check_returns(returns, episodes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return episodes


def _without_last_steps(
    done: npt.NDArray[Any], rewards: npt.NDArray[Any], returns: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return `done` without the last real steps, where a file marks these as Gym does and its returns prove it."""
    if done.ndim != 2 or done.dtype != np.bool_ or rewards.shape != done.shape or returns.shape != done.shape[:1]:
        return done  # which `Episodes` refuses
    if rewards.dtype.kind not in "iuf" or returns.dtype.kind not in "iuf" or not rewards[done].any():
        return done
    later = np.concatenate([np.zeros_like(done[:, :1]), np.logical_or.accumulate(done, axis=1)[:, :-1]], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):  # rewards that add up to infinity are refused later
        sums = np.where(later, 0.0, rewards).sum(axis=1, dtype=np.float64)
    is_last = done.any() and not rewards[later].any() and np.allclose(returns, sums, rtol=1e-4, atol=1e-3)
    return later if is_last else done


def check_returns(returns: npt.NDArray[Any], episodes: Episodes) -> None:
    """Refuse returns that are not the finite sums of the rewards, because one of the two is damaged."""
    with np.errstate(over="ignore"):
        expected = episodes.true_returns
    if not np.isfinite(expected).all():
        raise UserError("rews adds up to infinity over an episode")
    if returns.dtype.kind not in "iuf":
        raise UserError(f"ep_rets holds {returns.dtype}, not numbers")
    if returns.shape != expected.shape or not np.allclose(returns, expected, rtol=1e-4, atol=1e-3):
        raise UserError("ep_rets is not the sum of rews over each episode")


def concatenate(parts: Sequence[Episodes]) -> Episodes:
    """Join episodes of one environment, part after part, zero padded to the longest.

    Extra arrays stay with their episodes. Where a part lacks one that another part has:

    | extra array | result |
    |---|---|
    | `info_…` | left out: rewards can be computed from all steps or from none |
    | `terminated` | left out: neither true nor false can mark a missing one |
    | `final_observation` of integers, such as pictures | left out: no integer can mark a missing one |
    | `final_observation` of floats | NaN, which `Episodes.final_observations` knows |
    | any other | `MISSING`: a seed of −1, an empty name, NaN |

    Raises:
        UserError: an extra array differs in shape or kind between parts, or no value can mark it as missing.
    """
    steps = max(part.done.shape[1] for part in parts)
    keys = list(dict.fromkeys(key for part in parts for key in part.extras))
    return Episodes(
        observations=np.concatenate([_padded(part.observations, steps) for part in parts]),
        actions=np.concatenate([_padded(part.actions, steps) for part in parts]),
        true_rewards=np.concatenate([_padded(part.true_rewards, steps) for part in parts]),
        done=np.concatenate([_padded(part.done, steps, True) for part in parts]),
        extras={key: _joined_extra(key, parts, steps) for key in keys if not _is_left_out(key, parts)},
    )


def _padded(array: npt.NDArray[Any], steps: int, padding: Any = 0) -> npt.NDArray[Any]:
    """Lengthen (N, T, …) to (N, steps, …)."""
    width = [(0, 0), (0, steps - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, width, constant_values=padding)


def _is_left_out(key: str, parts: Sequence[Episodes]) -> bool:
    if all(key in part.extras for part in parts):
        return False
    is_picture = key == FINAL_OBSERVATION and any(
        part.extras[key].dtype.kind != "f" for part in parts if key in part.extras
    )
    return key.startswith(STEP_PREFIX) or key == TERMINATED or is_picture


def _signed(seeds: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Return seeds as int64, in which −1 marks a missing one; Minari's may need 64 bits without a sign."""
    if seeds is None or seeds.dtype.kind != "u":
        return seeds
    limit = np.iinfo(np.int64).max
    return np.where(seeds > limit, -1, np.minimum(seeds, limit).astype(np.int64))


def _joined_extra(key: str, parts: Sequence[Episodes], steps: int) -> npt.NDArray[Any]:
    arrays = [part.extras.get(key) for part in parts]
    if key.startswith(STEP_PREFIX):
        arrays = [None if array is None else _padded(array, steps) for array in arrays]
    if key == "seed" and not all(array is not None and array.dtype.kind == "u" for array in arrays):
        arrays = [_signed(array) for array in arrays]
    known = [array for array in arrays if array is not None]
    if len({(array.dtype.kind, array.shape[1:]) for array in known}) > 1:
        raise UserError(f"{key} is not of the same kind and shape in every file; take it out of one of them")
    shape, dtype = known[0].shape[1:], np.result_type(*known)
    if len(known) < len(parts) and dtype.kind not in MISSING:
        raise UserError(f"{key} is in some of the files only, and no value can mark it as missing in the others")
    return np.concatenate(
        [
            np.full((part.number, *shape), MISSING[dtype.kind], dtype=dtype) if array is None else array
            for part, array in zip(parts, arrays, strict=True)
        ]
    )
