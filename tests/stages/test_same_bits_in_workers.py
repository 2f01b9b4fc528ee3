from __future__ import annotations

import multiprocessing
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from cluster_for_tests import cluster_in
from quantilizers.envs.registry import load_environment
from quantilizers.execution import worker_processes
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.policies.keras_files import content_hash
from quantilizers.processors import available_cores
from quantilizers.stages import run as run_module
from quantilizers.stages.settings import Settings
from support import files_of

Run = Callable[..., tuple[int, str, str]]
SMALL = [
    *("--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--max_epochs", "2"),
    *("--subsets", "2", "--number_trajectories", "3", "--max_steps", "50"),
]
#: Studies of the shipped data sets have enough arms that most of them are unfinished when a worker is killed.
FEW = ["--quantiles", "1.0", "0.5", "0.25", "--seed_nb", "2", "--subsets", "2", "--number_trajectories", "5"]
FEW += ["--max_epochs", "10"]


def results_in(log: Path, path: str) -> dict[str, bytes | str]:
    """Return the contents of a run's results, by path below the run's folder; figures name their command.

    Keras files note when they were written; policies are therefore compared by note and arrays.
    """
    found: dict[str, bytes | str] = {}
    for kind in ("models", "rewards", "study"):
        for name, content in files_of(log / kind / path).items():
            if name.endswith(".keras"):
                found[f"{kind}/{name}"] = content_hash(log / kind / path / name)
            elif name.endswith(".npz"):
                found[f"{kind}/{name}"] = content
    return found


def test_two_processes_train_and_test_with_the_same_bits(run: Run, log: Path) -> None:
    for path, words in (("here", []), ("two", ["--workers", "2"])):
        code, _, err = run("--do", "train", "test", *SMALL, "--path", f"{path}/", *words)
        assert code == 0, err
    assert results_in(log, "two") == results_in(log, "here")
    assert len(results_in(log, "here")) == 4 + 2


def test_long_work_has_processes_that_nobody_asked_for_and_the_same_bits(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, before = [], set(multiprocessing.active_children())

    class Counted(WorkerProcesses):
        def __init__(self, number: int, fresh: bool = False) -> None:
            begun.append(number)
            super().__init__(number, fresh)

    monkeypatch.setattr(worker_processes, "WorkerProcesses", Counted)
    assert run("--do", "train", *SMALL, "--path", "here/")[0] == 0
    assert begun == [], "it takes no time"
    monkeypatch.setattr(worker_processes, "WORTH_A_PROCESS", 1e-6)
    monkeypatch.setattr(worker_processes, "available_cores", lambda: 2)
    code, _, err = run("--do", "train", *SMALL, "--path", "unasked/")
    assert code == 0, err
    assert begun == [2]
    assert results_in(log, "unasked") == results_in(log, "here")
    assert set(multiprocessing.active_children()) <= before, "they end with the stage"


def test_what_other_processes_cannot_load_stays_in_this_one() -> None:
    environment = load_environment("MountainCar-v0")
    for address, elsewhere in (("", False), (environment.address, available_cores() > 1)):
        settings = SimpleNamespace(workers=None, scheduler=None, environment=SimpleNamespace(address=address))
        with run_module.Run(cast(Settings, settings)).executor(seconds=1e9) as executor:
            assert isinstance(executor, WorkerProcesses) == elsewhere


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="clusters are tested on POSIX")
def test_train_test_and_study_give_the_same_bits_wherever_they_are_done(run: Run, log: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="requirements-cluster.txt is not installed")
    stages = ["--do", "train", "test", "study", *SMALL]
    assert run(*stages, "--path", "here/")[0] == 0
    here = results_in(log, "here")
    assert sum(name.endswith(".keras") for name in here) == 4
    assert len(here) == 4 + 2 + 2 * 5
    code, out, err = run(*stages, "--path", "two/", "--workers", "2")
    assert code == 0, err
    assert results_in(log, "two") == here
    with cluster_in(tmp_path, 1) as cluster:
        code, _, err = run(*stages, "--path", "cluster/", "--scheduler", cluster.address)
        assert code == 0, err
        assert f"working with 1 worker at {cluster.address}" in err
        assert results_in(log, "cluster") == here
        # No executor repeats finished work.
        code, out, _ = run(*stages, "--path", "cluster/", "--workers", "2")
        assert code == 0
        assert "all 4 policies are already trained" in out


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    "words",
    [SMALL, ["--env_name", "MountainCar-v0", *FEW], ["--env_name", "Hopper-v2", *FEW, "--max_steps", "300"]],
    ids=["small", "Mountain Car", "Hopper"],
)
def test_a_study_whose_worker_is_killed_has_the_results_of_an_undisturbed_one(
    run: Run, log: Path, tmp_path: Path, words: list[str]
) -> None:
    """The study of the demonstrations that ship, by two workers of a cluster, one of which is killed in the middle."""
    pytest.importorskip("distributed", reason="requirements-cluster.txt is not installed")
    assert run("--do", "study", *words, "--path", "here/")[0] == 0
    with cluster_in(tmp_path, 2) as cluster:
        ended = threading.Event()
        killed = []

        def kill_when_something_is_done() -> None:
            while not ended.wait(0.02):
                if any((log / "study" / "cluster").rglob("*.npz")):
                    killed.append(cluster.workers[0].poll())
                    cluster.workers[0].kill()
                    return

        killer = threading.Thread(target=kill_when_something_is_done)
        killer.start()
        try:
            code, _, err = run("--do", "study", *words, "--path", "cluster/", "--scheduler", cluster.address)
        finally:
            ended.set()
            killer.join()
        assert code == 0, err
        assert killed == [None], "it was killed while it lived"
        assert cluster.workers[1].poll() is None
    assert results_in(log, "cluster") == results_in(log, "here")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--workers", "0"], "--workers must be at least 1; leave it out to have the number chosen"),
        (["--workers", "-3"], "--workers must be at least 1"),
        (["--workers", "2", "--scheduler", "tcp://host:8786"], "give one or the other"),
        (["--scheduler", "host:8786"], "--scheduler: 'host:8786' is no scheduler's address, such as tcp://host:8786"),
    ],
)
def test_what_is_impossible_is_refused_in_one_line(run: Run, log: Path, words: list[str], problem: str) -> None:
    before = files_of(log)
    code, _, err = run("--do", "study", *SMALL, *words)
    assert code == 2
    assert problem in err
    assert err.count("\n") == 1
    assert {name for name in files_of(log) if not name.startswith("runs")} == set(before)


def test_a_scheduler_that_is_not_there_is_refused_in_one_line(run: Run) -> None:
    pytest.importorskip("distributed", reason="requirements-cluster.txt is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    code, _, err = run("--do", "study", *SMALL, "--scheduler", address)
    assert code == 2
    assert f"--scheduler: no Dask scheduler answers at {address} within 5 s" in err
    assert err.count("\n") == 1


def test_a_file_may_not_name_a_scheduler(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("scheduler: tcp://evil:8786\nworkers: 2\n")
    code, _, err = run("--do", "inspect", "--dataset_name", "small", "--config", str(file))
    assert code == 2
    assert "names a scheduler, which can have any code run here" in err
    file.write_text("workers: 2\n")
    code, out, _ = run("--do", "inspect", "--dataset_name", "small", "--config", str(file), "--print_config")
    assert code == 0
    assert "workers: 2" in out
