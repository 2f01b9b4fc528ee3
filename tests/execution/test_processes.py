from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from units_for_tests import (
    die_at_first,
    fail,
    leave_slowly,
    numbers,
    process,
    square,
    surroundings,
    total,
    wait_for_ever,
    write_slowly,
)

from quantilizers.execution import processes
from quantilizers.execution.processes import LocalProcesses
from quantilizers.execution.units import UnfinishedError, WorkUnit
from support import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture(scope="module")
def two() -> Iterator[LocalProcesses]:
    with LocalProcesses(2) as executor:
        yield executor


def test_every_unit_is_done_once_and_is_heard(two: LocalProcesses) -> None:
    heard: dict[int, Any] = {}
    done = dict(two.run((WorkUnit(f"{n}", square, (n,)) for n in range(7)), heard.__setitem__))
    assert done == {n: n**2 for n in range(7)}
    assert heard == {n: {"of": n} for n in range(7)}


def test_processes_stay_for_further_work_and_keep_what_is_shared(two: LocalProcesses) -> None:
    first, second = numbers(0), numbers(0)
    units = [WorkUnit("sum", total, (shared, factor)) for shared in (first, second) for factor in (1.0, 2.0, 3.0)]
    done = dict(two.run(units))
    assert done[5][0] == 3 * first.arrays["numbers"].sum()
    # Each process has the arrays at one place: what is equal did not travel twice.
    again = dict(two.run(units))
    places = {place for _, place in [*done.values(), *again.values()]}
    assert 1 <= len(places) <= 2


def test_a_process_keeps_only_a_few_sets_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "KEPT", 2)
    with LocalProcesses(1) as executor:
        seeds = [0, 1, 2, 0, 0]
        done = dict(executor.run(WorkUnit("sum", total, (numbers(seed), 1.0)) for seed in seeds))
        assert [done[n][0] for n in range(5)] == [numbers(seed).arrays["numbers"].sum() for seed in seeds]
        assert list(executor._workers[0]._held) == [numbers(2).identity, numbers(0).identity]


def test_each_process_has_its_share_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "available_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    with LocalProcesses(3) as executor:
        ((_, found),) = executor.run([WorkUnit("look", surroundings)])
    assert found == {"cores": 1, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "3"}
    assert "OMP_NUM_THREADS" not in os.environ


def test_no_process_is_started_that_has_nothing_to_do() -> None:
    with LocalProcesses(3) as executor:
        before = len(multiprocessing.active_children())
        assert len(list(executor.run([WorkUnit("alone", process, ())]))) == 1
        assert len(multiprocessing.active_children()) == before + 1


def test_a_process_that_is_told_to_end_as_it_leaves_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    leaving, before = tmp_path / "leaving", set(multiprocessing.active_children())
    with LocalProcesses(1) as executor:
        list(executor.run([WorkUnit("slow to leave", leave_slowly, (str(leaving),))]))
        (child,) = set(multiprocessing.active_children()) - before
        executor._workers[0].connection.close()  # there is no more to do
        while not leaving.exists():
            time.sleep(0.01)
        child.terminate()
        child.join(60)
        assert child.exitcode == -signal.SIGTERM
        executor._workers.clear()
    assert capfd.readouterr().err == ""


def test_where_they_are_to_be_fresh_each_unit_has_a_process_of_its_own() -> None:
    with LocalProcesses(2, fresh=True) as executor:
        done = dict(executor.run([WorkUnit("who", process)] * 3))
    assert len({*done.values(), os.getpid()}) == 4


def test_what_a_dead_process_was_doing_is_done_again_and_three_times_at_most(
    two: LocalProcesses, tmp_path: Path
) -> None:
    twice, always = tmp_path / "twice", tmp_path / "always"
    twice.mkdir()
    always.mkdir()
    units = [
        WorkUnit("dies twice", die_at_first, (str(twice), 2)),
        WorkUnit("dies always", die_at_first, (str(always), 99)),
        WorkUnit("is refused", fail, ("user",)),
        *(WorkUnit(f"{n}", square, (n,)) for n in range(4)),
    ]
    done = {}
    with pytest.raises(UnfinishedError) as raised:
        for number, result in two.run(units):
            done[number] = result
    assert done == {0: "done", 3: 0, 4: 1, 5: 4, 6: 9}, "the rest goes on"
    assert raised.value.reasons == {
        "dies always": "its worker died 3 times, perhaps for want of memory",
        "is refused": "choose another seed",
    }
    assert len(list(always.iterdir())) == 3
    assert dict(two.run([WorkUnit("9", square, (9,))])) == {0: 81}, "there are new processes"


def test_a_bug_ends_everything_with_its_traceback() -> None:
    started = time.monotonic()
    with LocalProcesses(2) as executor, pytest.raises(RuntimeError, match=r"(?s)bad failed.*ZeroDivisionError"):
        list(executor.run([WorkUnit("sleeps", fail, ("sleep",)), WorkUnit("bad", fail, ("bug",))]))
    assert time.monotonic() - started < 300, "the sleeping one was not waited for"


def test_an_interruption_leaves_no_half_written_file_and_no_process(tmp_path: Path) -> None:
    def interrupt(number: int, message: str) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    executor = LocalProcesses(1)
    with pytest.raises(KeyboardInterrupt):
        list(executor.run([WorkUnit("write", write_slowly, (str(tmp_path / "agent.npz"),))], interrupt))
    assert list(tmp_path.iterdir()) == []
    assert executor._workers == []


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from quantilizers.execution.processes import LocalProcesses\n"
        "from quantilizers.execution.units import WorkUnit\n"
        "if __name__ == '__main__':\n"
        "    from units_for_tests import wait_for_ever\n"
        "    list(LocalProcesses(1).run([WorkUnit('wait', wait_for_ever, (sys.argv[1],))]))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    words = [str(noted), str(ROOT), str(Path(__file__).parent)]
    parent = subprocess.Popen([sys.executable, str(script), *words])
    try:
        wait_until(lambda: noted.exists() and noted.read_text() != "")
        child = int(noted.read_text())
        assert is_running(child)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not is_running(child))
    assert wait_for_ever.__module__ == "units_for_tests"


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


PROGRAM = """
import sys, time
sys.path[:0] = sys.argv[1:]
from quantilizers.envs.registry import load_environment
from quantilizers.execution.processes import LocalProcesses
from quantilizers.execution.units import WorkUnit
from quantilizers.play.acting import another_process
from quantilizers.programs import run_program

def work():
    from units_for_tests import fail, play_for_ever
    environment = load_environment("MountainCar-v0")
    print("begun", flush=True)
    WORK

if __name__ == "__main__":
    sys.exit(run_program("program.py", work, lambda: "python program.py", at_once=True))
"""


#: What a program does: as `quantilizer.py --workers 2`, and as `play/replay.py` where a policy needs TensorFlow.
STUDY = 'list(LocalProcesses(2).run([WorkUnit(name, fail, ("sleep",)) for name in "ab"]))'
REPLAY = """
    with another_process() as call:
        call(play_for_ever, environment)
"""


@pytest.mark.parametrize(
    ("work", "milliseconds"),
    [
        *((STUDY, milliseconds) for milliseconds in (0, 5, 10, 20, 30, 40, 60, 80, 120, 200, 400)),
        *((REPLAY, milliseconds) for milliseconds in (0, 20, 60, 200, 1500)),
    ],
)
def test_ctrl_c_while_processes_start_says_one_line(work: str, milliseconds: int, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.replace("WORK", work))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        program = subprocess.Popen(
            [sys.executable, str(script), str(ROOT), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert program.stdout is not None
    assert program.stdout.readline() == "begun\n"
    time.sleep(milliseconds / 1000)
    # As a terminal does, which tells all of its processes.
    os.killpg(program.pid, signal.SIGINT)
    # The pipe ends with the last process that has it.
    _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert err == "\nprogram.py: interrupted; go on with: python program.py\n"
