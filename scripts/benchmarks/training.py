"""Training: perceptrons against other libraries, two cores against one, many seeds against few, a study, SARSA.

The time of one policy and minibatch is the difference of a long and a short training in one process on one core, which
excludes compilation, start and end on both sides.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.measuring import PeerMissingError, Plan, cores_here, seconds_of, two_cores, work
from benchmarks.results import Comparison

AIM = "13 µs"
STUDY_SEEDS, SARSA_SEEDS, SARSA_EPISODES = 5, 5, 20
#: Peers, the fastest first, and the number of passes over the data that are timed.
PEERS = {"scikit-learn": 3, "PyTorch": 3, "imitation": 1}


def training(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Measure a policy and minibatch of 200, of a stack of ten, on one core, in turn with each peer."""
    core = cores_here()[:1]
    repeats, quantile = plan.repeats(3), 0.02 if plan.quick else 1.0
    epochs = (1, 2) if plan.quick else (2, 12)
    seeds = 2 if plan.quick else 10
    _write_data(plan, quantile)
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in PEERS}
    missing: dict[str, PeerMissingError] = {}
    for _ in range(repeats):
        ours.append(work("training:minibatch_here", core, quantile=quantile, seeds=seeds, epochs=epochs))
        for name, passes in PEERS.items():
            if name in missing:
                continue
            python = plan.imitation_python if name == "imitation" else sys.executable
            task = f"peers:{name.replace('-', '_').lower()}"
            data = str(plan.folder / "examples.npz")
            try:
                theirs[name].append(work(task, core, python, data=data, passes=1 if plan.quick else passes))
            except PeerMissingError as error:
                missing[name] = error
    for name, of_peer in theirs.items():
        if name in missing:
            yield missing[name]
        else:
            said = f"training, a policy and minibatch of 200, {seeds} policies on one core"
            yield Comparison("training", said, name, tuple(ours), tuple(of_peer), "µs", "peer / here", AIM)


def cores(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Train on two cores, as the stage does in two processes and as threads of one do, and on one core."""
    pair = two_cores()
    size: dict[str, Any] = {"seeds": 1, "epochs": 1, "quantiles": [0.02]} if plan.quick else {}
    one, processes, threads = [], [], []
    for _ in range(plan.repeats(3)):
        one.append(work("training:train_stage", pair[:1], **size))
        processes.append(work("training:train_stage", pair, processes=2, **size))
        threads.append(work("training:train_stage", pair, **size))
    said = "training and writing 5 quantiles of 10 seeds on two cores, in two processes as `--do train` has them"
    yield Comparison("cores", said, "one core", tuple(processes), tuple(one), "s", "peer / here", "1.8 times")
    said = "the same by threads of one process, as `fit` has them"
    yield Comparison("cores", said, "one core", tuple(threads), tuple(one), "s", "peer / here")


def seeds(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Train fifty seeds and ten, on all cores."""
    few, many = (1, 2) if plan.quick else (10, 50)
    size: dict[str, Any] = {"quantile": 0.02, "epochs": (1, 2)} if plan.quick else {"quantile": 1.0, "epochs": (2, 7)}
    fifty, ten = [], []
    for _ in range(plan.repeats(3)):
        ten.append(work("training:epoch_here", seeds=few, **size))
        fifty.append(work("training:epoch_here", seeds=many, **size))
    said = f"an epoch of {many} seeds"
    yield Comparison("seeds", said, f"of {few} seeds", tuple(fifty), tuple(ten), "s", "here / peer", "at most 4 times")


def difference(train: Callable[[int], object], epochs: tuple[int, int]) -> float:
    """Return what an epoch takes: the difference of a long and a short training, each done once before."""
    few, many = epochs
    for number in epochs:
        train(number)
    short, long = seconds_of(lambda: train(few)), seconds_of(lambda: train(many))
    return max(1e-9, long - short) / (many - few)


def epoch_here(quantile: float, seeds: int, epochs: tuple[int, int]) -> float:
    """Return the seconds of one epoch of a quantile's policies on the demonstrations that ship."""
    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.execution.executor import Shared
    from quantilizers.policies.hyper_parameters import PerceptronTraining
    from quantilizers.policies.multilayer_perceptron import plan
    from quantilizers.policies.selection_settings import REFERENCE
    from quantilizers.policies.training_jobs import train

    selections = REFERENCE.choose_all(Demonstrations.load("demo", "MountainCar-v0"), [quantile])

    def train_for(number: int) -> None:
        for _ in train(plan(selections, range(seeds), PerceptronTraining(max_epochs=number)), Shared(selections)):
            pass

    return difference(train_for, epochs)


def minibatch_here(quantile: float, seeds: int, epochs: tuple[int, int]) -> float:
    """Return the microseconds of one policy and minibatch."""
    from quantilizers.datasets.demonstrations import Demonstrations

    rows = int(Demonstrations.load("demo", "MountainCar-v0").top(quantile).lengths.sum())
    return 1e6 * epoch_here(quantile, seeds, epochs) / (seeds * -(-rows // min(200, rows)))


def train_stage(
    seeds: int = 10, epochs: int = 60, quantiles: tuple[float, ...] = (1.0, 0.5, 0.25, 0.1, 0.01), processes: int = 0
) -> float:
    """Return the seconds of training quantiles and making their files, without loading TensorFlow and compiling.

    With 0 worker processes, they are trained in this one.
    """
    from dataclasses import replace

    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.execution.worker_processes import WorkerProcesses
    from quantilizers.policies.hyper_parameters import PerceptronTraining
    from quantilizers.policies.keras_files import keras_archive
    from quantilizers.policies.multilayer_perceptron import plan
    from quantilizers.policies.selection_settings import REFERENCE
    from quantilizers.policies.training_jobs import shared_selections, train

    demonstrations = Demonstrations.load("demo", "MountainCar-v0")
    selections = REFERENCE.choose_all(demonstrations, quantiles)
    batches = plan(selections, range(seeds), PerceptronTraining(max_epochs=epochs))

    with WorkerProcesses(processes) if processes else nullcontext() as executor:

        def train_all() -> None:
            shared = shared_selections(selections, REFERENCE, demonstrations)
            trained = list(train(batches, shared, executor=executor))
            if executor is None:
                trained = [
                    replace(policy, archive=keras_archive(demonstrations.environment, policy)) for policy in trained
                ]
            assert len(trained) == seeds * len(quantiles)

        train_all()
        return seconds_of(train_all)


def _write_data(plan: Plan, quantile: float) -> None:
    """Write the training data for peers, which may run in another environment."""
    import numpy as np

    from quantilizers.datasets.demonstrations import Demonstrations

    observations, actions = Demonstrations.load("demo", "MountainCar-v0").top(quantile).episodes.transitions()
    np.savez(plan.folder / "examples.npz", observations=observations, actions=actions[:, 0].astype(np.int64))


def study(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Run a study's arms in stacks on two cores and on one, and one at a time on two; compilation included."""
    pair = two_cores()
    size: dict[str, Any] = {"quantiles": [0.02], "subsets": 2, "epochs": 1} if plan.quick else {}
    together, on_one, one_at_a_time = [], [], []
    for _ in range(plan.repeats(2)):
        together.append(work("training:run_study", pair, together=True, processes=2, **size))
        one_at_a_time.append(work("training:run_study", pair, together=False, **size))
        on_one.append(work("training:run_study", pair[:1], together=True, **size))
    number = int(together[0]["policies"])
    name = f"training and testing the {number} policies of a study with its controls, on two cores"
    ours, theirs, alone = (tuple(one["seconds"] for one in found) for found in (together, one_at_a_time, on_one))
    yield Comparison("study", name, "the same, one quantile at a time", ours, theirs, "s", "peer / here", "faster")
    yield Comparison("study", name, "on one core", ours, alone, "s", "peer / here", "1.8 times")


def run_study(
    together: bool,
    processes: int = 0,
    quantiles: tuple[float, ...] = (0.5, 0.25, 0.1, 0.02),
    subsets: int = 10,
    epochs: int = 40,
) -> dict[str, float]:
    """Train and test the policies of a study's arms under one budget.

    Arms of equal size train together as one network, or one after the other; with 0 worker processes, in this one.

    Returns:
        The number of `policies` and the `seconds`, importing TensorFlow included.
    """
    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.execution.worker_processes import WorkerProcesses
    from quantilizers.policies.hyper_parameters import PerceptronTraining
    from quantilizers.policies.policy import acting_of
    from quantilizers.studies.controls import Protocol, arms_of, run_arms

    demonstrations = Demonstrations.load("demo", "MountainCar-v0").with_observations()
    environment = demonstrations.environment
    protocol = Protocol(
        seeds=tuple(range(STUDY_SEEDS)),
        training=PerceptronTraining(max_epochs=epochs),
        acting=acting_of(environment),
        episodes=environment.experiment.number_trajectories,
        max_steps=environment.max_steps,
        options=dict(environment.options),
    )
    arms = arms_of(quantiles, subsets, ["epochs"])

    def run() -> None:
        with WorkerProcesses(processes) if processes else nullcontext() as executor:
            for some in [arms] if together else [[arm] for arm in arms]:
                run_arms(demonstrations, some, protocol, executor=executor)

    return {"policies": len(arms) * STUDY_SEEDS, "seconds": seconds_of(run)}


def sarsa(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Train several seeds of SARSA side by side, and one, in turn."""
    episodes = 1 if plan.quick else SARSA_EPISODES
    found = work("training:seconds_of_episodes", repeats=plan.repeats(7), episodes=episodes)
    said = f"SARSA, {episodes} episodes of {SARSA_SEEDS} seeds side by side"
    together, alone = tuple(found["together"]), tuple(found["alone"])
    yield Comparison("sarsa", said, "one seed", together, alone, "s", "here / peer")


def seconds_of_episodes(repeats: int, episodes: int) -> dict[str, list[float]]:
    """Return the seconds of several seeds side by side, and of one."""
    found: dict[str, list[float]] = {"together": [], "alone": []}
    for _ in range(repeats):
        found["together"].append(_sarsa_seconds(SARSA_SEEDS, episodes))
        found["alone"].append(_sarsa_seconds(1, episodes))
    return found


def _sarsa_seconds(seeds: int, episodes: int) -> float:
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
