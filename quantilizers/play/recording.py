"""Recorded episodes and the file that they are saved in, which is complete after every episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import check_environment
from quantilizers.demonstrations.episodes import (
    FINAL_OBSERVATION,
    STEP_PREFIX,
    WITHOUT_OBSERVATIONS,
    Episodes,
    concatenate,
    load_episodes,
)
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import ExistsError, UserError
from quantilizers.files import holding


@dataclass
class Episode:
    """One episode while and after it is played."""

    environment: EnvironmentDefinition
    player: str  # a name to keep with the episode
    seed: int  # its reset seed
    options: Mapping[str, Any] = field(default_factory=dict)  # of the environment
    #: Before each action; empty if the environment can recompute them from the seed and the actions.
    observations: list[npt.NDArray[Any]] = field(default_factory=list)
    final_observation: npt.NDArray[Any] | None = None  # after the last action
    actions: list[npt.NDArray[Any]] = field(default_factory=list)  # (A,) each, as files keep them
    true_rewards: list[float] = field(default_factory=list)  # one a step
    proxy_return: float = 0.0  # as the environment gives it
    info: dict[str, list[Any]] = field(default_factory=dict)  # each field that a reward is computed from, by step
    recorded_at: str = ""  # when it began, ISO 8601 with the time zone

    @property
    def true_return(self) -> float:
        """The sum of the true rewards."""
        return sum(self.true_rewards)

    def add_step(self, observation: npt.NDArray[Any], action: npt.NDArray[Any], info: Mapping[str, Any]) -> None:
        """Append one step: the observation before the action, the action (A,), and the step's info."""
        left_out = self.environment.recordings.replay_observations is not None
        self.observations.append(np.zeros(WITHOUT_OBSERVATIONS) if left_out else np.array(observation))
        self.actions.append(action)
        self.true_rewards.append(float(info["true_reward"]))
        for name in self._fields:
            self.info.setdefault(name, []).append(info[name])

    def as_episodes(self) -> Episodes:
        """Return it as a data set of one episode.

        Its extras are `seed`, `recorded_at` and `player`, `final_observation` if observations are kept, and
        `info_…` for each field of `info` that a reward is computed from.
        """
        extras = {f"{STEP_PREFIX}{name}": np.array([values]) for name, values in self.info.items()}
        if self.environment.recordings.replay_observations is None and self.final_observation is not None:
            extras[FINAL_OBSERVATION] = np.array([self.final_observation], dtype=self.environment.observation_dtype)
        # A replay is exact to the bit only if actions keep their precision.
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
        """The fields of `info` that rewards are computed from; none if a replay recomputes them."""
        if self.environment.recordings.replay_observations is not None:
            return ()
        proxy, true = self.environment.rewards(self.options)
        return tuple(dict.fromkeys((*proxy.info, *true.info)))


class Recording:
    """The episodes of one session and their file, which may hold others, also of sessions at the same time.

    Every change is on disk when the call returns, and a crash at any moment leaves a complete file. The file is read
    again before each change, because another session may have written it.

    `episodes` are those of this session, `unfinished` the one that is being played, which is not saved. The player's
    name is kept with each. `lock` is held while the file changes; without one no other process may write it.

    Raises:
        ExistsError: the file exists and `append` is False.
        UserError: the file is not a data set that such episodes can be added to.
    """

    def __init__(
        self,
        path: Path,
        environment: EnvironmentDefinition,
        player: str,
        append: bool,
        options: Mapping[str, Any] | None = None,
        lock: Path | None = None,
    ) -> None:
        if path.exists() and not append:
            raise ExistsError(f"{path} is there already")
        self.path = path
        self.episodes: list[Episode] = []
        self.unfinished: Episode | None = None
        self._environment = environment
        self._player = player
        self._options = options or {}
        self._locks = [] if lock is None else [lock]
        if path.exists():
            self._check_continues(load_episodes(path))

    def new_episode(self, seed: int) -> Episode:
        """Return an empty episode."""
        return Episode(self._environment, self._player, seed, self._options)

    def add(self, episode: Episode) -> None:
        """Add a finished episode and save the file."""
        with holding(self._locks, _wait):
            before = [load_episodes(self.path)] if self.path.exists() else []
            concatenate([*before, episode.as_episodes()]).save(self.path)
        self.episodes.append(episode)

    def discard_last(self) -> bool:
        """Remove the last episode of this session and save the file; return whether there was one."""
        if not self.episodes:
            return False
        with holding(self._locks, _wait):
            if self.path.exists():
                found = load_episodes(self.path)
                others = _without(found, self.episodes[-1].as_episodes())
                if len(others) == 0:
                    self.path.unlink()
                elif len(others) < found.number:
                    found.select(others).save(self.path)
        self.episodes.pop()
        return True

    def _check_continues(self, before: Episodes) -> None:
        """Fail now rather than after the first episode if the file cannot be added to."""
        episode = self.new_episode(0)
        fields = {name: values[0, 0] for name, values in before.step_info.items()}
        try:
            check_environment(before, self._environment)
            episode.add_step(before.observations[0, 0], before.actions[0, 0], _Zeros({**fields, "true_reward": 0.0}))
            episode.final_observation = before.observations[0, 0]
            concatenate([before, episode.as_episodes()])
        except UserError as error:
            raise UserError(f"nothing can be added to {self.path}: {error}") from None


def _wait(holder: str) -> None:
    """Say nothing: another session holds the lock for as long as it takes to write the file."""


def _without(episodes: Episodes, episode: Episodes) -> npt.NDArray[np.intp]:
    """Return the indices of all episodes but the last that equals a data set of one episode."""
    steps = int(episode.lengths[0])
    same = episodes.lengths == steps
    for key in ("seed", "recorded_at", "player"):
        if key in episodes.extras:
            same &= episodes.extras[key] == episode.extras[key][0]
    for index in np.flatnonzero(same)[::-1]:
        if np.array_equal(episodes.actions[index, :steps], episode.actions[0]):
            return np.delete(np.arange(episodes.number), index)
    return np.arange(episodes.number)


class _Zeros(dict[str, Any]):
    """An info whose missing fields are 0."""

    def __missing__(self, key: str) -> float:
        return 0.0
