"""Episodes: the arrays, their file, and what makes them valid. They know no environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.errors import UserError

#: Shape of an observation in files that leave observations to be made anew from actions and reset seeds.
WITHOUT_OBSERVATIONS = (0,)
KEYS = ("obs", "acs", "rews", "done", "ep_rets")
#: The extra array that holds the observation after each episode's last action.
FINAL_OBSERVATION = "final_observation"
#: What the names of extra arrays begin with that have one entry a step.
STEP_PREFIX = "info_"


@dataclass(frozen=True, eq=False)
class Episodes:
    """N episodes of at most T steps, zero padded; the layout that OpenAI baselines' GAIL loader reads.

    Attributes:
        observations: (N, T, …) before each action; `obs` in the file.
        actions: (N, T, A); `acs`.
        true_rewards: (N, T); `rews`.
        done: (N, T) bool, True on padding; `done`.
        extras: further arrays of the file, each with one entry an episode, (N, …): its reset seed, who played,
            `final_observation`, the observation after its last action. Those called `info_…` have one entry a step,
            (N, T, …): what the environment's info said under the rest of the name.

    Raises:
        UserError: the arrays cannot be episodes: wrong shapes, an empty episode, padding before an episode's end, or
            values that are not numbers.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    true_rewards: npt.NDArray[Any]
    done: npt.NDArray[np.bool_]
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.done.ndim != 2 or 0 in self.done.shape or self.done.dtype != np.bool_:
            raise UserError(f"done is {self.done.dtype} {self.done.shape}, not bool (episodes, steps)")
        for name, array in (("obs", self.observations), ("acs", self.actions), ("rews", self.true_rewards)):
            if array.shape[:2] != self.done.shape:
                raise UserError(f"{name} has shape {array.shape}, which does not begin with done's {self.done.shape}")
            if array.dtype.kind not in "biuf":
                raise UserError(f"{name} holds {array.dtype}, not numbers")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UserError(f"{name} holds NaN or infinity")
        if self.actions.ndim != 3 or self.true_rewards.ndim != 2:
            raise UserError(
                f"acs has shape {self.actions.shape} and rews {self.true_rewards.shape}, "
                "not (episodes, steps, components) and (episodes, steps)"
            )
        if self.done[:, 0].any():
            raise UserError(f"episode {int(np.argmax(self.done[:, 0]))} has no step")
        if (self.done[:, :-1] & ~self.done[:, 1:]).any():
            raise UserError("done is True before an episode's end; it marks padding, which stands at the end only")
        for key, array in self.extras.items():
            if array.ndim == 0 or len(array) != self.number or array.dtype.kind == "O":
                raise UserError(f"{key} has shape {array.shape}, not one entry for each of {self.number} episodes")
            if key.startswith(STEP_PREFIX) and array.shape[:2] != self.done.shape:
                raise UserError(f"{key} has shape {array.shape}, which does not begin with done's {self.done.shape}")
            # Rewards are made of these.
            if (key == FINAL_OBSERVATION or key.startswith(STEP_PREFIX)) and array.dtype.kind not in "biuf":
                raise UserError(f"{key} holds {array.dtype}, not numbers")
            if key == "player" and array.ndim != 1:
                raise UserError(f"player has shape {array.shape}, not one name for each episode")
        finals = self.extras.get(FINAL_OBSERVATION)
        if finals is not None and finals.dtype.kind == "f" and np.isinf(finals).any():
            raise UserError(f"{FINAL_OBSERVATION} holds infinity")

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
    def true_returns(self) -> npt.NDArray[np.float64]:
        """True return of each episode, (N,)."""
        returns: npt.NDArray[np.float64] = np.where(self.done, 0.0, self.true_rewards).sum(axis=1, dtype=np.float64)
        return returns

    @property
    def final_observations(self) -> npt.NDArray[Any] | None:
        """The observations after the last actions, (N, …); None where the file lacks one of them."""
        finals = self.extras.get(FINAL_OBSERVATION)
        if finals is None or finals.shape[1:] != self.observations.shape[2:]:
            return None
        # Merged files have NaN where a part had none.
        return None if finals.dtype.kind == "f" and np.isnan(finals).any() else finals

    @property
    def step_info(self) -> dict[str, npt.NDArray[Any]]:
        """Further quantities of each step by name, (N, T, …) each, as far as the file has any."""
        return {
            key.removeprefix(STEP_PREFIX): array for key, array in self.extras.items() if key.startswith(STEP_PREFIX)
        }

    def select(self, episodes: npt.NDArray[np.intp] | slice) -> Episodes:
        """Return the given episodes, in the given order, without padding that all of them share.

        A slice shares the arrays, an array of indices copies what it chooses.
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

    def save(self, path: Path) -> None:
        """Write the npz file, atomically. The same episodes give the same bytes.

        Raises:
            UserError: the file cannot be written.
        """
        arrays = {
            "obs": self.observations,
            "acs": self.actions,
            "rews": self.true_rewards,
            "done": self.done,
            "ep_rets": self.true_returns,
        }
        save_arrays(path, {**self.extras, **arrays})


def load_episodes(path: Path) -> Episodes:
    """Read episodes from an npz file, and refuse what cannot be any.

    Raises:
        UserError: the file cannot be read or is no data set; the message names the file and the problem.
    """
    arrays = load_arrays(path, KEYS)
    returns = arrays.pop("ep_rets")
    try:
        episodes = Episodes(
            observations=arrays.pop("obs"),
            actions=arrays.pop("acs"),
            true_rewards=arrays.pop("rews"),
            done=arrays.pop("done"),
            extras=arrays,
        )
        check_returns(returns, episodes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return episodes


def check_returns(returns: npt.NDArray[Any], episodes: Episodes) -> None:
    """Refuse returns that are not the sums of the rewards: one of the two is damaged.

    Raises:
        UserError: they are not, or no numbers; or the rewards add up to no finite number.
    """
    with np.errstate(over="ignore"):
        expected = episodes.true_returns
    if not np.isfinite(expected).all():
        raise UserError("rews adds up to infinity over an episode")
    if returns.dtype.kind not in "iuf":
        raise UserError(f"ep_rets holds {returns.dtype}, not numbers")
    if returns.shape != expected.shape or not np.allclose(returns, expected, rtol=1e-4, atol=1e-3):
        raise UserError("ep_rets is not the sum of rews over each episode")
