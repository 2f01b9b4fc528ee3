"""Record demonstrations: play an environment with the keyboard, in one window.

    python play/gather_data.py --env_id MountainCar-v0 --filename ryan

Every finished episode is saved to log/<ENV>/<FILENAME>.npz immediately. Esc or closing the window ends the recording.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantilizers.commands.arguments import RECORD, environment_of, play_parser, whole_number
from quantilizers.errors import ExistsError, UserError
from quantilizers.layout import Layout, data_folder, log_directory, one_name
from quantilizers.numbers_in_words import counted
from quantilizers.programs import Parser, call_of, run_program

if TYPE_CHECKING:
    from quantilizers.play.recording import Recording
    from quantilizers.play.session import Session


def build_parser() -> Parser:
    """Return the command line's parser."""
    parser = play_parser(RECORD, "Record demonstrations: play an environment with the keyboard, in one window.")
    parser.add_argument("--filename", help="name of the file in log/ENV_ID, without .npz (month, day and time)")
    parser.add_argument("--append", action="store_true", help="add to the file if it exists")
    parser.add_argument("--player", default="", help="name of the player, stored with each episode (none)")
    parser.add_argument(
        "--keys", nargs="+", default=[], metavar="USUAL=WANTED", help="use other keys, such as a=left d=right"
    )
    parser.add_argument(
        "--seed", type=whole_number, help="reset seed of the first episode, the next has seed + 1 (random)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_program(RECORD, lambda: _record(build_parser().parse_args(arguments)))


def _record(arguments: argparse.Namespace) -> None:
    from quantilizers.datasets.origins import check_origin, note_origin
    from quantilizers.play.session import Session, gather  # pygame is not needed for --help

    environment, options = environment_of(arguments)
    filename = time.strftime("%m-%d_%H-%M-%S") if arguments.filename is None else arguments.filename
    layout = Layout(arguments.log_dir, data_folder(environment.name), dataset_name(filename))
    check_origin(layout, environment)
    session = Session(
        environment=environment,
        path=layout.data,
        lock=layout.lock(f"recording_{layout.dataset}"),
        append=arguments.append,
        player=arguments.player,
        first_seed=arguments.seed,
        max_steps=arguments.max_steps or environment.max_steps,
        frames_per_second=arguments.fps,
        options=options,
        zoom=arguments.zoom,
        changed_keys=parse_changes(arguments.keys),
        hide_rewards=arguments.hide_rewards,
    )
    try:
        recording = gather(session)
        note_origin(layout, environment)
        print(summary(recording, session, arguments.log_dir))
    except ExistsError as error:
        raise UserError(f"{error}; add to it with --append or choose another --filename") from None


def dataset_name(filename: str) -> str:
    """Return the name of the data set that `--filename` names."""
    try:
        name = one_name(filename, "file name").removesuffix(".npz")
        Layout(Path(), "any", name)
    except UserError as error:
        raise UserError(f"--filename: {error}") from None
    return name


def parse_changes(words: Sequence[str]) -> dict[str, str]:
    """Parse `--keys`, such as `a=left d=right`: from a usual key to the one that replaces it."""
    changes = {}
    for word in words:
        usual, sign, wanted = word.partition("=")
        if not (usual and sign and wanted) or usual in changes:
            raise UserError(f"--keys {word!r} is not USUAL=WANTED, each key once, such as a=left d=right")
        changes[usual] = wanted
    return changes


def summary(recording: Recording, session: Session, log: Path) -> str:
    """Describe what was recorded, with the command that trains on it."""
    environment, episodes = session.environment, recording.episodes
    steps = 0 if recording.unfinished is None else len(recording.unfinished.actions)
    dropped = [f"an unfinished episode of {counted(steps, 'step')} was dropped"] if steps else []
    if not episodes:
        return "\n".join(["no episode was finished, so nothing was recorded", *dropped])
    lines = [f"{counted(len(episodes), 'episode')} recorded into {recording.path}", *dropped]
    for label, returns in (
        (environment.figures.true_label, [episode.true_return for episode in episodes]),
        (environment.figures.proxy_label, [episode.proxy_return for episode in episodes]),
    ):
        lines.append(f"{label}: {np.mean(returns):.6g} on average, {max(returns):.6g} at best")
    words = ["--do", "train", "test", "plot", "--env_name", environment.address]
    words += ["--dataset_name", recording.path.stem]
    options = {name: value for name, value in session.options.items() if value != environment.options.get(name)}
    if options:
        words += ["--env_option", *(f"{name}={value}" for name, value in options.items())]
    if log.resolve() != log_directory().resolve():
        words += ["--log_dir", str(log)]
    lines.append(f"train on it: {call_of('python quantilizer.py', 'quantilizer')} {shlex.join(words)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
