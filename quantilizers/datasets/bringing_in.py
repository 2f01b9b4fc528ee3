"""Bringing people's data into `log/<ENV>/<DATASET>.npz`: reading files of unknown origin, and installing them.

Nothing is written under `log/` before the whole download is checked, and then all of it is, or nothing.

Files may have any layout of `quantilizers.datasets.formats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantilizers.choices import RecordedReward
from quantilizers.datasets.contents import beginning_of, refuse_known
from quantilizers.datasets.demonstrations import Demonstrations, check_environment
from quantilizers.datasets.downloads import Member, has_arrays, unpack_data
from quantilizers.datasets.fields import Wanted
from quantilizers.datasets.formats import read_npy, read_recording
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.people_play import SOURCES
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import ExistsError, UserError
from quantilizers.files import atomic_write
from quantilizers.layout import Layout, name_of_data


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
    true_reward: str | None = None,
    reward: RecordedReward | None = None,
) -> list[Arrival]:
    """Read a download: a zip of npz files, or a file or folder in any layout of `quantilizers.datasets.formats`.

    Args:
        file: the download.
        folder: an empty folder to unpack into.
        environments: the candidates for its environment; None takes all that ship.
        leave_out: called with the problem of each file of a zip that is not a valid data set, to skip it; None refuses
            the whole zip.
        true_reward: the field that is the true reward; None takes the only field of rewards.
        reward: which reward a recording of another project contains, if it does not tell.

    Raises:
        InvalidFileError: a file of a zip is not a valid data set.
        WhichRewardError: the field that is the true reward must be named.
        UserError: the download is nothing of the kind, unsafe, or not valid data. The message calls it `it`.
    """
    try:
        begin = b"" if file.is_dir() else beginning_of(file)
        if begin.startswith(b"PK") and not has_arrays(file):
            return _read_archive(file, folder, environments, leave_out, true_reward, reward)
        if begin.startswith(b"\x93NUMPY"):
            names = None if environments is None else [one.name for one in environments]
            name, episodes = read_npy(file, names, true_reward)
            environment = SOURCES[name].environment
            assert environment is not None
            return [Arrival(file.name, name, Demonstrations(episodes, load_environment(environment)))]
        if begin:
            refuse_known(file, begin)
        demonstrations, notes = read_demonstrations(
            file, file.resolve().parent.parts, environments, true_reward, reward
        )
        return [Arrival(file.name, name_of_data(file), demonstrations, notes)]
    except InvalidFileError:
        raise
    except UserError as error:
        error.args = (str(error).replace(f"{file}: ", "").replace(str(file), "it"),)
        raise


def _read_archive(
    file: Path,
    folder: Path,
    environments: Sequence[EnvironmentDefinition] | None,
    leave_out: Callable[[str], None] | None,
    true_reward: str | None,
    reward: RecordedReward | None,
) -> list[Arrival]:
    arrivals: dict[tuple[str, str], Arrival] = {}
    for member in unpack_data(file, folder):
        try:
            arrival = _read_member(member, environments, true_reward, reward)
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


def _read_member(
    member: Member,
    environments: Sequence[EnvironmentDefinition] | None,
    true_reward: str | None,
    reward: RecordedReward | None,
) -> Arrival:
    """Read a file of an archive; errors name it as the archive does."""
    try:
        demonstrations, notes = read_demonstrations(
            member.file, member.path.parent.parts, environments, true_reward, reward
        )
    except UserError as error:
        problem = str(error).replace(str(member.file), str(member.path))
        raise InvalidFileError(problem if str(member.path) in problem else f"{member.path} {problem}") from None
    return Arrival(str(member.path), member.path.stem, demonstrations, notes)


def read_demonstrations(
    file: Path,
    folders: Iterable[str],
    environments: Sequence[EnvironmentDefinition] | None = None,
    true_reward: str | None = None,
    reward: RecordedReward | None = None,
) -> tuple[Demonstrations, Sequence[str]]:
    """Read a recording in any layout, with notes on how it was read.

    The arguments `folders` and `environments` are those of `environment_of`; `true_reward` and `reward`, of `Wanted`.

    Raises:
        UserError: it cannot be read or is not a data set.
    """
    only = environments[0] if environments is not None and len(environments) == 1 else None
    reading = read_recording(file, Wanted(true_reward, only, reward))
    environment = environment_of(reading.episodes, folders, environments)
    if reading.foreign is not None:
        reading = read_recording(file, Wanted(true_reward, environment, reward))
    return Demonstrations(reading.episodes, environment), reading.notes


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
