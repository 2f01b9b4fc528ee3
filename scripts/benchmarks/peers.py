"""Other libraries that train the same perceptron on the same examples; each gives the microseconds of a minibatch.

They import nothing of this project, so that a library may be measured in an environment of its own.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH = 200


def _examples(data: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(data, allow_pickle=False) as file:
        return file["observations"], file["actions"]


def _microseconds(train: Callable[[int], object], passes: int, rows: int) -> float:
    """Return what a minibatch takes, by a training of one pass and one of some more."""
    train(1)
    times = []
    for number in (1, 1 + passes):
        started = time.perf_counter()
        train(number)
        times.append(time.perf_counter() - started)
    return 1e6 * max(1e-9, times[1] - times[0]) / (passes * -(-rows // min(BATCH, rows)))


def scikit_learn(data: str, passes: int) -> float:
    """Return the microseconds of a minibatch in scikit-learn's `MLPClassifier`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    observations, actions = _examples(data)

    def train(number: int) -> None:
        MLPClassifier((20, 20), random_state=0, max_iter=number).fit(observations, actions)

    return _microseconds(train, passes, len(observations))


def pytorch(data: str, passes: int) -> float:
    """Return the microseconds of a minibatch in a plain training loop of PyTorch."""
    import torch

    torch.set_num_threads(1)
    observations, actions = map(torch.from_numpy, _examples(data))
    nn = torch.nn
    network = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)

    def train(number: int) -> None:
        for _ in range(number):
            for chosen in torch.split(torch.randperm(len(observations)), BATCH):
                optimiser.zero_grad()
                loss = nn.functional.cross_entropy(network(observations[chosen]), actions[chosen])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()

    return _microseconds(train, passes, len(observations))


def imitation(data: str, passes: int) -> float:
    """Return the microseconds of a minibatch in imitation's `BC`."""
    from gymnasium.spaces import Box, Discrete
    from imitation.algorithms import bc
    from imitation.data.types import Transitions
    from stable_baselines3.common.policies import ActorCriticPolicy
    from torch import nn

    observations, actions = _examples(data)
    spaces: tuple[Any, Any] = Box(-2.0, 2.0, (2,), np.float32), Discrete(3)
    number = len(observations)
    transitions = Transitions(
        obs=observations,
        acts=actions,
        infos=np.array([{}] * number),
        next_obs=observations,
        dones=np.zeros(number, dtype=np.bool_),
    )
    policy = ActorCriticPolicy(*spaces, lambda _: 1e-3, net_arch=[20, 20], activation_fn=nn.ReLU)
    cloning = bc.BC(
        observation_space=spaces[0],
        action_space=spaces[1],
        rng=np.random.default_rng(0),
        policy=policy,
        demonstrations=transitions,
        batch_size=min(BATCH, number),
        l2_weight=1e-4,
        device="cpu",
    )

    def train(number: int) -> None:
        cloning.train(n_epochs=number, progress_bar=False, log_interval=10**9)

    return _microseconds(train, passes, number)
