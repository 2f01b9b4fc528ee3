"""Video Pinball: a training step against PyTorch, and testing against a bare AtariVectorEnv.

A training step is one minibatch of the convolutional policy, against the same network, loss and optimiser in PyTorch
on the same number of cores (skipped where PyTorch is not installed). Testing is roll-outs of one policy on many
games with the cheat detector, against `ale_py.AtariVectorEnv` fed random actions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import ale_py.vector_env
import numpy as np

from benchmarks.measuring import print_ratio, summary
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.rollouts import roll_out
from quantilizers.policies.convolutional import Cloning, stack
from quantilizers.policies.hyper_parameters import ConvolutionalTraining
from quantilizers.policies.policy import TrainedPolicy, acting_of
from quantilizers.processors import available_cores

CORES = available_cores()
TRAINING = ConvolutionalTraining()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--games", type=int, default=64, help="games side by side (64)")
    parser.add_argument("--steps", type=int, default=150, help="steps of each game (150)")
    parser.add_argument("--runs", type=int, default=7, help="times that each is run (7)")


def torch_step(observations: np.ndarray, labels: np.ndarray) -> Callable[[], None] | None:
    """Return a training step of the same network in PyTorch, or None where PyTorch is not installed."""
    try:
        import torch
        from torch import nn
    except ImportError:
        return None
    torch.set_num_threads(CORES)
    network = nn.Sequential(
        nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 9),
    )  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), TRAINING.learning_rate, weight_decay=TRAINING.weight_decay)
    targets = torch.from_numpy(labels[:, 0])

    def step() -> None:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(torch.from_numpy(observations).float() / 255), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        loss.item()

    return step


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(options: argparse.Namespace) -> None:
    """Measure both pairs in turn and print what came out."""
    environment = load_environment("VideoPinballNoFrameskip-v4")
    random = np.random.default_rng(0)
    observations = random.integers(0, 256, (TRAINING.batch_size, *environment.observation_shape), dtype=np.uint8)
    labels = random.integers(9, size=(TRAINING.batch_size, 1))
    cloning = Cloning(environment, 0, TRAINING)
    peer = torch_step(observations, labels)
    ours: list[float] = []
    theirs: list[float] = []
    for counted in [False] + [True] * options.runs:
        times = seconds_of(lambda: cloning.train_on(observations, labels)), seconds_of(peer) if peer else 0.0
        if counted:
            ours.append(times[0])
            theirs.append(times[1])
    print(summary(f"training step of {TRAINING.batch_size}, TensorFlow", ours, "s"))
    if peer is None:
        print("PyTorch is not installed; pip install -r requirements-optimizers.txt to compare with it")
    else:
        print(summary(f"training step of {TRAINING.batch_size}, PyTorch", theirs, "s"))
        print_ratio("PyTorch / TensorFlow", theirs, ours)

    policies = stack(
        environment, [TrainedPolicy(1.0, 0, cloning.model.get_weights(), TRAINING)], acting_of(environment)
    )
    seeds = random.integers(2**31, size=(1, options.games))
    tested, bare = [], []
    for _ in range(options.runs):
        started = time.perf_counter()
        rollouts = roll_out(
            environment, policies, seeds, [np.random.default_rng(0)], options.steps, environment.options
        )
        tested.append(float(rollouts.lengths.sum()) / (time.perf_counter() - started))
        bare.append(bare_frames_a_second(options.games, options.steps))
    print(f"{options.games} games of {options.steps} steps; making and resetting the games included in both")
    print(summary("testing, policy and cheat detector included", tested, "frames/s"))
    print(summary("bare AtariVectorEnv, random actions", bare, "frames/s"))
    print(summary("testing / bare", [mine / theirs for mine, theirs in zip(tested, bare, strict=True)], "times"))


def bare_frames_a_second(games: int, steps: int) -> float:
    """Return how many observed frames a second `AtariVectorEnv` makes when fed random actions."""
    random = np.random.default_rng(0)
    started = time.perf_counter()
    emulators = ale_py.vector_env.AtariVectorEnv("video_pinball", num_envs=games, num_threads=CORES)
    emulators.reset(seed=0)
    for _ in range(steps):
        emulators.step(random.integers(9, size=games))
    elapsed = time.perf_counter() - started
    emulators.close()
    return games * steps / elapsed
