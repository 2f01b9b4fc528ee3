#!/usr/bin/env python3
"""Measure what it costs to have work done elsewhere: seconds, messages and bytes for each unit of work.

    python scripts/measure_workers.py

Units that do nothing are done by one process, and by two workers of a Dask cluster that live in this process, so that
every message that scheduler, workers and client send is counted. Beside the units stand arrays that all of them read.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries("distributed")

import numpy as np

from quantilizers.execution.cluster import DaskCluster
from quantilizers.execution.processes import LocalProcesses
from quantilizers.execution.units import Executor, Send, Shared, WorkUnit


def nothing(shared: Shared, number: int, send: Send) -> int:
    """Do a unit of work that takes no time."""
    return number


def seconds_for(executor: Executor, units: int, shared: Shared) -> float:
    """Return how long so many units take, the arrays' first journey left out."""
    list(executor.run([WorkUnit("first", nothing, (shared, 0))]))
    begun = time.perf_counter()
    list(executor.run(WorkUnit(str(number), nothing, (shared, number)) for number in range(units)))
    return time.perf_counter() - begun


class Counts:
    """Messages and bytes that were sent over TCP in this process, those to and from the scheduler apart."""

    def __init__(self) -> None:
        self.messages = self.bytes = self.elsewhere = 0


@contextmanager
def counted_messages(scheduler: str) -> Iterator[Counts]:
    """Count what is sent meanwhile."""
    comm = importlib.import_module("distributed.comm.tcp").TCP
    write, counts = comm.write, Counts()

    async def counting(self: Any, *arguments: Any, **named: Any) -> Any:
        sent = await write(self, *arguments, **named)
        if scheduler in (self.peer_address, self.local_address):
            counts.messages += 1
            counts.bytes += sent
        else:
            counts.elsewhere += sent
        return sent

    comm.write = counting
    try:
        yield counts
    finally:
        comm.write = write


def main() -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/measure_workers.py", description=__doc__)
        parser.add_argument("--units", type=int, default=200, help="units of work in each run (200)")
        parser.add_argument("--runs", type=int, default=3, help="runs (3)")
        options = parser.parse_args()
        shared = Shared({"numbers": np.random.default_rng(0).random(2**17)})
        print(f"{options.units} units that do nothing, beside {shared.nbytes:,} bytes that all of them read")
        with LocalProcesses(1) as process:
            times = [seconds_for(process, options.units, shared) for _ in range(options.runs)]
        print(f"one process: {_milliseconds(times, options.units)} a unit")
        distributed = importlib.import_module("distributed")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
            ) as cluster,
            DaskCluster(cluster.scheduler_address) as executor,
        ):
            with counted_messages(cluster.scheduler_address) as first:
                list(executor.run([WorkUnit("first", nothing, (shared, 0))]))
            with counted_messages(cluster.scheduler_address) as counts:
                times = [seconds_for(executor, options.units, shared) for _ in range(options.runs)]
        number = options.runs * (options.units + 1)
        print(f"a cluster's two workers: {_milliseconds(times, options.units)} a unit")
        print(
            f"through the scheduler: {counts.messages / number:.1f} messages and {counts.bytes / number:,.0f} bytes a "
            f"unit; with the first one, the arrays' {first.bytes:,} bytes. From worker to worker: {counts.elsewhere:,} "
            "bytes in all"
        )

    return run_program("scripts/measure_workers.py", work)


def _milliseconds(times: list[float], units: int) -> str:
    each = [1000 * seconds / units for seconds in times]
    return f"{statistics.median(each):.2f} ms [{min(each):.2f}, {max(each):.2f}]"


if __name__ == "__main__":
    sys.exit(main())
