"""What all programs share: what is wrong is said in one line, and the exit code tells what happened."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from quantilizers.errors import NotInstalledError, UserError, did_you_mean
from quantilizers.versions import __version__


def call_of(file: str, command: str) -> str:
    """Return how people call a program of this project.

    Args:
        file: what runs it in the repository, such as `python quantilizer.py`.
        command: what runs it where the package is installed, such as `quantilizer`.
    """
    # Only an installed package carries its data sets.
    return command if (Path(__file__).resolve().parent / "log").is_dir() else file


#: The extra of pyproject.toml, and the file of requirements, that brings a module that only some of this project needs.
EXTRAS = {
    **dict.fromkeys(("tensorflow", "keras", "h5py", "tensorboard"), ("train", "requirements.txt")),
    **dict.fromkeys(("ale_py", "cv2"), ("atari", "requirements.txt")),
    **dict.fromkeys(("mujoco", "imageio"), ("mujoco", "requirements.txt")),
    **dict.fromkeys(("pygame", "PIL"), ("video", "requirements.txt")),
    **dict.fromkeys(("torch", "stable_baselines3", "sb3_contrib"), ("optimizers", "requirements-optimizers.txt")),
    "jinja2": ("report", "requirements.txt"),
    "minari": ("minari", "requirements-minari.txt"),
}


def way_to_install(module: str) -> str:
    """Return the command that installs a module that is missing."""
    extra, file = EXTRAS.get(module.partition(".")[0], ("all", "requirements.txt"))
    return call_of(f"pip install -r {file}", f"pip install 'quantilizers[{extra}]'")


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, takes no abbreviations of flags, and tells the version.

    Args:
        prog: how it is called, such as `scripts/make_demo.py` or, installed, `quantilizer`.
        **settings: further arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(
            prog=prog, **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **settings}
        )
        self.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="tell the version")

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UserError: always.
        """
        command = f"python {self.prog}" if ".py" in self.prog else self.prog
        raise UserError(f"{message}{self._hint(message)}; see {command} --help")

    def _hint(self, message: str) -> str:
        """Return the flag that was probably meant, where argparse's message is that it knows one not."""
        if not message.startswith("unrecognized arguments: "):
            return ""
        unknown = next((word for word in message.split() if word.startswith("--")), "")
        flags = [flag for action in self._actions for flag in action.option_strings]
        return did_you_mean(unknown.partition("=")[0], flags)


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
    except NotInstalledError as error:
        print(f"{name}: {error}; run: {way_to_install(error.module)}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in EXTRAS:
            raise
        print(f"{name}: {error.name} is not installed; run: {way_to_install(str(error.name))}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0
