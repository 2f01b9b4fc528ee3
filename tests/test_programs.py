from __future__ import annotations

import subprocess
import sys

import pytest

from quantilizers.errors import UserError
from quantilizers.programs import Parser, call_of, run_program
from support import ROOT


def refuse() -> None:
    raise UserError("no such thing; take another")


def interrupt() -> None:
    raise KeyboardInterrupt


def test_the_exit_code_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program("scripts/thing.py", lambda: None) == 0
    assert run_program("scripts/thing.py", refuse) == 2
    assert capsys.readouterr().err == "thing.py: no such thing; take another\n"
    assert run_program("scripts/thing.py", interrupt) == 130


def test_an_error_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_program("thing.py", lambda: print(1 / 0))


def test_a_program_is_called_by_its_file_in_the_repository() -> None:
    """And by its command where the package is installed, which tests/test_installation.py shows."""
    assert call_of("python quantilizer.py", "quantilizer") == "python quantilizer.py"


def test_a_wrong_flag_is_refused_and_abbreviations_are_none() -> None:
    parser = Parser("thing.py")
    parser.add_argument("--number", type=int)
    for words in (["--numbr", "3"], ["--num", "3"], ["--number", "three"]):
        with pytest.raises(UserError, match=r"see python thing\.py --help"):
            parser.parse_args(words)


@pytest.mark.parametrize(
    "program",
    [
        "play/gather_data.py",
        "play/replay.py",
        "scripts/benchmark.py",
        "scripts/concatenate.py",
        "scripts/make_demo.py",
        "scripts/optimiser_table.py",
        "scripts/pinball_detector/derive.py",
        "scripts/pinball_detector/validate.py",
        "quantilizer.py",
    ],
)
def test_every_program_refuses_a_wrong_flag_in_one_line(program: str) -> None:
    ended = subprocess.run(
        [sys.executable, program, "--no_such_flag"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(program.rpartition("/")[2] + ": ")
