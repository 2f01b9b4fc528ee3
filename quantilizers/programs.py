"""What all programs share: what is wrong is said in one line, and the exit code tells what happened."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from quantilizers.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, and takes no abbreviations of flags.

    Args:
        prog: how it is called, such as `scripts/make_demo.py`.
        **settings: further arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(
            prog=prog, **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **settings}
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; see python {self.prog} --help")


def run_program(program: str, work: Callable[[], None]) -> int:
    """Do the work of a program.

    Args:
        program: how it is called; its last part begins the line that says what is wrong.
        work: parses the command line and does what it says.

    Returns:
        The exit code: 0, 2 where the user asked for something impossible, 130 when interrupted.
    """
    name = program.rpartition("/")[2]
    try:
        work()
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0
