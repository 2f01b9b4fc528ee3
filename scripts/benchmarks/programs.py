"""Whole programs that train nothing: help, figures, testing and watching."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

from benchmarks.example import ENVIRONMENT, example_words
from benchmarks.measuring import PeerMissingError, Plan, Usage, run_process
from benchmarks.results import Comparison, How

TENSORFLOW = ("-c", "import tensorflow")


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
        # What is there is not tested again.
        shutil.rmtree(plan.folder / "short" / "rewards")

    ours, theirs = _in_turn(plan.repeats(5), words, [*TENSORFLOW], forget)
    said = "`--do test` of 50 policies in 100 episodes each, whole process"
    yield _seconds("test", said, "importing TensorFlow", ours, theirs, "peer / here", "1.5 s")


def replay(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Show the first step of a policy, and import TensorFlow: how long people wait until an episode begins."""
    _tested(plan, "plot")
    words = ["play/replay.py", "--env_name", ENVIRONMENT, "--quantile", "0.1"]
    words += ["--log_dir", str(plan.folder / "short")]
    words += ["--output", str(plan.folder / "episode.gif"), "--max_steps", "1"]
    ours, theirs = _in_turn(plan.repeats(5), words, [*TENSORFLOW])
    said = "`replay.py` until a policy's first step is drawn, whole process"
    yield _seconds("replay", said, "importing TensorFlow", ours, theirs, "peer / here", "1.5 s")


def _tested(plan: Plan, stage: str) -> list[str]:
    """Return the command of a stage of the README's example, after a short training where there was none."""
    folder = plan.folder / "short"
    words = [*example_words(folder, plan.quick, 1 if plan.quick else 10), "--max_epochs", "2"]
    if not folder.exists():
        run_process(*words, "--do", "train", "test")
    return [*words, "--do", stage]


def _in_turn(
    repeats: int, ours: list[str], theirs: list[str], before: Callable[[], object] = lambda: None
) -> tuple[list[Usage], list[Usage]]:
    """Run two programs in turn, each once before what is counted, so that files are in the system's memory.

    Args:
        repeats: how often.
        ours: arguments of Python.
        theirs: likewise.
        before: called before each of ours.
    """
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
