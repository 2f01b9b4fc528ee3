from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support import ROOT

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")

#: Shows progress for longer than tqdm's own thread waits, which then wants the lock.
WORK = """
import sys, time
from tqdm import tqdm
from quantilizers.programs import run_program

tqdm.monitor_interval = 0.05

def work():
    with tqdm(total=3, mininterval=0) as bar:
        for _ in range(3):
            bar.update()
            time.sleep(0.2)
    print("it is done")

sys.exit(run_program("thing.py", work))
"""


def ended(program: list[str], output: Path | None = None, error: Path | None = None) -> tuple[int, str, str]:
    """Run Python with its streams sent to files; return its exit code and what reached no file."""
    outputs = [subprocess.PIPE if path is None else path.open("w") for path in (output, error)]
    done = subprocess.run(
        [sys.executable, *program], cwd=ROOT, stdout=outputs[0], stderr=outputs[1], text=True, timeout=120
    )
    return done.returncode, done.stdout or "", done.stderr or ""


def test_progress_that_cannot_be_shown_stops_nothing() -> None:
    code, output, _ = ended(["-c", WORK], error=FULL)
    assert (code, output) == (0, "it is done\n")


def test_without_a_guard_progress_that_cannot_be_shown_would_be_an_error() -> None:
    unguarded = textwrap.dedent(WORK).replace('sys.exit(run_program("thing.py", work))', "work()")
    assert ended(["-c", unguarded], error=FULL)[0] != 0


def test_results_that_cannot_be_printed_are_named_in_one_line() -> None:
    code, _, said = ended(["-c", WORK], output=FULL)
    assert code == 2
    assert said.splitlines()[-1] == "thing.py: cannot write to standard output: No space left on device"
    assert "Traceback" not in said
    code, _, said = ended(["quantilizer.py", "--print_config"], output=FULL)
    assert (code, said) == (2, "quantilizer.py: cannot write to standard output: No space left on device\n")


def test_where_nothing_can_be_said_the_exit_code_still_tells() -> None:
    assert ended(["-c", WORK], output=FULL, error=FULL)[0] == 2
    assert ended(["quantilizer.py", "--seed_nb", "0"], error=FULL)[0] == 2
