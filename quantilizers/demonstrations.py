"""Demonstrations: the file format, what makes one valid, their ranking and the top-q split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.errors import UserError

if TYPE_CHECKING:
    from quantilizers.envs.definition import EnvironmentDefinition

#: Shape of an observation in files that leave observations to be made anew from actions and reset seeds.
WITHOUT_OBSERVATIONS = (0,)
KEYS = ("obs", "acs", "rews", "done", "ep_rets")


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """N episodes of at most T steps, zero padded; the layout that OpenAI baselines' GAIL loader reads.

    Attributes:
        observations: (N, T, …) before each action; `obs` in the file.
        actions: (N, T, A); `acs`.
        true_rewards: (N, T); `rews`.
        done: (N, T) bool, True on padding; `done`.
        extras: further arrays of the file, each with one entry an episode, (N, …): its reset seed, who played.

    Raises:
        UserError: the arrays cannot be demonstrations: wrong shapes, an empty episode, padding before an
            episode's end, or values that are no numbers.
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

    def select(self, episodes: npt.NDArray[np.intp] | slice) -> Demonstrations:
        """Return the given episodes, in the given order, without padding that all of them share.

        A slice shares the arrays, an array of indices copies what it chooses.
        """
        steps = int(self.lengths[episodes].max())
        return Demonstrations(
            observations=self.observations[episodes, :steps],
            actions=self.actions[episodes, :steps],
            true_rewards=self.true_rewards[episodes, :steps],
            done=self.done[episodes, :steps],
            extras={key: array[episodes] for key, array in self.extras.items()},
        )

    def transitions(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return all real steps, episode after episode: observations (n, …) and actions (n, A)."""
        real = ~self.done
        return self.observations[real], self.actions[real]

    def save(self, path: Path) -> None:
        """Write the npz file, atomically. The same demonstrations give the same bytes.

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


class WrongEnvironmentError(UserError):
    """Demonstrations have observations or actions that the environment does not have.

    Attributes:
        demonstrations: what they are.
    """

    def __init__(self, message: str, demonstrations: Demonstrations) -> None:
        super().__init__(message)
        self.demonstrations = demonstrations


def load_demonstrations(path: Path, environment: EnvironmentDefinition) -> Demonstrations:
    """Read demonstrations of an environment from an npz file, and refuse what cannot be any.

    Args:
        path: the file.
        environment: what they must be demonstrations of.

    Raises:
        UserError: the file cannot be read, is no data set, or is one of another environment; the message
            names the file and the problem.
    """
    arrays = load_arrays(path, KEYS)
    returns = arrays.pop("ep_rets")
    try:
        demonstrations = Demonstrations(
            observations=arrays.pop("obs"),
            actions=arrays.pop("acs"),
            true_rewards=arrays.pop("rews"),
            done=arrays.pop("done"),
            extras=arrays,
        )
        check_environment(demonstrations, environment)
        check_returns(returns, demonstrations)
    except WrongEnvironmentError as error:
        raise WrongEnvironmentError(f"{path}: {error}; see the format in README.md", error.demonstrations) from None
    except UserError as error:
        raise UserError(f"{path}: {error}; see the format in README.md") from None
    return demonstrations


def check_returns(returns: npt.NDArray[Any], demonstrations: Demonstrations) -> None:
    """Refuse returns that are not the sums of the rewards: one of the two is damaged.

    Raises:
        UserError: they are not.
    """
    expected = demonstrations.true_returns
    if returns.shape != expected.shape or not np.allclose(returns, expected, rtol=1e-4, atol=1e-3):
        raise UserError("ep_rets is not the sum of rews over each episode")


def check_environment(demonstrations: Demonstrations, environment: EnvironmentDefinition) -> None:
    """Refuse demonstrations whose observations or actions the environment does not have.

    Raises:
        WrongEnvironmentError: they are of another environment.
    """
    shape = demonstrations.observations.shape[2:]
    may_replay = environment.replay_observations is not None and shape == WITHOUT_OBSERVATIONS
    if shape != environment.observation_shape and not may_replay:
        raise WrongEnvironmentError(
            f"obs has observations of shape {shape} where {environment.name} has {environment.observation_shape}; "
            "is it another environment's?",
            demonstrations,
        )
    components = demonstrations.actions.shape[2]
    if components != len(environment.action_classes):
        raise WrongEnvironmentError(
            f"acs has {components} components where {environment.name} has {len(environment.action_classes)}",
            demonstrations,
        )
    real = ~demonstrations.done
    for component, classes in enumerate(environment.action_classes):
        values = demonstrations.actions[..., component][real]
        strange = values[~np.isin(values, classes)]
        if len(strange):
            raise WrongEnvironmentError(
                f"acs holds the action {strange[0]:g}, which {environment.name} does not have", demonstrations
            )


def number_kept(quantile: float, number: int) -> int:
    """Return how many of `number` demonstrations quantile q keeps: max(1, floor(q·N)).

    The product is that of the decimal number the user wrote: 0.29 of 100 is 29, though the nearest binary
    fraction to 0.29 lies below it.
    """
    return max(1, math.floor(Decimal(str(quantile)) * number))


def top_quantile(demonstrations: Demonstrations, proxy_returns: npt.NDArray[Any], quantile: float) -> Demonstrations:
    """Keep the top q of the demonstrations by proxy return (Taylor 2016; Carey 2019).

    Args:
        demonstrations: N episodes.
        proxy_returns: (N,), the ranking; ties keep the order of the file.
        quantile: q, 0 < q ≤ 1.

    Returns:
        The best max(1, floor(q·N)) episodes, best first.
    """
    return demonstrations.select(best_episodes(proxy_returns, quantile))


def best_episodes(proxy_returns: npt.NDArray[Any], quantile: float) -> npt.NDArray[np.intp]:
    """Return the indices of the episodes that `top_quantile` keeps, best first."""
    best_first: npt.NDArray[np.intp] = np.argsort(-np.asarray(proxy_returns, dtype=np.float64), kind="stable")
    return best_first[: number_kept(quantile, len(best_first))]
