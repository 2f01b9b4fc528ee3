"""The frame of all programs: parsers, exit codes, and errors that are one line with the way out."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from quantilizers.choices import check_choice
from quantilizers.errors import DataWarning, NotInstalledError, UserError, did_you_mean, one_line
from quantilizers.process import ending_at_once, guarded_streams, output_is_whole
from quantilizers.versions import __version__


def call_of(file: str, command: str) -> str:
    """Return how a program is called: `python quantilizer.py`, say, in a clone, and `quantilizer` if installed."""
    # Only an installed package contains its data sets.
    return command if (Path(__file__).resolve().parent / "log").is_dir() else file


#: The modules that every program needs: the dependencies in pyproject.toml.
CORE = ("gymnasium", "filelock", "matplotlib", "numpy", "pooch", "requests", "scipy", "tqdm", "yaml")
#: The extra in pyproject.toml, and the requirements file, that installs an optional module.
EXTRAS = {
    **dict.fromkeys(("tensorflow", "keras", "h5py", "tensorboard"), ("train", "requirements.txt")),
    **dict.fromkeys(("ale_py", "cv2"), ("atari", "requirements.txt")),
    **dict.fromkeys(("mujoco", "imageio"), ("mujoco", "requirements.txt")),
    **dict.fromkeys(("pygame", "PIL"), ("video", "requirements.txt")),
    **dict.fromkeys(("torch", "stable_baselines3", "sb3_contrib"), ("optimizers", "requirements-optimizers.txt")),
    "jinja2": ("report", "requirements.txt"),
    "minari": ("minari", "requirements-minari.txt"),
    "distributed": ("cluster", "requirements-cluster.txt"),
    "polars": ("scores", "requirements-scores.txt"),
}
#: Distributions that install the same files, of which only one may be installed; the first is the right one.
RIVALS = (("pygame-ce", "pygame"), ("opencv-python-headless", "opencv-python"))
_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")


def way_out(module: str) -> str:
    """Return the command for a user who lacks a module: this program in the clone's `.venv`, or an installation."""
    extra, file = EXTRAS.get(module.partition(".")[0], ("all", "requirements.txt"))
    python = _ROOT / ".venv" / _PYTHON
    words = sys.orig_argv[1:]
    inside = Path(sys.prefix).resolve() == (_ROOT / ".venv").resolve()
    if python.exists() and not inside and file == "requirements.txt" and words[:1] != ["-c"]:
        return shlex.join([os.path.relpath(python), *words])
    pip = shlex.join([os.path.relpath(python), "-m", "pip"]) if inside else "pip"
    return call_of(f"{pip} install -r {file}", f"pip install 'quantilizers[{extra}]'")


def require_libraries(*modules: str) -> None:
    """End the process with one line and exit code 2 if one of these modules, or of the core's, is not installed.

    Programs call it before they import anything but the standard library.
    """
    missing = next((module for module in (*CORE, *modules) if importlib.util.find_spec(module) is None), None)
    if missing is not None:
        words = sys.orig_argv
        name = words[words.index("-m") + 1] if "-m" in words[:-1] else Path(sys.argv[0]).name
        print(f"{name}: {missing} is not installed here; run: {way_out(missing)}", file=sys.stderr)
        sys.exit(2)


def rivals_installed() -> list[str]:
    """Describe each conflict between installed distributions, with the way out."""
    there = {name for pair in RIVALS for name in pair if _is_installed(name)}
    return [
        f"{rival} and {wanted} are both installed, and each overwrites the other's files; "
        f"run: pip uninstall -y {rival} {wanted} && pip install {wanted}"
        for wanted, rival in RIVALS
        if {wanted, rival} <= there
    ]


def _is_installed(distribution: str) -> bool:
    # Importing `importlib.metadata` takes longer than printing a program's help.
    name = f"{distribution.replace('-', '_')}-*.dist-info"
    return any(next(Path(folder).glob(name), None) for folder in sys.path)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a `UserError`, which has `--version`, and which accepts no abbreviated flags."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(
            prog=prog, **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **settings}
        )
        self._words: list[str] = []
        # Python's own pattern takes -1e-3 for a flag, so a value that is too small was called missing.
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
        self.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="print the version")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as `argparse` does, but refuse `--flag=--`, which it would treat as a flag without a value."""
        words = sys.argv[1:] if args is None else list(args)
        self._words = words
        for word in words:
            flag, separator, value = word.partition("=")
            if flag.startswith("-") and separator and value == "--":
                self.error(f"argument {flag}: '--' is no value")
        return super().parse_known_args(words, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Return an argument's value or values; refuse an empty one of a flag, which an unset shell variable gives.

        A flag whose empty value means something has the attribute `may_be_empty`.
        """
        if action.option_strings and "" in arg_strings and not getattr(action, "may_be_empty", False):
            self.error(f"argument {action.option_strings[0]}: its value is empty")
        return super()._get_values(action, arg_strings)  # type: ignore[misc]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not among an argument's choices, in the words of all programs."""
        if action.choices is not None:
            check_choice(action.option_strings[0] if action.option_strings else action.dest, value, [*action.choices])

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError`."""
        command = f"python {self.prog}" if ".py" in self.prog else self.prog
        hint = ""
        flags = [flag for action in self._actions for flag in action.option_strings]
        if message.startswith("the following arguments are required: "):
            # A mistyped flag is the reason that it is missing.
            given = [word.partition("=")[0] for word in self._words if word.startswith("--")]
            wrong = [word for word in given if word not in flags and did_you_mean(word, flags)]
            message = f"unrecognized arguments: {wrong[0]}" if wrong else message
        if message.startswith("unrecognized arguments: "):
            unknown = next((word for word in message.split() if word.startswith("--")), "")
            hint = did_you_mean(unknown.partition("=")[0], flags)
        raise UserError(f"{message}{hint or ';'} see {command} --help")


def _shown_in_one_line(show: Callable[..., None]) -> Callable[..., None]:
    """Return a `warnings.showwarning` that prints a `DataWarning` in one line and leaves others to `show`."""
    if getattr(show, "shows_in_one_line", False):
        return show

    def shown(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, DataWarning):
            print(f"warning: {one_line(str(message))}", file=sys.stderr)
        else:
            show(message, category, *place, **more)

    shown.shows_in_one_line = True  # type: ignore[attr-defined]
    return shown


def _missing_folder(error: FileNotFoundError) -> str:
    """Name a folder that every process needs and that is missing, or nothing."""
    if "temporary directory" in str(error):
        return "no folder for temporary files can be written; set TMPDIR to one"
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the current folder was deleted; change to another one"
    return ""


@guarded_streams()
def run_program(
    program: str, work: Callable[[], None], again: Callable[[], str] | None = None, at_once: bool = False
) -> int:
    """Run a program and print its errors.

    Args:
        program: how it is called; error messages begin with the last part.
        work: parses the command line and does the work.
        again: returns the command that resumes after an interruption, if there is one.
        at_once: whether Ctrl-C, SIGTERM and SIGHUP end the process immediately. It must run nothing else.

    Returns:
        The exit code: 0, 2 after a `UserError` or if output was lost, or 130 after an interruption.
    """
    name = program.rpartition("/")[2]

    def interrupted() -> str:
        return f"{name}: interrupted" + ("" if again is None else f"; go on with: {one_line(again())}")

    for problem in rivals_installed():
        print(f"{name}: {problem}", file=sys.stderr)
    warnings.showwarning = _shown_in_one_line(warnings.showwarning)
    try:
        with ending_at_once(interrupted) if at_once else nullcontext(), output_is_whole():
            work()
    except NotInstalledError as error:
        print(f"{name}: {error}; run: {way_out(error.module)}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in EXTRAS:
            raise
        print(f"{name}: {error.name} is not installed; run: {way_out(str(error.name))}", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"{name}: memory is exhausted; give this process more, or ask for less at once", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        if not (problem := _missing_folder(error)):
            raise
        print(f"{name}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted(), file=sys.stderr)
        return 130
    return 0
