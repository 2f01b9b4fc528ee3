"""Bring people's data into log/<ENV>/<DATASET>.npz, and list the data sets.

Exit codes: 0 the data are there; 1 the download failed or brought something
else; 2 the command line asks for something impossible; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from quantilizers.choices import RECORDED_REWARDS
from quantilizers.commands.arguments import LOAD_DATA, add_environment, add_log_dir
from quantilizers.datasets.bringing_in import Arrival, InvalidFileError, install, read_source
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.downloads import fetch
from quantilizers.datasets.origins import check_origin, note_origin
from quantilizers.datasets.summary import summarise
from quantilizers.datasets.which_reward import WhichRewardError
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.people_play import SOURCES
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import ExistsError, NotInstalledError, UserError, one_line, shown
from quantilizers.files import data_files
from quantilizers.layout import Layout
from quantilizers.numbers_in_words import spread
from quantilizers.programs import Parser, call_of, run_program
from quantilizers.stages.settings import TELL_REWARD
from quantilizers.terminal import format_table

MIRROR_VARIABLE = "QUANTILIZERS_DATA_URL"
ATARI_GRAND_CHALLENGE = """\
Video Pinball: people's play is in the Atari Grand Challenge dataset, v2
  (Kurin et al. 2017, arXiv:1705.10998). It is large, so download it yourself:
    http://atarigrandchallenge.com/data (v2)
    https://github.com/yobibyte/atarigrandchallenge (its code, and v1)
  Unpack it to these places, with any name for DATASET:
    {log}/VideoPinballNoFrameskip-v4/DATASET/trajectories/pinball/<n>.txt
    {log}/VideoPinballNoFrameskip-v4/DATASET/screens/pinball/<n>/<frame>.png
  and use it:
    {quantilizer} --env_name VideoPinballNoFrameskip-v4 --dataset_name DATASET"""


class NotFetchedError(UserError):
    """The download failed or brought something else."""


def build_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(LOAD_DATA, description=__doc__, epilog=_atari_grand_challenge(Path("log")))
    sources = "; ".join(f"{name}: {source.about}" for name, source in SOURCES.items())
    parser.add_argument("--source", choices=SOURCES, help=f"the download: {sources} (paper)")
    parser.add_argument("--url", help=f"a mirror to download from; the variable {MIRROR_VARIABLE} does the same")
    parser.add_argument(
        "--from",
        dest="file",
        type=Path,
        metavar="FILE",
        help="a zip of npz files, or a recording in any known layout, that you already have",
    )
    parser.add_argument(
        "--true_reward",
        metavar="FIELD",
        help="field of the recording that is the true reward (its only one of rewards)",
    )
    parser.add_argument(
        "--reward",
        choices=RECORDED_REWARDS,
        help="which reward a recording of another project has, if it does not tell",
    )
    parser.add_argument("--force", action="store_true", help="replace data sets that are already there")
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="skip files of an archive that are not valid data sets, instead of refusing the archive",
    )
    add_environment(
        parser,
        default=None,
        help="the environment of all the data, also one of your own, such as my_env.py:ENVIRONMENT "
        f"(recognised from the data, among {', '.join(environment_names())})",
    )
    add_log_dir(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code, which is 1 if the data could not be fetched."""
    fetched = True

    def work() -> None:
        nonlocal fetched
        options = build_parser().parse_args(arguments)
        try:
            _bring(options)
        except NotFetchedError:
            fetched = False
            raise
        names = dict.fromkeys([*environment_names(), *([options.env_name] if options.env_name else [])])
        table, problems = list_data(options.log_dir, [load_environment(name) for name in names])
        for problem in problems:
            print(f"{LOAD_DATA.rpartition('/')[2]}: {problem}", file=sys.stderr)
        print(table)
        print(_atari_grand_challenge(options.log_dir))

    code = run_program(LOAD_DATA, work)
    return code if fetched else 1


def _bring(options: argparse.Namespace) -> None:
    """Download or open the data, check all of it, and then put it under `log/`."""
    with tempfile.TemporaryDirectory(prefix="quantilizers-") as temporary:
        arrivals = _obtain(options, Path(temporary))
        own = None if options.env_name is None else load_environment(options.env_name)
        if own is not None:
            check_origin(Layout(options.log_dir, own.name), own)
        try:
            written = install(arrivals, options.log_dir, force=options.force)
        except ExistsError as error:
            raise UserError(f"{error}; --force replaces it; nothing was changed") from None
        except UserError as error:
            raise UserError(f"{error}; nothing was changed") from None
    if own is not None:
        note_origin(Layout(options.log_dir, own.name), own)
    for arrival in arrivals:
        for note in arrival.notes:
            print(f"{shown(arrival.origin)}: {one_line(note)}")
    for target in written:
        print(f"wrote {target}")
    if not written:
        print("all of it was there already")


def _obtain(options: argparse.Namespace, folder: Path) -> list[Arrival]:
    """Read the file of `--from`, or a download."""
    if options.file is not None and (options.url is not None or options.source is not None):
        raise UserError("--from reads a file, and --source and --url download one; give one or the other")
    options.source = options.source or "paper"
    url = options.url or os.environ.get(MIRROR_VARIABLE) or SOURCES[options.source].url
    environments = None if options.env_name is None else [load_environment(options.env_name)]

    def leave_out(problem: str) -> None:
        print(f"left out: {problem}", file=sys.stderr)

    unpacked = folder / "unpacked"
    unpacked.mkdir()
    try:
        file = options.file
        if file is None:
            print(f"downloading {SOURCES[options.source].about}, from {url}", file=sys.stderr)
            file = fetch(url, folder / "download", SOURCES[options.source].sha256)
        return read_source(
            file,
            unpacked,
            environments=environments,
            leave_out=leave_out if options.skip_invalid else None,
            true_reward=options.true_reward,
            reward=options.reward,
        )
    except NotInstalledError:
        raise
    except WhichRewardError as error:
        raise UserError(f"{options.file or url}: {error}; {TELL_REWARD}; nothing was changed") from None
    except UserError as error:
        hint = " (--skip-invalid skips such files)" if isinstance(error, InvalidFileError) else ""
        other = next(name for name in SOURCES if name != options.source)
        ways = f"a mirror (--url or {MIRROR_VARIABLE}), a file at hand (--from FILE) or --source {other}"
        kind = NotFetchedError if options.file is None else UserError
        raise kind(f"{options.file or url}: {error}{hint}; nothing was changed; other ways are {ways}") from None


def list_data(log: Path, environments: Sequence[EnvironmentDefinition]) -> tuple[str, list[str]]:
    """Return a table of the data sets below `log`, and a line for each file that is not a valid data set."""
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


def _atari_grand_challenge(log: Path) -> str:
    return ATARI_GRAND_CHALLENGE.format(log=log, quantilizer=call_of("python quantilizer.py", "quantilizer"))


if __name__ == "__main__":
    sys.exit(main())
