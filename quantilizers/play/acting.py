"""Letting a trained policy play one episode, in a process of its own."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from quantilizers.demonstrations import Demonstrations
from quantilizers.envs import load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.play.recording import Episode
from quantilizers.policies import family_of
from quantilizers.rollouts import environment_action


def played_by_policy(
    environment: EnvironmentDefinition, policy: Path, reset_seed: int, random_seed: list[int], max_steps: int
) -> Demonstrations:
    """Let a policy play one episode without pictures, to be acted out again with them.

    It plays in a process of its own because TensorFlow and Mesa's OpenGL, which draws MuJoCo on machines without
    a graphics card, each bring LLVM, and crash in one process.

    Args:
        environment: where.
        policy: its file.
        reset_seed: of the episode.
        random_seed: of what the policy draws, where it samples its actions.
        max_steps: the episode is cut after so many steps.

    Returns:
        The one episode.

    Raises:
        UserError: the file is no policy of this environment.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_play, environment.name, policy, reset_seed, random_seed, max_steps).result()


def _play(name: str, policy: Path, reset_seed: int, random_seed: list[int], max_steps: int) -> Demonstrations:
    environment = load_environment(name)
    policies = family_of(environment).load(environment, [policy])
    generator = np.random.default_rng(random_seed)
    settings: dict[str, Any] = {"max_steps": max_steps, **environment.options}
    game = gymnasium.make(environment.gymnasium_id, disable_env_checker=True, **settings)
    episode = Episode(environment, player="", seed=reset_seed)
    observation, _ = game.reset(seed=reset_seed)
    ended = False
    while not ended:
        before = np.array(observation)
        action = policies.act(before[None, None], [generator], np.ones((1, 1), dtype=np.bool_))[0, 0]
        observation, _, terminated, truncated, info = game.step(environment_action(action, game.action_space))
        episode.add_step(before, action, float(info["true_reward"]))
        ended = terminated or truncated
    game.close()
    return episode.as_demonstrations()
