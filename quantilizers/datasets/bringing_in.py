"""Bringing people's data into `log/<ENV>/<DATASET>.npz`.

Nothing appears under `log/` before the whole download was checked, and then all of it does or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantilizers.arrays import load_array
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.sources.archive import Member, unpack_data
from quantilizers.datasets.sources.recognition import read_recording
from quantilizers.demonstrations.episodes import load_episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.people_play import SOURCES
from quantilizers.envs.registry import load_environment
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
        name: what it is to be called.
        demonstrations: its episodes.
        notes: what was changed to make them, a few words each.
    """

    origin: str
    name: str
    demonstrations: Demonstrations
    notes: Sequence[str] = ()

    def layout(self, log: Path) -> Layout:
        """Return where it goes under the folder that holds everything."""
        return Layout(log, self.demonstrations.environment.name, self.name)


def read_source(
    file: Path,
    folder: Path,
    *,
    environments: Sequence[EnvironmentDefinition] | None = None,
    leave_out: Callable[[str], None] | None = None,
) -> list[Arrival]:
    """Make demonstrations of what was downloaded: a zip of npz files, or a `.npy` in a format that is known.

    Args:
        file: the download.
        folder: an empty folder to unpack into.
        environments: those that it may be of; None is all that ship.
        leave_out: told what is wrong with each file of a zip that is not a valid data set, which is then left out;
            None refuses the whole zip.

    Raises:
        InvalidFileError: a file of a zip is not a valid data set.
        UserError: it is neither of the two, unsafe, or not valid data.
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
    """Read a file of an archive.

    Raises:
        InvalidFileError: it is not a valid data set; the message names it as the archive does.
    """
    try:
        demonstrations, notes = read_recording(member.file, member.path.parent.parts, environments)
    except UserError as error:
        problem = str(error).replace(str(member.file), str(member.path))
        raise InvalidFileError(problem if str(member.path) in problem else f"{member.path} {problem}") from None
    return Arrival(str(member.path), member.path.stem, demonstrations, notes)


def install(arrivals: Sequence[Arrival], log: Path, *, force: bool = False) -> list[Path]:
    """Put data sets under `log/`: all of them, or none.

    Args:
        arrivals: the data sets.
        log: the folder that holds everything.
        force: replace what is there.

    Returns:
        The files written, without those that were there already, value for value.

    Raises:
        ExistsError: another data set of the name is there.
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
