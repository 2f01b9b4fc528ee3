from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from quantilizers.errors import UserError
from quantilizers.files import atomic_write
from quantilizers.optimisers import processes
from quantilizers.optimisers.processes import available_cores, run_side_by_side
from support import ROOT

Send = Any


def square(number: int, send: Send) -> None:
    send(os.getpid())
    send(number**2)


def fail(kind: str, send: Send) -> None:
    if kind == "user":
        raise UserError("choose another seed")
    if kind == "bug":
        raise ZeroDivisionError
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def write_slowly(path: str, send: Send) -> None:
    with atomic_write(Path(path)) as temporary:
        temporary.write_text("half of it")
        send("writing")
        time.sleep(600)


def talk_for_ever(path: str, send: Send) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:
        send("still here")
        time.sleep(0.02)


def test_every_work_is_done_in_a_process_of_its_own() -> None:
    messages: dict[int, list[int]] = {index: [] for index in range(5)}
    run_side_by_side(square, [10, 11, 12, 13, 14], lambda index, message: messages[index].append(message))
    assert [of_one[1] for of_one in messages.values()] == [100, 121, 144, 169, 196]
    assert len({of_one[0] for of_one in messages.values()} | {os.getpid()}) == 6


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("user", UserError, "choose another seed"),
        ("bug", RuntimeError, "code 1"),
        ("killed", UserError, "killed .* goes on"),
    ],
)
def test_a_failure_ends_all_of_them(
    kind: str, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "available_cores", lambda: 2)
    started = time.monotonic()
    with pytest.raises(error, match=words):
        run_side_by_side(fail, ["sleep", kind], lambda index, message: None)
    assert time.monotonic() - started < 60, "the sleeping one was not waited for"


def test_an_interruption_leaves_no_half_written_file(tmp_path: Path) -> None:
    def interrupt(index: int, message: str) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_side_by_side(write_slowly, [str(tmp_path / "agent.npz")], interrupt)
    assert list(tmp_path.iterdir()) == []


def test_there_are_as_many_processes_as_cores() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "if __name__ == '__main__':\n"
        "    import test_processes as tests\n"
        "    tests.run_side_by_side(tests.talk_for_ever, sys.argv[1:2], lambda index, message: None)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    words = [str(noted), str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    parent = subprocess.Popen([sys.executable, str(script), *words])
    try:
        wait_until(lambda: noted.exists() and noted.read_text() != "")
        child = int(noted.read_text())
        assert is_running(child)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_running(child))


def wait_until(condition: Any) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it does not happen")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A process that has ended and whose exit code nobody has asked for still answers.
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
