"""Demonstrations: episodes of an environment, ranked by their proxy return."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.checking import check_environment
from quantilizers.datasets.finding import find_episodes
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS, Episodes, load_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.recorded_rewards import proxy_rewards
from quantilizers.envs.registry import load_environment
from quantilizers.layout import Layout, log_directory
from quantilizers.quantilize import select
from quantilizers.rewards import FloatArray


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Episodes of an environment.

    Attributes:
        episodes: N of them.
        environment: where they were played.

    Raises:
        WrongEnvironmentError: the environment does not have such observations or actions.
    """

    episodes: Episodes
    environment: EnvironmentDefinition

    def __post_init__(self) -> None:
        check_environment(self.episodes, self.environment)

    @property
    def number(self) -> int:
        """N, the number of episodes."""
        return self.episodes.number

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Steps of each episode, (N,)."""
        return self.episodes.lengths

    @property
    def true_returns(self) -> FloatArray:
        """True return of each episode, (N,)."""
        return self.episodes.true_returns

    @property
    def players(self) -> npt.NDArray[Any] | None:
        """Who played each episode (N,); None where the file does not say of all, or one player played them all."""
        players = self.episodes.extras.get("player")
        if players is None or players.ndim != 1 or len(np.unique(players)) < 2:
            return None
        # Nobody knows how many people those without a name are.
        return None if players.dtype.kind == "U" and (players == "").any() else players

    @cached_property
    def proxy_rewards(self) -> FloatArray:
        """Proxy rewards (N, T) as the environment pays them, zero on padding.

        Raises:
            UserError: the recording lacks what the proxy is made of.
        """
        return proxy_rewards(self.environment, self.episodes)

    @property
    def proxy_returns(self) -> FloatArray:
        """Proxy return of each episode, (N,)."""
        returns: FloatArray = self.proxy_rewards.sum(axis=1)
        return returns

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of actions, rewards, lengths and observations.

        Observations that are made from actions and reset seeds, or that stay on disk, are left out: the actions
        determine them.
        """
        episodes = self.episodes
        digest = hashlib.sha256()
        arrays = [episodes.actions, episodes.true_rewards, episodes.done]
        if self.environment.recordings.replay_observations is None and isinstance(episodes.observations, np.ndarray):
            arrays.append(episodes.observations)
        for array in arrays:
            digest.update(repr((array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def top(self, quantile: float) -> Demonstrations:
        """Keep the top q by proxy return, best first (Taylor 2016; Carey 2019).

        Args:
            quantile: q, 0 < q ≤ 1.

        Returns:
            The best max(1, floor(q·N)) episodes; ties keep the order of the file.

        Raises:
            UserError: the quantile is impossible.
        """
        return self.select(select(self.proxy_returns, quantile))

    def select(self, episodes: npt.NDArray[np.intp] | slice) -> Demonstrations:
        """Return the given episodes, in the given order, without padding that all of them share."""
        return replace(self, episodes=self.episodes.select(episodes))

    def with_observations(self) -> Demonstrations:
        """Return them with their observations, made anew where the file left them out.

        Raises:
            UserError: they cannot be made, because the actions and seeds do not give the recorded rewards.
        """
        replay = self.environment.recordings.replay_observations
        if replay is None or self.episodes.observations.shape[2:] != WITHOUT_OBSERVATIONS:
            return self
        return replace(self, episodes=replace(self.episodes, observations=replay(self.episodes)))

    @classmethod
    def load(
        cls, dataset: str | Path = "demo", environment: str | EnvironmentDefinition = "MountainCar-v0"
    ) -> Demonstrations:
        """Read a data set.

        >>> demonstrations = Demonstrations.load("demo", "MountainCar-v0")
        >>> demonstrations.number, demonstrations.top(0.25).number
        (250, 62)

        Args:
            dataset: a path that ends in `.npz`, or a name: of `log/ENVIRONMENT/NAME.npz`, or `demo`, which ships.
            environment: its definition, its name, or the address of one of your own, such as `my_env.py:ENVIRONMENT`.

        Raises:
            UserError: there is no such data set or environment, or they do not go together.
        """
        definition = load_environment(environment) if isinstance(environment, str) else environment
        if Path(dataset).suffix == ".npz":
            return cls(load_episodes(Path(dataset)), definition)
        return cls.find(Layout(log_directory(), definition.name, str(dataset)), definition)

    @classmethod
    def find(cls, layout: Layout, environment: EnvironmentDefinition) -> Demonstrations:
        """Read the data set that a layout names.

        Raises:
            UserError: there is none of that name (the message lists those there are), or it is no data set.
        """
        return cls(find_episodes(layout, environment), environment)
