"""The README's example as whole processes: time against the reference's way, memory against importing TensorFlow.

The reference's way is `scripts/benchmarks/reference_way.py`: the same demonstrations, quantiles, seeds and number of
episodes, with scikit-learn's MLPClassifier fitted for each seed and quantile and episodes stepped one at a time. It
neither saves nor draws; ours does. As it takes minutes, it is run once unless more repeats are asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import PeerMissingError, Plan, run_process
from benchmarks.results import Comparison
from quantilizers.layout import Layout, log_directory

ENVIRONMENT = "MountainCar-v0"
QUANTILES = ("1.0", "0.5", "0.25", "0.1", "0.01")


def example_words(folder: Path, quick: bool, seeds: int) -> list[str]:
    """Return the command line of the README's example, all but its stages, with results in a folder."""
    words = ["quantilizer.py", "--env_name", ENVIRONMENT, "--seed_nb", str(seeds), "--log_dir", str(folder)]
    if quick:
        return [*words, "--quantiles", "0.1", "--number_trajectories", "2", "--max_steps", "20"]
    return [*words, "--quantiles", *QUANTILES, "--number_trajectories", "100"]


def example(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Run train, test and plot, then the reference's way, then as often again as is asked for."""
    seeds = 1 if plan.quick else 10
    repeats = plan.repeats(3)
    data = Layout(log_directory(), ENVIRONMENT, "demo").found_data
    quantiles, episodes, steps = (["0.1"], "1", "5") if plan.quick else ([*QUANTILES], "100", "0")
    peer = ["scripts/benchmarks/reference_way.py", str(data), str(seeds), episodes, steps, *quantiles]
    missing = PeerMissingError("sklearn is not installed") if importlib.util.find_spec("sklearn") is None else None
    few = ["--max_epochs", "2"] if plan.quick else []
    ours, theirs, tensorflow = [], [], []
    for number in range(repeats):
        # Each in a folder of its own, for what is there is not made again.
        words = example_words(plan.folder / f"example_{number}", plan.quick, seeds)
        ours.append(run_process(*words, *few, "--do", "train", "test", "plot"))
        tensorflow.append(run_process("-c", "import tensorflow"))
        if missing is None and (number == 0 or plan.wanted_repeats is not None):
            theirs.append(run_process(*peer))
    name = f"README's example, {seeds} seed{'s' if seeds > 1 else ''}, cold, whole process"
    if missing is not None:
        yield missing
    else:
        seconds, of_peer = (tuple(usage.seconds for usage in usages) for usages in (ours, theirs))
        yield Comparison("example", name, "the reference's way", seconds, of_peer, "s", "peer / here", "40 times")
    memory, imported = (tuple(usage.peak_bytes / 2**20 for usage in usages) for usages in (ours, tensorflow))
    yield Comparison(
        "example", f"{name}: peak memory", "importing TensorFlow", memory, imported, "MiB", "here - peer", "300 MiB"
    )
