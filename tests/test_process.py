from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quantilizers.process import display_is_named, ignoring_ctrl_c
from quantilizers.programs import Parser, run_program
from support import ROOT

unix = pytest.mark.skipif(os.name == "nt", reason="signals are sent as Unix does")
#: A program whose main thread computes for hours where Python hears of nothing, with half a file and a process at work.
PROGRAM = """
import hashlib, multiprocessing, sys, time
from pathlib import Path
from quantilizers.files import atomic_write
from quantilizers.process import on_interruption
from quantilizers.programs import run_program

def work():
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,)).start()
    with atomic_write(Path(sys.argv[1])) as temporary, on_interruption(CLEAR):
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


def begun(clear: str, file: Path, before: str = "", program: str = PROGRAM) -> subprocess.Popen[str]:
    """Start the program, which does something before, and wait until it computes."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + program.replace("CLEAR", clear), str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@unix
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


@unix
def test_a_terminal_that_is_closed_ends_the_process(tmp_path: Path) -> None:
    # Under nohup the tests ignore the signal, and so would the processes that they start.
    own = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = begun("lambda: None", tmp_path / "file.txt")
    finally:
        signal.signal(signal.SIGHUP, own)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "\nprogram.py: interrupted; go on with: python program.py 'go on'\n"
    assert not list(tmp_path.iterdir())


def test_another_thread_than_the_main_one_runs_programs() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run_program("it.py", lambda: None, at_once=True)))
    thread.start()
    thread.join()
    assert codes == [0]


@unix
def test_a_second_signal_while_the_first_is_answered_prints_nothing_more(tmp_path: Path) -> None:
    running = PROGRAM.replace('hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)', "while True: time.sleep(0.01)")
    assert running != PROGRAM
    process = begun("lambda: time.sleep(1)", tmp_path / "file.txt", program=running)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.count("interrupted; go on with") == 1


@unix
def test_a_child_that_ignores_its_end_is_killed_even_if_a_clean_up_hangs(tmp_path: Path) -> None:
    deaf = "def deaf():\n    import signal\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(3600)\n\n"
    program = PROGRAM.replace("def work():", deaf + "def work():").replace(
        "target=time.sleep, args=(3600,)", "target=deaf"
    )
    program = program.replace("    with atomic_write", "    time.sleep(1)\n    with atomic_write")
    process = begun("lambda: time.sleep(3600)", tmp_path / "file.txt", program=program)
    process.send_signal(signal.SIGINT)
    # The pipes end with the last process that has them.
    process.communicate(timeout=30)
    assert process.returncode == 130


FORK = """
import os, signal, sys, time
from quantilizers.programs import run_program

def work():
    child = os.fork() or time.sleep(3600)
    time.sleep(0.5)
    os.kill(child, signal.SIGTERM)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM)
    time.sleep(0.2)

sys.exit(run_program("program.py", work, at_once=True))
"""


@unix
def test_a_signal_that_ends_a_forked_process_is_none_for_its_parent() -> None:
    ended = subprocess.run([sys.executable, "-c", FORK], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


@unix
def test_what_is_started_ignores_ctrl_c_from_its_first_instruction() -> None:
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with ignoring_ctrl_c():
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.communicate()[0] == "True\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@unix
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


FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")

#: Shows progress for longer than the thread of tqdm waits, which then acquires the lock.
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
    """Run Python with its streams redirected; return its exit code and the remaining output."""
    outputs = [subprocess.PIPE if path is None else path.open("w") for path in (output, error)]
    done = subprocess.run(
        [sys.executable, *program], cwd=ROOT, stdout=outputs[0], stderr=outputs[1], text=True, timeout=120
    )
    return done.returncode, done.stdout or "", done.stderr or ""


@full
def test_progress_that_cannot_be_shown_stops_nothing() -> None:
    code, output, _ = ended(["-c", WORK], error=FULL)
    assert (code, output) == (0, "it is done\n")


@full
def test_without_a_guard_progress_that_cannot_be_shown_would_be_an_error() -> None:
    unguarded = textwrap.dedent(WORK).replace('sys.exit(run_program("thing.py", work))', "work()")
    assert ended(["-c", unguarded], error=FULL)[0] != 0


@full
def test_results_that_cannot_be_printed_are_named_in_one_line() -> None:
    code, _, said = ended(["-c", WORK], output=FULL)
    assert code == 2
    assert said.splitlines()[-1] == "thing.py: cannot write to standard output: No space left on device"
    assert "Traceback" not in said
    code, _, said = ended(["quantilizer.py", "--print_config"], output=FULL)
    assert (code, said) == (2, "quantilizer.py: cannot write to standard output: No space left on device\n")


@full
def test_where_nothing_can_be_said_the_exit_code_still_tells() -> None:
    assert ended(["-c", WORK], output=FULL, error=FULL)[0] == 2
    assert ended(["quantilizer.py", "--seed_nb", "0"], error=FULL)[0] == 2


@unix
def test_a_closed_standard_output_is_named_in_one_line() -> None:
    shell = f"{sys.executable} quantilizer.py --print_config >&-"
    done = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "quantilizer.py: cannot write to standard output: it is closed\n")


class Broken(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize(
    ("stream", "reason"), [(Broken(), "Broken pipe"), (None, "it is closed")], ids=["broken", "closed"]
)
def test_work_goes_on_where_its_results_cannot_be_printed(
    stream: Any, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def work() -> None:
        for number in range(3):
            print(number)
            done.append(number)

    monkeypatch.setattr(sys, "stdout", stream)
    assert run_program("it.py", work) == 2
    assert done == [0, 1, 2]
    assert capsys.readouterr().err == f"it.py: cannot write to standard output: {reason}\n"
    parser = Parser("it.py")
    assert run_program("it.py", lambda: parser.print_help() or parser.exit()) == 2  # type: ignore[func-returns-value]
    assert run_program("it.py", lambda: None) == 0, "nothing is lost"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "\\u03bb \\xe9 \\udcff"),
        ("cp1252", "\\u03bb é \\udcff"),
        ("cp437", "\\u03bb é \\udcff"),
        ("utf-8", "λ é \\udcff"),
    ],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_an_encoding_lacks_is_escaped(
    encoding: str, shown: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr(sys, name, stream)
    assert run_program("it.py", lambda: print("λ é \udcff", file=getattr(sys, name))) == 0
    assert stream.buffer.getvalue().decode(encoding) == f"{shown}\n"  # type: ignore[attr-defined]


@unix
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_the_descriptor_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from quantilizers.programs import run_program\n"
        "def work():\n"
        "    with open(sys.argv[1], 'w') as file:\n"
        "        os.system('echo from C; echo from C >&2')\n"
        "        sys.stderr.writelines(['lost'])\n"
        "        file.write(f'{file.fileno() > 2} {sys.stdin.read()}')\n"
        "sys.exit(run_program('it.py', work))\n"
    )
    shell = f'"$@" {closed}'
    words = ["sh", "-c", shell, "sh", sys.executable, "-c", code, str(tmp_path / "file")]
    ended = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "file").read_text() == "True "


def test_without_a_temporary_folder_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    assert run_program("it.py", lambda: tempfile.TemporaryDirectory() and None) == 2
    assert capsys.readouterr().err == "it.py: no folder for temporary files can be written; set TMPDIR to one\n"


@unix
def test_a_deleted_folder_is_named_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "quantilizer.py"), "--do", "inspect", "--dataset_name", "lets-do-irl"]
    shell = ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(tmp_path), *words, "--log_dir", str(ROOT / "log")]
    ended = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (
        2,
        "quantilizer.py: the current folder was deleted; change to another one\n",
    )


NAMES = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_variables_names_a_screen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for other in NAMES:
        monkeypatch.delenv(other, raising=False)
    assert not display_is_named()
    monkeypatch.setenv(name, "something")
    assert display_is_named()


def test_only_linux_names_its_screens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert display_is_named()
