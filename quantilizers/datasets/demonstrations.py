"""Demonstrations: episodes of an environment, found by the name of their data set and ranked by their proxy return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from quantilizers.arrays import digest_of
from quantilizers.choices import WITHINS, FinalObservation, RecordedReward, Within, check_choice
from quantilizers.datasets.fields import Reading, Wanted, with_field_as_rewards
from quantilizers.datasets.formats import SUFFIXES, read_recording
from quantilizers.datasets.origins import check_origin
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, WITHOUT_OBSERVATIONS, Episodes
from quantilizers.envs.definition import EnvironmentDefinition, choice_ranges
from quantilizers.envs.recorded_rewards import complete, groups, proxy_rewards, true_rewards
from quantilizers.envs.registry import environment_and_options, load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.envs.two_rewards import outside_of
from quantilizers.errors import MissingError, UserError, did_you_mean, guarded
from quantilizers.execution.executor import Shared
from quantilizers.files import data_files
from quantilizers.layout import Layout, data_folder, log_directory, shipped_log
from quantilizers.quantilize import selected, selected_within
from quantilizers.rewards import FloatArray


class WrongEnvironmentError(UserError):
    """Episodes have observations or actions that the environment does not have."""


def check_environment(episodes: Episodes, environment: EnvironmentDefinition) -> None:
    """Raise a `WrongEnvironmentError` if the environment does not have such observations or actions."""
    shape = episodes.observations.shape[2:]
    may_replay = environment.recordings.replay_observations is not None and shape == WITHOUT_OBSERVATIONS
    if shape != environment.observation_shape and not may_replay:
        raise WrongEnvironmentError(
            f"obs has observations of shape {shape} where {environment.name} has {environment.observation_shape}; "
            "is it another environment's?"
        )
    _check_choices(episodes, environment)
    _check_type(episodes, environment)
    components = episodes.actions.shape[2]
    if components != environment.action_components:
        raise WrongEnvironmentError(
            f"acs has {components} components where {environment.name} has {environment.action_components}"
        )
    real = ~episodes.done
    if isinstance(environment.action_space, Box):
        _check_bounds(episodes.actions[real], environment)
        return
    for component, classes in enumerate(environment.action_classes or ()):
        values = episodes.actions[..., component][real]
        # A file in single precision holds 0.1 as the nearest number it has.
        known = np.asarray(classes, dtype=values.dtype if values.dtype.kind == "f" else np.float64)
        if len(np.unique(known)) < len(classes):
            raise WrongEnvironmentError(
                f"acs is {values.dtype}, which does not tell the actions of {environment.name} apart; save float64"
            )
        strange = values[~np.isin(values, known)]
        if len(strange):
            raise WrongEnvironmentError(f"acs holds the action {strange[0]:g}, which {environment.name} does not have")


def _check_type(episodes: Episodes, environment: EnvironmentDefinition) -> None:
    """Refuse observations that the type of a `Box` changes, as bytes change 0.5: policies could not act on them."""
    dtype, seen = environment.observation_dtype, episodes.observations
    if not isinstance(environment.observation_space, Box) or seen.dtype == dtype:
        return
    for name, array in (("obs", seen), (FINAL_OBSERVATION, episodes.final_observations)):
        if not isinstance(array, np.ndarray):
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            kept = array.astype(dtype)
        strange = array[kept != array] if dtype.kind in "biu" else array[~np.isfinite(kept)]
        if len(strange):
            raise WrongEnvironmentError(
                f"{name} holds the observation {strange[0]:g}, and {environment.name} observes {dtype}; was it scaled?"
            )


def _check_choices(episodes: Episodes, environment: EnvironmentDefinition) -> None:
    """Refuse observations that are none of the choices of a `Discrete`, `MultiDiscrete` or `MultiBinary` space."""
    ranges = choice_ranges(environment.observation_space)
    if ranges is None or episodes.observations.shape[2:] != environment.observation_shape:
        return
    lowest, numbers = ranges
    for name, seen in (("obs", episodes.transitions()[0]), (FINAL_OBSERVATION, episodes.final_observations)):
        if seen is None:
            continue
        rows = seen.reshape(len(seen), -1)
        strange = rows[(rows < lowest) | (rows >= lowest + numbers) | (rows != np.rint(rows))]
        if len(strange):
            raise WrongEnvironmentError(
                f"{name} holds the observation {strange[0]:g}, which {environment.name} does not have"
            )


def _check_bounds(actions: npt.NDArray[Any], environment: EnvironmentDefinition) -> None:
    """Refuse actions (n, A) outside of the space's bounds, but for rounding; policies imitate the nearest classes."""
    space = environment.action_space
    assert isinstance(space, Box)
    if line := outside_of(space, actions.reshape(len(actions), *space.shape), "an action"):
        raise WrongEnvironmentError(
            f"acs holds what {environment.name} does not have: {line}; clip them, if the environment does"
        )


#: Prefix of the names of extra arrays in `as_arrays`.
_EXTRA = "extra/"


@dataclass(frozen=True, eq=False, repr=False)
class Demonstrations:
    """N episodes that were played in an environment.

    Attributes:
        episodes: actions, true rewards and observations.
        environment: its definition.
        options: of the environment, under which the proxy ranks the episodes and true returns are; the others have
            their defaults.
        notes: on how a recording of another project was read, and on what stands for final observations that it lacks.

    Raises:
        WrongEnvironmentError: the environment does not have such observations or actions.
    """

    episodes: Episodes
    environment: EnvironmentDefinition
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_environment(self.episodes, self.environment)

    def __repr__(self) -> str:
        return f"Demonstrations({self.environment.name}: {self.episodes.words})"

    def __len__(self) -> int:
        """N, the number of episodes."""
        return self.number

    def __getitem__(self, episodes: Any) -> Demonstrations:
        """Select episodes, as the first axis of an array is: a number, a slice, indices or a mask (N,)."""
        if isinstance(episodes, tuple) and len(episodes) == 2 and episodes[1] is Ellipsis:
            episodes = episodes[0]  # as scikit-learn indexes what has a shape
        chosen = np.atleast_1d(np.arange(self.number)[episodes])
        if chosen.ndim != 1 or not len(chosen):
            raise IndexError(f"{episodes!r} selects none of {self.number} episodes")
        return self.select(chosen)

    @property
    def shape(self) -> tuple[int]:
        """(N,): libraries that split arrays split these by episodes."""
        return (self.number,)

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
        """True return of each episode under the options, (N,)."""
        if self.environment.true_options(self.options) == self.environment.true_options():
            return self.episodes.true_returns
        returns: FloatArray = self._true_rewards.sum(axis=1)
        return returns

    @cached_property
    def _true_rewards(self) -> FloatArray:
        return true_rewards(self.environment, self.episodes, self.options)

    @property
    def players(self) -> npt.NDArray[Any] | None:
        """The player of each episode, (N,); None if some have no name or all have the same."""
        players = self.episodes.extras.get("player")
        if players is None or players.ndim != 1 or len(np.unique(players)) < 2:
            return None
        # Episodes without a name may be of any number of people.
        return None if players.dtype.kind == "U" and (players == "").any() else players

    @cached_property
    def proxy_rewards(self) -> FloatArray:
        """Proxy rewards (N, T) as the environment gives them, zero on padding.

        A `UserError` says which field of the recording the proxy lacks.
        """
        return proxy_rewards(self.environment, self.episodes, self.options)

    @property
    def proxy_returns(self) -> FloatArray:
        """Proxy return of each episode, (N,)."""
        returns: FloatArray = self.proxy_rewards.sum(axis=1)
        return returns

    @property
    def second_quantities(self) -> FloatArray | None:
        """What the environment's figures show beside the true return, of each episode, (N,); None if the proxy return.

        It is computed under the options that rank the episodes, and the defaults of the others: an option of the true
        reward alone may leave it unknown, as λ = 0 does.
        """
        second = self.environment.second_quantity
        if second is None:
            return None
        options = {**self.environment.options, **self.environment.proxy_options(self.options)}
        return second(replace(self, options=options).true_returns, self.proxy_returns, options)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of actions, rewards, lengths and observations.

        Observations that are replayed or stay on disk are left out: the actions determine them.
        """
        episodes = self.episodes
        arrays = [episodes.actions, episodes.true_rewards, episodes.done]
        if self.environment.recordings.replay_observations is None and isinstance(episodes.observations, np.ndarray):
            arrays.append(episodes.observations)
        return digest_of(("", array) for array in arrays)

    @cached_property
    def known_groups(self) -> npt.NDArray[np.intp] | None:
        """The number of each episode's group, (N,): its decision problem, such as a start; None if none is known."""
        return groups(self.environment, self.episodes)

    def groups_within(self, within: Within) -> npt.NDArray[np.intp] | None:
        """Return the groups within which episodes are ranked, (N,); None ranks them all together.

        Raises:
            UserError: groups are wanted and not known, or each has a single episode.
        """
        check_choice("within", within, WITHINS)
        if within == "all":
            return None
        found = self.known_groups
        if found is None:
            raise UserError(
                "the recording has no groups to rank within; record an array group with a label for each episode, or "
                "give the definition recordings=Recordings(group=...)"
            )
        if self.number > 1 and len(np.unique(found)) == self.number:
            raise UserError(f"each of {self.number:,} groups has a single episode, and a rank within it says nothing")
        return found

    def top(self, quantile: float, within: Within = "all") -> Demonstrations:
        """Keep the top q by proxy return, best first (Taylor 2016; Carey 2019).

        Args:
            quantile: q, 0 < q ≤ 1.
            within: `all` ranks all episodes together, `group` those of each group, of which it keeps the top q.

        Returns:
            The best max(1, floor(q·N)) episodes, or max(1, floor(q·m)) of each group's m, group after group; ties keep
            the order of the file.

        Raises:
            UserError: the quantile is impossible, or groups are not known.
        """
        numbers = self.groups_within(within)
        if numbers is None:
            return self.select(selected(self.proxy_returns, quantile))
        return self.select(selected_within(self.proxy_returns, numbers, quantile)[0])

    def select(self, episodes: npt.NDArray[np.intp] | slice) -> Demonstrations:
        """Return the given episodes in the given order, without padding that all of them share."""
        return replace(self, episodes=self.episodes.select(episodes))

    def with_observations(self) -> Demonstrations:
        """Return them with their observations, replayed if the file left them out.

        A `UserError` says that the replay does not give the recorded rewards.
        """
        replay = self.environment.recordings.replay_observations
        if replay is None or self.episodes.observations.shape[2:] != WITHOUT_OBSERVATIONS:
            return self
        with guarded(f"replay_observations of {self.environment.name}"):
            observations = replay(self.episodes)
        done = self.episodes.done
        if isinstance(observations, np.ndarray) and observations.shape[:2] == done.shape and observations[done].any():
            observations = observations.copy()
            observations[done] = 0
        return replace(self, episodes=replace(self.episodes, observations=observations))

    def shared(self) -> Shared[Demonstrations]:
        """Return them for jobs in other processes, each of which receives them once."""
        make = partial(Demonstrations.from_arrays, self.environment, options=self.options)
        return Shared(self, Demonstrations.as_arrays, make)

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return their arrays by name, without observations that a replay gives; refuse observations on disk."""
        episodes = self.episodes
        observations = episodes.observations
        if self.environment.recordings.replay_observations is not None:
            observations = np.zeros((*episodes.done.shape, *WITHOUT_OBSERVATIONS))
        if not isinstance(observations, np.ndarray):
            raise UserError()
        arrays = {"obs": observations, "acs": episodes.actions, "rews": episodes.true_rewards, "done": episodes.done}
        return arrays | {_EXTRA + name: array for name, array in episodes.extras.items()}

    @classmethod
    def from_arrays(
        cls,
        environment: EnvironmentDefinition,
        arrays: Mapping[str, npt.NDArray[Any]],
        options: Mapping[str, Any] | None = None,
    ) -> Demonstrations:
        """Return the demonstrations of `as_arrays`, with their observations."""
        extras = {name.removeprefix(_EXTRA): array for name, array in arrays.items() if name.startswith(_EXTRA)}
        episodes = Episodes(arrays["obs"], arrays["acs"], arrays["rews"], arrays["done"], extras)
        return cls(episodes, environment, options or {}).with_observations()

    @classmethod
    def load(
        cls,
        dataset: str | Path = "demo",
        environment: str | Path | EnvironmentDefinition = "MountainCar-v0",
        options: Mapping[str, Any] | None = None,
        true_reward: str | None = None,
        reward: RecordedReward | None = None,
        final_observation: FinalObservation = "needed",
    ) -> Demonstrations:
        """Read a data set.

        >>> demonstrations = Demonstrations.load("demo", "MountainCar-v0")
        >>> demonstrations.number, demonstrations.top(0.25).number
        (250, 62)

        Args:
            dataset: a name: of `log/ENVIRONMENT/NAME.npz`, or `demo`, which ships; or a path, which has a folder or a
                suffix: of a file or folder in any layout of `quantilizers.datasets.formats`.
            environment: its definition, its name, or the address of one of your own, such as `my_env.py:ENVIRONMENT`.
            options: of the environment, under which the proxy ranks the episodes; the others have their defaults.
            true_reward: the recording's field that is the true reward; None is its only field of rewards.
            reward: which reward a recording of another project has, if it does not tell: `true`, `proxy`, or `own`, the
                environment's own.
            final_observation: what stands for the observation after the last action, which rewards may read, where the
                recording has none: `repeat` takes the last one before it, `drop` leaves out each last step.

        Raises:
            WhichRewardError: a recording has several fields of rewards, or none, and none is named.
            UserError: there is no such data set, option or environment, or they do not go together.
        """
        definition, options = environment_and_options(environment, options or {})
        path, named = Path(dataset), str(dataset)
        if path.suffix.lower() in SUFFIXES or path.name != named:
            reading = _read(path, Wanted(true_reward, definition, reward))
            return cls.of(reading.episodes, definition, options, final_observation, reading.notes)
        layout = Layout(
            log_directory(),
            definition.name,
            named,
            true_reward=true_reward,
            reward=reward,
            final_observation=final_observation,
        )
        return cls.find(layout, definition, options)

    @classmethod
    def of(
        cls,
        episodes: Episodes,
        environment: EnvironmentDefinition,
        options: Mapping[str, Any] | None = None,
        final_observation: FinalObservation = "needed",
        notes: tuple[str, ...] = (),
    ) -> Demonstrations:
        """Return demonstrations of episodes, with what stands for final observations that they lack; see `load`."""
        check_environment(episodes, environment)
        whole, note = complete(environment, episodes, final_observation)
        return cls(whole, environment, options or {}, (*notes, note) if note else notes)

    @classmethod
    def find(
        cls, layout: Layout, environment: EnvironmentDefinition, options: Mapping[str, Any] | None = None
    ) -> Demonstrations:
        """Read the data set that a layout names, as `find_recording` does."""
        reading = find_recording(layout, environment)
        return cls.of(reading.episodes, environment, options, layout.final_observation, reading.notes)


def find_recording(layout: Layout, environment: EnvironmentDefinition) -> Reading:
    """Read the data set that a layout names, with notes on how it was read.

    Raises:
        MissingError: there is none of that name; the message lists those there are.
        WhichRewardError: it has several fields of rewards, or none, and none is named.
        UserError: it is not a data set of the environment, or of another file's environment of the same name.
    """
    if layout.file is None:
        check_origin(layout, environment)
    wanted = Wanted(layout.true_reward, environment, layout.reward)
    load_folder = environment.recordings.load_folder
    folder = layout.data.with_suffix("") if layout.file is None else layout.file
    if load_folder is not None and folder.is_dir() and (layout.file is not None or not layout.data.exists()):
        with guarded(f"load_folder of {environment.name}, for {folder},"):
            loaded = load_folder(folder, layout.cache)
        if not isinstance(loaded, Episodes):
            raise UserError(f"load_folder of {environment.name} returned {type(loaded).__name__}, not Episodes")
        return Reading(with_field_as_rewards(folder, loaded, wanted))
    path = layout.found_data
    if layout.file is not None and not path.exists():
        address = str(path).startswith(("http:/", "https:/"))
        raise UserError(f"{path} {'is an address; download it first' if address else f'does not exist{_beside(path)}'}")
    if not path.exists() and folder.is_dir() and any(folder.iterdir()):
        path = folder
    if not path.exists():
        _ = environment.observation_space, environment.action_classes  # no data set would do
        present = _names_of_datasets(layout.data.parent, environment)
        raise MissingError(
            f"no data set {layout.dataset!r} for {environment.name} ({layout.data})"
            f"{did_you_mean(layout.dataset, present) or ';'} "
            f"there {'are' if len(present) != 1 else 'is'}: {', '.join(present) or 'none'}"
        )
    return _read(path, wanted)


def _read(path: Path, wanted: Wanted) -> Reading:
    """Read a recording of an environment."""
    reading, environment = read_recording(path, wanted), wanted.environment
    assert environment is not None
    try:
        check_environment(reading.episodes, environment)
    except WrongEnvironmentError as error:
        others = [name for name in environment_names() if _fits(reading.episodes, name)]
        hint = f"it is a recording of {others[0]}" if len(others) == 1 else "see the format of data sets"
        raise WrongEnvironmentError(f"{path}: {error}; {hint}") from None
    return reading


def _beside(path: Path) -> str:
    """Return the name of a file beside a path that may have been meant, for messages."""
    names = [str(one) for one in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(str(path), names)


def _names_of_datasets(folder: Path, environment: EnvironmentDefinition) -> list[str]:
    """Return the names of the data sets that `find_recording` finds for an environment."""
    names = {path.stem for path in (*data_files(folder), *data_files(shipped_log() / data_folder(environment.name)))}
    if environment.recordings.load_folder is not None:
        names |= {path.name for path in folder.glob("[!.]*") if path.is_dir()}
    return sorted(names)


def _fits(episodes: Episodes, name: str) -> bool:
    try:
        check_environment(episodes, load_environment(name))
    except WrongEnvironmentError:
        return False
    return True
