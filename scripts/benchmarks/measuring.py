"""How benchmarks run: processes that are measured whole, and work in processes of its own on chosen cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantilizers.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
_WORKER = Path(__file__).resolve().parent / "worker.py"


class PeerMissingError(Exception):
    """A peer is not installed, or the system cannot do what the row needs."""


@dataclass(frozen=True)
class Plan:
    """How the rows are run.

    Attributes:
        folder: an empty one for files that rows make; rows share it.
        quick: whether the sizes are tiny.
        wanted_repeats: how often each side is measured; None is as the row says.
        imitation_python: an interpreter that may have imitation.
    """

    folder: Path
    quick: bool = False
    wanted_repeats: int | None = None
    imitation_python: str = sys.executable

    def repeats(self, usual: int) -> int:
        """Return how often each side is measured."""
        if self.wanted_repeats is not None:
            return self.wanted_repeats
        return 1 if self.quick else usual


@dataclass(frozen=True)
class Usage:
    """What one process took, and those that it started.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: the most memory that they held at once, what they share counted once; where the system does not
            tell, that of the largest.
        printed: its last line.
    """

    seconds: float
    peak_bytes: int
    printed: str = ""


class Running:
    """A process that was started, to be waited for.

    Args:
        command: program and arguments.
        variables: of its environment, beside this process's own.
    """

    def __init__(self, command: Sequence[str], variables: dict[str, str] | None = None) -> None:
        self._command = command
        self._output = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed when the process has ended
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=self._output, stderr=subprocess.STDOUT, env={**os.environ, **(variables or {})}
        )

    def usage(self) -> Usage:
        """Wait for its end and return what it took.

        Raises:
            UserError: it failed; the message ends with the last line that it printed.
        """
        ended, peak = threading.Event(), [0]

        def watch() -> None:
            # Looking takes milliseconds, so that it is seldom done.
            while not ended.wait(0.5):
                peak[0] = max(peak[0], _memory_of_all(self._process.pid))

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        _, status, used = os.wait4(self._process.pid, 0)
        seconds = time.perf_counter() - self._started
        ended.set()
        watching.join()
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._output.seek(0)
        with self._output as output:
            last = next((line for line in reversed(output.read().splitlines()) if line.strip()), "")
        if self._process.returncode != 0:
            raise UserError(f"{' '.join(self._command)[:200]} ended with {self._process.returncode}: {last}")
        # Linux counts in KiB, macOS in bytes.
        return Usage(seconds, max(peak[0], used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)), last)


def _memory_of_all(process: int) -> int:
    """Return the bytes that a process and those that it started hold, each one's share of what they have in common."""
    found = 0
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        found += next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        started = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except (OSError, StopIteration):
        return found  # it has ended, or the system does not tell
    return found + sum(_memory_of_all(int(child)) for child in started)


def run_process(*command: str) -> Usage:
    """Run a Python program of the project to its end and measure the whole process.

    Args:
        *command: its arguments, of Python.

    Raises:
        UserError: it failed.
    """
    return Running([sys.executable, *command]).usage()


def start_work(
    task: str, arguments: dict[str, Any], cores: Sequence[int] | None = None, python: str = sys.executable
) -> Running:
    """Start a function of the benchmarks in a process of its own.

    Args:
        task: module and function, such as `training:own`.
        arguments: of the function, as JSON can hold them.
        cores: the processors that it may use; None is all.
        python: the interpreter.
    """
    if cores is not None and not hasattr(os, "sched_setaffinity"):
        raise PeerMissingError("this system does not let a process choose its cores")
    threads = {} if cores is None else {name: str(len(cores)) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    said = json.dumps({"task": task, "arguments": arguments, "cores": None if cores is None else [*cores]})
    return Running([python, str(_WORKER), said], threads)


def finish_work(running: Running) -> Any:
    """Wait for what `start_work` began and return what the function returned.

    Raises:
        PeerMissingError: a module that the function imports is not installed.
        UserError: it failed.
    """
    answer = json.loads(running.usage().printed)
    if "missing" in answer:
        raise PeerMissingError(f"{answer['missing']} is not installed")
    return answer["returned"]


def work(task: str, cores: Sequence[int] | None = None, python: str = sys.executable, **arguments: Any) -> Any:
    """Run a function of the benchmarks in a process of its own; see `start_work` and `finish_work`."""
    return finish_work(start_work(task, arguments, cores, python))


def cores_here() -> list[int]:
    """Return the processors that this process may use.

    Raises:
        PeerMissingError: the system does not tell.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise PeerMissingError("this system does not let a process choose its cores")
    return sorted(os.sched_getaffinity(0))


def two_cores() -> list[int]:
    """Return two processors that this process may use.

    Raises:
        PeerMissingError: there are fewer, or the system does not tell.
    """
    cores = cores_here()[:2]
    if len(cores) < 2:
        raise PeerMissingError("there is one core only")
    return cores


def seconds_of(job: Callable[[], object]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started
