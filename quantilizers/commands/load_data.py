"""Bring people's data into log/<ENV>/<DATASET>.npz, and list the data sets that are there.

Exit codes: 0 the data are there; 1 they could not be fetched, because the download failed or what came is not the
data; 2 the command line asks for something impossible; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from quantilizers.datasets.bringing_in import Arrival, InvalidFileError, install, read_source
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.sources.fetch import fetch
from quantilizers.datasets.summary import summarise
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.people_play import SOURCES
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import ExistsError, UserError
from quantilizers.figures.tables import format_table
from quantilizers.files import data_files
from quantilizers.layout import Layout, log_directory
from quantilizers.numbers_in_words import spread
from quantilizers.programs import Parser, call_of, run_program

PROGRAM = call_of("scripts/load_data.sh", "quantilizer-data")
MIRROR_VARIABLE = "QUANTILIZERS_DATA_URL"
ATARI_GRAND_CHALLENGE = """\
Video Pinball: people's play is in the Atari Grand Challenge dataset, v2 (Kurin et al. 2017, arXiv:1705.10998),
  which you download yourself, for its size:
    http://atarigrandchallenge.com/data (v2), https://github.com/yobibyte/atarigrandchallenge (its code, and v1)
  Unpack it so that these are there, DATASET being a name of your choice:
    {log}/VideoPinballNoFrameskip-v4/DATASET/trajectories/pinball/<n>.txt
    {log}/VideoPinballNoFrameskip-v4/DATASET/screens/pinball/<n>/<frame>.png
  and name it: {quantilizer} --env_name VideoPinballNoFrameskip-v4 --dataset_name DATASET"""


class NotFetchedError(UserError):
    """The download failed, or what came is not the data."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    arguments = Parser(PROGRAM, description=__doc__, epilog=_atari_grand_challenge(Path("log")))
    sources = "; ".join(f"{name}: {source.about}" for name, source in SOURCES.items())
    arguments.add_argument(
        "--source", choices=SOURCES, default="paper", help=f"what to download. {sources} (default: paper)"
    )
    arguments.add_argument("--url", help=f"a mirror to download from; the variable {MIRROR_VARIABLE} does the same")
    arguments.add_argument("--from", dest="file", type=Path, metavar="FILE.zip", help="an archive already at hand")
    arguments.add_argument("--force", action="store_true", help="replace data sets that are already there")
    arguments.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out the files of an archive that are not valid data sets, where one of them otherwise stops all",
    )
    arguments.add_argument(
        "--env_name",
        "--env_id",
        dest="env_name",
        help="the environment of all the data, also one of your own, such as my_env.py:ENVIRONMENT "
        f"(told from the data, among {', '.join(environment_names())})",
    )
    arguments.add_argument(
        "--log_dir", type=Path, default=log_directory(), help="folder of data and results (%(default)s)"
    )
    return arguments


def _atari_grand_challenge(log: Path) -> str:
    return ATARI_GRAND_CHALLENGE.format(log=log, quantilizer=call_of("python quantilizer.py", "quantilizer"))


def list_data(log: Path, environments: Sequence[EnvironmentDefinition]) -> tuple[str, list[str]]:
    """Describe every data set file below a folder such as `log/`.

    Args:
        log: the folder, with a folder for each environment.
        environments: whose data sets are listed.

    Returns:
        A table, and a line for each file that is not a valid data set.
    """
    rows, problems = [], []
    for environment in environments:
        for path in data_files(log / environment.name):
            try:
                summary = summarise(Demonstrations.find(Layout(log, environment.name, path.stem), environment))
            except UserError as error:
                problems.append(str(error))
                continue
            rows.append(
                [f"{environment.name}/{path.name}", summary.players,
                 f"{summary.number:,}", f"{summary.lengths.sum():,}",
                 spread(summary.true_returns), spread(summary.proxy_returns)]
            )  # fmt: skip
    head = ["data set", "players", "episodes", "steps", "true return: mean [range]", "proxy return: mean [range]"]
    return (format_table(head, rows) if rows else f"no data set in {log}"), problems


def _complain(problem: str) -> None:
    print(problem, file=sys.stderr)


def _obtain(options: argparse.Namespace, folder: Path) -> list[Arrival]:
    """Download what is asked for, where it is not at hand, and read it.

    Raises:
        NotFetchedError: the download failed, or what came is not the data.
        UserError: the archive at hand is not the data.
    """
    url = options.url or os.environ.get(MIRROR_VARIABLE) or SOURCES[options.source].url
    environments = None if options.env_name is None else [load_environment(options.env_name)]
    leave_out: Callable[[str], None] | None = None
    if options.skip_invalid:

        def leave_out(problem: str) -> None:
            _complain(f"left out: {problem}")

    unpacked = folder / "unpacked"
    unpacked.mkdir()
    try:
        file = options.file
        if file is None:
            _complain(f"downloading {SOURCES[options.source].about}, from {url}")
            file = fetch(url, folder / "download")
        return read_source(file, unpacked, environments=environments, leave_out=leave_out)
    except UserError as error:
        hint = " (--skip-invalid leaves such files out)" if isinstance(error, InvalidFileError) else ""
        other = next(name for name in SOURCES if name != options.source)
        ways = f"a mirror (--url or {MIRROR_VARIABLE}), an archive at hand (--from FILE.zip) or --source {other}"
        kind = NotFetchedError if options.file is None else UserError
        raise kind(f"{options.file or url}: {error}{hint}; nothing was changed; other ways are {ways}") from None


def _bring(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="quantilizers-") as temporary:
        arrivals = _obtain(options, Path(temporary))
        try:
            written = install(arrivals, options.log_dir, force=options.force)
        except ExistsError as error:
            raise UserError(f"{error}; --force replaces it; nothing was changed") from None
        except UserError as error:
            raise UserError(f"{error}; nothing was changed") from None
    for arrival in arrivals:
        for note in arrival.notes:
            print(f"{arrival.origin}: {note}")
    for target in written:
        print(f"wrote {target}")
    if not written:
        print("all of it was there already")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code: 0, 1 where the data could not be fetched, 2 where the user asked for something impossible, 130
        when interrupted.
    """
    fetched = True

    def work() -> None:
        nonlocal fetched
        options = parser().parse_args(arguments)
        try:
            _bring(options)
        except NotFetchedError:
            fetched = False
            raise
        names = [*environment_names(), *([] if options.env_name is None else [options.env_name])]
        table, problems = list_data(options.log_dir, [load_environment(name) for name in dict.fromkeys(names)])
        for problem in problems:
            _complain(f"{PROGRAM.rpartition('/')[2]}: {problem}")
        print(table)
        print(_atari_grand_challenge(options.log_dir))

    code = run_program(PROGRAM, work)
    return code if fetched else 1


def console() -> int:
    """Run what an installed package calls `quantilizer-data`; return the exit code."""
    return main()


if __name__ == "__main__":
    sys.exit(main())
