"""A trial of an environment before work that takes hours: one episode of random actions."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from quantilizers.envs.actions import environment_action, environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.shipped import SHIPPED
from quantilizers.errors import UserError, guarded

#: A longer episode is not played to its end.
MOST_STEPS, MOST_SECONDS = 1000, 10.0


def try_out(environment: EnvironmentDefinition, max_steps: int, options: Mapping[str, Any]) -> None:
    """Play one episode of random actions, and one step of the vectorised form. Environments that ship are not tried.

    Raises:
        UserError: the environment cannot be made, or it or a reward fails, or a reward is not finite; the message names
            the step.
    """
    if environment.address in SHIPPED:
        return
    classes, random = environment.action_classes, np.random.default_rng(0)
    space = copy.deepcopy(environment.action_space)
    space.seed(0)

    def draw() -> Any:
        if classes is None:
            return space.sample()
        return environment_action(np.array([random.choice(values) for values in classes]), space)

    game = make_environment(environment, max_steps=max_steps, **options)
    began = time.monotonic()
    game.reset(seed=0)
    step = 0
    while step < min(max_steps, MOST_STEPS):
        *_, terminated, truncated, info = game.step(draw())
        step += 1
        for kind in ("true", "proxy"):
            if not math.isfinite(info[f"{kind}_reward"]):
                raise UserError(
                    f"{environment.name} returned the {kind} reward {info[f'{kind}_reward']} at step {step} of a trial "
                    "episode of random actions; mend the environment or the reward"
                )
        if terminated or truncated or time.monotonic() - began > MOST_SECONDS:
            break
    game.reset(seed=1)
    with guarded(f"close of {environment.name}"):
        game.close()
    if environment.vector is not None:
        vector = make_vector(environment, 2, max_steps=max_steps, **options)
        with guarded(f"vector of {environment.name}"):
            vector.reset(seed=[0, 1])  # type: ignore[arg-type]
            drawn = np.stack([np.asarray(draw()).reshape(-1) for _ in range(2)])
            vector.step(environment_actions(drawn, space))
            vector.close()
