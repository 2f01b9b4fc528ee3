"""Untrained agents of stable-baselines3 in an environment of this library.

| | PPO | QR-DQN |
|---|---|---|
| source | Schulman et al. 2017, stable-baselines3 | Dabney et al. 2018, sb3-contrib |
| settings | the library's | the library's but those in `make_model`, which say why they differ |

PPO is also to be had as "PPO, long", which is to earn all the proxy reward it can: many environments step together;
rewards are divided by the running spread of returns, as is usual; an episode that is cut has ended, for what is due is
paid at the cut (`quantilizers.optimisers.sb3_side_by_side`); it ends before its budget where its proxy return stands
still (`quantilizers.optimisers.along_training`), except on pictures, where its steps get smaller to the end.

| | on vectors | on pictures |
|---|---|---|
| environments side by side | 32 | 16 |
| steps of each between updates, batches, epochs | 128, of 512, 10 | 128, of 256, 4 |
| discount γ, GAE's λ | 0.9999, 0.98: the reward may come at the end of 1,000 steps | 0.99, 0.95 |
| learning rate, clipping | the library's | 2.5e-4 and 0.1, both to 0 |
| entropy | 0.05 for `Discrete` actions, else 0 | 0.01 |
| why | returns hardly discounted, many episodes an update | Schulman et al.'s (2017) for Atari |

QR-DQN is the best kept relative of Rainbow (Hessel et al. 2018): one of distributional Q-learning, as Rainbow is, but
without its other five additions to DQN.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import QRDQN
from stable_baselines3 import PPO
from stable_baselines3.common.atari_wrappers import ClipRewardEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.sb3_actions import counting_from_zero
from quantilizers.optimisers.sb3_side_by_side import SideBySide
from quantilizers.optimisers.suitability import WIDEST_BOUND, check_suitable

#: How many steps QR-DQN remembers at most: 1.4 GB of observations of four pictures, 84×84 each.
REMEMBERED_STEPS = 50_000
#: How much memory it takes at most, in bytes, where observations are larger than that.
REMEMBERED_BYTES = 1_500_000_000
#: How many environments step together for the long PPO, where observations are vectors and where they are pictures.
VECTORS, GAMES = 32, 16
#: Pictures with fewer lines or columns are too small for the three convolutions of the library's network.
SMALLEST_PICTURE = 36


def make_model(job: Job, environment: EnvironmentDefinition, steps: int) -> BaseAlgorithm:
    """Return the untrained agent, in its environment.

    Args:
        job: which.
        environment: where.
        steps: that it has been trained for; from there on it gets other random numbers than from the start.

    Raises:
        UserError: the algorithm cannot act in the environment.
    """
    check_suitable(job.algorithm, environment)
    pictures = convolves(environment.observation_space)
    policy = "CnnPolicy" if pictures else "MlpPolicy"
    seed = job.seed if steps == 0 else int(np.random.SeedSequence([job.seed, steps]).generate_state(1)[0])
    if job.algorithm == "ppo_long":
        return _long_ppo(job, environment, pictures, seed)
    game: gymnasium.Env[Any, Any] = counting_from_zero(
        make_environment(environment, max_steps=job.max_steps, **job.options)
    )
    game = Monitor(game, info_keywords=("true_return", "proxy_return"))
    if job.algorithm == "ppo":
        return PPO(policy, game, seed=seed, device="auto" if pictures else "cpu")
    if pictures:
        # Scores of video games are learned from by their signs, as by Rainbow and by QR-DQN itself.
        game = ClipRewardEnv(game)
    bytes_of_step = int(np.prod(environment.observation_shape)) * environment.observation_dtype.itemsize
    return QRDQN(
        policy,
        game,
        seed=seed,
        buffer_size=min(REMEMBERED_STEPS, job.steps, max(1, REMEMBERED_BYTES // bytes_of_step)),
        # Each picture is kept once. The library cannot do that and also tell cut episodes from finished ones.
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        # The library's are meant for millions of steps: it explores in 0.005 of them, and its target follows its
        # network every 10,000 steps.
        exploration_fraction=0.1,
        target_update_interval=max(1, min(10_000, job.steps // 50)),
    )


def _long_ppo(job: Job, environment: EnvironmentDefinition, pictures: bool, seed: int) -> BaseAlgorithm:
    """Return PPO with settings that fit its task; the module says which and why."""
    number = GAMES if pictures else VECTORS
    # Powers of 2, so that batches share them out evenly.
    steps = min(128, 2 ** max(1, (job.steps // number).bit_length() - 1))
    discount = 0.99 if pictures else 0.9999
    games = VecNormalize(
        SideBySide(environment, number, job.max_steps, **job.options),
        norm_obs=False,
        gamma=discount,
        # A return that is paid at once is many times the usual reward, and no outlier.
        clip_reward=10.0 if pictures else np.inf,
    )
    common: dict[str, Any] = {"n_steps": steps, "gamma": discount, "seed": seed}
    if pictures:
        return PPO(
            "CnnPolicy",
            games,
            batch_size=min(256, number * steps),
            n_epochs=4,
            learning_rate=LinearSchedule(2.5e-4, 0, 1),
            clip_range=LinearSchedule(0.1, 0, 1),
            ent_coef=0.01,
            **common,
        )
    return PPO(
        "MlpPolicy",
        games,
        batch_size=min(512, number * steps),
        gae_lambda=0.98,
        ent_coef=0.05 if isinstance(environment.action_space, spaces.Discrete) else 0.0,
        device="cpu",
        policy_kwargs={"features_extractor_class": ScaledToBounds},
        **common,
    )


class ScaledToBounds(BaseFeaturesExtractor):
    """Observations as numbers from -1 to 1 where their space has bounds, and as they are where it has none.

    Args:
        observation_space: with the bounds.
    """

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, features_dim=int(np.prod(observation_space.shape)))
        low, high = observation_space.low.astype(np.float64), observation_space.high.astype(np.float64)
        bounded = (np.maximum(np.abs(low), np.abs(high)) < WIDEST_BOUND) & (low < high)
        low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        middle, reach = (low + high) / 2, (high - low) / 2
        self.middle: torch.Tensor
        self.reach: torch.Tensor
        self.register_buffer("middle", torch.as_tensor(middle, dtype=torch.float32).flatten())
        self.register_buffer("reach", torch.as_tensor(reach, dtype=torch.float32).flatten())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return (batch, numbers of an observation)."""
        return (observations.flatten(1) - self.middle) / self.reach


def convolves(space: spaces.Box) -> bool:
    """Return whether observations are pictures that the library's convolutional network takes."""
    # The smallest of three dimensions counts the channels.
    return is_image_space(space) and sorted(space.shape)[1] >= SMALLEST_PICTURE
