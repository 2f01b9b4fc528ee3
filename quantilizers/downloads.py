"""Bring people's data into `log/<ENV>/<DATASET>.npz`: the logic of `scripts/load_data.sh`.

Nothing appears under `log/` before the whole download was checked, and then all of it does or nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import NoReturn

import numpy as np

from quantilizers.demonstrations import Demonstrations, load_demonstrations
from quantilizers.envs import mountain_car
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import LOG_DIRECTORY, Layout, atomic_write
from quantilizers.sources import lets_do_irl
from quantilizers.sources.archive import unpack_data
from quantilizers.sources.fetch import fetch
from quantilizers.sources.recognition import read_recording
from quantilizers.summary import list_data

MIRROR_VARIABLE = "QUANTILIZERS_DATA_URL"
#: Each source's address and what to tell of it. The paper's is the folder that the reference implementation names.
SOURCES = {
    "paper": (
        "https://www.dropbox.com/sh/5p2f46s23eum86s/AADhtxW5WM2P1b2w82rn7xyla?dl=1",
        "the human data of Carey (2019), Hopper and Mountain Car",
    ),
    "lets-do-irl": (
        lets_do_irl.URL,
        "20 episodes of Mountain Car that one person played (MIT licence, © 2021 Reinforcement Learning KR)",
    ),
}
ATARI_GRAND_CHALLENGE = """\
Video Pinball: people's play is in the Atari Grand Challenge dataset, v2 (Kurin et al. 2017, arXiv:1705.10998),
  which you download yourself, for its size:
    http://atarigrandchallenge.com/data (v2), https://github.com/yobibyte/atarigrandchallenge (its code, and v1)
  Unpack it so that these are there, DATASET being a name of your choice:
    {log}/VideoPinballNoFrameskip-v4/DATASET/trajectories/pinball/<n>.txt
    {log}/VideoPinballNoFrameskip-v4/DATASET/screens/pinball/<n>/<frame>.png
  and name it: python quantilizer.py --env_name VideoPinballNoFrameskip-v4 --dataset_name DATASET"""


@dataclass(frozen=True, eq=False)
class Arrival:
    """A data set on its way into `log/`."""

    origin: str
    environment: EnvironmentDefinition
    name: str
    demonstrations: Demonstrations
    notes: Sequence[str] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = _Parser(
        prog="load_data.sh",
        description="Bring people's data into log/<ENV>/<DATASET>.npz.",
        epilog=ATARI_GRAND_CHALLENGE.format(log="log"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    sources = "; ".join(f"{name}: {about}" for name, (_, about) in SOURCES.items())
    made.add_argument(
        "--source", choices=SOURCES, default="paper", help=f"what to download. {sources} (default: paper)"
    )
    made.add_argument("--url", help=f"a mirror to download from; the variable {MIRROR_VARIABLE} does the same")
    made.add_argument("--from", dest="file", type=Path, metavar="FILE.zip", help="an archive already at hand")
    made.add_argument("--force", action="store_true", help="replace data sets that are already there")
    made.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out the files of an archive that are no valid data sets, where one of them otherwise stops all",
    )
    return made


def read_source(file: Path, folder: Path, *, skip_invalid: bool) -> list[Arrival]:
    """Make demonstrations of what was downloaded: a zip of npz files, or lets-do-irl's recording.

    Args:
        file: the download.
        folder: an empty folder to unpack into.
        skip_invalid: tell of files in a zip that are no valid data sets, and go on.

    Raises:
        UserError: it is neither of the two, unsafe, or no valid data.
    """
    try:
        with file.open("rb") as opened:
            begin = opened.read(1024)
    except OSError as error:
        raise UserError(f"it cannot be read ({error.strerror})") from None
    if begin.startswith(b"PK"):
        return _read_archive(file, folder, skip_invalid=skip_invalid)
    if begin.startswith(b"\x93NUMPY"):
        try:
            recording = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError, MemoryError, SyntaxError, TokenError) as error:
            pickled = "allow_pickle" in str(error)
            raise UserError("it is a pickle; pickles are never read" if pickled else "it is damaged or half") from None
        return [Arrival(file.name, mountain_car.ENVIRONMENT, "lets-do-irl", lets_do_irl.to_demonstrations(recording))]
    if begin.lstrip().startswith(b"<"):
        raise UserError("it is a web page instead of the data: the link has moved or wants a login")
    raise UserError("it is neither a zip nor a .npy file")


def _read_archive(file: Path, folder: Path, *, skip_invalid: bool) -> list[Arrival]:
    arrivals: dict[tuple[str, str], Arrival] = {}
    for member in unpack_data(file, folder):
        try:
            arrival = _read_member(member.path, member.file)
        except UserError as error:
            problem = str(error).replace(str(member.file), str(member.path))
            problem = problem if str(member.path) in problem else f"{member.path} {problem}"
            if not skip_invalid:
                raise UserError(f"{problem} (--skip-invalid leaves such files out)") from None
            print(f"left out: {problem}", file=sys.stderr)
            continue
        key = (arrival.environment.name, arrival.name.casefold())
        if key in arrivals:
            raise UserError(f"{arrivals[key].origin} and {arrival.origin} in it would become the same data set")
        arrivals[key] = arrival
    if not arrivals:
        raise UserError("it has no valid data set")
    return list(arrivals.values())


def _read_member(path: PurePosixPath, file: Path) -> Arrival:
    environment, demonstrations, notes = read_recording(file, path.parent.parts)
    return Arrival(str(path), environment, path.stem, demonstrations, notes)


def install(arrivals: Sequence[Arrival], log: Path, *, force: bool) -> list[Path]:
    """Put data sets under `log/`: all of them, or none.

    Args:
        arrivals: the data sets.
        log: the folder that holds everything.
        force: replace what is there.

    Returns:
        The files written; a data set that is already there, value for value, is none.

    Raises:
        UserError: another data set of the name is there, or there is no space.
    """
    targets = []
    for arrival in arrivals:
        target = Layout(log, arrival.environment.name, arrival.name).data
        if not target.exists() or force:
            targets.append((target, arrival))
        elif not _is_same(target, arrival):
            raise UserError(f"{target} is there and differs; --force replaces it")
    made = [folder for folder in {target.parent for target, _ in targets} if not folder.exists()]
    try:
        with ExitStack() as renames:
            for target, arrival in targets:
                temporary = renames.enter_context(atomic_write(target))
                try:
                    arrival.demonstrations.save(temporary)
                except UserError as error:
                    raise UserError(str(error).replace(str(temporary), str(target))) from None
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
    return [target for target, _ in targets]


def _is_same(target: Path, arrival: Arrival) -> bool:
    try:
        there = load_demonstrations(target, arrival.environment)
    except UserError:
        return False
    pairs = [
        (there.observations, arrival.demonstrations.observations),
        (there.actions, arrival.demonstrations.actions),
        (there.true_rewards, arrival.demonstrations.true_rewards),
        (there.done, arrival.demonstrations.done),
    ]
    return all(np.array_equal(one, other) for one, other in pairs)


def _bring(options: argparse.Namespace, log: Path) -> None:
    url = options.url or os.environ.get(MIRROR_VARIABLE) or SOURCES[options.source][0]
    other = next(name for name in SOURCES if name != options.source)
    ways = f"a mirror (--url or {MIRROR_VARIABLE}), an archive at hand (--from FILE.zip) or --source {other}"
    origin = options.file or url
    with tempfile.TemporaryDirectory(prefix="quantilizers-") as temporary:
        try:
            if options.file is None:
                print(f"downloading {SOURCES[options.source][1]}, from {url}", file=sys.stderr)
                options.file = fetch(url, Path(temporary, "download"))
            unpacked = Path(temporary, "unpacked")
            unpacked.mkdir()
            arrivals = read_source(options.file, unpacked, skip_invalid=options.skip_invalid)
        except UserError as error:
            raise UserError(f"{origin}: {error}; nothing was changed; other ways are {ways}") from None
        try:
            written = install(arrivals, log, force=options.force)
        except UserError as error:
            raise UserError(f"{error}; nothing was changed") from None
    for arrival in arrivals:
        for note in arrival.notes:
            print(f"{arrival.origin}: {note}")
    for target in written:
        print(f"wrote {target}")
    if not written:
        print("all of it was there already")


def main(arguments: Sequence[str] | None = None, log: Path = LOG_DIRECTORY) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.
        log: where the data go.

    Returns:
        The exit code: 0, 1 where no data could be brought, 130 when interrupted; `--help` and wrong arguments
        exit by themselves, the latter with 2.
    """
    options = parser().parse_args(arguments)
    try:
        _bring(options, log)
    except UserError as error:
        print(f"load_data.sh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("load_data.sh: interrupted; nothing was changed", file=sys.stderr)
        return 130
    table, problems = list_data(log)
    for problem in problems:
        print(f"load_data.sh: {problem}", file=sys.stderr)
    print(table)
    print(ATARI_GRAND_CHALLENGE.format(log=log))
    return 0


if __name__ == "__main__":
    sys.exit(main())
