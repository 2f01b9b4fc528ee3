"""Runs of the command line that end with SIGKILL a moment after they begin to write a chosen file.

    python tests/killing.py

Each line of standard input is a run, in JSON: `words`; `said`, the file for what it prints; and `kill`, null or
an object of `target`, what the file's path holds, and `delay`, the moment in seconds. The answer is a line with the
exit code, below 0 for a signal. All runs are children of one process, which has imported what takes seconds to import.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
#: The children's imports. No operation may run here: TensorFlow's threads do not come along.
IMPORTED = ("tensorflow", "keras", "matplotlib.figure", "scipy.stats", "gymnasium", "tensorboard.summary", "jinja2")


def kill_at(target: str, delay: float) -> None:
    """Kill this process `delay` seconds after it opens a file to write whose path holds `target`."""
    begun = False

    def kill() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal begun
        if event != "open" or not isinstance(arguments[2], int) or not arguments[2] & WRITING:
            return
        if target in str(arguments[0]) and not begun:
            begun = True
            threading.Thread(target=kill, daemon=True).start()

    sys.addaudithook(hook)


def run(words: list[str], kill: dict[str, Any] | None) -> int:
    """Run the command line, with fewer imitators than it would compare; return the exit code."""
    import quantilizer
    from quantilizers.studies import imitators

    imitators.HISTORIES, imitators.HIDDEN_UNITS, imitators.MAX_EPOCHS = (0, 1), ((20, 20),), (2,)
    if kill is not None:
        kill_at(**kill)
    return quantilizer.main(words)


def main() -> None:
    """Do what standard input says, until it ends."""
    import quantilizers.event_files

    quantilizers.event_files.leave_tensorflow_out()
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            null, said = os.open(os.devnull, os.O_RDWR), os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor, stream in ((null, 0), (said, 1), (said, 2)):
                os.dup2(descriptor, stream)
            code = 99
            try:
                code = run(asked["words"], asked.get("kill"))
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
