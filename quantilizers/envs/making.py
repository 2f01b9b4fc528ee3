"""Making environments that pay two rewards: one, several that step together, or one put into a recorded start."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import SyncVectorEnv, VectorEnv

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.two_rewards import RewardName, TwoRewards, load_path, make_base


def make_environment(
    environment: EnvironmentDefinition,
    *,
    max_steps: int | None = None,
    reward: RewardName = "proxy",
    render_mode: str | None = None,
    **options: Any,
) -> TwoRewards:
    """Make one environment.

    Args:
        environment: its definition.
        max_steps: steps after which an episode is truncated; None uses the definition's.
        reward: the reward that `step` returns.
        render_mode: as Gymnasium's; one that ends in `_list` collects pictures even if the environment does not.
        **options: those of the definition, and further arguments of `make`.

    Raises:
        UserError: it cannot be made.
    """
    proxy, true = environment.rewards(options)
    game = make_base(environment.make, environment.name, render_mode, environment.making_options(options))
    return TwoRewards(game, proxy, true, max_steps or environment.max_steps, reward)


def make_vector(
    environment: EnvironmentDefinition,
    num_envs: int,
    *,
    max_steps: int | None = None,
    reward: RewardName = "proxy",
    **options: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make environments that step together: the definition's vectorised form, or Gymnasium's `SyncVectorEnv`.

    The arguments are those of `make_environment`; options go to `vector` or `make`.

    Raises:
        UserError: they cannot be made.
    """
    if environment.vector is None:
        make_one = partial(make_environment, environment, max_steps=max_steps, reward=reward, **options)
        return SyncVectorEnv([make_one] * num_envs)
    proxy, true = environment.rewards(options)
    vector: VectorEnv[Any, Any, Any] = load_path(environment.vector)(
        num_envs=num_envs,
        max_steps=max_steps or environment.max_steps,
        proxy=proxy,
        true=true,
        reward=reward,
        **environment.making_options(options),
    )
    return vector


def start_from(
    environment: EnvironmentDefinition, game: gymnasium.Env[Any, Any], observation: npt.NDArray[Any]
) -> bool:
    """Put a game that was just reset into the state that an observation shows, for recordings without a seed.

    Uses the definition's `start_from`. Without one, it works for Gymnasium's classic control, which observes its
    attribute `state`. Returns whether the observation showed the whole state.
    """
    numbers = np.asarray(observation)
    if numbers.ndim != 1:
        return False
    if environment.recordings.start_from is not None:
        return environment.recordings.start_from(game, numbers)
    base: Any = game.unwrapped
    state: Any = getattr(base, "state", None)
    if np.shape(state) != numbers.shape:
        return False
    base.state = numbers.astype(np.float64)
    return True
