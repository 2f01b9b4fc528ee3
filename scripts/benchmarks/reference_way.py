"""Train and test as the reference implementation does: one classifier, one episode at a time.

    python scripts/benchmarks/reference_way.py DATA.npz SEEDS EPISODES STEPS QUANTILE ...

scikit-learn's `MLPClassifier` with the reference's settings is fitted for each seed and quantile, then steps
Gymnasium's environment, one observation a prediction. It saves nothing and draws nothing. STEPS above 0 are the most
steps of an episode and the most passes over the data.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

# The library beside it, and not the modules of this folder, which are named like libraries.
sys.path[:1] = [str(Path(__file__).resolve().parent.parent.parent)]

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.making import make_environment


def main(data: str, seeds: str, episodes: str, steps: str, *quantiles: str) -> None:
    """Train and test on a file of Mountain Car demonstrations, and print the returns."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    demonstrations = Demonstrations.load(Path(data), "MountainCar-v0")
    environment = demonstrations.environment
    for quantile in map(float, quantiles):
        observations, actions = demonstrations.top(quantile).episodes.transitions()
        true_returns, proxy_sums = [], []
        for seed in range(int(seeds)):
            passes = int(steps) or 200
            classifier = MLPClassifier((20, 20), random_state=seed, max_iter=passes).fit(observations, actions[:, 0])
            car = make_environment(environment, max_steps=int(steps) or environment.max_steps)
            for episode in range(int(episodes)):
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


if __name__ == "__main__":
    main(*sys.argv[1:])
