"""Whole programs that train nothing: help, figures, testing and watching."""

from __future__ import annotations

from collections.abc import Iterator

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
    words = [*_tested(plan, "test"), "--force"]  # what was tested is not tested again
    ours, theirs = _in_turn(plan.repeats(5), words, [*TENSORFLOW])
    said = "`--do test` of 50 policies in 100 episodes each, whole process"
    yield _seconds("test", said, "importing TensorFlow", ours, theirs, "peer / here", "1.5 s")


def replay(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Film an episode of a policy, and import TensorFlow."""
    _tested(plan, "plot")
    quantile = "0.1"
    words = [
        "play/replay.py",
        "--env_name",
        ENVIRONMENT,
        "--quantile",
        quantile,
        "--log_dir",
        str(plan.folder / "short"),
    ]
    words += ["--output", str(plan.folder / "episode.gif"), *(["--max_steps", "20"] if plan.quick else [])]
    ours, theirs = _in_turn(plan.repeats(5), words, [*TENSORFLOW])
    said = "`replay.py`, a policy's episode into a GIF, whole process"
    yield _seconds("replay", said, "importing TensorFlow", ours, theirs, "peer / here", "1.5 s")


def _tested(plan: Plan, stage: str) -> list[str]:
    """Return the command of a stage of the README's example, after a short training where there was none."""
    folder = plan.folder / "short"
    words = [*example_words(folder, plan.quick, 1 if plan.quick else 10), "--max_epochs", "2"]
    if not folder.exists():
        run_process(*words, "--do", "train", "test")
    return [*words, "--do", stage]


def _in_turn(repeats: int, ours: list[str], theirs: list[str]) -> tuple[list[Usage], list[Usage]]:
    """Run two programs in turn, each once before what is counted, so that files are in the system's memory."""
    pairs = [(run_process(*ours), run_process(*theirs)) for _ in range(1 + repeats)][1:]
    mine, other = zip(*pairs, strict=True)
    return list(mine), list(other)


def _seconds(
    row: str, said: str, against: str, ours: list[Usage], theirs: list[Usage], how: How, aim: str
) -> Comparison:
    here, peer = (tuple(usage.seconds for usage in usages) for usages in (ours, theirs))
    return Comparison(row, said, against, here, peer, "s", how, aim)
