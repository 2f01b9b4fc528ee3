"""Whole processes: quantilizer.py train test plot, against the reference implementation's way of doing it.

The reference's way is `scripts/benchmarks/reference_way.py`: the same demonstrations, quantiles, seeds and number of
episodes, with scikit-learn's MLPClassifier fitted for each seed and quantile and episodes stepped one at a time. It
neither saves nor draws; ours does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.measuring import print_ratio, run_process, summary
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory

ROOT = Path(__file__).resolve().parent.parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--dataset_name", default="demo", help="of log/MountainCar-v0 (demo)")
    parser.add_argument("--seed_nb", type=int, default=10, help="seeds (10)")
    parser.add_argument("--number_trajectories", type=int, default=100, help="episodes of each policy (100)")
    parser.add_argument("--quantiles", nargs="+", default=["1.0", "0.5", "0.25", "0.1", "0.01"])
    parser.add_argument("--runs", type=int, default=3, help="times that each of the two is run (3)")


def run(options: argparse.Namespace) -> None:
    """Run both in turn and print what they took.

    Raises:
        UserError: there is no such data set.
    """
    data = Layout(log_directory(), "MountainCar-v0", options.dataset_name).found_data
    if not data.exists():
        raise UserError(f"{data} does not exist; --dataset_name takes a data set of log/MountainCar-v0")
    seeds, episodes = str(options.seed_nb), str(options.number_trajectories)
    ours = [sys.executable, "quantilizer.py", "--env_name", "MountainCar-v0", "--dataset_name", options.dataset_name]
    ours += ["--seed_nb", seeds, "--number_trajectories", episodes, "--path", "benchmark"]
    ours += ["--quantiles", *options.quantiles]
    module = "import runpy, sys; sys.path[:0] = ['.', 'scripts']; "
    module += "runpy.run_module('benchmarks.reference_way', run_name='__main__', alter_sys=True)"
    peer = [sys.executable, "-c", module, str(data), seeds, episodes, *options.quantiles]
    usages = {"quantilizer.py": [], "reference way": []}  # type: ignore[var-annotated]
    for number in range(options.runs):
        for name, command in (("quantilizer.py", ours), ("reference way", peer)):
            usages[name].append(run_process(command, str(ROOT)))
            print(f"run {number + 1}, {name}: {usages[name][-1].seconds:.1f} s", flush=True)
    for name, measured in usages.items():
        print(summary(f"{name}, whole process", [usage.seconds for usage in measured], "s"))
        print(summary(f"{name}, peak memory", [usage.peak_bytes / 2**20 for usage in measured], "MiB"))
    seconds = {name: [usage.seconds for usage in measured] for name, measured in usages.items()}
    print_ratio("reference way / quantilizer.py", seconds["reference way"], seconds["quantilizer.py"])
