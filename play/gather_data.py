#!/usr/bin/env python3
"""Record demonstrations: play an environment with the keyboard, in one window.

    python play/gather_data.py --env_id MountainCar-v0 --filename ryan

Every finished episode is in log/<ENV>/<FILENAME>.npz at once. Esc or closing the window ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.envs import load_environment
from quantilizers.files import LOG_DIRECTORY, Layout, one_name
from quantilizers.play.command_line import PlayParser, positive_count, positive_number
from quantilizers.play.gather import Sitting, gather, summary
from quantilizers.play.keys import parse_changes
from quantilizers.programs import run_program

PROGRAM = "gather_data.py"


def parser() -> PlayParser:
    """Return the command line's parser."""
    made = PlayParser(PROGRAM, "Record demonstrations: play an environment with the keyboard, in one window.")
    made.add_argument("--filename", help="name of the file in log/ENV_ID, without .npz (month, day and time)")
    made.add_argument("--append", action="store_true", help="add to the file where it exists")
    made.add_argument("--player", default="", help="a name to keep with each episode (none)")
    made.add_argument(
        "--keys", nargs="+", default=[], metavar="USUAL=WANTED", help="use other keys, such as a=left d=right"
    )
    made.add_argument(
        "--fps", type=positive_number, help="pictures a second (30; 60 on Video Pinball, which shows 4 a step)"
    )
    made.add_argument("--seed", type=int, help="reset seed of the first episode; later ones count up (random)")
    made.add_argument(
        "--max_steps", type=positive_count, help="cut an episode after so many steps (the environment's own)"
    )
    return made


def main(arguments: Sequence[str] | None = None, log: Path = LOG_DIRECTORY) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.
        log: the folder that recordings go to.

    Returns:
        The exit code.
    """

    def work() -> None:
        options = parser().parse_args(arguments)
        environment = load_environment(options.env_name)
        filename = time.strftime("%m-%d_%H-%M-%S") if options.filename is None else options.filename
        dataset = one_name(filename, "--filename").removesuffix(".npz")
        sitting = Sitting(
            environment=environment,
            path=Layout(log, environment.name, dataset).data,
            append=options.append,
            player=options.player,
            first_seed=options.seed,
            max_steps=options.max_steps or environment.max_steps,
            frames_per_second=options.fps or environment.keyboard.frames_per_second,
            zoom=options.zoom,
            changed_keys=parse_changes(options.keys),
            hide_rewards=options.hide_rewards,
        )
        print(summary(gather(sitting), environment))

    return run_program(PROGRAM, work)


if __name__ == "__main__":
    sys.exit(main())
