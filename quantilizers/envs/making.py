"""Making environments that pay two rewards: one, or many that step together."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import SyncVectorEnv, VectorEnv

from quantilizers.envs.base import load_path, make_base
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.two_rewards import Paid, TwoRewards


def make_environment(
    environment: EnvironmentDefinition,
    *,
    max_steps: int | None = None,
    reward: Paid = "proxy",
    render_mode: str | None = None,
    **options: Any,
) -> TwoRewards:
    """Make one environment.

    Args:
        environment: which.
        max_steps: the episode is truncated after so many steps; None is the environment's own number.
        reward: which of the two rewards `step` returns.
        render_mode: as Gymnasium's; one that ends in `_list` collects pictures where the environment does not.
        **options: those of the definition, and further ones that `make` knows.

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
    reward: Paid = "proxy",
    **options: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make environments that step together: in their own vectorised form, otherwise by Gymnasium's `SyncVectorEnv`.

    Args:
        environment: which.
        num_envs: how many.
        max_steps: episodes are truncated after so many steps; None is the environment's own number.
        reward: which of the two rewards `step` returns.
        **options: those of the definition, and further ones that it knows.

    Raises:
        UserError: they cannot be made.
    """
    if environment.vector is None:
        return SyncVectorEnv(
            [
                lambda: make_environment(environment, max_steps=max_steps, reward=reward, **options)
                for _ in range(num_envs)
            ]
        )
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
