"""SARSA on Mountain Car: several seeds side by side, against one alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import PeerMissingError, Plan, work
from benchmarks.results import Comparison

SEEDS, EPISODES = 5, 20


def sarsa(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Measure both in turn."""
    episodes = 1 if plan.quick else EPISODES
    found = work("sarsa:seconds_of_episodes", repeats=plan.repeats(7), episodes=episodes)
    said = f"SARSA, {episodes} episodes of {SEEDS} seeds side by side"
    together, alone = tuple(found["together"]), tuple(found["alone"])
    yield Comparison("sarsa", said, "one seed", together, alone, "s", "here / peer")


def seconds_of_episodes(repeats: int, episodes: int) -> dict[str, list[float]]:
    """Return how long several seeds take to learn side by side, and one alone."""
    found: dict[str, list[float]] = {"together": [], "alone": []}
    for _ in range(repeats):
        found["together"].append(_seconds(SEEDS, episodes))
        found["alone"].append(_seconds(1, episodes))
    return found


def _seconds(seeds: int, episodes: int) -> float:
    from quantilizers.envs.registry import load_environment
    from quantilizers.layout import Layout
    from quantilizers.optimisers.agents import make_jobs
    from quantilizers.optimisers.algorithms import ALGORITHMS
    from quantilizers.optimisers.sarsa_and_q_learning import LinearLearners

    environment = load_environment("MountainCar-v0")
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder), environment.name, "demo")
        steps = ALGORITHMS["sarsa"].steps
        jobs = make_jobs(environment, "sarsa", range(seeds), steps, environment.max_steps, {}, 1, layout)
        learners = LinearLearners(jobs, environment)
        started = time.perf_counter()
        for _ in range(episodes):
            learners.run_episode()
        return time.perf_counter() - started
