"""Environments with spaces of every kind, in which higher actions have greater rewards."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.rewards import each_step, own


class Aiming(gymnasium.Env[Any, Any]):
    """Eight steps; the reward is 1 for the highest action of the space, and less below it."""

    def __init__(self, actions: spaces.Space[Any], observations: spaces.Space[Any], render_mode: None = None) -> None:
        self.action_space, self.observation_space = actions, observations

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._step = 0
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), (self.action_space, action)
        self._step += 1
        return self.observation_space.sample(), float(np.mean(action)), self._step == 8, False, {}


def _definition(name: str, actions: spaces.Space[Any], observations: spaces.Space[Any]) -> EnvironmentDefinition:
    return EnvironmentDefinition(
        partial(Aiming, actions, observations),
        own + each_step(lambda steps: np.ones(len(steps.observations))),
        max_steps=8,
        name=name,
        parallel_episodes=4,
    )


_VECTOR = spaces.Box(np.array([-1.0, 0.0, 2.0], dtype=np.float32), np.array([1.0, 5.0, 2.0], dtype=np.float32))

DISCRETE = _definition("DISCRETE", spaces.Discrete(3), _VECTOR)
DISCRETE_FROM_TWO = _definition("DISCRETE_FROM_TWO", spaces.Discrete(3, start=2), _VECTOR)
MULTI_DISCRETE = _definition("MULTI_DISCRETE", spaces.MultiDiscrete([3, 2]), _VECTOR)
MULTI_DISCRETE_SQUARE = _definition(
    "MULTI_DISCRETE_SQUARE", spaces.MultiDiscrete([[3, 2], [2, 4]], start=[[0, 1], [-1, 0]]), _VECTOR
)
MULTI_BINARY = _definition("MULTI_BINARY", spaces.MultiBinary(4), _VECTOR)
MULTI_BINARY_SQUARE = _definition("MULTI_BINARY_SQUARE", spaces.MultiBinary((2, 2)), _VECTOR)
BOX = _definition("BOX", spaces.Box(-2.0, 1.0, (2,)), _VECTOR)
INTEGER_BOX = _definition("INTEGER_BOX", spaces.Box(-3, 2, (2,), np.int64), _VECTOR)
BOX_SQUARE = _definition("BOX_SQUARE", spaces.Box(-2.0, 1.0, (2, 2)), _VECTOR)
ENDLESS_BOX = _definition("ENDLESS_BOX", spaces.Box(-np.inf, np.inf, (2,)), _VECTOR)
TUPLE = _definition("TUPLE", spaces.Tuple([spaces.Discrete(2)]), _VECTOR)

ENDLESS_OBSERVATIONS = _definition("ENDLESS_OBSERVATIONS", spaces.Discrete(3), spaces.Box(-np.inf, np.inf, (2,)))
_LARGEST = float(np.finfo(np.float32).max)
WIDEST_OBSERVATIONS = _definition("WIDEST_OBSERVATIONS", spaces.Discrete(3), spaces.Box(-_LARGEST, _LARGEST, (2,)))
MATRICES = _definition("MATRICES", spaces.Discrete(3), spaces.Box(-1.0, 1.0, (2, 3)))
NUMBERS = _definition("NUMBERS", spaces.Discrete(3), spaces.Discrete(5))
PICTURES = _definition("PICTURES", spaces.Discrete(3), spaces.Box(0, 255, (40, 48, 3), dtype=np.uint8))
SMALL_PICTURES = _definition("SMALL_PICTURES", spaces.Discrete(3), spaces.Box(0, 255, (4, 10, 10), dtype=np.uint8))
GREY_PICTURES = _definition("GREY_PICTURES", spaces.Discrete(3), spaces.Box(0, 255, (40, 40), dtype=np.uint8))
