"""Watch a recording, a trained policy or an optimiser, in a window or a film.

    python play/replay.py --env_id Hopper-v2 --dataset_name ryan --episode best
    python play/replay.py --env_id MountainCar-v0 --dataset_name demo --quantile 0.25 --seed_min 0 --output car.gif
    python play/replay.py --env_id Hopper-v2 --algorithm ppo --seed 0

A recording that names its reset seeds is replayed exactly. One without them starts from its first observation,
where that shows the environment's whole state.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from quantilizers.choices import Acting, check_choice
from quantilizers.commands.arguments import environment_of, number, play_parser, whole_number
from quantilizers.commands.command_line import add_settings
from quantilizers.datasets.which_reward import WhichRewardError
from quantilizers.errors import MissingError, UserError
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.policies.keras_files import recipe_of
from quantilizers.programs import Parser, call_of, run_program
from quantilizers.stages.settings import TELL_REWARD, Settings, layout_from, ways_to_demonstrations

if TYPE_CHECKING:
    from quantilizers.play.watch import Showing

PROGRAM = call_of("play/replay.py", "quantilizer-replay")


def build_parser() -> Parser:
    """Return the command line's parser."""
    parser = play_parser(PROGRAM, "Watch a recording, a trained policy or an optimiser, in a window or a film.")
    parser.add_argument(
        "--dataset_name", default=argparse.SUPPRESS, help="the recording, or the policy's training data (demo)"
    )
    add_settings(parser, "data", "true_reward", "reward")
    parser.add_argument("--episode", default="1", help="number of the episode from 1 on, or best, worst or median (1)")
    parser.add_argument("--by", choices=("proxy", "true"), help="which return ranks episodes (proxy)")
    parser.add_argument("--quantile", type=number, help="show the policy trained with this quantile, not the recording")
    parser.add_argument(
        "--seed",
        "--seed_min",
        dest="seed",
        type=whole_number,
        help="seed of the policy or the optimiser (0)",
    )
    parser.add_argument("--algorithm", help=f"show an optimiser, not the recording: {', '.join(ALGORITHMS)}")
    parser.add_argument("--acting", help="how the policy acts (the environment's default)")
    path = parser.add_argument("--path", default="", help="folder of the policy or the optimiser below log/models")
    path.may_be_empty = True  # type: ignore[attr-defined]
    parser.add_argument("--output", type=Path, help="write a .gif or .mp4 instead of opening a window")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_program(PROGRAM, lambda: _replay(build_parser().parse_args(arguments)))


def _replay(arguments: argparse.Namespace) -> None:
    from quantilizers.play.watch import Showing, show  # pygame is not needed for --help

    environment, options = environment_of(arguments)
    _check_flags(arguments)
    if arguments.acting is not None:
        check_choice("--acting", arguments.acting, get_args(Acting))
    showing = Showing(
        environment=environment,
        layout=layout_from(vars(arguments), environment),
        episode=arguments.episode,
        by_true=arguments.by == "true",
        quantile=arguments.quantile,
        policy_seed=arguments.seed or 0,
        max_steps=arguments.max_steps,
        algorithm=arguments.algorithm,
        acting=arguments.acting,
        frames_per_second=arguments.fps,
        options=options,
        output=arguments.output,
        zoom=arguments.zoom,
        hide_rewards=arguments.hide_rewards,
    )
    try:
        print(show(showing))
    except WhichRewardError as error:
        raise UserError(f"{error}; {TELL_REWARD}") from None
    except MissingError as error:
        raise UserError(f"{error}; {_way_out(showing)}") from None
    if arguments.output is not None:
        print(f"written to {arguments.output}")


def _check_flags(arguments: argparse.Namespace) -> None:
    """Refuse flags that what is shown does not have."""
    if arguments.by is not None and arguments.episode.isdecimal():
        raise UserError("--by ranks episodes, and --episode is a number; give --episode best, worst or median")
    if arguments.algorithm is None:
        of_agents = {"--seed": arguments.seed, "--acting": arguments.acting, "--path": arguments.path or None}
        given = next((flag for flag, value in of_agents.items() if value is not None), None)
        if given is not None and arguments.quantile is None:
            raise UserError(f"{given} is of a policy or an optimiser; give --quantile or --algorithm, too")
        return
    check_choice("--algorithm", arguments.algorithm, ALGORITHMS)
    if arguments.quantile is not None or arguments.acting is not None:
        raise UserError("--quantile and --acting are of a policy, --algorithm is an optimiser; give one of them")


def _way_out(showing: Showing) -> str:
    """Return the command that makes the missing recording, policy or optimiser."""
    environment, layout, seed = showing.environment, showing.layout, showing.policy_seed
    if showing.algorithm is None and showing.quantile is None:
        return ways_to_demonstrations(environment, layout)
    policy = None if showing.quantile is None else layout.model(showing.quantile, seed)
    is_trained = policy is not None and policy.exists()
    settings = Settings(
        environment,
        layout,
        quantiles=(1.0 if showing.quantile is None else showing.quantile,),
        seeds=range(seed, seed + 1),
        number_trajectories=environment.experiment.number_trajectories,
        max_steps=showing.horizon,
        options=showing.options,
        wanted_algorithm=showing.algorithm,
        wanted_training=recipe_of(policy).entries["training"] if policy is not None and is_trained else {},
        wanted_acting=showing.acting,
    )
    if showing.algorithm is not None:
        return f"run: {settings.command_for('optimize')}"
    if is_trained:
        return f"test it: {settings.command_for('test')}"
    return f"train and test it: {settings.command_for('train', 'test')}"


if __name__ == "__main__":
    sys.exit(main())
