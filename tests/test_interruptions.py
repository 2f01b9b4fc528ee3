from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as Unix does")
#: A program whose main thread computes for hours where Python hears of nothing, with half a file and a process at work.
PROGRAM = """
import hashlib, multiprocessing, sys, time
from pathlib import Path
from quantilizers.files import atomic_write
from quantilizers.interruptions import clearing_away
from quantilizers.programs import run_program

def work():
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,)).start()
    with atomic_write(Path(sys.argv[1])) as temporary, clearing_away(CLEAR):
        temporary.write_text("half")
        print("begun", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

sys.exit(run_program("scripts/program.py", work, lambda: "python program.py 'go on'", at_once=True))
"""


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Let programs that are started hear of Ctrl-C, which those of a shell's background jobs do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def begun(clear: str, file: Path, before: str = "") -> subprocess.Popen[str]:
    """Start the program, which does something before, and wait until it computes."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM.replace("CLEAR", clear), str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("clear", ["lambda: None", "lambda: 1 / 0", "lambda: time.sleep(3600)"])
def test_a_signal_ends_the_process_whatever_it_is_doing(number: signal.Signals, clear: str, tmp_path: Path) -> None:
    process = begun(clear, tmp_path / "file.txt")
    process.send_signal(number)
    # Both pipes end with the last process that has them, which is the one that was started.
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    if "sleep" not in clear:
        assert err == "\nprogram.py: interrupted; go on with: python program.py 'go on'\n"
        assert not list(tmp_path.iterdir()), "no half file is left"


def test_a_process_that_is_ended_as_it_is_forked_ends_and_is_no_second_signal(tmp_path: Path) -> None:
    # What is registered first is done first, so that the new process does not yet know that it is one.
    late = "import os, time\nos.register_at_fork(after_in_child=lambda: time.sleep(0.3))\n"
    clear = "lambda: (time.sleep(0.6), os.write(2, b'cleared'))"
    process = begun(clear, tmp_path / "file.txt", late)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("cleared\nprogram.py: interrupted")


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    process = begun("lambda: time.sleep(3600)", tmp_path / "file.txt")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_afterwards_signals_mean_what_they_meant() -> None:
    code = (
        "import os, signal, sys\n"
        "from quantilizers.programs import run_program\n"
        "run_program('program.py', lambda: None, at_once=True)\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "run_program('program.py', lambda: os.kill(os.getpid(), signal.SIGINT), at_once=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
