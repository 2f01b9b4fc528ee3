"""Recorded episodes, of people and of scripted players, and the file that is complete after every episode."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import numpy.typing as npt

from quantilizers.choices import whole_number
from quantilizers.datasets.demonstrations import check_environment
from quantilizers.demonstrations.episodes import (
    FINAL_OBSERVATION,
    STEP_PREFIX,
    TERMINATED,
    WITHOUT_OBSERVATIONS,
    Episodes,
    concatenate,
    load_episodes,
)
from quantilizers.envs.actions import environment_action, file_action, file_dtype
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import check_recorded_options, environment_and_options
from quantilizers.envs.two_rewards import reset_seed
from quantilizers.errors import ExistsError, UserError, guarded, shown
from quantilizers.files import holding

#: A scripted player: from an observation, or from it and a random generator, to an action of the environment.
Act: TypeAlias = Callable[..., Any]


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
    terminated: bool | None = None  # whether it ended by itself rather than at the horizon; None before it has ended
    recorded_at: str = ""  # when it began, ISO 8601 with the time zone

    @property
    def true_return(self) -> float:
        """The sum of the true rewards."""
        return sum(self.true_rewards)

    def add_step(self, observation: npt.NDArray[Any], action: npt.NDArray[Any], info: Mapping[str, Any]) -> None:
        """Append one step: the observation before the action, the action (A,), and the step's info.

        Raises:
            UserError: files cannot hold its reward, or a field of its info that rewards read.
        """
        step = len(self.actions) + 1
        if not math.isfinite(info["true_reward"]):
            raise UserError(
                f"{self.environment.name} returned the true reward {info['true_reward']} at step {step} from seed "
                f"{self.seed}; mend the environment or the reward"
            )
        for name in self._fields:
            _check_field(name, info[name], self.info.get(name, [info[name]])[0], step)
        left_out = self.environment.recordings.replay_observations is not None
        self.observations.append(np.zeros(WITHOUT_OBSERVATIONS) if left_out else np.array(observation))
        self.actions.append(action)
        self.true_rewards.append(float(info["true_reward"]))
        for name in self._fields:
            self.info.setdefault(name, []).append(info[name])

    def take_step(self, game: gymnasium.Env[Any, Any], observation: Any, action: npt.NDArray[Any]) -> tuple[Any, bool]:
        """Step a game with an action (A,) and add the step.

        Returns the next observation and whether the episode has ended.
        """
        before = np.array(observation)
        observation, _, terminated, truncated, info = game.step(environment_action(action, game.action_space))
        self.add_step(before, action, info)
        ended = bool(terminated or truncated)
        if ended:
            self.final_observation = np.array(observation)
            self.terminated = bool(terminated)
            self.proxy_return = float(info["proxy_return"])
        return observation, ended

    def as_episodes(self) -> Episodes:
        """Return it as a data set of one episode.

        Its extras are `seed` and `player`, `recorded_at` and `terminated` if they are known, `final_observation` if
        observations are kept, and `info_…` for each field of `info` that a reward is computed from.
        """
        extras = {f"{STEP_PREFIX}{name}": np.array([values]) for name, values in self.info.items()}
        if self.environment.recordings.replay_observations is None and self.final_observation is not None:
            extras[FINAL_OBSERVATION] = np.array([self.final_observation], dtype=self.environment.observation_dtype)
        if self.recorded_at:
            extras["recorded_at"] = np.array([self.recorded_at])
        if self.terminated is not None:
            extras[TERMINATED] = np.array([self.terminated])
        return Episodes(
            observations=np.array([self.observations], dtype=self.environment.observation_dtype),
            # A replay is exact to the bit only if actions keep their precision.
            actions=np.array([self.actions], dtype=file_dtype(self.environment.action_space)),
            true_rewards=np.array([self.true_rewards], dtype=np.float64),
            done=np.zeros((1, len(self.actions)), dtype=np.bool_),
            extras={
                **extras,
                "seed": np.array([self.seed], dtype=np.int64),
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


def _check_field(name: str, value: Any, first: Any, step: int) -> None:
    """Refuse a field of the info that is not numbers of one shape in all steps."""
    (found, wanted) = (np.asarray(one) for one in (value, first))
    if found.dtype.kind not in "biuf" or found.shape != wanted.shape:
        what = "no number" if found.dtype.kind not in "biuf" else f"of shape {found.shape}, and {wanted.shape} at first"
        raise UserError(
            f"the field {name} of the info, which a reward reads, is {shown(value, 60)} at step {step}, {what}; "
            "recordings hold numbers of one shape, so let the environment give these"
        )


def play_episode(
    game: gymnasium.Env[Any, Any], episode: Episode, act: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> None:
    """Play an episode from its reset seed to its end.

    Args:
        game: the environment.
        episode: without steps; they are added.
        act: from an observation to an action (A,), in the form of files.
    """
    observation, _ = game.reset(seed=episode.seed)
    ended = False
    while not ended:
        observation, ended = episode.take_step(game, observation, act(np.array(observation)))


def record(
    environment: str | Path | EnvironmentDefinition,
    act: Act | Sequence[Act],
    episodes: int | None = None,
    *,
    player: str | Sequence[str] = "simulated player",
    seed: int | Sequence[int] = 0,
    max_steps: int | None = None,
    options: Mapping[str, Any] | None = None,
    extras: Mapping[str, npt.ArrayLike] | None = None,
) -> Episodes:
    """Record episodes of a scripted player. The same arguments give the same episodes.

    >>> from quantilizers import record
    >>> record("MountainCar-v0", lambda observation: 2 if observation[1] > 0 else 0, episodes=3).lengths.tolist()
    [158, 87, 155]

    Args:
        environment: its definition, its name, or the address of one of your own, such as `my_env.py:ENVIRONMENT`.
        act: the player: a function of an observation, or of an observation and a NumPy random generator, that returns
            an action as the environment takes it. A player who remembers earlier steps is made for each episode: give a
            list, one function an episode.
        episodes: their number, N; None takes that of the list of players.
        player: the name that is kept with each episode, or N names. Those of simulated players begin with `simulated`,
            which tables and figures then say.
        seed: from which the reset seeds are drawn; or the N reset seeds.
        max_steps: steps after which an episode is cut; None takes the definition's.
        options: of the environment.
        extras: further arrays of the file, with one entry an episode, (N, …), such as `group`.

    Returns:
        N episodes, to be saved with `Episodes.save`.

    Raises:
        UserError: the environment or the player fails, an action is not in the action space, or the numbers of
            episodes, players, names and seeds differ.
    """
    definition, chosen = environment_and_options(environment, options or {})
    check_recorded_options(definition, chosen)
    players = [act] if callable(act) else list(act) if isinstance(act, Iterable) else []
    if not players or not all(map(callable, players)):
        raise UserError(
            f"act is {shown(act, 60)}; give a function of an observation, or a list with one for each episode"
        )
    number = whole_number("episodes", len(players) if episodes is None and not callable(act) else episodes)
    names = [player] if isinstance(player, str) else list(player)
    players, names = (_one_each(found, number, kind) for found, kind in ((players, "players"), (names, "names")))
    first = 0 if np.ndim(seed) else reset_seed(seed)
    drawn = np.random.default_rng(first)
    seeds = drawn.integers(2**31, size=number).tolist() if not np.ndim(seed) else _reset_seeds(seed, number)
    game = make_environment(definition, max_steps=max_steps, **chosen)
    parts = []
    try:
        for index, (acting, name, start) in enumerate(zip(players, names, seeds, strict=True)):
            episode = Episode(definition, name, start, chosen)
            random = np.random.default_rng([first, index])
            play_episode(game, episode, _Scripted(acting, random, game.action_space, episode))
            parts.append(episode.as_episodes())
    finally:
        game.close()
    joined = concatenate(parts)
    return replace(
        joined, extras={**joined.extras, **{key: np.asarray(value) for key, value in (extras or {}).items()}}
    )


def _one_each(found: list[Any], number: int, kind: str) -> list[Any]:
    if len(found) not in (1, number):
        raise UserError(f"there are {len(found)} {kind} for {number} episodes; give one, or one for each episode")
    return found * number if len(found) == 1 else found


def _reset_seeds(seeds: int | Sequence[int], number: int) -> list[int]:
    found = np.asarray(seeds)
    if found.shape != (number,) or found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= 2**63:
        raise UserError(
            f"seed is {seeds!r}; give a whole number, or a reset seed from 0 on for each of {number} episodes"
        )
    return [int(one) for one in found]


class _Scripted:
    """A scripted player's actions in the form of files."""

    def __init__(
        self, act: Act, random: np.random.Generator, space: gymnasium.spaces.Space[Any], episode: Episode
    ) -> None:
        self._act, self._space, self._episode = act, space, episode
        self._more = (random,) if _takes_two(act) else ()

    def __call__(self, observation: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with guarded(self._where):
            chosen = self._act(observation, *self._more)
        try:
            return file_action(chosen, self._space)
        except ValueError as error:
            raise UserError(f"{self._where} returned {error}") from None

    @property
    def _where(self) -> str:
        step = len(self._episode.actions) + 1
        return f"act of {self._episode.player}, in step {step} from seed {self._episode.seed},"


def _takes_two(act: Act) -> bool:
    """Whether a player takes a random generator beside the observation."""
    try:
        parameters = inspect.signature(act).parameters.values()
    except (TypeError, ValueError):  # of a function in C
        return False
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len([one for one in places if one.default is one.empty]) > 1


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
        if key in episodes.extras and key in episode.extras:
            same &= episodes.extras[key] == episode.extras[key][0]
    for index in np.flatnonzero(same)[::-1]:
        if np.array_equal(episodes.actions[index, :steps], episode.actions[0]):
            return np.delete(np.arange(episodes.number), index)
    return np.arange(episodes.number)


class _Zeros(dict[str, Any]):
    """An info whose missing fields are 0."""

    def __missing__(self, key: str) -> float:
        return 0.0
