#!/usr/bin/env python3
"""Measure how fast the project is, against its peers, in one run on one machine.

    python scripts/benchmark.py
    python scripts/benchmark.py --rows example training help
    python scripts/benchmark.py --table log/benchmarks/benchmark.json --page docs/speed.md

Each row measures some work and the same work of a peer in turn, several times, and prints medians with their range and
their ratio. Other load on a machine disturbs seconds more than ratios. The file is written after each row, so a stopped
run loses nothing. Peers are in requirements-bench.txt; a missing one is named and left out.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

from benchmarks.measuring import PeerMissingError, Plan, describe_machine
from benchmarks.results import Comparison, Results, markdown, markdown_of_file, put_into_page
from quantilizers.choices import check_choice
from quantilizers.errors import UserError
from quantilizers.layout import benchmark_file, log_directory
from quantilizers.versions import versions

#: The rows, the most important first: the module that has a function of the row's name, and a description.
ROWS = {
    "example": ("programs", "README's example, cold and whole, against the reference's way; its memory"),
    "training": ("training", "one policy and minibatch on one core, against scikit-learn, PyTorch and imitation"),
    "cores": ("training", "training on two cores against one, and two processes beside it"),
    "seeds": ("training", "training 50 seeds against 10"),
    "study": ("training", "a study with its controls, against one quantile at a time, and on two cores against one"),
    "help": ("programs", "--help against Python's own start"),
    "plot": ("programs", "--do plot against importing matplotlib"),
    "test": ("programs", "--do test on perceptrons, against importing TensorFlow"),
    "replay": ("programs", "watching a policy, against importing TensorFlow"),
    "hopper": ("simulators", "testing on Hopper, policies included, against bare MuJoCo"),
    "pinball_steps": ("simulators", "Video Pinball's steps, alone and with a policy, against a bare AtariVectorEnv"),
    "pinball_memory": ("simulators", "steps of games observed by the console's memory, against bare emulators' getRAM"),
    "pinball_start": ("simulators", "making and resetting 64 games, against a bare AtariVectorEnv"),
    "pinball_training": ("simulators", "a training step of the convolutional policy, against PyTorch"),
    "scores": ("score_tables", "curves of tables of scores, against exact binomials and NumPy group by group"),
    "sarsa": ("training", "SARSA on Mountain Car, several seeds against one"),
}
#: Rows that run only if they are named.
ASKED_FOR = {
    "growth": ("growth", "how time and memory grow; draws docs/pictures/growth.png"),
    "score_files": ("score_tables", "tables of scores in 1,000 files against 100, time and memory"),
}


def parser_of() -> Parser:
    """Return the command line's parser."""
    parser = Parser("scripts/benchmark.py", description=__doc__)
    known = "\n".join(f"{name}: {about}" for name, (_, about) in (ROWS | ASKED_FOR).items())
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help=f"what to measure:\n{known}", metavar="ROW")
    parser.add_argument("--repeats", type=int, help="measurements of each side (the row's default)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, which only check that rows run")
    parser.add_argument("--output", type=Path, help="file to write (log/benchmarks/benchmark.json)")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of a file and measure nothing")
    parser.add_argument("--page", type=Path, metavar="FILE", help="with --table: insert it into this page")
    parser.add_argument(
        "--imitation_python", default=sys.executable, help="Python of an environment that has imitation (this one)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 2 also where a row failed."""

    def work() -> None:
        options = parser_of().parse_args(arguments)
        if options.table is not None:
            table = markdown_of_file(options.table)
            print(table)
            if options.page is not None:
                put_into_page(table, options.page)
            return
        if options.page is not None:
            raise UserError("--page is for --table FILE; measure first")
        for row in options.rows:
            check_choice("--rows", row, ROWS | ASKED_FOR, several=True)
        if options.repeats is not None and options.repeats < 1:
            raise UserError("--repeats must be at least 1")
        path = options.output or benchmark_file(log_directory(), "benchmark")
        results = Results(describe_machine(), versions(), options.quick)
        print(f"{results.machine}; {results.versions}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(Path(folder), options.quick, options.repeats, options.imitation_python)
            for row in dict.fromkeys(options.rows):
                _measure(row, plan, results, path)
        print(f"written to {path}")
        if results.failed:
            raise UserError(f"{len(results.failed)} rows failed: {', '.join(row for row, _ in results.failed)}")

    return run_program("scripts/benchmark.py", work)


def _measure(row: str, plan: Plan, results: Results, path: Path) -> None:
    """Measure a row, print it, and write the results so far."""
    module, _ = (ROWS | ASKED_FOR)[row]
    function = getattr(importlib.import_module(f"benchmarks.{module}"), row)
    try:
        for found in function(plan):
            if isinstance(found, Comparison):
                results.comparisons.append(found)
                print(markdown(found), flush=True)
            else:
                results.skipped.append((row, str(found)))
                print(f"{row}: left out: {found}", flush=True)
    except PeerMissingError as error:
        results.skipped.append((row, str(error)))
        print(f"{row}: left out: {error}", flush=True)
    except UserError as error:
        results.failed.append((row, str(error)))
        print(f"{row}: failed: {error}", file=sys.stderr, flush=True)
    results.write(path)


if __name__ == "__main__":
    sys.exit(main())
