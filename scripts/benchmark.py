#!/usr/bin/env python3
"""Measure how fast the project is, against its peers, in one run on one machine.

    python scripts/benchmark.py mountain_car --dataset_name demo

Each benchmark times whole processes or loops of its own and of a peer in turn, several times, and prints medians with
their spread and the ratio of the two, pair by pair. A machine's other work disturbs seconds more than ratios.
"""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

from quantilizers.processors import available_cores
from quantilizers.versions import versions

BENCHMARKS = {
    "mountain_car": "train, test and plot on Mountain Car, against scikit-learn and one episode at a time",
    "hopper": "testing on Hopper, against bare MuJoCo",
    "sarsa": "SARSA on Mountain Car, several seeds against one",
    "video_pinball": "training and testing on Video Pinball, against PyTorch and a bare AtariVectorEnv",
}


def main() -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/benchmark.py", description=__doc__)
        chosen = parser.add_subparsers(dest="benchmark", required=True)
        # Each needs heavy libraries of its own: only the one that is asked for is imported.
        wanted = next((word for word in sys.argv[1:] if word in BENCHMARKS), None)
        for name, help_text in BENCHMARKS.items():
            benchmark = chosen.add_parser(name, help=help_text)
            if name == wanted:
                module = importlib.import_module(f"benchmarks.{name}")
                benchmark.description = module.__doc__
                module.add_arguments(benchmark)
        options = parser.parse_args()
        print(f"{available_cores()} cores, {platform.machine()}, {platform.system()}; {versions()}")
        module.run(options)

    return run_program("scripts/benchmark.py", work)


if __name__ == "__main__":
    sys.exit(main())
