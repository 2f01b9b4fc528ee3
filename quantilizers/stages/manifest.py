"""What a run was asked, with what it was done, what of it is done, and how it ended: a file of its own for each run."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantilizers.errors import UserError
from quantilizers.files import atomic_write, sha256_of
from quantilizers.interruptions import clearing_away
from quantilizers.processors import available_cores
from quantilizers.versions import versions

RUNNING, FINISHED, REFUSED, INTERRUPTED, FAILED = "running", "finished", "refused", "interrupted", "failed"
_ROOT = Path(__file__).resolve().parents[2]
#: Seconds that git has to say which commit this is.
_PATIENCE = 5
#: So seldom is it written for single units: the more of them are done, the longer each time takes.
SECONDS_BETWEEN_NOTES = 0.5


class Manifest:
    """The manifest of one run, which is written anew when something is done: at once, or soon after the last time.

    Args:
        folder: where it lies; None keeps it to itself, as where stages are run from Python.
        asked: what was asked.

    Attributes:
        path: of the file; None where there is none.
    """

    def __init__(self, folder: Path | None = None, asked: Mapping[str, Any] | None = None) -> None:
        self._began = self._before = time.time()
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
        self.path = folder and _new_name(folder, self._began)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the file while the block runs, and write how that ended.

        Raises:
            UserError: it cannot be written.
        """
        self._write()
        with clearing_away(self._interrupted):
            try:
                yield
            except UserError as error:
                self._end(REFUSED, str(error))
                if self.path is not None and not self._content["done"] and not self._content["stages_done"]:
                    # Nothing was done, and nothing is left behind.
                    self.path.unlink(missing_ok=True)
                raise
            except KeyboardInterrupt:
                self._end(INTERRUPTED)
                raise
            except BaseException as error:
                self._end(FAILED, f"{type(error).__name__}: {error}")
                raise
        self._end(FINISHED)
        self._write()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note a stage when it is done."""
        began = self._before = time.time()
        self._stage = name
        yield
        self._content["stages_done"].append({"stage": name, "seconds": _since(began), "at": _when(time.time())})
        self._write()

    def done(self, file: Path, **unit: Any) -> None:
        """Note a unit of the stage, unless its file was there before the run, or is not there at all.

        Args:
            file: what holds its result.
            **unit: which it is, such as its quantile and seed.
        """
        # File systems count time more coarsely than the system does.
        if self.path is None or not file.exists() or file.stat().st_mtime < self._began - 1:
            return
        now = time.time()
        about = {"file": str(file), "sha256": sha256_of(file), "seconds": _since(self._before), "at": _when(now)}
        self._content["done"].append({"stage": self._stage, **unit, **about})
        self._before = now
        if time.monotonic() - self._noted >= SECONDS_BETWEEN_NOTES:
            self._write()
            self._noted = time.monotonic()

    def _interrupted(self) -> None:
        self._end(INTERRUPTED)

    def _end(self, outcome: str, message: str | None = None) -> None:
        self._content |= {"outcome": outcome, "message": message, "ended": _when(time.time())}
        if outcome != FINISHED:
            # What has stopped the run may keep the file from being written, too, and is what is to be said.
            with suppress(UserError):
                self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        with self._writing, atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(self._content, indent=1, default=str) + "\n", encoding="utf-8")


def code_version() -> dict[str, Any]:
    """Return which code runs: in a clone its commit, and whether files differ from it; elsewhere versions say it."""
    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        return {}

    def ask(*words: str) -> str:
        asked = subprocess.run(
            [git, "-C", str(_ROOT), *words], capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
        return asked.stdout.strip()

    try:
        changed = bool(ask("status", "--porcelain", "--untracked-files=no"))
        return {"commit": ask("rev-parse", "HEAD"), "changed": changed}
    except (OSError, subprocess.SubprocessError):
        return {}


def machine() -> dict[str, Any]:
    """Return what computes."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": available_cores(),
    }


def _new_name(folder: Path, began: float) -> Path:
    """Return the name of a file that is not there: when it began, and a short hash."""
    when = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    number = 0
    while True:
        said = f"{platform.node()} {os.getpid()} {began} {number}"
        path = folder / f"{when}_{hashlib.sha256(said.encode()).hexdigest()[:8]}.json"
        if not path.exists():
            return path
        number += 1


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _since(seconds: float) -> float:
    return round(time.time() - seconds, 3)


#: The manifest of stages that are run from Python.
SILENT = Manifest()
