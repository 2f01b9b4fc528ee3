"""Flags for the options that environments declare."""

from __future__ import annotations

import argparse
from functools import partial

from quantilizers.envs.shipped import OPTION_FLAGS


def add_environment_options(parser: argparse.ArgumentParser) -> None:
    """Add `--env_option`, and a flag of its own for each option in `OPTION_FLAGS`.

    All of them append (name, value) to `env_option`, which is missing where none was given; the later one wins.
    """
    parser.add_argument(
        "--env_option",
        type=_named_value,
        nargs="+",
        action="extend",
        default=argparse.SUPPRESS,
        metavar="NAME=VALUE",
        help="options of the environment",
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
