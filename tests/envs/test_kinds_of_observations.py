"""Observations that are no plain vectors: choices, stacks of frames, dictionaries and tuples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Space, Text, Tuple
from gymnasium.wrappers import FrameStackObservation

import quantilizers
from quantilizers import EnvironmentDefinition, Steps, each_step
from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.identity import identity_of
from quantilizers.errors import UserError
from quantilizers.optimisers.learner import check_suitable
from quantilizers.policies.encoding import flat_features, number_of_features
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.keras_files import load_policy
from quantilizers.rewards import own
from training_for_tests import fit

SHORT = PerceptronTraining(hidden_units=(8,), max_epochs=60, batch_size=20, learning_rate=0.03)
CELLS = 6


class Corridor(gymnasium.Env[Any, Any]):
    """Cells in a row; the agent must go to the one whose number is a third of the cells, seen in some form."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, form: str = "discrete", render_mode: str | None = None) -> None:
        self.render_mode, self.form = render_mode, form
        cell: Space[Any] = Discrete(CELLS, start=3)
        self.observation_space = {
            "discrete": cell,
            "multi": MultiDiscrete([CELLS, 2]),
            "binary": MultiBinary(CELLS),
            "dict": Dict({"cell": cell, "far": Box(-1e4, 1e4, (2,))}),
            "tuple": Tuple((cell, Discrete(2))),
        }[form]
        self.action_space = Discrete(2)

    def _seen(self) -> Any:
        return {
            "discrete": self.cell + 3,
            "multi": np.array([self.cell, self.cell % 2]),
            "binary": (np.arange(CELLS) == self.cell).astype(np.int8),
            "dict": {"cell": np.int64(self.cell + 3), "far": np.array([1e3, self.cell], dtype=np.float32)},
            "tuple": (np.int64(self.cell + 3), np.int64(self.cell % 2)),
        }[self.form]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = int(self.np_random.integers(CELLS))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.cell = int(np.clip(self.cell + (1 if action else -1), 0, CELLS - 1))
        return self._seen(), float(self.cell == 2), False, False, {}


def corridor(form: str, **more: Any) -> EnvironmentDefinition:
    return EnvironmentDefinition(Corridor, own, 12, options={"form": form}, **more)


def demonstrations_of(environment: EnvironmentDefinition, episodes: int = 12) -> Demonstrations:
    """Episodes of a player who goes to the second cell and stays near it."""
    game = quantilizers.make_environment(environment)
    seen, acted, earned, final, seeds = [], [], [], [], []
    for seed in range(episodes):
        observation, _ = game.reset(seed=seed)
        for _ in range(12):
            acted.append(int(game.unwrapped.cell < 2))  # type: ignore[attr-defined]
            seen.append(observation)
            observation, _, _, _, info = game.step(acted[-1])
            earned.append(info["true_reward"])
        final.append(observation)
        seeds.append(seed)
    extras = {"seed": np.array(seeds), "final_observation": np.array(final)}
    return Demonstrations(
        Episodes.from_flat(np.array(seen), acted, earned, lengths=[12] * episodes, extras=extras), environment
    )


FORMS = [
    ("discrete", {}, CELLS),
    ("multi", {}, CELLS + 2),
    ("binary", {}, CELLS),
    ("dict", {"flatten_observations": True}, CELLS + 2),
    ("tuple", {"flatten_observations": True}, CELLS + 2),
]


@pytest.mark.parametrize(("form", "more", "features"), FORMS)
def test_policies_learn_from_them_without_a_wrapper(form: str, more: Any, features: int, tmp_path: Path) -> None:
    environment = corridor(form, **more)
    demonstrations = demonstrations_of(environment)
    assert number_of_features(environment, 0) == features
    quantilizer = quantilizers.Quantilizer(seeds=1, **{name: getattr(SHORT, name) for name in vars(SHORT)})
    quantilizer.fit(demonstrations)
    found = quantilizers.evaluate(quantilizer, episodes=8)
    assert found.true_returns.mean() > demonstrations.true_returns.mean() - 1.5
    alone = demonstrations.episodes.observations[0, 0]
    assert quantilizer.predict(alone) in (0, 1)
    (path,) = quantilizer.save(tmp_path)
    again = load_policy(path, environment)
    np.testing.assert_array_equal(again.weights[2], quantilizer.policies_[0].weights[2])
    rows = demonstrations.episodes.transitions()[0]
    one_hot = flat_features(rows, environment) if form in ("discrete", "multi") else rows
    model = keras.models.load_model(path)
    np.testing.assert_allclose(np.asarray(model(one_hot)), quantilizer.predict_proba(rows), atol=1e-5)


def test_a_history_of_choices_is_one_of_features() -> None:
    environment = corridor("discrete")
    demonstrations = demonstrations_of(environment, 3)
    history = PerceptronTraining(hidden_units=(8,), max_epochs=1, history=2)
    assert number_of_features(environment, 2) == 3 * CELLS + 2 * 2
    (policy,) = fit({1.0: demonstrations}, [0], history)
    assert policy.weights[0].shape == (3 * CELLS + 2 * 2,)


def test_rewards_see_choices_as_the_environment_gives_them() -> None:
    seen: list[tuple[Any, Any]] = []

    def is_left(steps: Steps) -> Any:
        seen.append((steps.observations.shape[1:], steps.observations.dtype))
        return (steps.observations < 5).astype(float)

    environment = corridor("discrete", true=own + 0 * each_step(is_left))
    environment = EnvironmentDefinition(Corridor, each_step(is_left), 12, options={"form": "discrete"})
    demonstrations = demonstrations_of(environment, 4)
    game = quantilizers.make_environment(environment)
    for episode in range(4):
        game.reset(seed=episode)
        for step in range(12):
            *_, info = game.step(int(demonstrations.episodes.actions[episode, step, 0]))
            assert info["proxy_reward"] == demonstrations.proxy_rewards[episode, step]
    as_floats = Episodes(
        demonstrations.episodes.observations.astype(np.float32),
        demonstrations.episodes.actions,
        demonstrations.episodes.true_rewards,
        demonstrations.episodes.done,
        demonstrations.episodes.extras,
    )
    np.testing.assert_array_equal(Demonstrations(as_floats, environment).proxy_rewards, demonstrations.proxy_rewards)
    assert set(seen) == {((), np.dtype(np.int64))}


@pytest.mark.parametrize("wrong", [2, 9, 4.5])
def test_choices_that_the_space_does_not_have_are_refused(wrong: float) -> None:
    environment = corridor("discrete")
    demonstrations = demonstrations_of(environment, 2)
    for name in ("obs", "final_observation"):
        seen = demonstrations.episodes.observations.astype(float)
        extras = dict(demonstrations.episodes.extras)
        if name == "obs":
            seen[1, 3] = wrong
        else:
            extras["final_observation"] = np.array([3, wrong])
        episodes = demonstrations.episodes
        changed = Episodes(seen, episodes.actions, episodes.true_rewards, episodes.done, extras)
        with pytest.raises(WrongEnvironmentError, match=f"{name} holds the observation {wrong:g}, which Corridor does"):
            Demonstrations(changed, environment)


def test_a_policy_is_not_asked_about_choices_that_the_space_does_not_have() -> None:
    quantilizer = quantilizers.Quantilizer(seeds=1, max_epochs=1).fit(demonstrations_of(corridor("discrete"), 2))
    refusals = {2: "not all in Discrete", 9: "not all in Discrete", 4.5: "not all whole numbers of int64"}
    for wrong, refusal in refusals.items():
        with pytest.raises(UserError, match=f"observations are {refusal}"):
            quantilizer.predict([3, wrong])


def test_play_that_leaves_the_choices_is_refused() -> None:
    class Leaves(Corridor):
        def _seen(self) -> Any:
            return 99

    with pytest.raises(UserError, match="it observes 99, which is not in Discrete"):
        quantilizers.make_environment(EnvironmentDefinition(Leaves, own, 12)).reset(seed=0)


def test_stacks_of_frames_are_plain_observations() -> None:
    def stacked(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        return FrameStackObservation(gymnasium.make("CartPole-v1", render_mode=render_mode), 3)

    environment = EnvironmentDefinition(stacked, own, 20)
    game = quantilizers.make_environment(environment)
    observation, _ = game.reset(seed=0)
    assert observation.shape == environment.observation_shape == (3, 4)
    assert number_of_features(environment, 0) == 12
    of_choices = EnvironmentDefinition(lambda render_mode=None: FrameStackObservation(Corridor(), 2), own, 20)
    assert number_of_features(of_choices, 0) == 2 * CELLS
    quantilizers.make_environment(of_choices).reset(seed=0)


def test_what_has_to_be_flattened_says_how() -> None:
    for form in ("dict", "tuple"):
        with pytest.raises(UserError, match="flatten_observations=True"):
            _ = corridor(form).observation_space
        assert identity_of(corridor(form))["making"] != identity_of(corridor(form, flatten_observations=True))["making"]


class Mission(Space[str]):
    """A space of another library, which Gymnasium cannot flatten."""


@pytest.mark.parametrize(
    ("space", "flatten"),
    [
        (Text(5), False),
        (Graph(Box(0, 1, (2,)), None), False),
        (Graph(Box(0, 1, (2,)), None), True),
        (Dict({"mission": Mission()}), True),
    ],
)
def test_what_holds_no_numbers_is_refused_in_one_line(space: Space[Any], flatten: bool) -> None:
    class Other(Corridor):
        def __init__(self, render_mode: str | None = None) -> None:
            super().__init__()
            self.observation_space = space

    with pytest.raises(UserError) as raised:
        _ = EnvironmentDefinition(Other, own, 5, flatten_observations=flatten).observation_shape
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("Other: ")
    assert "wrap" in str(raised.value)


def test_learners_that_cannot_see_choices_say_so() -> None:
    with pytest.raises(UserError, match="choices in observations that are counted from 0"):
        check_suitable("ppo", corridor("discrete"))
    check_suitable("ppo", corridor("multi"))
    with pytest.raises(UserError, match="bounded vectors as observations"):
        check_suitable("sarsa", corridor("multi"))
    with pytest.raises(UserError, match="observations that are vectors"):
        check_suitable("planner", corridor("discrete", planning=quantilizers.Planning("policies")))
