"""The programs under play/, run with a simulated person at the keyboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scripted_player import Outcome, Script, run_scripted, wait

from quantilizers.envs.making import choose_off_screen_gl
from quantilizers.errors import UserError


@pytest.fixture(scope="session")
def off_screen_gl() -> None:
    """Skip where there is nothing to draw a hopper with."""
    try:
        choose_off_screen_gl(dict(os.environ))
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def gather(tmp_path: Path) -> Callable[..., Outcome]:
    """Run play/gather_data.py under a script; give its exit code, standard output and standard error."""

    def run_program(script: Script, *words: str) -> Outcome:
        return run_scripted("gather_data", script, words, tmp_path / "log")

    return run_program


@pytest.fixture
def show(tmp_path: Path) -> Callable[..., Outcome]:
    """Run play/replay.py, which writes a video; give its exit code, standard output and standard error."""

    def run_program(*words: str, script: Script | None = None) -> Outcome:
        return run_scripted("replay", script or wait(0), words, tmp_path / "log")

    return run_program
