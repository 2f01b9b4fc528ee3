"""A trial of an environment before work that takes hours: one episode of random actions."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.actions import environment_action, environment_actions
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, make_vector
from quantilizers.envs.shipped import SHIPPED
from quantilizers.envs.two_rewards import TwoRewards
from quantilizers.errors import DataWarning, UserError, guarded

#: A longer episode is not played to its end.
MOST_STEPS, MOST_SECONDS = 1000, 10.0
#: Steps that are played again from the same seed.
REPEATED = 20


def try_out(environment: EnvironmentDefinition, max_steps: int, options: Mapping[str, Any]) -> None:
    """Play one episode of random actions, and one step of the vectorised form. Environments that ship are not tried.

    A `DataWarning` says that its beginning, played again from the same seed, is another.

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
    first, _ = game.reset(seed=0)
    seen, actions = [np.array(first)], []
    step = 0
    while step < min(max_steps, MOST_STEPS):
        action = draw()
        observation, _, terminated, truncated, info = game.step(action)
        step += 1
        if step <= REPEATED:
            seen.append(np.append(np.ravel(observation), info["true_reward"]))
            actions.append(copy.deepcopy(action))
        for kind in ("true", "proxy"):
            if not math.isfinite(info[f"{kind}_reward"]):
                raise UserError(
                    f"{environment.name} returned the {kind} reward {info[f'{kind}_reward']} at step {step} of a trial "
                    "episode of random actions; mend the environment or the reward"
                )
        if terminated or truncated or time.monotonic() - began > MOST_SECONDS:
            break
    _repeat(environment, game, seen, actions)
    with guarded(f"close of {environment.name}"):
        game.close()
    if environment.vector is not None:
        vector = make_vector(environment, 2, max_steps=max_steps, **options)
        with guarded(f"vector of {environment.name}"):
            vector.reset(seed=[0, 1])  # type: ignore[arg-type]
            drawn = np.stack([np.asarray(draw()).reshape(-1) for _ in range(2)])
            vector.step(environment_actions(drawn, space))
            vector.close()


def _repeat(
    environment: EnvironmentDefinition, game: TwoRewards, seen: list[npt.NDArray[Any]], actions: list[Any]
) -> None:
    """Play the beginning of an episode again, and warn if it is another."""
    again = [np.array(game.reset(seed=0)[0])]
    for action in actions:
        observation, *_, info = game.step(action)
        again.append(np.append(np.ravel(observation), info["true_reward"]))
    for step, (one, other) in enumerate(zip(seen, again, strict=True)):
        if one.dtype.kind == "O":  # a Dict, which policies cannot observe
            return
        if one.shape != other.shape or not np.allclose(one, other, rtol=1e-5, atol=1e-8):
            warnings.warn(
                f"{environment.name} does not repeat an episode from its reset seed: played twice, it differs after "
                f"{step} steps. Recordings of it cannot be replayed, nor results repeated, as where it keeps something "
                "from earlier episodes or draws from a generator that reset does not seed",
                DataWarning,
                stacklevel=2,
            )
            return
