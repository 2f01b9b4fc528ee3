"""A Dask cluster on this machine, started by its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support import ROOT


class Cluster:
    """A scheduler on a free port of loopback, and workers of one thread.

    Args:
        folder: for logs, and for what workers keep on disk.
        paths: further folders from which workers import.
        bare: whether the scheduler lacks the project.
    """

    def __init__(self, folder: Path, paths: Sequence[Path] = (), bare: bool = False) -> None:
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *paths]))}
        without = folder / "without_the_project"
        if bare:  # also where the environment has the project installed
            without.mkdir()
            (without / "sitecustomize.py").write_text("import sys\nsys.modules['quantilizers'] = None\n")
        self.scheduler = self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            **({"PYTHONPATH": str(without)} if bare else {}),
        )
        self.address = self._said("scheduler", r"Scheduler at:\s+(tcp://\S+)")
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler knows it."""
        name = f"worker{len(self.workers)}"
        words = [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        self.workers.append(self._start("worker", *words, log=name, **environment))
        self._said(name, r"(Registered to:)")
        return self.workers[-1]

    def _start(self, what: str, *words: str, log: str = "", **environment: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{log or what}.log").open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what, *words],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**self._environment, **environment},
                cwd=self._folder,
            )

    def _said(self, log: str, pattern: str) -> str:
        """Wait for a line in a log."""
        for _ in range(1200):
            text = (self._folder / f"{log}.log").read_text(errors="replace")
            if found := re.search(pattern, text):
                return found[1]
            time.sleep(0.1)
        raise AssertionError(text)

    def close(self) -> None:
        """End all its processes."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@contextmanager
def cluster_in(folder: Path, workers: int = 0, paths: Sequence[Path] = ()) -> Iterator[Cluster]:
    """Yield a cluster with some workers, and close it."""
    cluster = Cluster(folder, paths)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.close()
