"""CartPole for planners: with hooks that save its state, without them, and with hooks that forget half of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import Planning
from quantilizers.rewards import Steps, each_step, mean_at_end


def save_state(game: Any) -> Any:
    pole = game.unwrapped
    return copy.deepcopy((pole.state, pole.steps_beyond_terminated))


def restore_state(game: Any, state: Any) -> None:
    game.unwrapped.state, game.unwrapped.steps_beyond_terminated = state


def forget_half(game: Any, state: Any) -> None:
    position, velocity, _, _ = state[0]
    _, _, angle, turn = game.unwrapped.state
    game.unwrapped.state, game.unwrapped.steps_beyond_terminated = (position, velocity, angle, turn), None


def place(steps: Steps) -> Any:
    return steps.observations[:, 0].astype(float)


PLANNED = EnvironmentDefinition(
    "CartPole-v1",
    each_step(place) + 0.5 * mean_at_end(place),
    max_steps=40,
    name="PLANNED",
    planning=Planning(
        effort=4, efforts=(1, 4), look_ahead=10, played=2, save_state=save_state, restore_state=restore_state
    ),
)
UNHOOKED = replace(PLANNED, name="UNHOOKED", planning=replace(PLANNED.planning, save_state=None, restore_state=None))
FORGETFUL = replace(PLANNED, name="FORGETFUL", planning=replace(PLANNED.planning, restore_state=forget_half))
BY_POLICIES = replace(UNHOOKED, name="BY_POLICIES", planning=Planning("policies", effort=80))
