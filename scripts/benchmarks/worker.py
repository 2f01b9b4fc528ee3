"""Run one function of the benchmarks in this process; its last line says what it returned, as JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path


def main(said: str) -> None:
    """Do what `benchmarks.measuring.start_work` wrote down."""
    asked = json.loads(said)
    if asked["cores"] is not None:
        # Before anything is imported that looks how many there are.
        os.sched_setaffinity(0, asked["cores"])
    scripts = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(scripts), str(scripts.parent)]
    module, _, function = asked["task"].partition(":")
    try:
        answer = {"returned": getattr(importlib.import_module(f"benchmarks.{module}"), function)(**asked["arguments"])}
    except ModuleNotFoundError as error:
        answer = {"missing": error.name}
    print()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
