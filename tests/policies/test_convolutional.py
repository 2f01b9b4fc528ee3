from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.spaces import Box, MultiDiscrete

from quantilizers.arrays import load_arrays
from quantilizers.choices import Acting
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_vector
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.policies import convolutional
from quantilizers.policies.convolutional import (
    CloningRun,
    _drawn_ahead,
    build_model,
    split_trajectories,
    stack,
)
from quantilizers.policies.hyper_parameters import ConvolutionalTraining
from quantilizers.policies.policy import DivergedError, TrainedPolicy
from quantilizers.rewards import own
from recordings import record_game
from training_for_tests import fit as fit_family
from training_for_tests import plan

fit = partial(fit_family, family=convolutional)

PINBALL = load_environment("VideoPinballNoFrameskip-v4")


def pictures(shape: tuple[int, int, int], actions: Any, **fields: Any) -> EnvironmentDefinition:
    return EnvironmentDefinition("Pictures-v0", own, 20, spaces=(Box(0, 255, shape, np.uint8), actions), **fields)


#: The smallest pictures that the network takes, and three actions that are no indices.
TINY = pictures((4, 36, 36), Box(-1.0, 2.0, (1,)), classes=((-1.0, 0.0, 2.0),), acting="sample")
#: The same in colour, with the channels last.
COLOUR = replace(TINY, spaces=(Box(0, 255, (40, 36, 3), np.uint8), TINY.action_space))
SMALL = ConvolutionalTraining(batch_size=16, steps=7, validation_interval=2, validation_rows=20, checkpoint_interval=3)


def quadrants(number: int, steps: int, environment: EnvironmentDefinition, seed: int = 0) -> Demonstrations:
    """Noise with a bright square in one of three corners of the newest frame, whose corner is the right action.

    The oldest frame's first pixel is the episode's number.
    """
    generator = np.random.default_rng(seed)
    shape = environment.observation_shape
    observations = generator.integers(60, size=(number, steps, *shape), dtype=np.uint8)
    corners = generator.integers(3, size=(number, steps))
    half = shape[-1] // 2
    for corner, (row, column) in enumerate(((0, 0), (0, half), (half, 0))):
        where = np.nonzero(corners == corner)
        for episode, step in zip(*where, strict=True):
            observations[episode, step, -1, row : row + half, column : column + half] += 120
    observations[:, :, 0, 0, 0] = np.arange(number, dtype=np.uint8)[:, None]
    classes = np.asarray(environment.action_classes[0])
    lengths = generator.integers(steps // 2, steps + 1, size=number)
    done = np.arange(steps) >= lengths[:, None]
    observations[done], actions = 0, np.where(done, 0.0, classes[corners])[..., None]
    episodes = Episodes(observations, actions, np.where(done, 0.0, 1.0), done)
    return Demonstrations(episodes, environment)


class Listening:
    """A monitor that records its calls."""

    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.advanced = 0
        self.texts: list[str] = []

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        self.curves[f"{quantile} {seed} {name}"].append((step, value))

    def advance(self, number: int, text: str = "") -> None:
        self.advanced += number
        self.texts.append(text)


def checkpoints_in(folder: Path) -> Callable[[float, int], Path]:
    return lambda quantile, seed: folder / f"{quantile}_{seed}.checkpoint.npz"


class Training:
    """Sees every minibatch, and can interrupt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.episodes: dict[int, Counter[int]] = {}
        self.steps: list[tuple[int, int]] = []
        self.stop_at: tuple[int, int] | None = None
        train_on = CloningRun.train_on

        def seen(cloning: CloningRun, observations: Any, labels: Any) -> dict[str, float]:
            if (cloning.seed, cloning.step) == self.stop_at:
                raise KeyboardInterrupt
            self.steps.append((cloning.seed, cloning.step))
            self.episodes.setdefault(cloning.seed, Counter()).update(observations[:, 0, 0, 0].tolist())
            return train_on(cloning, observations, labels)

        monkeypatch.setattr(CloningRun, "train_on", seen)


def test_the_network_is_that_of_nature_dqn() -> None:
    """Mnih et al. 2015, Methods: 32 filters of 8 × 8 with stride 4, 64 of 4 × 4 / 2, 64 of 3 × 3 / 1, 512 units."""
    model = build_model(PINBALL)
    assert model.input_shape == (None, 4, 84, 84)
    shapes = [layer.output.shape[1:] for layer in model.layers if layer.count_params()]
    assert shapes == [(20, 20, 32), (9, 9, 64), (7, 7, 64), (512,), (9,)]
    first = 8 * 8 * 4 * 32 + 32
    second = 4 * 4 * 32 * 64 + 64
    third = 3 * 3 * 64 * 64 + 64
    assert model.count_params() == first + second + third + (7 * 7 * 64 * 512 + 512) + (512 * 9 + 9) == 1_688_745
    relu = [layer.activation.__name__ for layer in model.layers if layer.count_params()]
    assert relu == ["relu"] * 4 + ["linear"]


def test_pictures_reach_the_network_as_channels_between_0_and_1() -> None:
    model = build_model(PINBALL)
    seen = keras.Model(model.input, model.get_layer("channels_last").output)
    observation = np.random.default_rng(0).integers(256, size=(1, 4, 84, 84), dtype=np.uint8)
    np.testing.assert_allclose(seen(observation).numpy()[0], np.moveaxis(observation[0], 0, -1) / 255, atol=1e-7)
    model = build_model(COLOUR)
    seen = keras.Model(model.input, model.get_layer("unit_range").output)
    observation = np.random.default_rng(0).integers(256, size=(1, 40, 36, 3), dtype=np.uint8)
    np.testing.assert_allclose(seen(observation).numpy(), observation / 255, atol=1e-7)
    assert model.get_layer("convolution_1").output.shape == (None, 9, 8, 32)


def test_it_learns_what_can_be_learned_and_the_loss_goes_down() -> None:
    data = quadrants(10, 40, TINY)
    cloning = CloningRun(TINY, 0, ConvolutionalTraining(batch_size=32))
    seen = data.episodes.observations.reshape(-1, *TINY.observation_shape)
    assert TINY.action_classes is not None
    labels = np.searchsorted(TINY.action_classes[0], data.episodes.actions.reshape(-1, 1))
    before = cloning.measure(seen[320:], labels[320:])
    generator = np.random.default_rng(0)
    for _ in range(40):
        chosen = generator.integers(320, size=32)
        cloning.train_on(seen[chosen], labels[chosen])
    after = cloning.measure(seen[320:], labels[320:])
    assert before["loss"] == pytest.approx(np.log(3), abs=0.2)
    assert after["loss"] < before["loss"] / 3
    assert before["accuracy"] < 0.6
    assert after["accuracy"] > 0.9


def test_weight_decay_is_added_to_the_gradient() -> None:
    """Three steps of the last layer, by hand: Adam (Kingma and Ba 2015) on gradient + decay × weights."""
    settings = ConvolutionalTraining(learning_rate=1e-3, weight_decay=0.5)
    cloning = CloningRun(TINY, 1, settings)
    to_hidden = keras.Model(cloning.model.input, cloning.model.get_layer("dense").output)
    generator = np.random.default_rng(0)
    kernel, bias = (np.asarray(one, dtype=np.float64) for one in cloning.model.get_layer("logits").get_weights())
    weights = np.vstack([kernel, bias])
    decoupled = weights.copy()
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    plain_mean, plain_square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, 4):
        observations = generator.integers(256, size=(8, 4, 36, 36), dtype=np.uint8)
        labels = generator.integers(3, size=8)
        hidden = np.hstack([to_hidden(observations).numpy(), np.ones((8, 1))]).astype(np.float64)
        logits = hidden @ weights
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        gradient = hidden.T @ (probabilities - np.eye(3)[labels]) / 8
        coupled = gradient + settings.weight_decay * weights
        mean, square = 0.9 * mean + 0.1 * coupled, 0.999 * square + 0.001 * coupled**2
        corrected = (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        weights = weights - settings.learning_rate * corrected
        plain_mean = 0.9 * plain_mean + 0.1 * gradient
        plain_square = 0.999 * plain_square + 0.001 * gradient**2
        corrected = (plain_mean / (1 - 0.9**step)) / (np.sqrt(plain_square / (1 - 0.999**step)) + 1e-8)
        decoupled -= settings.learning_rate * (corrected + settings.weight_decay * decoupled)
        loss = cloning.train_on(observations, labels[:, None])["loss"]
        assert loss == pytest.approx(-np.log(probabilities[np.arange(8), labels]).mean(), abs=1e-4), "before the step"
    trained = np.vstack(cloning.model.get_layer("logits").get_weights())
    # Where the gradient and the decay cancel out, the sign of what is left depends on rounding.
    near = np.abs(trained - weights) < 2e-5
    assert near.mean() > 0.99
    assert near[-1].all(), "biases decay too, as in PyTorch"
    assert (np.abs(trained - decoupled) < 2e-5).mean() < 0.5, "decoupled decay gives other weights"


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, seeds, checkpoints = {1.0: quadrants(5, 8, TINY)}, (0, 1), checkpoints_in(tmp_path)
    whole = Listening()
    expected = list(fit(data, seeds, SMALL, whole))
    training = Training(monkeypatch)
    training.stop_at = (1, 5)
    finished = []
    with pytest.raises(KeyboardInterrupt):
        finished.extend(fit(data, seeds, SMALL, checkpoint=checkpoints))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.0_0.checkpoint.npz", "1.0_1.checkpoint.npz"]
    training.stop_at = None
    training.steps.clear()
    resumed = Listening()
    found = list(fit(data, seeds, SMALL, resumed, checkpoints))
    assert [step for step in training.steps if step[0] == 1] == [(1, step) for step in range(3, SMALL.steps)]
    assert not [step for step in training.steps if step[0] == 0], "a policy that was finished is not trained again"
    for policy, again in zip(expected, found, strict=True):
        assert (policy.seed, policy.loss_curves, policy.data) == (again.seed, again.loss_curves, again.data)
        for array, same in zip(policy.weights, again.weights, strict=True):
            np.testing.assert_array_equal(same, array)
    assert resumed.curves == whole.curves, "no step is shown twice"
    assert (
        resumed.advanced
        == whole.advanced
        == sum(batch.steps for batch in plan(data, seeds, SMALL, family=convolutional))
        == 14
    )


def test_checkpoints_stay_for_whoever_saves_the_policies(tmp_path: Path) -> None:
    policies = fit({1.0: quadrants(5, 8, TINY)}, (0, 1), SMALL, checkpoint=checkpoints_in(tmp_path))
    assert [policy.seed for policy in policies] == [0, 1]
    assert len(list(tmp_path.iterdir())) == 2, "who takes a policy may fail to save it"


def test_other_data_or_settings_do_not_go_on_from_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    training.stop_at = (0, 4)
    data, settings = quadrants(5, 8, TINY, seed=1), replace(SMALL, learning_rate=1e-4)

    def train(split: Demonstrations, given: ConvolutionalTraining) -> list[tuple[int, int]]:
        training.steps.clear()
        with pytest.raises(KeyboardInterrupt):
            list(fit({1.0: split}, (0,), given, checkpoint=checkpoints_in(tmp_path)))
        return training.steps

    for split, given in ((quadrants(5, 8, TINY), SMALL), (data, SMALL), (data, settings)):
        assert train(split, given) == [(0, step) for step in range(4)]
    assert train(data, settings) == [(0, 3)]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoints_in(tmp_path)(1.0, 0).write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"1\.0_0\.checkpoint\.npz"):
        list(fit({1.0: quadrants(5, 8, TINY)}, (0,), SMALL, checkpoint=checkpoints_in(tmp_path)))


def test_training_leaves_everybody_s_random_numbers_alone() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.random()
    random.seed(3)
    np.random.seed(3)
    CloningRun(TINY, 0, SMALL)
    assert (random.random(), np.random.random()) == expected


@pytest.mark.parametrize(("number", "held_out"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (23, 4)])
def test_whole_trajectories_are_held_out(number: int, held_out: int) -> None:
    data = quadrants(number, 8, TINY)
    learned, held = split_trajectories(data, 0.2, seed=3)
    assert len(set(held[:, 0])) == held_out
    assert set(learned[:, 0]) | set(held[:, 0]) == set(range(number))
    assert not set(learned[:, 0]) & set(held[:, 0])
    together = np.concatenate([learned, held])
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, np.argwhere(~data.episodes.done).tolist()))


def test_held_out_trajectories_depend_on_the_seed() -> None:
    data = quadrants(20, 2, TINY)
    parts = {tuple(sorted(set(split_trajectories(data, 0.2, seed)[1][:, 0].tolist()))) for seed in range(8)}
    assert len(parts) > 4
    assert split_trajectories(data, 0.2, 1)[1].tolist() == split_trajectories(data, 0.2, 1)[1].tolist()


def test_held_out_trajectories_and_padding_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data = quadrants(10, 8, TINY)
    done, observations = data.episodes.done, data.episodes.observations
    observations[done] = 0
    observations[:, :, 0, 0, 0] = np.where(done, 99, np.arange(10)[:, None])
    training = Training(monkeypatch)
    list(fit({1.0: data}, range(2), replace(SMALL, steps=12)))
    for seed in range(2):
        learned, held = split_trajectories(data, 0.2, seed)
        assert set(training.episodes[seed]) == set(learned[:, 0].tolist())
        assert len(set(held[:, 0])) == 2
        assert sum(training.episodes[seed].values()) == 12 * SMALL.batch_size


def test_monitors_hear_the_curves() -> None:
    monitor = Listening()
    (policy,) = fit({0.5: quadrants(5, 8, TINY)}, (3,), SMALL, monitor)
    steps = {name: [step for step, _ in curve] for name, curve in monitor.curves.items()}
    every = list(range(SMALL.steps))
    assert steps == {
        "0.5 3 loss/train": every,
        "0.5 3 accuracy/train": every,
        "0.5 3 loss/validation": [0, 2, 4, 6],
        "0.5 3 accuracy/validation": [0, 2, 4, 6],
        "0.5 3 loss/marginal": [6],
        "0.5 3 accuracy/marginal": [6],
    }
    assert policy.loss_curves == (tuple(value for _, value in monitor.curves["0.5 3 loss/train"]),)
    assert "q = 0.5 seed 3: loss " in monitor.texts[-1]
    assert "held out), accuracy " in monitor.texts[-1]


def test_policies_of_one_episode_have_none_to_hold_out() -> None:
    data, monitor = quadrants(1, 8, TINY), Listening()
    (policy,) = fit({1.0: data}, (0,), SMALL, monitor)
    assert set(monitor.curves) == {"1.0 0 loss/train", "1.0 0 accuracy/train"}
    assert policy.data == data.fingerprint


@pytest.mark.parametrize("environment", [TINY, COLOUR], ids=["stack", "colour"])
def test_pictures_of_both_kinds_are_learned(environment: EnvironmentDefinition) -> None:
    data = quadrants(6, 30, environment) if environment is TINY else colour_quadrants(6, 30)
    (policy,) = fit({1.0: data}, (0,), ConvolutionalTraining(batch_size=32, steps=40, validation_fraction=0))
    seen, wanted = data.episodes.transitions()
    chosen = stack(environment, [policy], "most_probable").act(seen[None], [], np.ones((1, len(seen)), dtype=bool))
    assert (chosen[0] == wanted).mean() > 0.9


@pytest.mark.parametrize("environment", [TINY, COLOUR], ids=["stack", "colour"])
def test_probabilities_are_the_stock_model_s(environment: EnvironmentDefinition) -> None:
    """The policy transposes bytes, and the model floats."""
    keras.utils.set_random_seed(0)
    model = build_model(environment)
    seen = np.random.default_rng(0).integers(256, size=(9, *environment.observation_shape), dtype=np.uint8)
    policies = stack(environment, [TrainedPolicy(1.0, 0, model.get_weights(), SMALL)], "sample")
    (probabilities,) = policies.probabilities(seen[None])
    np.testing.assert_allclose(probabilities[0], model(seen).numpy(), rtol=1e-6)


def test_minibatches_are_drawn_one_ahead_and_in_the_same_order_from_wherever_one_begins() -> None:
    begun: list[int] = []

    class Drawing:
        def minibatch(self, generator: np.random.Generator, number: int) -> tuple[np.ndarray, int]:
            begun.append(number)
            return generator.integers(1000, size=number), number

    ahead = _drawn_ahead(Drawing(), 3, range(2, 6), 5)  # type: ignore[arg-type]
    drawn = {}
    for step, (observations, _) in ahead:
        drawn[step] = observations.tolist()
    assert drawn == {step: np.random.default_rng([3, step, 0]).integers(1000, size=5).tolist() for step in range(2, 6)}
    assert len(begun) == 4
    assert list(_drawn_ahead(Drawing(), 3, range(6, 6), 5)) == []  # type: ignore[arg-type]


def colour_quadrants(number: int, steps: int) -> Demonstrations:
    """The same as `quadrants`, with the bright square in the last colour."""
    grey = quadrants(number, steps, replace(TINY, spaces=(Box(0, 255, (3, 40, 36), np.uint8), TINY.action_space)))
    observations = np.ascontiguousarray(np.moveaxis(grey.episodes.observations, 2, -1))
    return Demonstrations(replace(grey.episodes, observations=observations), COLOUR)


def bright(number: int, steps: int, environment: EnvironmentDefinition, actions: npt.NDArray[Any]) -> Demonstrations:
    """Pictures whose upper half is as bright as the first component of the action, the lower as the second."""
    generator = np.random.default_rng(1)
    observations = generator.integers(20, size=(number, steps, 4, 36, 36), dtype=np.uint8)
    for component, rows in enumerate((slice(0, 18), slice(18, 36))):
        observations[..., rows, :] += (90 * (actions[..., component] + 1)).astype(np.uint8)[..., None, None, None]
    done = np.zeros((number, steps), dtype=bool)
    return Demonstrations(Episodes(observations, actions, np.ones((number, steps)), done), environment)


def test_several_components_have_a_head_each() -> None:
    environment = pictures((4, 36, 36), MultiDiscrete([2, 3], start=[0, -1]))
    generator = np.random.default_rng(0)
    actions = np.stack([generator.integers(2, size=(6, 20)), generator.integers(-1, 2, size=(6, 20))], axis=-1)
    data = bright(6, 20, environment, actions.astype(float))
    monitor = Listening()
    training = ConvolutionalTraining(batch_size=32, steps=150, weight_decay=0)
    (policy,) = fit({1.0: data}, (0,), training, monitor)
    names = [layer.name for layer in build_model(environment).layers][-4:]
    assert sorted(names) == ["logits_0", "logits_1", "probabilities_0", "probabilities_1"]
    first, last = (monitor.curves["1.0 0 loss/train"][place][1] for place in (0, -1))
    assert first == pytest.approx(np.log(2) + np.log(3), abs=0.4), "the components' losses add up"
    assert last < first / 3
    seen, wanted = data.episodes.transitions()
    running = np.ones((1, len(seen)), dtype=bool)
    chosen = stack(environment, [policy], "most_probable").act(seen[None], [], running)
    assert (chosen[0] == wanted).mean() > 0.9
    sampled = stack(environment, [policy], "sample").act(seen[None], [np.random.default_rng(0)], running)
    assert (sampled[0] == wanted).mean() > 0.7
    probabilities = stack(environment, [policy], "sample").probabilities(seen[None])
    assert [of_component.shape for of_component in probabilities] == [(1, 120, 2), (1, 120, 3)]
    np.testing.assert_allclose(probabilities[1].sum(axis=-1), 1, atol=1e-5)


def test_actions_are_predicted_by_regression_where_there_are_no_classes() -> None:
    environment = pictures((4, 36, 36), Box(-0.9, 0.9, (2,)))
    actions = np.random.default_rng(0).uniform(-0.9, 0.9, size=(6, 20, 2))
    data = bright(6, 20, environment, actions)
    monitor = Listening()
    training = ConvolutionalTraining(batch_size=32, steps=120, weight_decay=0)
    (policy,) = fit({1.0: data}, (0,), training, monitor)
    assert set(monitor.curves) == {"1.0 0 loss/train", "1.0 0 loss/validation"}
    assert "accuracy" not in monitor.texts[-1]
    seen, wanted = data.episodes.transitions()
    stacked = stack(environment, [policy], "expected_value")
    chosen = stacked.act(seen[None], [], np.ones((1, len(seen)), dtype=bool))[0]
    assert np.abs(chosen - wanted).mean() < 0.2
    assert np.abs(chosen).max() <= np.float32(0.9)
    assert stacked.probabilities(seen[None]) == []


def test_a_regression_descends_half_the_squares_added_up_and_reports_their_mean() -> None:
    environment = pictures((4, 36, 36), Box(-5.0, 5.0, (2,)))
    cloning = CloningRun(environment, 0, ConvolutionalTraining(weight_decay=0))
    generator = np.random.default_rng(0)
    observations = generator.integers(256, size=(8, 4, 36, 36), dtype=np.uint8)
    targets = generator.normal(size=(8, 2))
    predicted = cloning.model(observations).numpy()
    loss = cloning.train_on(observations, targets)["loss"]
    assert loss == pytest.approx(0.5 * np.mean((predicted - targets) ** 2), rel=1e-5)
    variables = {variable.path: variable for variable in cloning._optimiser.variables}
    (momentum,) = (np.asarray(value) for path, value in variables.items() if path.endswith("actions_bias_momentum"))
    np.testing.assert_allclose(momentum, 0.1 * (predicted - targets).mean(axis=0), rtol=1e-4)


def opinionated(number: int) -> tuple[list[keras.Model], list[TrainedPolicy]]:
    """Untrained policies that prefer some actions to others."""
    models, policies = [], []
    assert TINY.action_classes is not None
    for seed in range(number):
        keras.utils.set_random_seed(seed)
        model = build_model(TINY)
        bias = np.random.default_rng(seed).normal(size=len(TINY.action_classes[0]))
        model.get_layer("logits").bias.assign(bias)
        models.append(model)
        policies.append(TrainedPolicy(1.0, seed, model.get_weights(), SMALL))
    return models, policies


def test_sampled_actions_have_the_model_s_probabilities() -> None:
    models, policies = opinionated(2)
    observation = np.random.default_rng(0).integers(256, size=(2, 1, 4, 36, 36), dtype=np.uint8)
    number = 4000
    seen = np.repeat(observation, number, axis=1)
    generators = [np.random.default_rng(1)] * 2
    actions = stack(TINY, policies, "sample").act(seen, generators, np.ones((2, number), dtype=bool))
    assert actions.shape == (2, number, 1)
    assert TINY.action_classes is not None
    for policy, model in enumerate(models):
        expected = model(observation[policy]).numpy()[0]
        observed = [(actions[policy, :, 0] == value).mean() for value in TINY.action_classes[0]]
        np.testing.assert_allclose(observed, expected, atol=4 * 0.5 / np.sqrt(number))
        assert expected.max() - expected.min() > 0.15


@pytest.mark.parametrize("acting", ["most_probable", "expected_value"])
def test_the_other_ways_of_acting_draw_nothing(acting: Acting) -> None:
    models, policies = opinionated(2)
    seen = np.random.default_rng(0).integers(256, size=(2, 5, 4, 36, 36), dtype=np.uint8)
    actions = stack(TINY, policies, acting).act(seen, [], np.ones((2, 5), dtype=bool))
    values = np.array([-1.0, 0.0, 2.0])
    for policy, model in enumerate(models):
        probabilities = model(seen[policy]).numpy()
        expected = probabilities @ values if acting == "expected_value" else values[probabilities.argmax(axis=1)]
        np.testing.assert_allclose(actions[policy, :, 0], expected, atol=1e-5)


def test_what_a_policy_does_depends_on_no_other_policy_and_on_no_episode_that_ended() -> None:
    _, policies = opinionated(3)
    seen = np.random.default_rng(0).integers(256, size=(3, 12, 4, 36, 36), dtype=np.uint8)
    running = np.ones((3, 12), dtype=bool)

    def generators() -> list[np.random.Generator]:
        return [np.random.default_rng(seed) for seed in (5, 6, 7)]

    together = stack(TINY, policies, "sample").act(seen, generators(), running)
    alone = stack(TINY, policies[1:2], "sample").act(seen[1:2], generators()[1:2], running[1:2])
    np.testing.assert_array_equal(together[1], alone[0])
    assert len(np.unique(together)) == 3
    running[1, ::2] = False
    running[2] = False
    fewer = stack(TINY, policies, "sample").act(seen, generators(), running)
    np.testing.assert_array_equal(fewer[running], together[running])


def play_small_games(steps: int) -> Demonstrations:
    """Six short games of random actions, saved with their seeds and without their observations."""
    games = make_vector(PINBALL, 6, max_steps=steps)
    seeds = np.arange(6)
    games.reset(seed=seeds.tolist())
    actions = np.random.default_rng(0).integers(9, size=(6, steps, 1))
    rewards = np.stack([games.step(actions[:, step, 0])[4]["true_reward"] for step in range(steps)], axis=1)
    games.close()
    episodes = Episodes(
        np.zeros((6, steps, 0), dtype=np.uint8), actions, rewards, np.zeros((6, steps), dtype=bool), {"seed": seeds}
    )
    return Demonstrations(episodes, PINBALL)


@pytest.mark.parametrize("source", ["games", "recordings"])
def test_from_demonstrations_to_figure(log: Path, run: Callable[..., tuple[int, str, str]], source: str) -> None:
    """For replayed games and for a folder of people's screens."""
    if source == "games":
        play_small_games(12).episodes.save(log / PINBALL.name / "small.npz")
    else:
        for number in range(6):
            record_game(
                log / PINBALL.name / "small", number, np.random.default_rng(number).integers(18, size=40).tolist()
            )
    words = ["--env_name", PINBALL.name, "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "1"]
    words += ["--number_trajectories", "2", "--max_steps", "15"]
    words += ["--batch_size", "16", "--training_steps", "2", "--validation_rows", "20", "--checkpoint_interval", "2"]
    code, out, err = run(*words)
    assert code == 0, err
    assert "imitation" in out
    results = load_arrays(log / "rewards" / f"small_{PINBALL.name}_0.npz", ["true_returns", "proxy_returns", "lengths"])
    assert results["lengths"].tolist() == [[15, 15], [15, 15]]
    assert (results["true_returns"] <= results["proxy_returns"]).all()
    assert (log / "fig" / f"small_{PINBALL.name}_mean_seeds.png").read_bytes().startswith(b"\x89PNG")
    for quantile in (1.0, 0.5):
        keras.saving.load_model(log / "models" / f"small_{PINBALL.name}_{quantile}_0.keras")
    assert not list(log.rglob("*checkpoint*"))


def test_steps_that_count_more_are_drawn_more_often_and_those_without_weight_never() -> None:
    data = quadrants(6, 10, TINY)
    steps = np.argwhere(~data.episodes.done)
    weights = np.where(steps[:, 0] == 2, 3.0, np.where(steps[:, 0] == 4, 1.0, 0.0))
    drawing = convolutional._Drawing.of(data, steps, weights)
    observations, answers = drawing.minibatch(np.random.default_rng(0), 8000)
    assert len(answers) == 8000
    players = Counter(observations[:, 0, 0, 0].tolist())
    lengths = data.lengths
    assert set(players) == {2, 4}
    expected = 3 * lengths[2] / (3 * lengths[2] + lengths[4])
    assert players[2] / 8000 == pytest.approx(expected, abs=0.02)


def test_all_the_weight_on_one_episode_is_training_on_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = quadrants(5, 10, TINY)
    steps = np.argwhere(~data.episodes.done)
    seen: list[set[int]] = []
    train = CloningRun.train_on

    def listen(self: CloningRun, observations: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        seen.append(set(observations[:, 0, 0, 0].tolist()))
        return train(self, observations, answers)

    monkeypatch.setattr(CloningRun, "train_on", listen)
    without_held_out = replace(SMALL, validation_fraction=0.0, steps=2)
    list(fit({1.0: data}, [0], without_held_out, weights={1.0: np.where(steps[:, 0] == 3, 5.0, 0.0)}))
    assert seen == [{3}, {3}]


def test_a_policy_that_diverges_is_named_after_the_others_are_given() -> None:
    data = {0.5: quadrants(4, 10, TINY)}
    with pytest.raises(DivergedError, match=r"q = 0.5 seed 1 became NaN"):
        list(fit(data, [1], replace(SMALL, learning_rate=1e30)))
