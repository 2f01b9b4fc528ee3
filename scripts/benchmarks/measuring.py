"""How benchmarks run: whole processes, and single functions in processes on chosen cores."""

from __future__ import annotations

import json
import os
import platform
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
#: Runs one function; the last line of output is its result as JSON. It imports nothing else of this project, because a
#: peer may be measured in another environment, and sets the cores before libraries read their number.
_WORKER = """
import importlib, json, os, sys
asked = json.loads(sys.argv[1])
if asked["cores"] is not None:
    os.sched_setaffinity(0, asked["cores"])
sys.path[:1] = asked["folders"]
module, _, function = asked["task"].partition(":")
try:
    answer = {"returned": getattr(importlib.import_module("benchmarks." + module), function)(**asked["arguments"])}
except ModuleNotFoundError as error:
    answer = {"missing": error.name}
print()
print(json.dumps(answer))
"""


class PeerMissingError(Exception):
    """A peer is not installed, or the system lacks something that a row needs."""


@dataclass(frozen=True)
class Plan:
    """How the rows are run."""

    folder: Path  # for files of all rows, empty at first
    quick: bool = False  # with tiny sizes
    wanted_repeats: int | None = None  # measurements of each side; None is the row's default
    imitation_python: str = sys.executable  # an interpreter that may have imitation

    def repeats(self, usual: int) -> int:
        """Return the number of measurements of each side."""
        if self.wanted_repeats is not None:
            return self.wanted_repeats
        return 1 if self.quick else usual


@dataclass(frozen=True)
class Usage:
    """Time and memory of a process and its children."""

    seconds: float  # from start to end
    peak_bytes: int  # of all, with shared memory counted once; of the largest if the system does not report that
    printed: str = ""  # the last line of output


class Running:
    """A started process, with variables added to its environment."""

    def __init__(self, command: Sequence[str], variables: dict[str, str] | None = None) -> None:
        self._command = command
        self._output = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed when the process has ended
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=self._output, stderr=subprocess.STDOUT, env={**os.environ, **(variables or {})}
        )

    def usage(self) -> Usage:
        """Wait for the process and return its usage; a failure is a `UserError` with its last line of output."""
        ended, peak = threading.Event(), [0]

        def watch() -> None:
            # Reading takes milliseconds.
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
    """Return the memory of a process and its children, with shared memory counted once."""
    found = 0
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        found += next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        started = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except (OSError, StopIteration):
        return found  # the process has ended, or the system does not report it
    return found + sum(_memory_of_all(int(child)) for child in started)


def run_process(*command: str) -> Usage:
    """Run Python with arguments and measure the whole process; a failure is a `UserError`."""
    return Running([sys.executable, *command]).usage()


def start_work(
    task: str, arguments: dict[str, Any], cores: Sequence[int] | None = None, python: str = sys.executable
) -> Running:
    """Start a function of the benchmarks, such as `training:epoch_here`, in a process on some cores, or on all."""
    if cores is not None and not hasattr(os, "sched_setaffinity"):
        raise PeerMissingError("this system does not let a process choose its cores")
    threads = {} if cores is None else {name: str(len(cores)) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    folders = [str(ROOT / "scripts"), str(ROOT)]
    said = {"task": task, "arguments": arguments, "cores": None if cores is None else [*cores], "folders": folders}
    return Running([python, "-c", _WORKER, json.dumps(said)], threads)


def finish_work(running: Running) -> Any:
    """Wait for a process of `start_work` and return the function's result.

    Raises:
        PeerMissingError: a module that the function imports is not installed.
        UserError: it failed.
    """
    answer = json.loads(running.usage().printed)
    if "missing" in answer:
        raise PeerMissingError(f"{answer['missing']} is not installed")
    return answer["returned"]


def work(task: str, cores: Sequence[int] | None = None, python: str = sys.executable, **arguments: Any) -> Any:
    """Run a function of the benchmarks in its own process; see `start_work` and `finish_work`."""
    return finish_work(start_work(task, arguments, cores, python))


def cores_here() -> list[int]:
    """Return the cores that this process may use; raise `PeerMissingError` if the system does not report them."""
    if not hasattr(os, "sched_getaffinity"):
        raise PeerMissingError("this system does not let a process choose its cores")
    return sorted(os.sched_getaffinity(0))


def two_cores() -> list[int]:
    """Return two cores that this process may use; raise `PeerMissingError` if there are fewer."""
    cores = cores_here()[:2]
    if len(cores) < 2:
        raise PeerMissingError("there is one core only")
    return cores


def seconds_of(job: Callable[[], object]) -> float:
    """Return the duration of one call."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def describe_machine() -> dict[str, Any]:
    """Return cores, processor, memory and load of the machine; values that the system does not report are missing."""
    from quantilizers.processors import available_cores

    return {
        "cores": available_cores(),
        "processor": processor_name(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None,
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def processor_name() -> str:
    """Return the processor's name, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
