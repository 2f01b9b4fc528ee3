from __future__ import annotations

import contextvars
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
from tasks_for_tests import (
    Task,
    any_of_these,
    die_at_first,
    fail,
    leave_slowly,
    numbers,
    process,
    refuse,
    square,
    surroundings,
    total,
    wait_for_ever,
    write_slowly,
)

from quantilizers.errors import MissingError, NotInstalledError, UserError
from quantilizers.execution import worker_processes
from quantilizers.execution.executor import UnfinishedError
from quantilizers.execution.worker_processes import WorkerProcesses, executor_for, keeping_processes
from support import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture(scope="module")
def two() -> Iterator[WorkerProcesses]:
    with WorkerProcesses(2) as executor:
        yield executor


def results(done: Any) -> dict[str, Any]:
    return {job.name: result for job, result in done}


def test_every_job_is_done_once_and_its_messages_arrive(two: WorkerProcesses) -> None:
    heard: dict[str, Any] = {}
    jobs = [Task(f"{n}", n) for n in range(7)]
    done = list(two.map(square, iter(jobs), lambda job, message: heard.update({job.name: message})))
    assert results(done) == {f"{n}": n**2 for n in range(7)}
    assert {id(job) for job, _ in done} == {id(job) for job in jobs}, "the very jobs come back"
    assert heard == {f"{n}": {"of": n} for n in range(7)}


def test_processes_stay_for_further_jobs_and_keep_shared_arrays(two: WorkerProcesses) -> None:
    first, second = numbers(0), numbers(0)
    jobs = [Task(f"{n}", shared, n % 3 + 1.0) for n, shared in enumerate([first] * 3 + [second] * 3)]
    done = results(two.map(total, jobs))
    assert done["5"][0] == 3 * first.arrays["numbers"].sum()
    # Equal arrays did not travel twice: each process has them at one place.
    again = results(two.map(total, jobs))
    places = {place for _, place in [*done.values(), *again.values()]}
    assert 1 <= len(places) <= 2


def test_a_process_keeps_only_a_few_sets_of_arrays() -> None:
    with WorkerProcesses(1) as executor:
        seeds = [0, 1, 2, 3, 4, 1, 0]
        done = [result for _, result in executor.map(total, [Task("sum", numbers(seed), 1.0) for seed in seeds])]
        assert [sum_ for sum_, _ in done] == [numbers(seed).arrays["numbers"].sum() for seed in seeds]
        assert list(executor._workers[0].held) == [numbers(seed).identity for seed in (3, 4, 1, 0)]


def test_each_process_has_its_share_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_processes, "available_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    with WorkerProcesses(3) as executor:
        ((_, found),) = executor.map(surroundings, [Task("look")])
    assert found == {"cores": 1, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "3"}
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_process_without_a_job_is_not_started() -> None:
    with WorkerProcesses(3) as executor:
        before = len(multiprocessing.active_children())
        assert len(list(executor.map(process, [Task("alone")]))) == 1
        assert len(multiprocessing.active_children()) == before + 1


def test_a_process_that_is_terminated_as_it_leaves_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    leaving, before = tmp_path / "leaving", set(multiprocessing.active_children())
    with WorkerProcesses(1) as executor:
        list(executor.map(leave_slowly, [Task("slow to leave", str(leaving))]))
        (child,) = set(multiprocessing.active_children()) - before
        assert executor._workers[0].connection is not None
        executor._workers[0].connection.close()  # there are no more jobs
        while not leaving.exists():
            time.sleep(0.01)
        child.terminate()
        child.join(60)
        assert child.exitcode == -signal.SIGTERM
        executor._workers.clear()
    assert capfd.readouterr().err == ""


def test_fresh_processes_run_one_job_each() -> None:
    with WorkerProcesses(2, fresh=True) as executor:
        done = [result for _, result in executor.map(process, [Task("who")] * 3)]
    assert len({*done, os.getpid()}) == 4


def test_the_job_of_a_dead_process_is_done_again_and_three_times_at_most(two: WorkerProcesses, tmp_path: Path) -> None:
    twice, always = tmp_path / "twice", tmp_path / "always"
    twice.mkdir()
    always.mkdir()
    jobs = [
        Task("dies twice", (die_at_first, str(twice)), 2),
        Task("dies always", (die_at_first, str(always)), 99),
        Task("is refused", (fail, "user")),
        *(Task(f"{n}", (square, n)) for n in range(4)),
    ]
    done = []
    with pytest.raises(UnfinishedError) as raised:
        for finished in two.map(any_of_these, jobs):
            done.append(finished)
    assert results(done) == {"dies twice": "done", "0": 0, "1": 1, "2": 4, "3": 9}, "the rest goes on"
    assert raised.value.reasons == {
        "dies always": "its worker died 3 times; it may be out of memory",
        "is refused": "choose another seed",
    }
    assert len(list(always.iterdir())) == 3
    assert results(two.map(square, [Task("9", 9)])) == {"9": 81}, "there are new processes"


def test_a_bug_ends_everything_with_its_traceback() -> None:
    started = time.monotonic()
    with WorkerProcesses(2) as executor, pytest.raises(RuntimeError, match=r"(?s)bad failed.*ZeroDivisionError"):
        list(executor.map(fail, [Task("sleeps", "sleep"), Task("bad", "bug")]))
    assert time.monotonic() - started < 300, "the sleeping one was not waited for"


def test_an_interruption_leaves_no_half_written_file_and_no_process(tmp_path: Path) -> None:
    def interrupt(job: Task, message: str) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    executor = WorkerProcesses(1)
    with pytest.raises(KeyboardInterrupt):
        list(executor.map(write_slowly, [Task("write", str(tmp_path / "agent.npz"))], interrupt))
    assert list(tmp_path.iterdir()) == []
    assert executor._workers[0].connection is None


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from quantilizers.execution.worker_processes import WorkerProcesses\n"
        "if __name__ == '__main__':\n"
        "    from tasks_for_tests import Task, wait_for_ever\n"
        "    list(WorkerProcesses(1).map(wait_for_ever, [Task('wait', sys.argv[1])]))\n"
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
    assert wait_for_ever.__module__ == "tasks_for_tests"


def wait_until(condition: Any) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it does not happen")


def test_calls_are_done_in_one_process_which_ends_with_the_block() -> None:
    with WorkerProcesses(1) as worker:
        first, second = (worker.call("looking", os.getpid) for _ in range(2))
    assert first == second != os.getpid()
    assert not is_running(first)


def test_what_a_called_function_raises_is_raised_here(two: WorkerProcesses) -> None:
    with pytest.raises(MissingError, match=r"^it is not there$"):
        two.call("looking", refuse, "missing")
    with pytest.raises(NotInstalledError, match="it needs a library") as missing:
        two.call("looking", refuse, "library")
    assert missing.value.module == "h5py"
    with pytest.raises(UserError, match=r"^the loss of x is NaN$"):
        two.call("looking", refuse, "an error that cannot be sent")
    with pytest.raises(RuntimeError, match=r"(?s)looking failed in another process.*in refuse.*ZeroDivisionError"):
        two.call("looking", refuse, "bug")
    assert two.call("looking", max, 3, 4) == 4, "and goes on"


def test_the_death_of_a_called_function_is_reported() -> None:
    with WorkerProcesses(1) as worker, pytest.raises(UserError, match="looking: its worker died 3 times"):
        worker.call("looking", os._exit, 7)


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
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.programs import run_program

def work():
    from tasks_for_tests import Task, fail, play_for_ever
    environment = load_environment("MountainCar-v0")
    print("begun", flush=True)
    WORK

if __name__ == "__main__":
    sys.exit(run_program("program.py", work, lambda: "python program.py", at_once=True))
"""


#: Programs that start workers, as `quantilizer.py --workers 2` and `play/replay.py` of a policy of TensorFlow do.
STUDY = 'list(WorkerProcesses(2).map(fail, [Task(name, "sleep") for name in "ab"]))'
REPLAY = """
    with WorkerProcesses(1) as worker:
        worker.call("playing", play_for_ever, environment)
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
    # A terminal sends the signal to all of its processes.
    os.killpg(program.pid, signal.SIGINT)
    # The pipe ends with the last process that has it.
    _, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert err == "\nprogram.py: interrupted; go on with: python program.py\n"


def test_processes_are_kept_for_a_block_and_end_with_it() -> None:
    def work() -> list[int]:
        with keeping_processes():
            for _ in range(2):
                with keeping_processes(), executor_for(1, None) as executor:
                    list(executor.map(square, [Task("one", 1)]))
                    pids.append(executor._workers[0].process.pid)  # type: ignore[attr-defined]
            assert any(one.pid == pids[0] for one in multiprocessing.active_children())
        return [one.pid or 0 for one in multiprocessing.active_children()]

    pids: list[int] = []
    # Other tests keep theirs in the context of this thread.
    left = contextvars.Context().run(work)
    assert pids[0] == pids[1], "one process did both jobs"
    assert pids[0] not in left
