"""Peers: other libraries that train the same perceptron on the same examples, and the reference implementation's way.

The libraries return the microseconds of a minibatch. Their functions import nothing of this project, because a library
may be measured in another environment.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 200


def _examples(data: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(data, allow_pickle=False) as file:
        return file["observations"], file["actions"]


def _microseconds(train: Callable[[int], object], passes: int, rows: int) -> float:
    """Return the microseconds of a minibatch: the difference of trainings of one pass and of more."""
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


def reference_way(data: str, seeds: int, episodes: int, steps: int, quantiles: Sequence[float]) -> None:
    """Train and test on Mountain Car as the reference implementation does: one classifier, one episode at a time.

    scikit-learn's `MLPClassifier` with the reference's settings is fitted for each seed and quantile, then acts in
    Gymnasium's environment, one observation per prediction. Nothing is saved or drawn.
    Episodes have at most `steps` steps, and trainings as many passes over the data; 0 takes the reference's numbers.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.envs.making import make_environment

    warnings.simplefilter("ignore", ConvergenceWarning)
    demonstrations = Demonstrations.load(Path(data), "MountainCar-v0")
    environment = demonstrations.environment
    for quantile in quantiles:
        observations, actions = demonstrations.top(quantile).episodes.transitions()
        true_returns, proxy_sums = [], []
        for seed in range(seeds):
            passes = steps or 200
            classifier = MLPClassifier((20, 20), random_state=seed, max_iter=passes).fit(observations, actions[:, 0])
            car = make_environment(environment, max_steps=steps or environment.max_steps)
            for episode in range(episodes):
                observation, _ = car.reset(seed=1000 * seed + episode)
                true_return, proxy_return, ended = 0.0, 0.0, False
                while not ended:
                    action = int(classifier.predict(observation[None])[0])
                    observation, proxy, terminated, truncated, info = car.step(action)
                    true_return += info["true_reward"]
                    proxy_return += float(proxy)
                    ended = terminated or truncated
                true_returns.append(true_return)
                proxy_sums.append(proxy_return)
        print(f"q = {quantile:g}: true {np.mean(true_returns):.2f}, proxy {np.mean(proxy_sums):.2f}", flush=True)
