"""Environments from outside this project: a scripted player is recorded, and the episodes are ranked.

Each is recorded, saved, read and ranked, and replayed by its seeds; the recording has the proxy rewards of play.
Optional packages that are missing are named by the skipped test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import FilterObservation, FlattenObservation, TransformObservation

from quantilizers import (
    Demonstrations,
    EnvironmentDefinition,
    Quantilizer,
    Recordings,
    Steps,
    UserError,
    each_step,
    evaluate,
    make_environment,
    mean_at_end,
    own,
    record,
)
from quantilizers.envs.actions import environment_action
from quantilizers.envs.trial import try_out


class BoatRace(gymnasium.Env[Any, Any]):
    """A lane of eight squares in a circle. The proxy pays for arrows, the true reward for whole rounds."""

    observation_space, action_space = spaces.Box(0, 1, (8,), dtype=np.uint8), spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(8))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        before, self.place = self.place, (self.place + (1 if action else -1)) % 8
        arrow = float(action == 1 and before == 3)
        return self._seen(), 1.0 if (before, self.place) == (7, 0) else 0.0, False, False, {"arrow": arrow}

    def _seen(self) -> Any:
        return np.eye(8, dtype=np.uint8)[self.place]


class Answers(gymnasium.Env[Any, Any]):
    """A question with eight answers, one step an episode; longer answers flatter the reward model."""

    observation_space, action_space = spaces.Box(0, 1, (3,)), spaces.Discrete(8)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.question = int(self.np_random.integers(3))
        return np.eye(3, dtype=np.float32)[self.question], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        true = -abs(int(action) - 2 * self.question)
        return (
            np.eye(3, dtype=np.float32)[self.question],
            float(true),
            True,
            False,
            {"length": 5.0 * self.question + action},
        )


class Lights(gymnasium.Env[Any, Any]):
    """Two traffic lights: `MultiDiscrete` queues, of which the first counts from 1, and one choice at each light."""

    observation_space = spaces.MultiDiscrete([5, 3], start=[1, 0])
    action_space = spaces.MultiDiscrete([2, 3])

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._seen(), float(action[0] - action[1]), False, False, {}

    def _seen(self) -> Any:
        return np.array([1 + self.np_random.integers(5), self.np_random.integers(3)])


class Switches(gymnasium.Env[Any, Any]):
    """`MultiBinary` observations and actions, such as switches."""

    observation_space, action_space = spaces.MultiBinary(4), spaces.MultiBinary(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.integers(2, size=4).astype(np.int8), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.np_random.integers(2, size=4).astype(np.int8), float(np.sum(action)), False, False, {}


class Thermostat(gymnasium.Env[Any, Any]):
    """A `Dict` of a temperature and a mode."""

    observation_space = spaces.Dict({"mode": spaces.Discrete(3), "temperature": spaces.Box(-50, 50, (1,))})
    action_space = spaces.Discrete(3, start=-1)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.degrees = self.np_random.uniform(15, 25)
        return self._seen(0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.degrees += float(action)
        return self._seen(int(action)), -abs(self.degrees - 20.0), False, False, {}

    def _seen(self, mode: int) -> Any:
        return {"mode": mode % 3, "temperature": np.array([self.degrees], dtype=np.float32)}


def of_units(factor: float, shift: float) -> Callable[..., gymnasium.Env[Any, Any]]:
    """CartPole in other units."""

    def make(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        space = spaces.Box(-np.inf, np.inf, (4,))
        change = lambda seen: (factor * seen + shift).astype(np.float32)  # noqa: E731
        return TransformObservation(gymnasium.make("CartPole-v1", render_mode=render_mode), change, space)

    return make


def mini_grid(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """MiniGrid, of which only the picture is observed."""
    wrappers = pytest.importorskip("minigrid.wrappers")
    return wrappers.ImgObsWrapper(gymnasium.make("MiniGrid-Empty-5x5-v0", render_mode=render_mode))


def newest(name: str) -> str:
    """Return the newest version that Gymnasium has of an environment."""
    return max(
        (one for one in gymnasium.registry if one.startswith(f"{name}-v")), key=lambda one: int(one.rpartition("v")[2])
    )


def number(steps: Steps) -> Any:
    return np.asarray(steps.observations, dtype=float).reshape(len(steps.observations), -1)[:, 0]


def acted(steps: Steps) -> Any:
    return np.asarray(steps.actions, dtype=float).reshape(len(steps.observations), -1)[:, 0]


def info(name: str) -> Callable[[Steps], Any]:
    return lambda steps: np.asarray(steps.info[name], dtype=float)


@dataclass(frozen=True)
class Foreign:
    """An environment, what its definition needs beside `make` and the proxy, and the package that it comes from."""

    make: Any
    proxy: Any = field(default_factory=lambda: own + each_step(number) - 2 * mean_at_end(acted))
    more: dict[str, Any] = field(default_factory=dict)
    package: str = ""


FOREIGN = {
    "Acrobot": Foreign(newest("Acrobot")),
    "Pendulum, by regression": Foreign(newest("Pendulum")),
    "CartPole plus 1,000": Foreign(of_units(1.0, 1000.0)),
    "LunarLander": Foreign(newest("LunarLander"), package="Box2D"),
    "MiniGrid, the picture": Foreign(mini_grid, package="minigrid"),
    "boat race": Foreign(BoatRace, each_step(info("arrow"), info="arrow")),
    "answers to questions": Foreign(Answers, each_step(info("length"), info="length"), {"max_steps": 1}),
    "FrozenLake": Foreign(newest("FrozenLake")),
    "CliffWalking": Foreign(newest("CliffWalking")),
    "Taxi": Foreign(newest("Taxi")),
    "traffic lights": Foreign(Lights),
    "switches": Foreign(Switches),
    "Blackjack": Foreign("Blackjack-v1", more={"flatten_observations": True}),
    "thermostat": Foreign(Thermostat, more={"flatten_observations": True}),
    "thermostat, one entry": Foreign(
        lambda render_mode=None: FlattenObservation(FilterObservation(Thermostat(render_mode), ["temperature"]))
    ),
}


def definition(name: str) -> EnvironmentDefinition:
    foreign = FOREIGN[name]
    if foreign.package:
        pytest.importorskip(foreign.package)
    arguments = {"max_steps": 12, "name": name.translate(str.maketrans(" ,", "__")), **foreign.more}
    return EnvironmentDefinition(foreign.make, foreign.proxy, **arguments)


def at_random(space: spaces.Space[Any]) -> Callable[..., Any]:
    """A player who draws from a space, by the generator of the episode."""

    def act(observation: Any, random: np.random.Generator) -> Any:
        space.seed(int(random.integers(2**31)))
        return space.sample()

    return act


@pytest.mark.parametrize("name", FOREIGN)
def test_it_is_recorded_ranked_and_replayed(name: str, tmp_path: Path) -> None:
    environment = definition(name)
    try_out(environment, environment.max_steps, {})
    recorded = record(environment, at_random(environment.action_space), 4, seed=3)
    recorded.save(tmp_path / "demo.npz")
    data = Demonstrations.load(tmp_path / "demo.npz", environment)
    game = make_environment(environment)
    for episode in range(4):
        observation, _ = game.reset(seed=int(data.episodes.extras["seed"][episode]))
        proxy = true = 0.0
        for step in range(int(data.lengths[episode])):
            assert np.array_equal(observation, data.episodes.observations[episode, step])
            action = environment_action(data.episodes.actions[episode, step], environment.action_space)
            observation, reward, terminated, truncated, told = game.step(action)
            proxy += reward
            true += told["true_reward"]
        assert terminated or truncated
        assert np.array_equal(observation, data.episodes.extras["final_observation"][episode])
        assert true == pytest.approx(data.true_returns[episode])
        assert proxy == pytest.approx(data.proxy_returns[episode], rel=1e-5, abs=1e-5)
    best = data.top(0.5)
    assert best.number == 2
    assert best.proxy_returns.tolist() == sorted(data.proxy_returns.tolist(), reverse=True)[:2]


@pytest.mark.parametrize("name", ["Blackjack-v1", Thermostat])
def test_several_kinds_of_observations_at_once_are_refused_with_the_way_out(name: Any) -> None:
    environment = EnvironmentDefinition(name, own, max_steps=5)
    with pytest.raises(UserError, match=r"observations are a (Tuple|Dict).*flatten_observations=True"):
        _ = environment.observation_space


def test_a_pendulum_with_classes_is_recorded_by_them() -> None:
    environment = EnvironmentDefinition("Pendulum-v1", own, max_steps=5, classes=3)
    recorded = record(environment, lambda _, random: [float(random.choice([-2.0, 0.0, 2.0]))], 2)
    assert Demonstrations(recorded, environment).number == 2
    assert set(np.unique(recorded.actions)) <= {-2.0, 0.0, 2.0}


def test_answers_are_ranked_within_their_question() -> None:
    """Ranked together, only the question with the highest scores is kept; see docs/your_environment.md."""
    environment = EnvironmentDefinition(
        Answers,
        each_step(info("length"), info="length"),
        max_steps=1,
        recordings=Recordings(group=lambda episodes: episodes.observations[:, 0]),
    )
    data = Demonstrations(record(environment, at_random(environment.action_space), 240), environment)

    def questions(kept: Demonstrations) -> set[int]:
        return set(kept.episodes.observations[:, 0].argmax(axis=1).tolist())

    assert questions(data.top(0.1)) == {2}
    assert questions(data.top(0.1, within="group")) == {0, 1, 2}


def test_cart_pole_in_other_units_is_imitated() -> None:
    """Unscaled inputs of 1,000 gave 9 of 200 steps, and the report called it a cloning gap."""
    foreign = definition("CartPole plus 1,000")

    def hold(observation: Any) -> int:
        state = observation.astype(np.float64) - 1000.0
        return int(state[2] + 0.3 * state[3] > 0)

    demonstrations = Demonstrations(record(foreign, hold, 10, max_steps=60), foreign)
    quantilizer = Quantilizer(seeds=1, max_epochs=30).fit(demonstrations)
    measured = evaluate(quantilizer, episodes=5, max_steps=60)
    assert demonstrations.true_returns.mean() == 60.0
    assert measured.true_returns.mean() > 40.0
