"""The file that a recording grows in: whole after every episode."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations import WITHOUT_OBSERVATIONS, Demonstrations, load_demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.merging import concatenate


@dataclass
class Episode:
    """One episode while and after it is played.

    Attributes:
        environment: what is played.
        player: a name to keep with it.
        seed: the environment was reset with it.
        observations: before each action; empty where the environment makes them again from the seed and the
            actions.
        actions: (A,) each, as `EnvironmentDefinition.action_classes` has them.
        true_rewards: of each step.
        proxy_return: as the environment paid it.
        recorded_at: when it began, ISO 8601 with the time zone.
    """

    environment: EnvironmentDefinition
    player: str
    seed: int
    observations: list[npt.NDArray[Any]] = field(default_factory=list)
    actions: list[npt.NDArray[Any]] = field(default_factory=list)
    true_rewards: list[float] = field(default_factory=list)
    proxy_return: float = 0.0
    recorded_at: str = ""

    @property
    def true_return(self) -> float:
        """The sum of the true rewards."""
        return sum(self.true_rewards)

    def add_step(self, observation: npt.NDArray[Any], action: npt.NDArray[Any], true_reward: float) -> None:
        """Keep one step: the observation before the action, the action, and what it earned."""
        left_out = self.environment.replay_observations is not None
        self.observations.append(np.zeros(WITHOUT_OBSERVATIONS) if left_out else np.array(observation))
        self.actions.append(action)
        self.true_rewards.append(true_reward)

    def as_demonstrations(self) -> Demonstrations:
        """Return it as a data set of one episode, with the extras `seed`, `recorded_at` and `player`."""
        return Demonstrations(
            observations=np.array([self.observations], dtype=self.environment.observation_dtype),
            actions=np.array([self.actions], dtype=np.float32),
            true_rewards=np.array([self.true_rewards], dtype=np.float64),
            done=np.zeros((1, len(self.actions)), dtype=np.bool_),
            extras={
                "seed": np.array([self.seed], dtype=np.int64),
                "recorded_at": np.array([self.recorded_at]),
                "player": np.array([self.player]),
            },
        )


class Recording:
    """The episodes of one sitting and the file that holds them, after those that it held before.

    Every change is on disk when the call returns; a crash at any moment leaves a whole file.

    Args:
        path: the npz file.
        environment: what is played.
        player: a name kept with each episode.
        append: add to the file, where otherwise there must be none.

    Attributes:
        path: the file.
        episodes: of this sitting.

    Raises:
        UserError: the file is there and `append` is not wanted, or it is no data set that can be added to.
    """

    def __init__(self, path: Path, environment: EnvironmentDefinition, player: str, append: bool) -> None:
        if path.exists() and not append:
            raise UserError(f"{path} exists; add to it with --append or choose another --filename")
        self.path = path
        self.episodes: list[Episode] = []
        self._environment = environment
        self._player = player
        self._before = [load_demonstrations(path, environment)] if path.exists() else []
        self._played: list[Demonstrations] = []
        if self._before:
            self._check_continues(self._before[0])

    def new_episode(self, seed: int) -> Episode:
        """Return an episode in which nothing was played yet."""
        return Episode(self._environment, self._player, seed)

    def add(self, episode: Episode) -> None:
        """Keep one more finished episode."""
        self.episodes.append(episode)
        self._played.append(episode.as_demonstrations())
        self._save()

    def discard_last(self) -> bool:
        """Drop the last episode of this sitting; return whether there was one."""
        if not self.episodes:
            return False
        self.episodes.pop()
        self._played.pop()
        self._save()
        return True

    def _check_continues(self, before: Demonstrations) -> None:
        """Refuse now what could not be saved after the first episode."""
        episode = self.new_episode(0)
        episode.add_step(before.observations[0, 0], before.actions[0, 0], 0.0)
        try:
            concatenate([before, episode.as_demonstrations()])
        except UserError as error:
            raise UserError(f"nothing can be added to {self.path}: {error}") from None

    def _save(self) -> None:
        parts = [*self._before, *self._played]
        if parts:
            concatenate(parts).save(self.path)
        else:
            self.path.unlink(missing_ok=True)
