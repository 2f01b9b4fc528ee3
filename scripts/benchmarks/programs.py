"""Whole programs: the README's example, help, figures, testing and watching.

The example is compared with the reference's way (`benchmarks.peers.reference_way`): the same demonstrations, quantiles,
seeds and number of episodes, one classifier and one episode at a time. The reference's way neither saves nor draws. It
takes minutes and is run once unless more repeats are requested.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measuring import PeerMissingError, Plan, Usage, run_process, start_work
from benchmarks.results import Comparison, How
from quantilizers.layout import Layout, log_directory

ENVIRONMENT = "MountainCar-v0"
QUANTILES = ("1.0", "0.5", "0.25", "0.1", "0.01")
TENSORFLOW = ("-c", "import tensorflow")


def example_words(folder: Path, quick: bool, seeds: int) -> list[str]:
    """Return the command line of the README's example without its stages."""
    words = ["quantilizer.py", "--env_name", ENVIRONMENT, "--seed_nb", str(seeds), "--log_dir", str(folder)]
    if quick:
        return [*words, "--quantiles", "0.1", "--number_trajectories", "2", "--max_steps", "20"]
    return [*words, "--quantiles", *QUANTILES, "--number_trajectories", "100"]


def example(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Run train, test and plot, and the reference's way, in turn."""
    seeds = 1 if plan.quick else 10
    repeats = plan.repeats(3)
    data = Layout(log_directory(), ENVIRONMENT, "demo").found_data
    quantiles, episodes, steps = ([0.1], 1, 5) if plan.quick else ([*map(float, QUANTILES)], 100, 0)
    peer = {"data": str(data), "seeds": seeds, "episodes": episodes, "steps": steps, "quantiles": quantiles}
    missing = PeerMissingError("sklearn is not installed") if importlib.util.find_spec("sklearn") is None else None
    few = ["--max_epochs", "2"] if plan.quick else []
    ours, theirs, tensorflow = [], [], []
    for number in range(repeats):
        # Finished work in a folder is not repeated.
        words = example_words(plan.folder / f"example_{number}", plan.quick, seeds)
        ours.append(run_process(*words, *few, "--do", "train", "test", "plot"))
        tensorflow.append(run_process("-c", "import tensorflow"))
        if missing is None and (number == 0 or plan.wanted_repeats is not None):
            theirs.append(start_work("peers:reference_way", peer).usage())
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


def help(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Ask for help, and start Python to do nothing."""
    ours, theirs = _in_turn(plan.repeats(15), ["quantilizer.py", "--help"], ["-c", "pass"])
    yield _seconds("help", "`--help`, whole process", "Python's own start", ours, theirs, "here - peer", "0.1 s")


def plot(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Draw the figure of the README's example, and import matplotlib."""
    words = _tested(plan, "plot")
    ours, theirs = _in_turn(plan.repeats(7), words, ["-c", "import matplotlib.pyplot"])
    said = "`--do plot`, whole process"
    yield _seconds("plot", said, "importing matplotlib", ours, theirs, "here - peer", "0.7 s")


def test(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Test the policies of the README's example, and import TensorFlow."""
    words = _tested(plan, "test")

    def forget() -> None:
        # Finished tests are not repeated.
        shutil.rmtree(plan.folder / "short" / "rewards")

    ours, theirs = _in_turn(plan.repeats(5), words, [*TENSORFLOW], forget)
    said = "`--do test` of 50 policies in 100 episodes each, whole process"
    yield _seconds("test", said, "importing TensorFlow", ours, theirs, "peer / here", "1.5 s")


def replay(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Draw the first step of a policy, and import TensorFlow."""
    _tested(plan, "plot")
    words = ["play/replay.py", "--env_name", ENVIRONMENT, "--quantile", "0.1"]
    words += ["--log_dir", str(plan.folder / "short")]
    words += ["--output", str(plan.folder / "episode.gif"), "--max_steps", "1"]
    ours, theirs = _in_turn(plan.repeats(5), words, [*TENSORFLOW])
    said = "`replay.py` until a policy's first step is drawn, whole process"
    yield _seconds("replay", said, "importing TensorFlow", ours, theirs, "peer / here", "1.5 s")


def _tested(plan: Plan, stage: str) -> list[str]:
    """Return the command of a stage of the README's example, after a short training if there was none."""
    folder = plan.folder / "short"
    words = [*example_words(folder, plan.quick, 1 if plan.quick else 10), "--max_epochs", "2"]
    if not folder.exists():
        run_process(*words, "--do", "train", "test")
    return [*words, "--do", stage]


def _in_turn(
    repeats: int, ours: list[str], theirs: list[str], before: Callable[[], object] = lambda: None
) -> tuple[list[Usage], list[Usage]]:
    """Run two programs in turn, with `before` before each of ours; the first pair fills the file cache, uncounted."""
    pairs = []
    for _ in range(1 + repeats):
        before()
        pairs.append((run_process(*ours), run_process(*theirs)))
    mine, other = zip(*pairs[1:], strict=True)
    return list(mine), list(other)


def _seconds(
    row: str, said: str, against: str, ours: list[Usage], theirs: list[Usage], how: How, aim: str
) -> Comparison:
    here, peer = (tuple(usage.seconds for usage in usages) for usages in (ours, theirs))
    return Comparison(row, said, against, here, peer, "s", how, aim)
