"""Bringing people's data into `log/<ENV>/<DATASET>.npz`: reading files of unknown origin, and installing them.

Nothing is written under `log/` before the whole download is checked, and then all of it is, or nothing.

Files may have this project's layout, or that of the reference implementation or of OpenAI baselines:

| found | becomes |
|---|---|
| `acs` (N, T), one number each step | (N, T, 1) |
| `done` of 0 and 1 | bool |
| no `done` | steps at an episode's end whose `obs`, `acs` and `rews` are all zero count as padding |
| an episode without a step, which the reference's recorder leaves when it is closed right after a reset | left out |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_array, load_arrays
from quantilizers.datasets.demonstrations import Demonstrations, check_environment
from quantilizers.datasets.downloads import Member, unpack_data
from quantilizers.demonstrations.episodes import Episodes, check_returns, load_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.people_play import SOURCES
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import ExistsError, UserError
from quantilizers.files import atomic_write
from quantilizers.layout import Layout
from quantilizers.rewards import BoolArray

#: Arrays of every layout, and all arrays that are no extras.
_REQUIRED = ("obs", "acs", "rews")
_KNOWN = (*_REQUIRED, "done", "ep_rets")


class InvalidFileError(UserError):
    """One file of an archive is not a valid data set."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """A data set on its way into `log/`, with its file of origin and a note on each change in reading it."""

    origin: str
    name: str
    demonstrations: Demonstrations
    notes: Sequence[str] = ()

    def layout(self, log: Path) -> Layout:
        """Return the paths of the data set under a log folder."""
        return Layout(log, self.demonstrations.environment.name, self.name)


def read_source(
    file: Path,
    folder: Path,
    *,
    environments: Sequence[EnvironmentDefinition] | None = None,
    leave_out: Callable[[str], None] | None = None,
) -> list[Arrival]:
    """Read a download: a zip of npz files, or a `.npy` file in a known format.

    Args:
        file: the download.
        folder: an empty folder to unpack into.
        environments: the candidates for its environment; None takes all that ship.
        leave_out: called with the problem of each file of a zip that is not a valid data set, to skip it; None refuses
            the whole zip.

    Raises:
        InvalidFileError: a file of a zip is not a valid data set.
        UserError: the download is neither of the two, unsafe, or not valid data.
    """
    try:
        with file.open("rb") as opened:
            begin = opened.read(1024)
    except OSError as error:
        raise UserError(f"it cannot be read ({error.strerror})") from None
    if begin.startswith(b"PK"):
        return _read_archive(file, folder, environments, leave_out)
    if begin.startswith(b"\x93NUMPY"):
        return [_read_array(file, environments)]
    if begin.lstrip().startswith(b"<"):
        raise UserError("it is a web page instead of the data: the link has moved or wants a login")
    raise UserError("it is neither a zip nor a .npy file")


def _read_array(file: Path, environments: Sequence[EnvironmentDefinition] | None) -> Arrival:
    try:
        recording = load_array(file)
    except UserError as error:
        pickled = "pickled" in str(error)
        raise UserError("it is a pickle; pickles are never read" if pickled else "it is damaged or half") from None
    wanted = None if environments is None else {environment.name for environment in environments}
    problems = []
    for name, source in SOURCES.items():
        if source.to_episodes is None or source.environment is None:
            continue
        if wanted is not None and source.environment not in wanted:
            continue
        try:
            episodes = source.to_episodes(recording)
        except UserError as error:
            problems.append(str(error))
        else:
            return Arrival(file.name, name, Demonstrations(episodes, load_environment(source.environment)))
    raise UserError("; ".join(problems) or "it is a .npy file, and no format of those is known for the environment")


def _read_archive(
    file: Path,
    folder: Path,
    environments: Sequence[EnvironmentDefinition] | None,
    leave_out: Callable[[str], None] | None,
) -> list[Arrival]:
    arrivals: dict[tuple[str, str], Arrival] = {}
    for member in unpack_data(file, folder):
        try:
            arrival = _read_member(member, environments)
        except InvalidFileError as error:
            if leave_out is None:
                raise
            leave_out(str(error))
            continue
        key = (arrival.demonstrations.environment.name, arrival.name.casefold())
        if key in arrivals:
            raise UserError(f"{arrivals[key].origin} and {arrival.origin} in it would become the same data set")
        arrivals[key] = arrival
    if not arrivals:
        raise UserError("it has no valid data set")
    return list(arrivals.values())


def _read_member(member: Member, environments: Sequence[EnvironmentDefinition] | None) -> Arrival:
    """Read a file of an archive; errors name it as the archive does."""
    try:
        demonstrations, notes = read_recording(member.file, member.path.parent.parts, environments)
    except UserError as error:
        problem = str(error).replace(str(member.file), str(member.path))
        raise InvalidFileError(problem if str(member.path) in problem else f"{member.path} {problem}") from None
    return Arrival(str(member.path), member.path.stem, demonstrations, notes)


def read_recording(
    file: Path, folders: Iterable[str], environments: Sequence[EnvironmentDefinition] | None = None
) -> tuple[Demonstrations, list[str]]:
    """Read an npz file in one of the layouts above, with a note on each change that was needed.

    The arguments `folders` and `environments` are those of `environment_of`.

    Raises:
        UserError: it cannot be read or is not a data set.
    """
    episodes, notes = from_reference_layout(load_arrays(file, _REQUIRED))
    return Demonstrations(episodes, environment_of(episodes, folders, environments)), notes


def from_reference_layout(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Episodes, list[str]]:
    """Make episodes of arrays in any of the layouts above, with a note on each change; refuse other arrays.

    Args:
        arrays: `obs` (N, T, …), `acs` (N, T, A) or (N, T), `rews` (N, T), optionally `done` (N, T) and `ep_rets`
            (N,), and further arrays with one entry for each episode.
    """
    observations, actions, true_rewards = (arrays[key] for key in _REQUIRED)
    notes = []
    if actions.ndim == 2:
        actions = actions[..., np.newaxis]
    if "done" in arrays:
        done = _as_bool(arrays["done"])
    else:
        done = _zero_tail(observations, actions, true_rewards)
        notes.append("it has no done, so all-zero steps at an episode's end count as padding")
    uneven = [key for key, array in arrays.items() if np.shape(array)[:1] != done.shape[:1]]
    if uneven or done.ndim != 2 or done.shape[1] == 0:
        raise UserError(f"{', '.join(uneven) or 'done'} does not have one entry for each episode, of at least one step")
    played = np.flatnonzero(~done[:, 0])
    if not len(played):
        raise UserError("no episode has a step")
    if len(played) < len(done):
        notes.append(f"{len(done) - len(played)} of {len(done)} episodes have no step and were left out")
    extras = {key: array[played] for key, array in arrays.items() if key not in _KNOWN}
    episodes = Episodes(observations[played], actions[played], true_rewards[played], done[played], extras)
    if "ep_rets" in arrays:
        returns = arrays["ep_rets"]
        if returns.ndim != 1 or returns.dtype.kind not in "iuf":
            raise UserError(f"ep_rets is {returns.dtype} {returns.shape}, not one return for each episode")
        check_returns(returns[played], episodes)
    return episodes, notes


def _as_bool(done: npt.NDArray[Any]) -> BoolArray:
    if done.dtype == np.bool_:
        return done
    if done.dtype.kind not in "iuf" or not np.isin(done, (0, 1)).all():
        raise UserError(f"done holds {done.dtype} other than 0 and 1")
    return done.astype(np.bool_)


def _zero_tail(*arrays: npt.NDArray[Any]) -> BoolArray:
    """Return which steps (N, T) begin a tail of zeros in every array."""
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) != 1 or any(array.ndim < 2 or array.dtype.kind not in "biuf" for array in arrays):
        raise UserError("obs, acs and rews are not numbers of the same (episodes, steps)")
    number, steps = shapes.pop()
    used = np.zeros((number, steps), dtype=np.bool_)
    for array in arrays:
        used |= array.reshape(number, steps, -1).any(axis=-1)
    return ~np.logical_or.accumulate(used[:, ::-1], axis=1)[:, ::-1]


def environment_of(
    episodes: Episodes, folders: Iterable[str], environments: Sequence[EnvironmentDefinition] | None = None
) -> EnvironmentDefinition:
    """Return the environment that episodes were recorded in.

    A folder with an environment's name decides, in upper or lower case; otherwise the shapes of the observations and
    the values of the actions do.

    Args:
        episodes: the recording.
        folders: names of the folders that contain the file.
        environments: the candidates; None takes all that ship.

    Raises:
        UserError: no environment, or more than one, has such observations and actions.
    """
    known = list(map(load_environment, environment_names())) if environments is None else environments
    within = {folder.casefold() for folder in folders}
    named = [environment for environment in known if environment.name.casefold() in within]
    if len(named) == 1:
        check_environment(episodes, named[0])
        return named[0]
    fitting, misfits = [], []
    for environment in named or known:
        try:
            check_environment(episodes, environment)
        except UserError as error:
            misfits.append(str(error))
        else:
            fitting.append(environment)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(environment.name for environment in fitting)
        raise UserError(f"fits {names}; put it into a folder called like the one it was recorded in")
    names = ", ".join(environment.name for environment in known)
    raise UserError(f"fits none of {names}: {misfits[0]}")


def install(arrivals: Sequence[Arrival], log: Path, *, force: bool = False) -> list[Path]:
    """Write data sets under `log`: all of them, or none; with `force`, replace existing files.

    Returns:
        The files written, without those that existed with the same contents.

    Raises:
        ExistsError: a file exists with other contents.
        UserError: a file cannot be written.
    """
    targets = []
    for arrival in arrivals:
        target = arrival.layout(log).data
        if not target.exists() or force:
            targets.append((target, arrival))
        elif not _is_same(target, arrival):
            raise ExistsError(f"{target} is there and differs")
    new_folders = [folder for folder in {target.parent for target, _ in targets} if not folder.exists()]
    try:
        with ExitStack() as renames:
            for target, arrival in targets:
                temporary = renames.enter_context(atomic_write(target))
                try:
                    arrival.demonstrations.episodes.save(temporary)
                except UserError as error:
                    raise UserError(str(error).replace(str(temporary), str(target))) from None
    except BaseException:
        for folder in new_folders:
            with suppress(OSError):
                folder.rmdir()
        raise
    return [target for target, _ in targets]


def _is_same(target: Path, arrival: Arrival) -> bool:
    try:
        present = load_episodes(target)
    except UserError:
        return False
    arriving = arrival.demonstrations.episodes
    pairs = [
        (present.observations, arriving.observations),
        (present.actions, arriving.actions),
        (present.true_rewards, arriving.true_rewards),
        (present.done, arriving.done),
    ]
    return all(np.array_equal(left, right) for left, right in pairs)
