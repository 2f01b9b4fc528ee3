"""Environment steps a second in testing Hopper's policies, against bare MuJoCo on as many cores.

Policies are trained on the demonstrations first (four quantiles, five seeds; not timed). Then the test stage's
episodes run, policies included, and in turn a process a core of nothing but `mj_step` for the same simulated step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import PeerMissingError, Plan, cores_here, finish_work, run_process, start_work, work
from benchmarks.results import Comparison

if TYPE_CHECKING:
    from quantilizers.policies.policy import Policies

ENVIRONMENT = "Hopper-v2"
QUANTILES, SEEDS = (1.0, 0.5, 0.25, 0.125), 5


def hopper(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Train, then measure both in turn."""
    seeds = 1 if plan.quick else SEEDS
    command = ["quantilizer.py", "--do", "train", "--env_name", ENVIRONMENT, "--log_dir", str(plan.folder)]
    command += ["--quantiles", *map(str, QUANTILES), "--seed_nb", str(seeds)]
    run_process(*command, *(["--max_epochs", "1"] if plan.quick else []))
    ours, bare = [], []
    for _ in range(plan.repeats(5)):
        episodes = 2 if plan.quick else 100
        ours.append(work("hopper:tested_steps_a_second", log=str(plan.folder), seeds=seeds, episodes=episodes))
        seconds = 0.1 if plan.quick else 3.0
        started = [start_work("hopper:bare_steps_a_second", {"seconds": seconds}, [core]) for core in cores_here()]
        bare.append(sum([finish_work(running) for running in started]))
    said = f"Hopper, testing {len(QUANTILES) * seeds} policies"
    against = f"bare `mj_step` on {len(cores_here())} cores"
    yield Comparison("hopper", said, against, tuple(ours), tuple(bare), "steps/s", "here / peer", "0.9 times")


def tested_steps_a_second(log: str, seeds: int, episodes: int) -> float:
    """Return how many steps a second the test stage's episodes make."""
    from quantilizers.envs.registry import load_environment
    from quantilizers.evaluation.measuring import measure_policies
    from quantilizers.layout import Layout
    from quantilizers.policies.keras_files import load_policy
    from quantilizers.policies.policy import acting_of, family_of

    environment = load_environment(ENVIRONMENT)
    layout = Layout(Path(log), environment.name, "demo")
    policies = [(quantile, seed) for quantile in QUANTILES for seed in range(seeds)]
    loaded = {policy: load_policy(layout.model(*policy), environment) for policy in policies}

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        of_batch = [loaded[policy] for policy in wanted]
        return family_of(environment).stack(environment, of_batch, acting_of(environment))

    started = time.perf_counter()
    results = measure_policies(environment, stack, QUANTILES, range(seeds), episodes, environment.max_steps, {})
    steps = sum(int(of_seed.lengths.sum()) for of_seed in results)
    return steps / (time.perf_counter() - started)


def bare_steps_a_second(seconds: float) -> float:
    """Return how many environment steps, of `FRAME_SKIP` `mj_step`s, one core makes without anything around them."""
    import mujoco
    import numpy as np

    from quantilizers.envs.hopper import FRAME_SKIP, load_model

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
