"""What the programs under `play/` share: one line for what is wrong, and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from quantilizers.envs import environment_names
from quantilizers.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line.

    Args:
        program: its name, such as `gather_data.py`.
        description: what it does.
    """

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=program, description=description, allow_abbrev=False)
        self.add_argument(
            "--env_id",
            "--env_name",
            dest="env_name",
            default="MountainCar-v0",
            help=f"environment: {', '.join(environment_names())} (MountainCar-v0)",
        )
        self.add_argument("--zoom", type=float, help="how much to enlarge the game (chosen by its height)")
        self.add_argument("--hide_rewards", action="store_true", help="do not show the two returns")

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise UserError(f"{message}; see python play/{self.prog} --help")


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


def run_program(program: str, work: Callable[[], None]) -> int:
    """Do the work of a program.

    Returns:
        The exit code: 0, 2 where the user asked for something impossible, 130 when interrupted.
    """
    try:
        work()
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    return 0
