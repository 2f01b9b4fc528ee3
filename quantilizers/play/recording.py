"""The file that a recording grows in: whole after every episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.checking import check_environment
from quantilizers.demonstrations.episodes import (
    FINAL_OBSERVATION,
    STEP_PREFIX,
    WITHOUT_OBSERVATIONS,
    Episodes,
    load_episodes,
)
from quantilizers.demonstrations.merging import concatenate
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import ExistsError, UserError


@dataclass
class Episode:
    """One episode while and after it is played.

    Attributes:
        environment: what is played.
        player: a name to keep with it.
        seed: the environment was reset with it.
        options: further arguments that the environment was made with.
        observations: before each action; empty where the environment makes them again from the seed and the
            actions.
        final_observation: after the last action.
        actions: (A,) each, as files keep them.
        true_rewards: of each step.
        proxy_return: as the environment paid it.
        info: for each field of the info that a reward is made of, its values step by step.
        recorded_at: when it began, ISO 8601 with the time zone.
    """

    environment: EnvironmentDefinition
    player: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    observations: list[npt.NDArray[Any]] = field(default_factory=list)
    final_observation: npt.NDArray[Any] | None = None
    actions: list[npt.NDArray[Any]] = field(default_factory=list)
    true_rewards: list[float] = field(default_factory=list)
    proxy_return: float = 0.0
    info: dict[str, list[Any]] = field(default_factory=dict)
    recorded_at: str = ""

    @property
    def true_return(self) -> float:
        """The sum of the true rewards."""
        return sum(self.true_rewards)

    def add_step(self, observation: npt.NDArray[Any], action: npt.NDArray[Any], info: Mapping[str, Any]) -> None:
        """Keep one step.

        Args:
            observation: before the action.
            action: (A,), as files keep it.
            info: what the environment said of the step.
        """
        left_out = self.environment.recordings.replay_observations is not None
        self.observations.append(np.zeros(WITHOUT_OBSERVATIONS) if left_out else np.array(observation))
        self.actions.append(action)
        self.true_rewards.append(float(info["true_reward"]))
        for name in self._fields:
            self.info.setdefault(name, []).append(info[name])

    def as_episodes(self) -> Episodes:
        """Return it as a data set of one episode.

        Its extras are `seed`, `recorded_at` and `player`, `final_observation` where observations are kept, and
        `info_…` for each field of the info that a reward is made of.
        """
        extras = {f"{STEP_PREFIX}{name}": np.array([values]) for name, values in self.info.items()}
        if self.environment.recordings.replay_observations is None and self.final_observation is not None:
            extras[FINAL_OBSERVATION] = np.array([self.final_observation], dtype=self.environment.observation_dtype)
        # What was played is what is replayed, to the bit.
        is_double = self.environment.action_space.dtype == np.float64
        return Episodes(
            observations=np.array([self.observations], dtype=self.environment.observation_dtype),
            actions=np.array([self.actions], dtype=np.float64 if is_double else np.float32),
            true_rewards=np.array([self.true_rewards], dtype=np.float64),
            done=np.zeros((1, len(self.actions)), dtype=np.bool_),
            extras={
                **extras,
                "seed": np.array([self.seed], dtype=np.int64),
                "recorded_at": np.array([self.recorded_at]),
                "player": np.array([self.player]),
            },
        )

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        """Return the fields of the info that rewards are made of.

        Where observations are made again from the seed and the actions, so are these.
        """
        if self.environment.recordings.replay_observations is not None:
            return ()
        proxy, true = self.environment.rewards(self.options)
        return tuple(dict.fromkeys((*proxy.info, *true.info)))


class Recording:
    """The episodes of one sitting and the file that holds them, after those that it held before.

    Every change is on disk when the call returns; a crash at any moment leaves a whole file.

    Args:
        path: the npz file.
        environment: what is played.
        player: a name kept with each episode.
        append: add to the file, where otherwise there must be none.
        options: further arguments that the environment is made with.

    Attributes:
        path: the file.
        episodes: of this sitting.

    Raises:
        ExistsError: the file is there and `append` is not wanted.
        UserError: it is not a data set that can be added to.
    """

    def __init__(
        self,
        path: Path,
        environment: EnvironmentDefinition,
        player: str,
        append: bool,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if path.exists() and not append:
            raise ExistsError(f"{path} is there already")
        self.path = path
        self.episodes: list[Episode] = []
        self._environment = environment
        self._player = player
        self._options = options or {}
        self._before = [load_episodes(path)] if path.exists() else []
        self._played: list[Episodes] = []
        if self._before:
            self._check_continues(self._before[0])

    def new_episode(self, seed: int) -> Episode:
        """Return an episode in which nothing was played yet."""
        return Episode(self._environment, self._player, seed, self._options)

    def add(self, episode: Episode) -> None:
        """Keep one more finished episode."""
        self.episodes.append(episode)
        self._played.append(episode.as_episodes())
        self._save()

    def discard_last(self) -> bool:
        """Drop the last episode of this sitting; return whether there was one."""
        if not self.episodes:
            return False
        self.episodes.pop()
        self._played.pop()
        self._save()
        return True

    def _check_continues(self, before: Episodes) -> None:
        """Refuse now what could not be saved after the first episode."""
        episode = self.new_episode(0)
        fields = {name: values[0, 0] for name, values in before.step_info.items()}
        try:
            check_environment(before, self._environment)
            episode.add_step(before.observations[0, 0], before.actions[0, 0], _Zeros({**fields, "true_reward": 0.0}))
            episode.final_observation = before.observations[0, 0]
            concatenate([before, episode.as_episodes()])
        except UserError as error:
            raise UserError(f"nothing can be added to {self.path}: {error}") from None

    def _save(self) -> None:
        parts = [*self._before, *self._played]
        if parts:
            concatenate(parts).save(self.path)
        else:
            self.path.unlink(missing_ok=True)


class _Zeros(dict[str, Any]):
    """An info in which every field that is not said is 0."""

    def __missing__(self, key: str) -> float:
        return 0.0
