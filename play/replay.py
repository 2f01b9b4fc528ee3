#!/usr/bin/env python3
"""Watch a recording or a trained policy, in a window or as a GIF or MP4.

    python play/replay.py --env_id Hopper-v2 --dataset_name ryan --episode best
    python play/replay.py --env_id MountainCar-v0 --dataset_name demo --quantile 0.25 --seed_min 0 --output car.gif

A recording that names its reset seeds is replayed exactly. One without them starts from its first observation,
where that shows the environment's whole state.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.envs import load_environment
from quantilizers.files import LOG_DIRECTORY, Layout
from quantilizers.play.command_line import PlayParser, positive_count, positive_number
from quantilizers.play.watch import Showing, show
from quantilizers.programs import run_program

PROGRAM = "replay.py"


def parser() -> PlayParser:
    """Return the command line's parser."""
    made = PlayParser(PROGRAM, "Watch a recording or a trained policy, in a window or as a GIF or MP4.")
    made.add_argument("--dataset_name", default="demo", help="the recording, or what the policy was trained on (demo)")
    made.add_argument("--episode", default="1", help="number of the episode from 1 on, or best, worst or median (1)")
    made.add_argument("--by", choices=("proxy", "true"), default="proxy", help="which return ranks episodes (proxy)")
    made.add_argument("--quantile", type=float, help="show the policy trained with this quantile, not the recording")
    made.add_argument("--seed_min", type=int, default=0, help="seed of that policy (0)")
    made.add_argument("--path", default="", help="folder of that policy below log/models")
    made.add_argument("--max_steps", type=positive_count, help="cut that policy's episode after so many steps")
    made.add_argument("--fps", type=positive_number, help="pictures a second (30; 60 on Video Pinball)")
    made.add_argument("--output", type=Path, help="write a .gif or .mp4 instead of opening a window")
    return made


def main(arguments: Sequence[str] | None = None, log: Path = LOG_DIRECTORY) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.
        log: the folder of the recordings and policies.

    Returns:
        The exit code.
    """

    def work() -> None:
        options = parser().parse_args(arguments)
        environment = load_environment(options.env_name)
        showing = Showing(
            environment=environment,
            layout=Layout(log, environment.name, options.dataset_name, options.path),
            episode=options.episode,
            by_true=options.by == "true",
            quantile=options.quantile,
            policy_seed=options.seed_min,
            max_steps=options.max_steps or environment.max_steps,
            frames_per_second=options.fps or environment.keyboard.frames_per_second,
            output=options.output,
            zoom=options.zoom,
            hide_rewards=options.hide_rewards,
        )
        print(show(showing))
        if options.output is not None:
            print(f"written to {options.output}")

    return run_program(PROGRAM, work)


if __name__ == "__main__":
    sys.exit(main())
