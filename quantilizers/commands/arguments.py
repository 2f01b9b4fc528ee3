"""Command-line arguments that several programs share."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantilizers.envs.shipped import OPTION_FLAGS, environment_names
from quantilizers.layout import log_directory
from quantilizers.programs import Parser, call_of

if TYPE_CHECKING:
    from quantilizers.envs.definition import EnvironmentDefinition

#: The programs that messages send people to.
RECORD = call_of("play/gather_data.py", "quantilizer-record")
LOAD_DATA = call_of("scripts/load_data.sh", "quantilizer-data")


def add_log_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--log_dir`."""
    parser.add_argument(
        "--log_dir", type=Path, default=log_directory(), help="folder of data and results (%(default)s)"
    )


def add_environment(parser: argparse.ArgumentParser, default: str | None = "MountainCar-v0", help: str = "") -> None:
    """Add `--env_name`, also spelled `--env_id`."""
    names = ", ".join(environment_names())
    parser.add_argument(
        "--env_name",
        "--env_id",
        dest="env_name",
        default=default,
        help=help or f"one of {names}, or one of your own, such as my_env.py:ENVIRONMENT (%(default)s)",
    )


def add_environment_options(parser: argparse.ArgumentParser) -> None:
    """Add `--env_option`, and a flag for each option in `OPTION_FLAGS`.

    All of them append (name, value) to `env_option`, an attribute that is missing if none was given; the last value of
    a name wins.
    """
    parser.add_argument(
        "--env_option",
        type=_named_value,
        nargs="+",
        action="extend",
        default=argparse.SUPPRESS,
        metavar="NAME=VALUE",
        help="options of the environment; observation=ram has Video Pinball observed by the console's memory",
    )
    for name, about in OPTION_FLAGS.items():
        parser.add_argument(
            f"--{name}",
            type=partial(_value_of, name),
            action="append",
            dest="env_option",
            default=argparse.SUPPRESS,
            metavar=name.upper(),
            help=f"{about}; the same as --env_option {name}={name.upper()}",
        )


def _named_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _value_of(name: str, value: str) -> tuple[str, str]:
    return name, value


def environment_of(arguments: argparse.Namespace) -> tuple[EnvironmentDefinition, dict[str, Any]]:
    """Return the environment, and all its options as given on the command line or by default."""
    from quantilizers.envs.registry import environment_and_options  # help needs no environment

    return environment_and_options(arguments.env_name, dict(getattr(arguments, "env_option", ())))


def play_parser(program: str, description: str) -> Parser:
    """Return the parser of a program that shows a game, with the arguments that all of them have."""
    parser = Parser(program, description=description)
    add_environment(parser)
    add_environment_options(parser)
    parser.add_argument("--zoom", type=number, help="enlargement of the game's picture (chosen by its height)")
    parser.add_argument("--hide_rewards", action="store_true", help="do not show the two returns")
    parser.add_argument(
        "--fps", type=positive_number, help="frames per second (the environment's default, otherwise 30)"
    )
    parser.add_argument(
        "--max_steps", type=positive_count, help="maximum number of steps of an episode (the environment's default)"
    )
    add_log_dir(parser)
    return parser


# These parsers are here for their messages, which are clearer than argparse's.


def whole_number(text: str) -> int:
    """Parse an integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number{_separated(text)}") from None


def number(text: str) -> float:
    """Parse a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number{_separated(text)}") from None


def _separated(text: str) -> str:
    return "; separate several by spaces, and write decimals with a point" if "," in text else ""


def positive_number(text: str) -> float:
    """Parse a finite number above 0."""
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number above 0")
    return value


def positive_count(text: str) -> int:
    """Parse an integer of at least 1."""
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not at least 1")
    return value
