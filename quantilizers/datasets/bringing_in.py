"""Bringing people's data into `log/<ENV>/<DATASET>.npz`: reading files of unknown origin, and installing them.

Nothing is written under `log/` before the whole download is checked, and then all of it is, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantilizers.arrays import load_array, load_arrays
from quantilizers.datasets.demonstrations import Demonstrations, check_environment
from quantilizers.datasets.downloads import Member, unpack_data
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.demonstrations.reference_layout import REQUIRED, to_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.people_play import SOURCES
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import ExistsError, UserError
from quantilizers.files import atomic_write
from quantilizers.layout import Layout


class InvalidFileError(UserError):
    """One file of an archive is not a valid data set."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """A data set on its way into `log/`.

    Attributes:
        origin: the file that it comes from.
        name: the name of the data set.
        demonstrations: its episodes.
        notes: a short note on each change that was needed to read it.
    """

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
        leave_out: called with the problem of each file of a zip that is not a valid data set, which is then skipped;
            None refuses the whole zip.

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
    """Read an npz file in this project's layout or the reference implementation's.

    Args:
        file: the file.
        folders: names of folders that may name the environment.
        environments: the candidates; None takes all that ship.

    Returns:
        The demonstrations, and a short note on each change that was needed.

    Raises:
        UserError: it cannot be read or is not a data set.
    """
    episodes, notes = to_episodes(load_arrays(file, REQUIRED))
    return Demonstrations(episodes, environment_of(episodes, folders, environments)), notes


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
    """Write data sets under `log`: all of them, or none.

    Args:
        arrivals: the data sets.
        log: the log folder.
        force: replace existing files.

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
