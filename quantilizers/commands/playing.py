"""What the programs that show a game share on their command lines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quantilizers.commands.environment_options import add_environment_options
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import check_options
from quantilizers.envs.shipped import environment_names
from quantilizers.layout import log_directory
from quantilizers.programs import Parser


class PlayParser(Parser):
    """The parser of a program that shows a game, with the flags that all of them have.

    Args:
        program: how it is called.
        description: what it does.
    """

    def __init__(self, program: str, description: str) -> None:
        super().__init__(program, description=description)
        self.add_argument(
            "--env_id",
            "--env_name",
            dest="env_name",
            default="MountainCar-v0",
            help=f"environment: {', '.join(environment_names())}, or FILE.py:NAME for one of your own (MountainCar-v0)",
        )
        add_environment_options(self)
        self.add_argument("--zoom", type=float, help="how much to enlarge the game (chosen by its height)")
        self.add_argument("--hide_rewards", action="store_true", help="do not show the two returns")
        self.add_argument(
            "--log_dir", type=Path, default=log_directory(), help="folder of data sets and results (%(default)s)"
        )


def options_of(environment: EnvironmentDefinition, options: argparse.Namespace) -> dict[str, Any]:
    """Return all of the environment's options, as given or by default.

    Raises:
        UserError: the environment has no such option, or its value is impossible.
    """
    return check_options(environment, dict(getattr(options, "env_option", ())))


def positive_number(text: str) -> float:
    """Return a number of the command line that must lie above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def positive_count(text: str) -> int:
    """Return a whole number of the command line that must be at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value
