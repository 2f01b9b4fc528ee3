#!/usr/bin/env python3
"""Quantilizers: train, test and plot agents that imitate the best fraction of demonstrations.

python quantilizer.py --do train test plot --env_name MountainCar-v0 --quantiles 1.0 0.5 0.25 0.1 0.01
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from quantilizers.choices import BUDGETS, MATCHES, SELECTIONS, UNITS, Acting
from quantilizers.commands.arguments import add_environment_options
from quantilizers.displays import display_is_named
from quantilizers.envs.shipped import environment_names, runs_code
from quantilizers.errors import UserError, did_you_mean
from quantilizers.layout import FIGURE_FORMATS, Layout, log_directory
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.policies.hyper_parameters import TRAININGS, hyper_parameters
from quantilizers.policies.treatment import REFERENCE, Treatment
from quantilizers.programs import Parser, call_of, run_program
from quantilizers.quantilize import RULES
from quantilizers.stages.flags import ANALYSES, PLOT_STYLES, RESAMPLE, add_executor_flags, flag_of

if TYPE_CHECKING:
    from quantilizers.stages.run import Run
    from quantilizers.stages.settings import Settings

PROGRAM = call_of("quantilizer.py", "quantilizer")
#: The stages, in the order in which they run, and the module whose `run(run)` is the stage.
STAGES = {
    "inspect": "quantilizers.stages.inspection",
    "train": "quantilizers.stages.training",
    "test": "quantilizers.stages.testing",
    "optimize": "quantilizers.stages.optimising",
    "efforts": "quantilizers.stages.efforts",
    "plot": "quantilizers.stages.plotting",
    "study": "quantilizers.stages.studying",
    "imitators": "quantilizers.stages.comparing_imitators",
    "analyze": "quantilizers.stages.analysing",
    "report": "quantilizers.stages.reporting",
}
DEFAULT_STAGES = ("train", "test", "plot")
#: Other spellings of stages.
STAGE_SPELLINGS = {"optimise": "optimize", "analyse": "analyze"}
#: Flags that are no part of a run.
_NOT_OF_A_RUN = ("help", "version", "config", "print_config", "force")
_HYPER_PARAMETER = "hyper-parameter "


def _boolean(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return words[text.lower()]


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help that says defaults as they are typed: several words, not Python's list of them."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)


def build_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        PROGRAM,
        description="Train, test and plot quantilizers: agents that imitate the top fraction q of demonstrations, "
        "ranked by a proxy reward.",
        formatter_class=_Help,
    )
    parser.add_argument(
        "--env_name",
        "--env_id",
        default="MountainCar-v0",
        help=f"environment: {', '.join(environment_names())}, or one of your own, such as my_env.py:ENVIRONMENT, whose "
        "code is then run with your rights",
    )
    parser.add_argument(
        "--dataset_name",
        default="demo",
        help="demonstrations to imitate: the name of log/ENV_NAME/DATASET_NAME.npz",
    )
    parser.add_argument(
        "--do",
        nargs="+",
        default=list(DEFAULT_STAGES),
        metavar="DO",
        help=f"stages to run: {', '.join(STAGES)}",
    )
    parser.add_argument("--seed_min", type=int, default=0, help="first seed")
    parser.add_argument("--seed_nb", type=int, default=5, help="number of seeds: SEED_MIN, SEED_MIN + 1, …")
    parser.add_argument(
        "--seed", type=int, default=argparse.SUPPRESS, help="this seed alone; the same as --seed_min SEED --seed_nb 1"
    )
    parser.add_argument(
        "--number_trajectories",
        type=int,
        default=argparse.SUPPRESS,
        help="test episodes of each policy (default: the environment's own, 100 on Mountain Car)",
    )
    parser.add_argument(
        "--quantiles",
        type=float,
        nargs="+",
        default=argparse.SUPPRESS,
        help="fractions of the demonstrations to imitate, above 0 and up to 1; 1 is imitation of them all (default: "
        "the environment's own)",
    )
    parser.add_argument(
        "--render",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="True|False",
        help="show test episodes in a window, one at a time",
    )
    parser.add_argument(
        "--plotstyle",
        default=PLOT_STYLES[0],
        help=f"how the figure shows the seeds: {', '.join(PLOT_STYLES)}",
    )
    parser.add_argument("--format", default=FIGURE_FORMATS[0], help=f"of figures: {', '.join(FIGURE_FORMATS)}")
    parser.add_argument(
        "--analysis",
        nargs="+",
        default=list(ANALYSES[:3]),
        metavar="ANALYSIS",
        help=f"what analyze looks at: {', '.join(ANALYSES)}",
    )
    parser.add_argument(
        "--subsets",
        type=int,
        default=10,
        help="random subsets of the demonstrations that study compares each quantile with",
    )
    parser.add_argument(
        "--implicit_loss",
        type=float,
        default=argparse.SUPPRESS,
        metavar="K",
        help="mean loss of the demonstrations that the proxy does not see, for the guarantee E_q[U] − k/q of study "
        "(default: estimated from the demonstrations)",
    )
    parser.add_argument(
        "--resample",
        default=RESAMPLE[0],
        help=f"what study draws anew, rerunning it each time, to see how far it carries: {' or '.join(RESAMPLE)}",
    )
    parser.add_argument("--resamples", type=int, default=50, help="how often it does")
    parser.add_argument(
        "--players_from",
        default=argparse.SUPPRESS,
        metavar="DATASET_NAME",
        help="larger data set that --resample players draws from (default: the demonstrations themselves)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["quantile"],
        metavar="METHOD",
        help=f"by which study weighs episodes: {', '.join(RULES)}",
    )
    parser.add_argument(
        "--path",
        default="",
        help="folder for this run's models, rewards and figures, below log/models, log/rewards and log/fig, "
        "such as run_nb_42/",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="do again what is finished, and replace what was made with other settings or data; without it finished "
        "work is kept, and other work refused",
    )
    parser.add_argument(
        "--log_dir",
        type=Path,
        default=argparse.SUPPRESS,
        help=f"folder of data sets and results ({call_of('default: the log/ of the repository', 'default: ./log')})",
    )
    parser.add_argument(
        "--max_steps",
        type=int,
        default=argparse.SUPPRESS,
        help="steps after which a test episode is cut (default: the environment's own, 200 on Mountain Car, or as the "
        "longest demonstration on Video Pinball)",
    )
    add_environment_options(parser)
    parser.add_argument(
        "--algorithm",
        default=argparse.SUPPRESS,
        help=f"what optimize trains and plot shows: {', '.join(ALGORITHMS)} (default: the environment's own, "
        "sarsa on Mountain Car)",
    )
    parser.add_argument(
        "--optimisers",
        "--optimizers",
        nargs="+",
        default=argparse.SUPPRESS,
        metavar="ALGORITHM",
        help="what plot shows beside --algorithm (default: of those that were measured, random and the one of the "
        "greatest proxy return)",
    )
    parser.add_argument(
        "--optimiser_steps",
        "--optimizer_steps",
        "--effort",
        type=int,
        default=argparse.SUPPRESS,
        help="steps that optimize trains each seed for; for a planner its effort: steps looked ahead on Mountain Car, "
        "policies tried on Hopper, sequences tried for each decision on Video Pinball (default: the algorithm's own, "
        + ", ".join(f"{algorithm.steps:,} for {name}" for name, algorithm in ALGORITHMS.items() if algorithm.steps)
        + "; for a planner the environment's)",
    )
    parser.add_argument(
        "--config", type=Path, default=argparse.SUPPRESS, help="YAML file of flags and values; flags given here win"
    )
    parser.add_argument(
        "--print_config",
        action="store_true",
        help="print the file for --config that makes this run again, and run nothing",
    )
    add_executor_flags(parser)
    _add_treatment(parser)
    _add_hyper_parameters(parser)
    return parser


def _add_treatment(parser: Parser) -> None:
    """Add a flag for each part of the treatment of demonstrations."""
    group = parser.add_argument_group("treatment", "What policies learn from, and for how long.")
    helps = {
        "select": f"which episodes a quantile keeps by proxy return: {', '.join(SELECTIONS)}",
        "subset": "with --select random: the number of the random choice",
        "budget": f"{' or '.join(BUDGETS)}: as many passes over what is kept, or as many gradient steps as imitation",
        "method": f"how episodes are weighted: {', '.join(RULES)}; the last two weigh all, as strongly as a quantile",
        "match": f"by what that is as strong: {', '.join(MATCHES)}",
        "weight": f"what counts alike in cloning: {' or '.join(UNITS)}",
    }
    for name, default in asdict(REFERENCE).items():
        group.add_argument(f"--{name}", type=type(default), default=default, help=helps[name])


def _add_hyper_parameters(parser: Parser) -> None:
    """Add a flag for each hyper-parameter of either family of policies."""
    group = parser.add_argument_group("policies", "How policies are trained, and how they act.")
    group.add_argument(
        "--acting",
        default=argparse.SUPPRESS,
        help=f"how probabilities become an action: {', '.join(get_args(Acting))} (default: the environment's own)",
    )
    for name, of_families in hyper_parameters().items():
        first = next(iter(of_families.values()))
        several = isinstance(first.default, tuple)
        defaults = {family: _written(parameter.default) for family, parameter in of_families.items()}
        group.add_argument(
            f"--{flag_of(name)}",
            type=int if several else type(first.default),
            nargs="*" if several else None,
            dest=_HYPER_PARAMETER + name,
            default=argparse.SUPPRESS,
            metavar=flag_of(name).upper(),
            help=f"{first.metadata['help']} (default: {_defaults(defaults)})",
        )


def _defaults(of_families: Mapping[str, str]) -> str:
    """Return the defaults that a hyper-parameter has in the families that know it."""
    words = [f"{default} for {family.replace('_', ' ')}s" for family, default in of_families.items()]
    alike = len(of_families) == len(TRAININGS) and len(set(of_families.values())) == 1
    return next(iter(of_families.values())) if alike else ", ".join(words)


def _written(default: Any) -> str:
    return " ".join(map(str, default)) if isinstance(default, tuple) else f"{default:g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code: 0, 2 where the user asked for something impossible, 130 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)

    def again() -> str:
        return shlex.join([*call_of("python quantilizer.py", "quantilizer").split(), *words])

    return run_program(PROGRAM, lambda: _run(words), again, at_once=arguments is None)


def console() -> int:
    """Run the command line of the process."""
    return main()


def _run(words: list[str]) -> None:
    """Parse the command line, check it whole, then run its stages in their order.

    Args:
        words: of the command line. `--force` is taken from them when it is obeyed, so that the same command goes on.
    """
    options = _parse(words)
    stages = [STAGE_SPELLINGS.get(stage, stage) for stage in options["do"]]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        hint = did_you_mean(unknown[0], STAGES) or ";"
        raise UserError(f"unknown stage {unknown[0]!r}{hint} --do takes {', '.join(STAGES)}")
    settings = _settings(options, words)
    if options["print_config"]:
        from quantilizers.stages.configuration import text_of

        print(text_of(settings, stages), end="")
        return
    if settings.render and "test" in stages and not display_is_named():
        raise UserError("--render True needs a display, and DISPLAY is not set; leave --render out here")
    from quantilizers.stages.manifest import Manifest
    from quantilizers.stages.run import Run

    run = Run(settings)
    _check(run, stages)
    with _alone(settings, stages) as waited:
        if waited:
            run.refresh()
            _check(run, stages)

        manifest = Manifest(settings.layout.runs, {**settings.record(), **settings.asked(), "stages": stages})
        with manifest.kept():
            run.manifest = manifest
            modules = {stage: importlib.import_module(module) for stage, module in STAGES.items() if stage in stages}
            if settings.force:
                for module in modules.values():
                    if hasattr(module, "forget"):
                        module.forget(run)
                run.refresh()
                words[:] = [word for word in words if word != "--force"]
            for stage, module in modules.items():
                with manifest.stage(stage):
                    module.run(run)
                run.refresh()


def _alone(settings: Settings, stages: Collection[str]) -> AbstractContextManager[bool]:
    """Let no other process write the same files while the block runs; it gives whether one had to be waited for."""
    from quantilizers.locks import holding

    layout = settings.layout
    kinds = {layout.dataset: ("train", "test", "study", "imitators"), "optimiser": ("optimize", "efforts")}
    locks = [layout.lock(name) for name, writing in kinds.items() if {*writing} & {*stages}]

    def told(holder: str) -> None:
        name = PROGRAM.rpartition("/")[2]
        print(
            f"{name}: waiting for {holder}, which writes the same files; another --path need not wait", file=sys.stderr
        )

    return holding(locks, told)


def _check(run: Run, stages: Collection[str]) -> None:
    """Refuse what cannot be done in the end, or would replace what others have made, before an hour of training."""
    if "test" in stages and "train" not in stages:
        importlib.import_module(STAGES["test"]).check_trained(run)
    if {"plot", "report"} & {*stages} and "test" not in stages:
        importlib.import_module(STAGES["plot"]).load_tested(run)
    for module in [importlib.import_module(module) for stage, module in STAGES.items() if stage in stages]:
        if hasattr(module, "check"):
            module.check(run)


def _parse(words: Sequence[str]) -> dict[str, Any]:
    """Return the values of all flags, those of a configuration file where the command line does not give them."""
    parser = build_parser()
    options = parser.parse_args(words)
    if "config" in options:
        from quantilizers.stages.configuration import words_in

        flags = {flag.removeprefix("--") for action in parser._actions for flag in action.option_strings}
        known = sorted(flag for flag in flags if not flag.startswith("-") and flag not in _NOT_OF_A_RUN)
        file, typed, trusted = options.config, options.env_name, vars(options).get("scheduler")
        options = parser.parse_args([*words_in(file, known), *words])
        if vars(options).get("scheduler") != trusted:
            raise UserError(
                f"{file} names a scheduler, which can have any code run here, and a file may not decide that; say "
                f"--scheduler {options.scheduler} on the command line if you trust it"
            )
        if runs_code(options.env_name) and options.env_name != typed:
            raise UserError(
                f"{file} names {options.env_name}, whose code would be run, which a file may not decide; if you trust "
                f"it, say so: --config {file} --env_name {options.env_name}"
            )
    return vars(options)


def _seeds(options: Mapping[str, Any], words: Sequence[str]) -> range:
    """Return the seeds of the run: the one of `--seed`, or those of `--seed_min` and `--seed_nb`.

    Raises:
        UserError: both were asked for.
    """
    if "seed" not in options:
        return range(options["seed_min"], options["seed_min"] + options["seed_nb"])
    if any(word.partition("=")[0] in ("--seed_min", "--seed_nb") for word in words):
        raise UserError("--seed is one seed, --seed_min and --seed_nb are several; give one or the other")
    if options["seed"] < 0:
        raise UserError("--seed must be at least 0")
    return range(options["seed"], options["seed"] + 1)


def _settings(options: Mapping[str, Any], words: Sequence[str]) -> Settings:
    # Help and mistyped flags need nothing that environments do.
    from quantilizers.envs.registry import check_options, load_environment
    from quantilizers.stages.run import default_max_steps
    from quantilizers.stages.settings import Settings

    environment = load_environment(options["env_name"])
    layout = Layout(
        options.get("log_dir", log_directory()),
        environment.name,
        options["dataset_name"],
        options["path"],
        options["format"],
    )
    return Settings(
        environment=environment,
        layout=layout,
        quantiles=tuple(options.get("quantiles", environment.experiment.quantiles)),
        seeds=_seeds(options, words),
        number_trajectories=options.get("number_trajectories", environment.experiment.number_trajectories),
        max_steps=options["max_steps"] if "max_steps" in options else default_max_steps(environment, layout),
        render=options["render"],
        plotstyle=options["plotstyle"],
        analyses=tuple(options["analysis"]),
        treatment=Treatment(**{name: options[name] for name in asdict(REFERENCE)}),
        subsets=options["subsets"],
        implicit_loss=options.get("implicit_loss"),
        resample=options["resample"],
        resamples=options["resamples"],
        players_from=options.get("players_from"),
        methods=tuple(options["methods"]),
        options=check_options(environment, dict(options.get("env_option", ()))),
        wanted_training={
            flag.removeprefix(_HYPER_PARAMETER): value
            for flag, value in options.items()
            if flag.startswith(_HYPER_PARAMETER)
        },
        wanted_acting=options.get("acting"),
        wanted_algorithm=options.get("algorithm"),
        wanted_optimisers=tuple(options["optimisers"]) if "optimisers" in options else None,
        wanted_optimiser_steps=options.get("optimiser_steps"),
        force=options["force"],
        workers=options.get("workers"),
        scheduler=options.get("scheduler"),
        command=tuple(words),
    )


if __name__ == "__main__":
    sys.exit(main())
