"""Which algorithms can learn in which environments; asked before anything is trained.

| algorithm | observations | actions |
|---|---|---|
| SARSA, Q-learning | bounded vectors | `Discrete` |
| QR-DQN | any `Box` | `Discrete` |
| PPO, random | any `Box` | `Discrete`, `MultiDiscrete`, `MultiBinary`, bounded `Box` |
| planners by policies | vectors | as PPO |
| planners by sequences | any `Box`, where states are saved and restored | as PPO |
| planners by a dynamic programme | where `dynamics` are declared | `Discrete` |
"""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Discrete

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.optimisers.algorithms import ALGORITHMS

#: Bounds beyond this are no bounds: environments write the largest number of a type where they mean infinity.
WIDEST_BOUND = 1e30


def check_suitable(algorithm: str, environment: EnvironmentDefinition) -> None:
    """Raise unless an algorithm can learn in an environment.

    Args:
        algorithm: a key of `quantilizers.optimisers.algorithms.ALGORITHMS`.
        environment: where.

    Raises:
        UserError: it cannot, or no policy of this library could.
    """
    # Asking for these two refuses the spaces in which no policy acts.
    observations, _ = environment.observation_space, environment.action_classes
    actions = environment.action_space
    planning = environment.planning
    if ALGORITHMS[algorithm].plans and planning.method == "dynamic_programme":
        needed, suits = "dynamics in its definition's planning", planning.dynamics is not None
    elif ALGORITHMS[algorithm].plans:
        needed, suits = "bounded actions", not isinstance(actions, Box) or _is_bounded(actions)
        if suits and planning.method == "policies":
            needed, suits = "observations that are vectors", len(observations.shape) == 1
        elif suits and planning.simulator is None:
            needed = (
                "a state that can be saved and restored (save_state and restore_state in its definition's planning)"
            )
            suits = environment.planning.save_state is not None and environment.planning.restore_state is not None
    elif algorithm in ("ppo", "ppo_long", "random"):
        needed, suits = "bounded actions", not isinstance(actions, Box) or _is_bounded(actions)
    elif algorithm == "qr_dqn":
        needed, suits = "discrete actions", isinstance(actions, Discrete)
    else:
        needed = "discrete actions and bounded vectors as observations"
        suits = isinstance(actions, Discrete) and len(observations.shape) == 1 and _is_bounded(observations)
    if not suits:
        raise UserError(f"{ALGORITHMS[algorithm].label} needs {needed}, which {environment.name} does not have")


def _is_bounded(space: Box) -> bool:
    return bool(max(np.abs(space.low.astype(np.float64)).max(), np.abs(space.high.astype(np.float64)).max())
                < WIDEST_BOUND)  # fmt: skip
