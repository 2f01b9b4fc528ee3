#!/usr/bin/env python3
"""Quantilizers: train, test and plot agents that imitate the best fraction of demonstrations.

python quantilizer.py --do train test plot --env_name MountainCar-v0 --quantiles 1.0 0.5 0.25 0.1 0.01
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from quantilizers.envs import environment_names, load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import LOG_DIRECTORY, Layout
from quantilizers.optimisers import ALGORITHMS
from quantilizers.programs import Parser, run_program
from quantilizers.settings import PLOT_STYLES, Settings
from quantilizers.windows import check_display

#: The stages, in the order in which they run, and the module whose `run(settings)` is the stage.
STAGES = {
    "inspect": "quantilizers.inspection",
    "train": "quantilizers.training",
    "test": "quantilizers.testing",
    "optimize": "quantilizers.optimising",
    "plot": "quantilizers.plotting",
}
DEFAULT_STAGES = ("train", "test", "plot")
#: Other spellings of stages.
STAGE_SPELLINGS = {"optimise": "optimize"}
#: Flags that become arguments of the environments that know them.
ENVIRONMENT_FLAGS = ("lamb",)
DEFAULT_QUANTILES = (1.0, 0.5, 0.25, 0.1, 0.01)


def _boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return words[text.lower()]


def parser() -> Parser:
    """Return the command line's parser."""
    made = Parser(
        "quantilizer.py",
        description="Train, test and plot quantilizers: agents that imitate the top fraction q of demonstrations, "
        "ranked by a proxy reward.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--env_name", default="MountainCar-v0", help=f"environment: {', '.join(environment_names())}")
    made.add_argument(
        "--dataset_name",
        default="demo",
        help="demonstrations to imitate: the name of log/ENV_NAME/DATASET_NAME.npz",
    )
    made.add_argument(
        "--do", nargs="+", default=list(DEFAULT_STAGES), metavar="DO", help=f"stages to run: {', '.join(STAGES)}"
    )
    made.add_argument("--seed_min", type=int, default=0, help="first seed")
    made.add_argument("--seed_nb", type=int, default=5, help="number of seeds: SEED_MIN, SEED_MIN + 1, …")
    made.add_argument(
        "--number_trajectories",
        type=int,
        default=argparse.SUPPRESS,
        help="test episodes of each policy (default: the environment's own, 100 on Mountain Car)",
    )
    made.add_argument(
        "--quantiles",
        type=float,
        nargs="+",
        default=list(DEFAULT_QUANTILES),
        help="fractions of the demonstrations to imitate, above 0 and up to 1; 1 is imitation of them all",
    )
    made.add_argument(
        "--render",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="True|False",
        help="show test episodes in a window, one at a time",
    )
    made.add_argument(
        "--plotstyle",
        default=PLOT_STYLES[0],
        help=f"how the figure shows the seeds: {', '.join(PLOT_STYLES)}",
    )
    made.add_argument(
        "--path",
        default="",
        help="folder for this run's models, rewards and figures, below log/models, log/rewards and log/fig, "
        "such as run_nb_42/",
    )
    made.add_argument(
        "--max_steps",
        type=int,
        default=argparse.SUPPRESS,
        help="steps after which a test episode is cut (default: the environment's own, 200 on Mountain Car)",
    )
    made.add_argument(
        "--lamb",
        type=float,
        default=argparse.SUPPRESS,
        help="λ, what the implicit reward costs on Video Pinball: a cheat rate of 1 costs so many points (default: 1)",
    )
    made.add_argument(
        "--algorithm",
        default=argparse.SUPPRESS,
        help=f"what optimize trains and plot shows: {', '.join(ALGORITHMS)} (default: the environment's own, "
        "sarsa on Mountain Car)",
    )
    made.add_argument(
        "--optimiser_steps",
        "--optimizer_steps",
        type=int,
        default=argparse.SUPPRESS,
        help="steps that optimize trains each seed for (default: the algorithm's own, "
        + ", ".join(f"{one.steps:,} for {name}" for name, one in ALGORITHMS.items())
        + ")",
    )
    return made


def environment_options(options: argparse.Namespace, environment: EnvironmentDefinition) -> dict[str, float]:
    """Return the environment's own arguments, as given or by default.

    Raises:
        UserError: one was given that this environment does not have, or it is no number from 0 upwards.
    """
    given = {name: value for name, value in vars(options).items() if name in ENVIRONMENT_FLAGS}
    for name, value in given.items():
        if name not in environment.options:
            raise UserError(f"{environment.name} has no --{name}; leave it out")
        if not 0 <= value < float("inf"):
            raise UserError(f"--{name} is {value:g}; give a number from 0 upwards")
    return {**environment.options, **given}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code: 0, 2 where the user asked for something impossible, 130 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_program("quantilizer.py", lambda: _run(words))


def _run(words: Sequence[str]) -> None:
    """Parse the command line, check it whole, then run its stages in their order."""
    options = parser().parse_args(words)
    stages = [STAGE_SPELLINGS.get(stage, stage) for stage in options.do]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise UserError(f"unknown stage {unknown[0]!r}; --do takes {', '.join(STAGES)}")
    environment = load_environment(options.env_name)
    settings = Settings(
        environment=environment,
        layout=Layout(LOG_DIRECTORY, environment.name, options.dataset_name, options.path),
        quantiles=tuple(options.quantiles),
        seeds=range(options.seed_min, options.seed_min + options.seed_nb),
        number_trajectories=getattr(options, "number_trajectories", environment.number_trajectories),
        max_steps=getattr(options, "max_steps", environment.max_steps),
        render=options.render,
        plotstyle=options.plotstyle,
        options=environment_options(options, environment),
        wanted_algorithm=getattr(options, "algorithm", None),
        wanted_optimiser_steps=getattr(options, "optimiser_steps", None),
        command=words,
    )
    if settings.render and "test" in options.do:
        check_display()
    if "plot" in stages and "test" not in stages:
        # What cannot be drawn in the end is to be known before an hour of training.
        importlib.import_module(STAGES["plot"]).load_tested(settings)
    for stage, module in STAGES.items():
        if stage in stages:
            importlib.import_module(module).run(settings)


if __name__ == "__main__":
    sys.exit(main())
