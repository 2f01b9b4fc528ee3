"""Untrained agents of stable-baselines3 in an environment of this library.

| | PPO | QR-DQN |
|---|---|---|
| source | Schulman et al. 2017, stable-baselines3 | Dabney et al. 2018, sb3-contrib |
| settings | the library's | the library's but those in `make_model`, which say why they differ |

QR-DQN is the best kept relative of Rainbow (Hessel et al. 2018): one of distributional Q-learning, as Rainbow is, but
without its other five additions to DQN.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.wrappers import TransformAction
from sb3_contrib import QRDQN
from stable_baselines3 import PPO
from stable_baselines3.common.atari_wrappers import ClipRewardEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import is_image_space

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.suitability import check_suitable

#: How many steps QR-DQN remembers at most: 1.4 GB of observations of four pictures, 84×84 each.
REMEMBERED_STEPS = 50_000
#: How much memory it takes at most, in bytes, where observations are larger than that.
REMEMBERED_BYTES = 1_500_000_000
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
    game: gymnasium.Env[Any, Any] = _counting_from_zero(
        make_environment(environment, max_steps=job.max_steps, **job.options)
    )
    game = Monitor(game, info_keywords=("true_return", "proxy_return"))
    pictures = _convolves(environment.observation_space)
    policy = "CnnPolicy" if pictures else "MlpPolicy"
    seed = job.seed if steps == 0 else int(np.random.SeedSequence([job.seed, steps]).generate_state(1)[0])
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


def lowest_action(space: spaces.Space[Any]) -> npt.NDArray[np.int64]:
    """Return the numbers (A,) that an environment's actions count from, where agents count from 0."""
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return np.ravel(space.start).astype(np.int64)
    return np.zeros(1, dtype=np.int64)


def _counting_from_zero(game: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Return the environment with a space of actions that the library knows: in one dimension, counting from 0."""
    space = game.action_space
    ours: spaces.Space[Any]
    if isinstance(space, spaces.Discrete):
        ours = spaces.Discrete(int(space.n))
    elif isinstance(space, spaces.MultiDiscrete):
        ours = spaces.MultiDiscrete(space.nvec.ravel())
    elif isinstance(space, spaces.MultiBinary):
        ours = spaces.MultiBinary(int(np.prod(space.shape)))
    else:
        ours = space
    if ours == space:
        return game
    lowest = lowest_action(space)
    if isinstance(space, spaces.Discrete):
        return TransformAction(game, lambda action: action + lowest[0], ours)
    return TransformAction(game, lambda action: (np.asarray(action) + lowest).reshape(space.shape), ours)


def _convolves(space: spaces.Box) -> bool:
    """Return whether observations are pictures that the library's convolutional network takes."""
    # The smallest of three dimensions counts the channels.
    return is_image_space(space) and sorted(space.shape)[1] >= SMALLEST_PICTURE
