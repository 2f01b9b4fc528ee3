"""The page on environments of one's own, run as it is printed.

To keep that short, `quantilizer.py` is given fewer seeds, epochs, episodes and steps by a `sitecustomize`, which Python
imports when it starts; `-m slow` runs all of it at its full length.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT, copy_of_the_project

PAGE = ROOT / "docs" / "your_environment.md"
SHORTER = """
import sys

if sys.argv[0].endswith("quantilizer.py"):
    sys.argv += ["--seed_nb", "1", "--number_trajectories", "5", "--max_epochs", "5"]
    if "--optimiser_steps" in sys.argv:
        sys.argv += ["--optimiser_steps", "500"]
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize(
    "shorter",
    [True, pytest.param(False, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
    ids=["shorter", "at full length"],
)
def test_the_page_runs_as_it_is_printed(tmp_path: Path, shorter: bool) -> None:
    """In a copy of the checkout, with this Python; the files that the page names exist afterwards."""
    copy = copy_of_the_project(tmp_path / "checkout")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "SDL_VIDEODRIVER": "dummy"}
    if shorter:
        (tmp_path / "start").mkdir()
        (tmp_path / "start" / "sitecustomize.py").write_text(SHORTER)
        environment["PYTHONPATH"] = str(tmp_path / "start")
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 5
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr[-2000:])
    picture = re.search(r"The figure is `(.*?)`", PAGE.read_text(encoding="utf-8"))
    assert picture is not None
    assert (copy / picture[1]).stat().st_size > 10_000
    assert (copy / "log" / "policy.gif").stat().st_size > 1_000
    python = next(block for block in blocks("python") if "evaluate" in block)
    done = subprocess.run([sys.executable, "-c", python], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "true return" in done.stdout


def test_the_page_shows_the_example_file() -> None:
    """Without its docstrings, line by line."""
    example = (ROOT / "examples" / "hurried_cart_pole.py").read_text(encoding="utf-8")
    shown = blocks("python")[0]
    for line in shown.splitlines():
        assert line in example.splitlines(), line
