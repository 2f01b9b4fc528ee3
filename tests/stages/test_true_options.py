"""An option of the environment that changes its true reward changes that of the demonstrations, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantilizers import record
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition, Figures, Recordings
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.rewards import Reward, Steps, each_step, mean_at_end, own


def place(steps: Steps) -> np.ndarray[Any, Any]:
    return np.abs(steps.observations[:, 0]).astype(float)


def dear(price: float) -> Reward:
    return own - price * mean_at_end(lambda steps: np.abs(steps.observations[:, 0]).astype(float))


def powered(power: float) -> Reward:
    return own - each_step(lambda steps: place(steps) ** power)


def both(price: float) -> Reward:
    return price * own + each_step(place)


def defaulted(power: float) -> Reward:
    return own - each_step(lambda steps, power=power: place(steps) ** power)


def of_an_array(power: float) -> Reward:
    weights = np.array([power, 1.0])
    return own - each_step(lambda steps: steps.observations[:, :2].astype(float) @ weights)


class Power:
    def __init__(self, power: float) -> None:
        self.power = power

    def of(self, steps: Steps) -> np.ndarray[Any, Any]:
        return np.asarray(place(steps) ** self.power)


def of_a_method(power: float) -> Reward:
    return own - each_step(Power(power).of)


class Slotted:
    __slots__ = ("power",)

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, steps: Steps) -> np.ndarray[Any, Any]:
        return np.asarray(place(steps) ** self.power)


def of_slots(power: float) -> Reward:
    return own - each_step(Slotted(power))


def rewarding(bonus: float) -> Reward:
    return own + bonus * each_step(place)


def definition(true: Callable[..., Reward], **options: float) -> EnvironmentDefinition:
    return EnvironmentDefinition(
        "CartPole-v1", each_step(lambda steps: steps.observations[:, 1]), 20, true, options=options
    )


def act(observation: Any) -> int:
    return int(observation[2] > 0)


@pytest.mark.parametrize(
    ("true", "default", "other"),
    [
        (dear, {"price": 2.0}, 7.0),
        (powered, {"power": 1.0}, 2.0),
        (both, {"price": 1.0}, -3.0),
        (dear, {"price": 2.0}, 0.0),
        (defaulted, {"power": 1.0}, 2.0),
        (of_an_array, {"power": 1.0}, 2.0),
        (of_a_method, {"power": 1.0}, 2.0),
        (of_slots, {"power": 1.0}, 2.0),
    ],
)
def test_true_returns_under_another_option_are_those_of_play(
    true: Callable[..., Reward], default: dict[str, float], other: float
) -> None:
    (name,) = default
    recorded = record(definition(true, **default), act, 3)
    in_play = record(definition(true, **{name: other}), act, 3)
    data = Demonstrations(recorded, definition(true, **default), {name: other})
    np.testing.assert_allclose(data.true_returns, in_play.true_returns, rtol=1e-6)
    np.testing.assert_array_equal(replace(data, options=default).true_returns, recorded.true_returns)
    (kept,) = SelectionSettings().choose_all(data, [0.5]).values()
    assert kept.true_return == pytest.approx(in_play.true_returns[np.argmax(data.proxy_returns)], rel=1e-6)


def test_the_second_axis_is_of_the_options_that_rank() -> None:
    axis = Figures(second_axis=lambda true, proxy, options: (proxy - true) / options["bonus"])
    mine = EnvironmentDefinition("CartPole-v1", rewarding, 20, options={"bonus": 1.0}, figures=axis)
    recorded = record(mine, act, 3)
    found = [
        selection.second_quantities
        for bonus in (1.0, 5.0)
        for selection in SelectionSettings()
        .choose_all(Demonstrations(recorded, mine, {"bonus": bonus}), [1.0])
        .values()
    ]
    np.testing.assert_allclose(found[1], found[0])


def test_what_cannot_be_computed_is_refused() -> None:
    """The recording lacks the observations after last actions."""
    mine = definition(powered, power=1.0)
    recorded = record(mine, act, 2)
    bare = replace(recorded, extras={})
    assert Demonstrations(bare, mine).true_returns.tolist() == recorded.true_returns.tolist()
    with pytest.raises(UserError, match=r"true rewards under power = 2\.0 cannot be computed, .* final_observation"):
        _ = Demonstrations(bare, mine, {"power": 2.0}).true_returns


def test_a_weight_alone_needs_no_field_of_the_recording() -> None:
    """As on Video Pinball, whose recordings may hold neither observations nor cheats, but whose scores are whole."""
    pinball = load_environment("VideoPinballNoFrameskip-v4")
    rates = np.linspace(0, 0.9, 4)
    rewards = np.full((4, 3), 100.0)
    rewards[:, -1] -= rates
    zeros = np.zeros((4, 3, 1), dtype=np.uint8)
    episodes = Episodes(np.zeros((4, 3, 0)), zeros, rewards, np.zeros((4, 3), dtype=np.bool_))
    data = Demonstrations(episodes, pinball, {"lamb": 50.0})
    np.testing.assert_allclose(data.true_returns, 300 - 50 * rates, atol=1e-9)
    (kept,) = SelectionSettings().choose_all(data, [1.0], observations=False).values()
    np.testing.assert_allclose(kept.second_quantities, rates, atol=1e-9)
    free = Demonstrations(episodes, pinball, {"lamb": 0.0})
    np.testing.assert_allclose(free.true_returns, 300.0)


def test_nothing_is_recorded_under_another_true_reward() -> None:
    mine = definition(dear, price=2.0)
    with pytest.raises(UserError, match=r"price = 5\.0 changes the true reward of CartPole-v1, .* default, 2\.0"):
        record(mine, act, 1, options={"price": 5.0})
    assert record(mine, act, 1, options={"price": 2.0}).number == 1
    assert replace(mine, recordings=Recordings()).true_options({"price": 5.0}) == {"price": 5.0}
