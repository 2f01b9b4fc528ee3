"""SARSA on Mountain Car: several seeds side by side, against one alone."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import summary
from quantilizers.envs.registry import load_environment
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.jobs import make_jobs
from quantilizers.optimisers.sarsa_and_q_learning import LinearLearners

EPISODES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--seed_nb", type=int, default=5, help="seeds side by side (5)")
    parser.add_argument("--runs", type=int, default=7, help="times that each of the two is run (7)")


def seconds_of(folder: Path, seeds: int) -> float:
    """Return how long so many seeds take to learn from `EPISODES` episodes, side by side."""
    environment = load_environment("MountainCar-v0")
    layout = Layout(folder, environment.name, "demo")
    steps = ALGORITHMS["sarsa"].steps
    jobs = make_jobs(environment, "sarsa", range(seeds), steps, environment.max_steps, {}, 1, layout)
    learners = LinearLearners(jobs, environment)
    started = time.perf_counter()
    for _ in range(EPISODES):
        learners.run_episode()
    return time.perf_counter() - started


def run(options: argparse.Namespace) -> None:
    """Measure both in turn and print what came out."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(seconds_of(Path(folder), options.seed_nb), seconds_of(Path(folder), 1)) for _ in range(options.runs)]
    together, alone = zip(*pairs, strict=True)
    print(summary(f"{EPISODES} episodes of {options.seed_nb} seeds side by side", together, "s"))
    print(summary(f"{EPISODES} episodes of one seed", alone, "s"))
    print(summary("together / alone", [many / one for many, one in pairs], "times"))
