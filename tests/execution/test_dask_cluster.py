from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason="requirements-cluster.txt is not installed")

from tasks_for_tests import Task, any_of_these, die_at_first, fail, note_and_wait, numbers, square, total

from cluster_for_tests import Cluster, cluster_in
from quantilizers.commands.scores import main as scores
from quantilizers.errors import NotInstalledError, UserError
from quantilizers.execution import dask_cluster
from quantilizers.execution.dask_cluster import DaskCluster, difference, versions_here
from quantilizers.execution.executor import UnfinishedError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("cluster"), 2, [Path(__file__).parent]) as cluster:
        yield cluster


def results(done: Any) -> dict[str, Any]:
    return {job.name: result for job, result in done}


def test_every_job_is_done_once_and_arrays_travel_once(two: Cluster) -> None:
    heard: dict[str, Any] = {}
    with DaskCluster(two.address) as executor:
        assert (executor.workers, executor.at_once) == (2, 8)
        jobs = (Task(f"{n}", n) for n in range(100))
        done = results(executor.map(square, jobs, lambda job, message: heard.update({job.name: message})))
        assert done == {f"{n}": n**2 for n in range(100)}
        assert heard == {f"{n}": {"of": n} for n in range(100)}
        shared = [numbers(0), numbers(0)]
        sums = results(executor.map(total, [Task(f"{n}", shared[n // 3], n % 3 + 1.0) for n in range(6)]))
        assert sums["5"][0] == 3 * shared[0].arrays["numbers"].sum()
        assert len(executor._held) == 1
        assert len({place for _, place in sums.values()}) <= 2, "each worker has them at one place"
        with pytest.raises(UnfinishedError, match="choose another seed"):
            list(executor.map(fail, [Task("is refused", "user")]))
        with pytest.raises(RuntimeError, match=r"(?s)bad failed on a worker.*ZeroDivisionError"):
            list(executor.map(fail, [Task("bad", "bug")]))


def test_the_job_of_a_killed_worker_is_done_by_another(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    with cluster_in(tmp_path, 2, [Path(__file__).parent]) as cluster:

        def kill_the_first(job: Task, message: Any) -> None:
            if job.name == "0" and not killed:
                killed.append(message)
                by_process = {worker.pid: worker for worker in cluster.workers}
                by_process[message].kill()

        killed: list[int] = []
        # The arrays lie with one of the workers, which may be the one that is killed.
        arrays = numbers(0)
        jobs = [Task(f"{n}", str(noted / str(n)), arrays) for n in range(4)]
        with DaskCluster(cluster.address) as executor:
            done = results(executor.map(note_and_wait, jobs, kill_the_first))
            assert len(killed) == 1
            assert done == {f"{n}": arrays.arrays["numbers"].sum() for n in range(4)}
            assert len(set((noted / "0").read_text().split())) == 2, "it was begun twice, by two processes"


def test_a_killed_scheduler_is_named_and_nothing_else_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with cluster_in(tmp_path, 1, [Path(__file__).parent]) as cluster, DaskCluster(cluster.address) as executor:
        done = executor.map(square, (Task(f"{n}", n) for n in range(1000)))
        next(done)
        cluster.scheduler.kill()
        with pytest.raises(UserError, match=f"the scheduler at {cluster.address} is gone; what was finished is kept"):
            list(done)
    assert capfd.readouterr().err == ""


def test_a_scheduler_without_the_project_is_refused(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, bare=True)
    try:
        with pytest.raises(UserError, match="the scheduler cannot load quantilizers; install there what is installed"):
            DaskCluster(cluster.address)
    finally:
        cluster.close()


@pytest.mark.slow
@pytest.mark.parametrize("tries", [3, 4])
def test_a_job_whose_workers_die_is_given_up_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """By the documentation's settings it is started 3 times; 4 times are Dask's own default."""
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", str(tries - 1))
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION", "1.0")
    with cluster_in(tmp_path, 5, [Path(__file__).parent]) as cluster, DaskCluster(cluster.address) as executor:
        assert executor.tries == tries
        jobs = [Task("dies always", (die_at_first, str(notes)), 99)]
        jobs += [Task(f"{n}", (square, n)) for n in range(5)]
        done = []
        with pytest.raises(UnfinishedError) as raised:
            for finished in executor.map(any_of_these, jobs):
                done.append(finished)
        assert raised.value.reasons == {"dies always": f"its worker died {tries} times; it may be out of memory"}
        assert results(done) == {f"{n}": n**2 for n in range(5)}
        assert len(list(notes.iterdir())) == tries


def test_a_scheduler_that_is_not_there_is_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(UserError, match=f"no Dask scheduler answers at {address} within 0.5 s"):
        DaskCluster(address, patience=0.5)
    assert time.monotonic() - started < 120, "it does not wait for ever"
    for bad in ("localhost", "http://host:8786", "tcp://host", "tcp://host:port"):
        with pytest.raises(UserError, match="is no scheduler's address, such as tcp://host:8786"):
            DaskCluster(bad)


def test_a_worker_with_other_versions_is_named(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {**dask_cluster.versions_here(), "numpy": "1.0"}
    monkeypatch.setattr(dask_cluster, "versions_here", lambda: here)
    monkeypatch.setattr(DaskCluster, "_check_versions", lambda self: None)
    with DaskCluster(two.address) as executor, pytest.raises(UnfinishedError, match=r"has numpy 2\S+, not 1\.0 as"):
        list(executor.map(square, [Task("any", 1)]))
    monkeypatch.undo()
    monkeypatch.setattr(dask_cluster, "difference", lambda there, here: "numpy 1.0, not 2.0")
    with pytest.raises(UserError, match=r"the worker tcp://\S+ has numpy 1.0, not 2.0 as here; install the same"):
        DaskCluster(two.address)


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NotInstalledError, match="a cluster needs distributed"):
        DaskCluster("tcp://127.0.0.1:8786")


def test_versions_and_code_are_compared() -> None:
    here = versions_here()
    assert {"quantilizers", "python", "code", "numpy"} <= set(here)
    assert difference(here, here) == ""
    assert difference({**here, "code": "0"}, here) == f"code of quantilizers 0, not {here['code']}"
    assert difference({**here, "tensorflow": "1.0"}, {**here, "tensorflow": "2.0"}) == "tensorflow 1.0, not 2.0"
    without = {name: version for name, version in here.items() if name != "numpy"}
    assert difference(without, here) == "", "a job that needs it says that it is missing"


def test_a_table_of_scores_is_summed_on_a_cluster_and_a_bad_file_is_named_in_one_line(
    two: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are relative to another folder than the workers'; the third file has a word, the fourth is cut."""
    pytest.importorskip("polars", reason="tables of scores need polars: pip install -r requirements-scores.txt")
    monkeypatch.chdir(tmp_path)
    Path("parts").mkdir()
    rng = np.random.default_rng(0)
    for part in range(4):
        rows = [f"{4 * part + place // 8},{rng.normal():.3f},{rng.normal():.3f}\n" for place in range(32)]
        Path("parts", f"{part}.csv").write_text("g,p,t\n" + "".join(rows), encoding="utf-8")
    words = ["curve", "parts", "--proxy", "p", "--true", "t", "--group", "g"]
    assert scores([*words, "--workers", "1"]) == 0
    expected = capfd.readouterr().out
    assert scores([*words, "--scheduler", two.address]) == 0
    assert capfd.readouterr().out == expected
    with Path("parts", "2.csv").open("a", encoding="utf-8") as file:
        file.write("9,high,1\n")
    with Path("parts", "3.csv").open("a", encoding="utf-8") as file:
        file.write('9,1,"')
    assert scores([*words, "--scheduler", two.address]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    (line,) = [line for line in error.splitlines() if not line.startswith(("working with", "warning: this scheduler"))]
    named = sum(f" parts/{file}: " in line for file in ("2.csv", "3.csv"))
    assert named == 1
    assert "1 more file cannot be used" in line
