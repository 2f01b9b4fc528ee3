"""Environment steps a second in testing Hopper's policies, against bare MuJoCo on one core.

Policies are trained on the demonstrations first (20 of them: four quantiles, five seeds; not timed). Then the test
stage's episodes run, policies included, and in turn a loop of nothing but `mj_step` for the same simulated step.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import mujoco
import numpy as np

from benchmarks.measuring import run_process, summary
from quantilizers.envs.hopper.simulation import FRAME_SKIP, load_model
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.rollouts import randomness_of, roll_out
from quantilizers.layout import Layout, log_directory
from quantilizers.policies.keras_files import load_policy
from quantilizers.policies.policy import acting_of, family_of

ROOT = Path(__file__).resolve().parent.parent.parent
QUANTILES, SEEDS = ("1.0", "0.5", "0.25", "0.125"), 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--number_trajectories", type=int, default=100, help="episodes of each policy (100)")
    parser.add_argument("--runs", type=int, default=5, help="times that each of the two is run (5)")


def bare_steps_a_second(seconds: float = 2.0) -> float:
    """Return how many environment steps, of `FRAME_SKIP` `mj_step`s, one core makes without anything around them."""
    model = load_model()
    data = mujoco.MjData(model)
    random = np.random.default_rng(0)
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        mujoco.mj_resetData(model, data)
        for _ in range(100):
            data.ctrl[:] = random.uniform(-1, 1, 3)
            mujoco.mj_step(model, data, FRAME_SKIP)
        steps += 100
    return steps / (time.perf_counter() - started)


def run(options: argparse.Namespace) -> None:
    """Train, then measure both in turn and print what came out."""
    environment = load_environment("Hopper-v2")
    layout = Layout(log_directory(), environment.name, "demo", "benchmark")
    command = [sys.executable, "quantilizer.py", "--do", "train", "--env_name", environment.name]
    command += ["--path", layout.path, "--seed_nb", str(SEEDS), "--quantiles", *QUANTILES]
    usage = run_process(command, str(ROOT))
    print(f"training {len(QUANTILES) * SEEDS} policies, whole process: {usage.seconds:.1f} s", flush=True)
    policies = [(float(quantile), seed) for quantile in QUANTILES for seed in range(SEEDS)]
    loaded = [load_policy(layout.model(*policy), environment) for policy in policies]
    stacked = family_of(environment).stack(environment, loaded, acting_of(environment))
    seeds, episodes = [seed for _, seed in policies], slice(0, options.number_trajectories)
    ours, bare = [], []
    for _ in range(options.runs):
        started = time.perf_counter()
        rollouts = roll_out(environment, stacked, *randomness_of(seeds, episodes), environment.max_steps, {})
        ours.append(rollouts.lengths.sum() / (time.perf_counter() - started))
        bare.append(bare_steps_a_second())
    print(f"{rollouts.lengths.size:,} episodes of {rollouts.lengths.mean():.0f} steps in the mean")
    print(summary("testing, policies included", ours, "steps/s"))
    print(summary("bare mj_step on one core", bare, "steps/s"))
    print(summary("testing / bare mj_step", [mine / theirs for mine, theirs in zip(ours, bare, strict=True)], "times"))
