"""Observations in other units, and small pictures: perceptrons see each feature standardised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import keras
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.spaces import Box, Discrete

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition, Experiment
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from quantilizers.evaluation.evaluate import evaluate
from quantilizers.policies.encoding import IGNORED, Past, Standardisation, flat_features, recorded_features
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.keras_files import load_policy, recipe_of, save_policy
from quantilizers.policies.multilayer_perceptron import build_model, stack, weight_shapes
from quantilizers.policies.policy import scaling_of
from quantilizers.policies.quantilizer import Quantilizer
from quantilizers.rewards import own
from training_for_tests import fit

NUMBERS = Box(-np.inf, np.inf, (3,), np.float64)
THREE = EnvironmentDefinition("Three-v0", own, 9, spaces=(NUMBERS, Discrete(2)))
SHORT = PerceptronTraining(hidden_units=(8,), max_epochs=3, batch_size=50)


class OtherUnits(gymnasium.ObservationWrapper[Any, Any, Any]):
    """CartPole whose observations are multiplied and shifted."""

    def __init__(self, factor: float = 1.0, shift: float = 0.0, render_mode: str | None = None) -> None:
        super().__init__(gymnasium.make("CartPole-v1", render_mode=render_mode))
        self.observation_space = Box(-np.inf, np.inf, (4,), np.float64)
        self.factor, self.shift = factor, shift

    def observation(self, observation: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return observation.astype(np.float64) * self.factor + self.shift


def balanced(number: int = 12, steps: int = 150) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Episodes of a player who keeps the pole up."""
    game = gymnasium.make("CartPole-v1").unwrapped
    seen, acted = np.zeros((number, steps, 4)), np.zeros((number, steps, 1), dtype=np.float32)
    for episode in range(number):
        observation, _ = game.reset(seed=episode)
        for step in range(steps):
            x, v, angle, turning = observation
            action = int(0.1 * x + 0.3 * v + 3 * angle + turning > 0)
            seen[episode, step], acted[episode, step] = observation, action
            observation, _, fell, *_ = game.step(action)
            assert not fell
    return seen, acted


@pytest.mark.parametrize(("factor", "shift"), [(1e-4, 0.0), (1.0, 1000.0), (1e6, -1e9)])
def test_the_pole_stays_up_in_other_units(factor: float, shift: float) -> None:
    seen, acted = balanced()
    environment = EnvironmentDefinition(OtherUnits, own, 200, options={"factor": factor, "shift": shift})
    episodes = Episodes(seen * factor + shift, acted, np.ones(seen.shape[:2]), np.zeros(seen.shape[:2], bool))
    quantilizer = Quantilizer(seeds=1, max_epochs=40).fit(Demonstrations(episodes, environment))
    found = evaluate(quantilizer, episodes=5, factor=factor, shift=shift)
    assert found.true_returns.mean() > 150


class Chase(gymnasium.Env[Any, Any]):
    """A red point that must reach a green one, seen from above in 20 × 20 pixels."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, dtype: type = np.uint8, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = Box(0, 255, (20, 20, 3), dtype)
        self.action_space = Discrete(4)

    def _seen(self) -> npt.NDArray[Any]:
        picture = np.full((5, 5, 3), 40, dtype=self.observation_space.dtype)
        picture[3, 3], picture[tuple(self.place)] = (0, 255, 0), (255, 0, 0)
        return picture.repeat(4, axis=0).repeat(4, axis=1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = self.np_random.integers(5, size=2)
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place = np.clip(self.place + [(-1, 0), (1, 0), (0, -1), (0, 1)][int(action)], 0, 4)
        arrived = bool((self.place == 3).all())
        return self._seen(), float(arrived), arrived, False, {}


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_small_pictures_are_cloned(dtype: type) -> None:
    environment = EnvironmentDefinition(Chase, own, 15, options={"dtype": dtype})
    seen, acted, earned, lengths = [], [], [], []
    game = Chase(dtype)
    for seed in range(30):
        observation, arrived = game.reset(seed=seed)[0], False
        lengths.append(0)
        while not arrived:
            row, column = game.place - 3
            acted.append((1 if row < 0 else 0) if row else (3 if column < 0 else 2))
            seen.append(observation)
            observation, reward, arrived, *_ = game.step(acted[-1])
            earned.append(reward)
            lengths[-1] += 1
    episodes = Episodes.from_flat(np.array(seen), acted, earned, lengths=lengths)
    quantilizer = Quantilizer(seeds=1, max_epochs=60).fit(Demonstrations(episodes, environment))
    assert evaluate(quantilizer, episodes=20).true_returns.mean() >= 0.9


def one_episode(observations: npt.ArrayLike) -> Episodes:
    seen = np.asarray(observations)[None]
    return Episodes(seen, np.zeros((1, seen.shape[1], 1)), np.zeros(seen.shape[:2]), np.zeros(seen.shape[:2], bool))


def features(observations: npt.ArrayLike, environment: EnvironmentDefinition = THREE) -> npt.NDArray[np.float32]:
    episodes = one_episode(observations)
    return recorded_features(episodes, environment, 0, Standardisation.of(episodes, environment))


@pytest.mark.parametrize("unit", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("shift", [0.0, 1e9])
def test_features_are_standardised_in_any_unit(unit: float, shift: float) -> None:
    numbers = np.random.default_rng(0).normal(size=(500, 3))
    found = features((numbers + shift) * unit)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-6)
    expected = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_features_that_tell_nothing_are_ignored_and_flags_stay() -> None:
    generator = np.random.default_rng(0)
    rows = np.stack([np.full(300, 1e7), generator.integers(2, size=300), generator.normal(size=300)], axis=1)
    scale = Standardisation.of(one_episode(rows), THREE)
    assert (scale.mean[0], scale.variance[0]) == (1e7, IGNORED)
    assert (scale.mean[1], scale.variance[1]) == (0, 1)
    # What never changed in the demonstrations does not matter in play.
    np.testing.assert_array_equal(scale(np.array([-5e7, 1.0, scale.mean[2]])), [0, 1, 0])
    noisy = np.float32(0.1) + np.zeros((300, 3), dtype=np.float32)
    noisy[::2] = np.nextafter(noisy[::2], np.float32(1))
    np.testing.assert_array_equal(features(noisy), 0)
    assert np.isfinite(features(np.zeros((1, 3)))).all()


def test_bytes_of_a_console_s_memory_have_scales_of_their_own() -> None:
    """A byte counts by its own deviation, one that hardly ever changed by 1, and one that never did not at all."""
    memory = EnvironmentDefinition("Memory-v0", own, 9, spaces=(Box(0, 255, (4,), np.uint8), Discrete(2)))
    seen = np.zeros((100, 4), dtype=np.uint8)
    seen[:, 0] = np.arange(100) + 50
    seen[0, 1] = 3
    seen[:, 2] = 77
    seen[:, 3] = np.arange(100) % 3 * 100
    deviation = seen.std(axis=0)
    scale = Standardisation.of(one_episode(seen), memory)
    scaled = scale(seen.astype(np.float64))
    np.testing.assert_allclose(scaled[:, [0, 3]].std(axis=0), 1, rtol=1e-6)
    assert deviation[1] < 1
    np.testing.assert_allclose(scaled[:, 1], seen[:, 1] - seen[:, 1].mean(), rtol=1e-6)
    assert not scaled[:, 2].any()
    assert not scale(np.full((1, 4), 255.0))[:, 2].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_all_points_of_pictures_have_one_scale(dtype: type) -> None:
    pictures = EnvironmentDefinition("Pictures-v0", own, 9, spaces=(Box(0, 255, (5, 5, 3), dtype), Discrete(2)))
    seen = np.random.default_rng(0).integers(256, size=(40, 5, 5, 3)).astype(dtype)
    seen[:, 0, 0] = 0
    flat = seen.reshape(40, -1).astype(float)
    deviation = np.sqrt(flat.var(axis=0).mean())
    np.testing.assert_allclose(features(seen, pictures), (flat - flat.mean(axis=0)) / deviation, atol=1e-6)
    assert not features(np.zeros_like(seen), pictures).any()
    # A point that was always black in the demonstrations is not blinding where it is white.
    scale = Standardisation.of(one_episode(seen), pictures)
    assert np.abs(scale(np.full(75, 255))).max() < 5


def test_weighted_rows_are_as_repeated_ones() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 3))
    repeats = np.array([0, 1, 2, 3, 1, 5])
    weighted = Standardisation.of(one_episode(rows), THREE, repeats / repeats.mean())
    repeated = Standardisation.of(one_episode(np.repeat(rows, repeats, axis=0)), THREE)
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.variance, repeated.variance)


def demonstrations_of(environment: EnvironmentDefinition = THREE) -> Demonstrations:
    seen = np.random.default_rng(1).normal(1000, 2.0, size=(4, 30, 3))
    acted = (seen[..., :1] > 1000).astype(np.float32)
    return Demonstrations(Episodes(seen, acted, np.ones((4, 30)), np.zeros((4, 30), dtype=bool)), environment)


@pytest.mark.parametrize("history", [0, 2])
def test_a_saved_policy_scales_as_the_trained_one_and_stock_keras(history: int, tmp_path: Path) -> None:
    demonstrations, training = demonstrations_of(), replace(SHORT, history=history)
    parts = {0.5: demonstrations.select(slice(0, 2)), 1.0: demonstrations}
    policies = list(fit(parts, [3], training))
    episodes, loaded = demonstrations.episodes, []
    for policy in policies:
        path = tmp_path / f"{policy.key}.keras"
        save_policy(path, THREE, policy)
        loaded.append(load_policy(path, THREE))
        assert recipe_of(path).entries["scaling"] == loaded[-1].scaling == "standard"
        assert [array.shape for array in policy.weights] == weight_shapes(THREE, training, "standard")
        for expected, array in zip(policy.weights, loaded[-1].weights, strict=True):
            np.testing.assert_array_equal(array, expected)
    seen = episodes.transitions()[0]
    policies_together = stack(THREE, loaded, "most_probable")
    policies_together.recall(episodes)
    together = policies_together.probabilities(np.broadcast_to(seen, (2, *seen.shape)))[0]
    assert (together[0] != together[1]).any()
    for policy, probabilities in zip(loaded, together, strict=True):
        scale = Standardisation(policy.weights[0][:3], policy.weights[1][:3])
        model = keras.models.load_model(tmp_path / f"{policy.key}.keras")
        raw = np.asarray(seen)
        if history:
            past = Past.recorded(episodes, THREE, history, seen[None]).features(seen[None])[0]
            np.testing.assert_array_equal(past[:, 9:], recorded_features(episodes, THREE, history, scale)[:, 9:])
            raw = past
        np.testing.assert_allclose(np.asarray(model(raw)), probabilities, atol=1e-5)


def test_playing_step_by_step_sees_the_same_as_the_recording() -> None:
    episodes, scale = demonstrations_of().episodes, Standardisation.of(demonstrations_of().episodes, THREE)
    past, found = Past.none(THREE, 2, 1, 4), []
    for step in range(30):
        seen = flat_features(episodes.observations[None, :, step], THREE, scale)
        found.append(past.features(seen)[0])
        past = past.then(seen, episodes.actions[None, :, step])
    expected = recorded_features(episodes, THREE, 2, scale)
    np.testing.assert_array_equal(np.stack(found, axis=1).reshape(expected.shape), expected)


def test_policies_with_and_without_scaling_do_not_act_together(tmp_path: Path) -> None:
    (scaled,) = fit({1.0: demonstrations_of()}, [0], SHORT)
    raw = replace(scaled, weights=scaled.weights[2:], scaling="none")
    assert stack(THREE, [raw], "most_probable") is not None
    with pytest.raises(ValueError, match="some of the policies scale observations"):
        stack(THREE, [scaled, raw], "most_probable")
    for policy in (scaled, replace(raw, seed=1)):
        save_policy(tmp_path / f"{policy.seed}.keras", THREE, policy)
    with pytest.raises(UserError, match=r"some of the policies scale observations, .* load each kind alone"):
        Quantilizer.load(tmp_path, THREE)
    assert Quantilizer.load(tmp_path / "1.keras", THREE).policies_[0].scaling == "none"


def test_a_file_whose_scaling_is_impossible_is_refused(tmp_path: Path) -> None:
    (policy,) = fit({1.0: demonstrations_of()}, [0], SHORT)
    for place, value in ((0, np.nan), (1, 0.0), (1, -1.0), (1, np.inf)):
        weights = [array.copy() for array in policy.weights]
        weights[place][0] = value
        save_policy(tmp_path / "bad.keras", THREE, replace(policy, weights=weights))
        with pytest.raises(UserError, match="is not a policy for Three-v0"):
            load_policy(tmp_path / "bad.keras", THREE)


def test_the_environments_that_ship_see_raw_observations() -> None:
    for name in environment_names():
        environment = load_environment(name)
        assert environment.experiment.scaling == scaling_of(environment) == "none"
    car = load_environment("MountainCar-v0")
    assert "standardised" not in [layer.name for layer in build_model(car, SHORT).layers]
    assert scaling_of(THREE) == "standard"
    with pytest.raises(UserError, match="scaling is 'some'"):
        Experiment(scaling="some")  # type: ignore[arg-type]
