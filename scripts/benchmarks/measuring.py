"""How benchmarks time processes and compare two sets of times."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from quantilizers.errors import UserError


@dataclass(frozen=True)
class Usage:
    """What one process took.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: the most memory it held at once.
    """

    seconds: float
    peak_bytes: int


def run_process(command: Sequence[str], folder: str) -> Usage:
    """Run a command to its end and measure the whole process.

    Args:
        command: program and arguments.
        folder: to run it in.

    Raises:
        UserError: it failed; the message ends with the last line that it printed.
    """
    with tempfile.TemporaryFile(mode="w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise UserError(f"{' '.join(command)} failed: {output.read().strip().splitlines()[-1:]}")
    return Usage(seconds, usage.ru_maxrss * 1024)


def summary(name: str, values: Sequence[float], unit: str) -> str:
    """Return a line with the median of some measurements and their extremes."""
    return f"{name}: median {statistics.median(values):.2f} {unit} (from {min(values):.2f} to {max(values):.2f})"


def print_ratio(name: str, peer: Sequence[float], ours: Sequence[float]) -> None:
    """Print how many times as long the peer took, pair by pair."""
    print(summary(name, [theirs / mine for theirs, mine in zip(peer, ours, strict=True)], "times"))
