"""The manifest of a run, a JSON file: what was asked, with which code, what is done, and how it ended."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantilizers.errors import UserError
from quantilizers.files import atomic_write, sha256_of
from quantilizers.process import on_interruption
from quantilizers.versions import code_version, machine, versions

RUNNING, FINISHED, REFUSED, INTERRUPTED, FAILED = "running", "finished", "refused", "interrupted", "failed"
#: The file grows with the jobs that are done, so it is not written for each of them.
SECONDS_BETWEEN_NOTES = 0.5


class Manifest:
    """The manifest of one run. It is written when a stage is done, and soon after a job is.

    Args:
        folder: for the file; None writes none.
        asked: the settings of the run.
    """

    def __init__(self, folder: Path | None = None, asked: Mapping[str, Any] | None = None) -> None:
        self._began, self._before = time.time(), time.monotonic()
        self._noted = -math.inf
        self._writing = threading.Lock()
        self._stage = ""
        self._content: dict[str, Any] = {
            "outcome": RUNNING,
            "message": None,
            "began": _when(self._began),
            "ended": None,
            **(asked or {}),
            "versions": versions() if folder else {},
            "code": code_version() if folder else {},
            "machine": machine() if folder else {},
            "process": os.getpid(),
            "stages_done": [],
            "done": [],
        }
        self.path = folder and _new_path(folder, self._began)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the file when the block begins and when it ends or is interrupted."""
        self._write()
        with on_interruption(lambda: self._end(INTERRUPTED)):
            try:
                yield
            except UserError as error:
                self._end(REFUSED, str(error))
                if self.path is not None and not self._content["done"] and not self._content["stages_done"]:
                    self.path.unlink(missing_ok=True)  # nothing was done, and nothing is left behind
                raise
            except KeyboardInterrupt:
                self._end(INTERRUPTED)
                raise
            except BaseException as error:
                self._end(FAILED, f"{type(error).__name__}: {error}")
                raise
        self._end(FINISHED)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note that a stage is done when the block ends."""
        began = self._before = time.monotonic()
        self._stage = name
        yield
        self._content["stages_done"].append({"stage": name, "seconds": _since(began), "at": _when(time.time())})
        self._write()

    def done(self, file: Path, **job: Any) -> None:
        """Note that a job of the stage, such as a quantile and a seed, is done, if its file was written in this run."""
        # File systems count time more coarsely than the system does.
        if self.path is None or not file.exists() or file.stat().st_mtime < self._began - 1:
            return
        note = {"file": str(file), "sha256": sha256_of(file), "seconds": _since(self._before), "at": _when(time.time())}
        self._content["done"].append({"stage": self._stage, **job, **note})
        self._before = time.monotonic()
        if time.monotonic() - self._noted >= SECONDS_BETWEEN_NOTES:
            self._write()
            self._noted = time.monotonic()

    def _end(self, outcome: str, message: str | None = None) -> None:
        self._content |= {"outcome": outcome, "message": message, "ended": _when(time.time())}
        # The error that stopped the run, such as a full disk, may prevent this too; that error is reported.
        with suppress(*[] if outcome == FINISHED else [UserError]):
            self._write()

    def _write(self) -> None:
        if self.path is not None:
            with self._writing, atomic_write(self.path) as temporary:
                temporary.write_text(json.dumps(self._content, indent=1, default=str) + "\n", encoding="utf-8")


def _new_path(folder: Path, began: float) -> Path:
    """Return a path that does not exist, named by the time and a short hash."""
    when = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    while True:
        path = folder / f"{when}_{os.urandom(4).hex()}.json"
        if not path.exists():
            return path


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _since(seconds: float) -> float:
    return round(time.monotonic() - seconds, 3)


#: The manifest of stages that are called from Python.
SILENT = Manifest()
