"""Watch a recording, a trained policy or an optimiser, in a window or as a GIF or MP4.

    python play/replay.py --env_id Hopper-v2 --dataset_name ryan --episode best
    python play/replay.py --env_id MountainCar-v0 --dataset_name demo --quantile 0.25 --seed_min 0 --output car.gif
    python play/replay.py --env_id Hopper-v2 --algorithm ppo --seed 0

A recording that names its reset seeds is replayed exactly. One without them starts from its first observation,
where that shows the environment's whole state.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantilizers.commands.playing import (
    PlayParser,
    options_of,
    positive_count,
    positive_number,
)
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.policies.keras_files import described
from quantilizers.programs import call_of, run_program
from quantilizers.stages.settings import Settings

if TYPE_CHECKING:
    from quantilizers.play.watch import Showing

PROGRAM = call_of("play/replay.py", "quantilizer-replay")


def build_parser() -> PlayParser:
    """Return the command line's parser."""
    parser = PlayParser(PROGRAM, "Watch a recording, a trained policy or an optimiser, in a window or as a GIF or MP4.")
    parser.add_argument(
        "--dataset_name", default="demo", help="the recording, or what the policy was trained on (demo)"
    )
    parser.add_argument("--episode", default="1", help="number of the episode from 1 on, or best, worst or median (1)")
    parser.add_argument("--by", choices=("proxy", "true"), default="proxy", help="which return ranks episodes (proxy)")
    parser.add_argument("--quantile", type=float, help="show the policy trained with this quantile, not the recording")
    parser.add_argument(
        "--seed", "--seed_min", dest="seed", type=int, default=0, help="seed of the policy or the optimiser (0)"
    )
    parser.add_argument("--algorithm", help=f"show an optimiser, not the recording: {', '.join(ALGORITHMS)}")
    parser.add_argument("--acting", help="how that policy acts (the environment's own way)")
    parser.add_argument("--path", default="", help="folder of it below log/models")
    parser.add_argument("--max_steps", type=positive_count, help="cut its episode after so many steps")
    parser.add_argument("--fps", type=positive_number, help="pictures a second (the environment's own, otherwise 30)")
    parser.add_argument("--output", type=Path, help="write a .gif or .mp4 instead of opening a window")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """

    def work() -> None:
        options = build_parser().parse_args(arguments)
        from quantilizers.play.watch import Showing, show  # only what plays needs pygame

        environment = load_environment(options.env_name)
        _check_algorithm(options)
        showing = Showing(
            environment=environment,
            layout=Layout(options.log_dir, environment.name, options.dataset_name, options.path),
            episode=options.episode,
            by_true=options.by == "true",
            quantile=options.quantile,
            policy_seed=options.seed,
            max_steps=options.max_steps,
            algorithm=options.algorithm,
            acting=options.acting,
            frames_per_second=options.fps,
            options=options_of(environment, options),
            output=options.output,
            zoom=options.zoom,
            hide_rewards=options.hide_rewards,
        )
        try:
            print(show(showing))
        except MissingError as error:
            raise UserError(f"{error}; {_way_out(showing)}") from None
        if options.output is not None:
            print(f"written to {options.output}")

    return run_program(PROGRAM, work)


def _check_algorithm(options: argparse.Namespace) -> None:
    """Refuse an optimiser that there is none of, or that is asked for together with a policy.

    Raises:
        UserError: see above.
    """
    if options.algorithm is None:
        return
    if options.algorithm not in ALGORITHMS:
        close = difflib.get_close_matches(options.algorithm, ALGORITHMS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"unknown algorithm {options.algorithm!r}; {hint}--algorithm is one of {', '.join(ALGORITHMS)}")
    if options.quantile is not None or options.acting is not None:
        raise UserError("--quantile and --acting are of a policy, --algorithm is an optimiser; give one of them")


def _way_out(showing: Showing) -> str:
    """Return what to do where a recording or a policy is missing."""
    seed, environment = showing.policy_seed, showing.environment
    if showing.algorithm is not None:
        optimising = Settings(
            environment,
            showing.layout,
            quantiles=(1.0,),
            seeds=range(seed, seed + 1),
            number_trajectories=environment.experiment.number_trajectories,
            max_steps=showing.horizon,
            options=showing.options,
            wanted_algorithm=showing.algorithm,
        )
        return f"run: {optimising.command_for('optimize')}"
    if showing.quantile is None:
        record = call_of("play/gather_data.py", "quantilizer-record")
        fetch = call_of("scripts/load_data.sh", "quantilizer-data")
        return f"record one with {record}, or fetch people's play with {fetch}"
    policy = showing.layout.model(showing.quantile, seed)
    is_trained = policy.exists()
    settings = Settings(
        environment,
        showing.layout,
        quantiles=(showing.quantile,),
        seeds=range(seed, seed + 1),
        number_trajectories=environment.experiment.number_trajectories,
        max_steps=showing.horizon,
        options=showing.options,
        wanted_training=described(policy)["training"] if is_trained else {},
        wanted_acting=showing.acting,
    )
    if is_trained:
        return f"test it: {settings.command_for('test')}"
    return f"train and test it: {settings.command_for('train', 'test')}"


def console() -> int:
    """Run what an installed package calls `quantilizer-replay`; return the exit code."""
    return main()


if __name__ == "__main__":
    sys.exit(main())
