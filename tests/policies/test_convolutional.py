from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import keras
import numpy as np
import numpy.typing as npt
import pytest

import quantilizer
from quantilizers.arrays import load_arrays
from quantilizers.demonstrations import Demonstrations
from quantilizers.envs import load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import Layout
from quantilizers.policies import convolutional
from quantilizers.policies.convolutional import Cloning, ConvolutionalSettings, build_model, load, split_trajectories
from quantilizers.settings import Settings
from recordings import record_game
from support import curves_of

PINBALL = load_environment("VideoPinballNoFrameskip-v4")
#: The smallest pictures that the network takes, and three actions that are no indices.
TINY = replace(PINBALL, observation_shape=(4, 36, 36), action_classes=((-1.0, 0.0, 2.0),))
SMALL = ConvolutionalSettings(batch_size=16, steps=7, validation_interval=2, validation_rows=20, checkpoint_interval=3)


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
    return Demonstrations(
        observations, classes[corners][..., None], np.ones((number, steps)), np.arange(steps) >= lengths[:, None]
    )


def settings_in(folder: Path, environment: EnvironmentDefinition = TINY, seeds: range = range(1)) -> Settings:
    return Settings(environment, Layout(folder, environment.name, "small"), (1.0,), seeds, 1, 20, options={"lamb": 1.0})


def weights_of(path: Path, environment: EnvironmentDefinition = TINY) -> list[npt.NDArray[Any]]:
    model = build_model(environment)
    model.load_weights(path)
    found: list[npt.NDArray[Any]] = model.get_weights()
    return found


class Training:
    """Sees every minibatch, and can interrupt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.episodes: dict[int, Counter[int]] = {}
        self.steps: list[tuple[int, int]] = []
        self.stop_at: tuple[int, int] | None = None
        train_on = Cloning.train_on

        def seen(cloning: Cloning, observations: Any, labels: Any) -> tuple[float, float]:
            if (cloning.seed, cloning.step) == self.stop_at:
                raise KeyboardInterrupt
            self.steps.append((cloning.seed, cloning.step))
            self.episodes.setdefault(cloning.seed, Counter()).update(observations[:, 0, 0, 0].tolist())
            return train_on(cloning, observations, labels)

        monkeypatch.setattr(Cloning, "train_on", seen)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> ConvolutionalSettings:
    monkeypatch.setattr(convolutional, "TRAINING", SMALL)
    return SMALL


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


def test_the_hyper_parameters_are_the_paper_s() -> None:
    defaults = convolutional.TRAINING
    assert (defaults.learning_rate, defaults.weight_decay) == (1e-3, 1e-2)
    assert (defaults.batch_size, defaults.steps, defaults.validation_fraction) == (512, 200, 0.2)


def test_pictures_reach_the_network_as_channels_between_0_and_1() -> None:
    model = build_model(PINBALL)
    seen = keras.Model(model.input, model.get_layer("channels_last").output)
    observation = np.random.default_rng(0).integers(256, size=(1, 4, 84, 84), dtype=np.uint8)
    np.testing.assert_allclose(seen(observation).numpy()[0], np.moveaxis(observation[0], 0, -1) / 255, atol=1e-7)


def test_it_learns_what_can_be_learned_and_the_loss_goes_down() -> None:
    data = quadrants(10, 40, TINY)
    cloning = Cloning(TINY, 0, ConvolutionalSettings(batch_size=32))
    rows = (data.observations.reshape(-1, *TINY.observation_shape), data.actions.reshape(-1))
    labels = np.searchsorted(TINY.action_classes[0], rows[1])
    before = cloning.measure(rows[0][320:], labels[320:])
    generator = np.random.default_rng(0)
    for _ in range(40):
        chosen = generator.integers(320, size=32)
        cloning.train_on(rows[0][chosen], labels[chosen])
    after = cloning.measure(rows[0][320:], labels[320:])
    assert before[0] == pytest.approx(np.log(3), abs=0.2)
    assert after[0] < before[0] / 3
    assert before[1] < 0.6
    assert after[1] > 0.9


def test_weight_decay_is_added_to_the_gradient() -> None:
    """Three steps of the last layer, by hand: Adam (Kingma and Ba 2015) on gradient + decay × weights."""
    settings = ConvolutionalSettings(learning_rate=1e-3, weight_decay=0.5)
    cloning = Cloning(TINY, 1, settings)
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
        loss, _ = cloning.train_on(observations, labels)
        assert loss == pytest.approx(-np.log(probabilities[np.arange(8), labels]).mean(), abs=1e-4), "before the step"
    trained = np.vstack(cloning.model.get_layer("logits").get_weights())
    # Where the gradient and the decay cancel out, the sign of what is left depends on rounding.
    near = np.abs(trained - weights) < 2e-5
    assert near.mean() > 0.99
    assert near[-1].all(), "biases decay too, as in PyTorch"
    assert (np.abs(trained - decoupled) < 2e-5).mean() < 0.5, "decoupled decay gives other weights"


def test_a_stopped_training_goes_on_to_the_same_weights(
    tmp_path: Path, small: ConvolutionalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = quadrants(5, 8, TINY)
    whole, stopped = settings_in(tmp_path / "whole", seeds=range(2)), settings_in(tmp_path / "stopped", seeds=range(2))
    convolutional.train(whole, {1.0: data})
    training = Training(monkeypatch)
    training.stop_at = (1, 5)
    with pytest.raises(KeyboardInterrupt):
        convolutional.train(stopped, {1.0: data})
    finished = stopped.layout.model(1.0, 0)
    before = weights_of(finished)
    assert not stopped.layout.model(1.0, 1).exists()
    training.stop_at = None
    training.steps.clear()
    convolutional.train(stopped, {1.0: data})
    assert [step for step in training.steps if step[0] == 1] == [(1, step) for step in range(3, small.steps)]
    assert not [step for step in training.steps if step[0] == 0], "a policy that was finished is not trained again"
    for expected, found in zip(before, weights_of(finished), strict=True):
        np.testing.assert_array_equal(found, expected)
    for seed in (0, 1):
        for expected, found in zip(
            weights_of(whole.layout.model(1.0, seed)), weights_of(stopped.layout.model(1.0, seed)), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
        curves = [curves_of(settings.layout.training_events(1.0, seed)) for settings in (whole, stopped)]
        assert curves[0] == curves[1], "no step is shown twice"
    assert not list(tmp_path.rglob("*.checkpoint.npz")), "checkpoints go when all is done"


def test_other_data_or_settings_do_not_go_on_from_a_checkpoint(
    tmp_path: Path, small: ConvolutionalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(monkeypatch)
    settings = settings_in(tmp_path)
    training.stop_at = (0, 4)
    for data, training_settings in (
        (quadrants(5, 8, TINY), small),
        (quadrants(5, 8, TINY, seed=1), small),
        (quadrants(5, 8, TINY, seed=1), replace(small, learning_rate=1e-4)),
    ):
        monkeypatch.setattr(convolutional, "TRAINING", training_settings)
        training.steps.clear()
        with pytest.raises(KeyboardInterrupt):
            convolutional.train(settings, {1.0: data})
        assert training.steps == [(0, step) for step in range(4)]
    training.steps.clear()
    with pytest.raises(KeyboardInterrupt):
        convolutional.train(settings, {1.0: data})
    assert training.steps == [(0, 3)]


def test_a_damaged_checkpoint_is_named(tmp_path: Path, small: ConvolutionalSettings) -> None:
    settings = settings_in(tmp_path)
    checkpoint = settings.layout.model(1.0, 0).with_suffix(".checkpoint.npz")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"small_.*checkpoint\.npz"):
        convolutional.train(settings, {1.0: quadrants(5, 8, TINY)})


@pytest.mark.parametrize(("number", "held_out"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (23, 4)])
def test_whole_trajectories_are_held_out(number: int, held_out: int) -> None:
    data = quadrants(number, 8, TINY)
    learned, held = split_trajectories(data, 0.2, seed=3)
    assert len(set(held[:, 0])) == held_out
    assert set(learned[:, 0]) | set(held[:, 0]) == set(range(number))
    assert not set(learned[:, 0]) & set(held[:, 0])
    together = np.concatenate([learned, held])
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, np.argwhere(~data.done).tolist()))


def test_held_out_trajectories_depend_on_the_seed() -> None:
    data = quadrants(20, 2, TINY)
    parts = {tuple(sorted(set(split_trajectories(data, 0.2, seed)[1][:, 0].tolist()))) for seed in range(8)}
    assert len(parts) > 4
    assert split_trajectories(data, 0.2, 1)[1].tolist() == split_trajectories(data, 0.2, 1)[1].tolist()


def test_held_out_trajectories_and_padding_are_never_trained_on(
    tmp_path: Path, small: ConvolutionalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = quadrants(10, 8, TINY)
    data.observations[data.done] = 0
    data.observations[:, :, 0, 0, 0] = np.where(data.done, 99, np.arange(10)[:, None])
    training = Training(monkeypatch)
    monkeypatch.setattr(convolutional, "TRAINING", replace(small, steps=12))
    convolutional.train(settings_in(tmp_path, seeds=range(2)), {1.0: data})
    for seed in range(2):
        learned, held = split_trajectories(data, 0.2, seed)
        assert set(training.episodes[seed]) == set(learned[:, 0].tolist())
        assert len(set(held[:, 0])) == 2
        assert sum(training.episodes[seed].values()) == 12 * small.batch_size


def test_the_curves_are_written(tmp_path: Path, small: ConvolutionalSettings) -> None:
    settings = settings_in(tmp_path)
    convolutional.train(settings, {1.0: quadrants(5, 8, TINY)})
    curves = curves_of(settings.layout.training_events(1.0, 0))
    steps = {name: [step for step, _ in curve] for name, curve in curves.items()}
    every = list(range(small.steps))
    assert steps == {
        "loss/train": every,
        "accuracy/train": every,
        "loss/validation": [0, 2, 4, 6],
        "accuracy/validation": [0, 2, 4, 6],
    }


def test_trained_policies_are_stock_keras_models_that_need_no_code_of_this_project(
    tmp_path: Path, small: ConvolutionalSettings
) -> None:
    settings = settings_in(tmp_path)
    convolutional.train(settings, {1.0: quadrants(5, 8, TINY)})
    path = settings.layout.model(1.0, 0)
    code = (
        "import json, sys, keras, numpy as np\n"
        "seen = np.random.default_rng(7).integers(256, size=(3, 4, 36, 36), dtype=np.uint8)\n"
        "probabilities = keras.saving.load_model(sys.argv[1])(seen).numpy()\n"
        "assert 'quantilizers' not in sys.modules\n"
        "print(json.dumps(probabilities.tolist()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    probabilities = np.array(json.loads(ended.stdout))
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities > 0).all()


def opinionated(folder: Path, number: int, environment: EnvironmentDefinition = TINY) -> list[Path]:
    """Save untrained policies that prefer some actions to others."""
    paths = []
    for seed in range(number):
        keras.utils.set_random_seed(seed)
        model = build_model(environment)
        bias = np.random.default_rng(seed).normal(size=len(environment.action_classes[0]))
        model.get_layer("logits").bias.assign(bias)
        paths.append(folder / f"{seed}.keras")
        model.save(paths[-1])
    return paths


def test_sampled_actions_have_the_model_s_probabilities(tmp_path: Path) -> None:
    paths = opinionated(tmp_path, 2)
    observation = np.random.default_rng(0).integers(256, size=(2, 1, 4, 36, 36), dtype=np.uint8)
    number = 4000
    seen = np.repeat(observation, number, axis=1)
    actions = load(TINY, paths).act(seen, [np.random.default_rng(1)] * 2, np.ones((2, number), dtype=bool))
    assert actions.shape == (2, number, 1)
    for policy, path in enumerate(paths):
        expected = keras.saving.load_model(path)(observation[policy]).numpy()[0]
        observed = [(actions[policy, :, 0] == one).mean() for one in TINY.action_classes[0]]
        np.testing.assert_allclose(observed, expected, atol=4 * 0.5 / np.sqrt(number))
        assert expected.max() - expected.min() > 0.15


def test_what_a_policy_does_depends_on_no_other_policy_and_on_no_episode_that_ended(tmp_path: Path) -> None:
    paths = opinionated(tmp_path, 3)
    seen = np.random.default_rng(0).integers(256, size=(3, 12, 4, 36, 36), dtype=np.uint8)
    running = np.ones((3, 12), dtype=bool)

    def generators() -> list[np.random.Generator]:
        return [np.random.default_rng(seed) for seed in (5, 6, 7)]

    together = load(TINY, paths).act(seen, generators(), running)
    alone = load(TINY, paths[1:2]).act(seen[1:2], generators()[1:2], running[1:2])
    np.testing.assert_array_equal(together[1], alone[0])
    assert len(np.unique(together)) == 3
    running[1, ::2] = False
    running[2] = False
    fewer = load(TINY, paths).act(seen, generators(), running)
    np.testing.assert_array_equal(fewer[running], together[running])


def test_files_that_are_no_policies_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(UserError, match=r"text.keras is no policy for VideoPinballNoFrameskip-v4") as raised:
        load(PINBALL, [tmp_path / "text.keras"])
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="train it again"):
        load(PINBALL, opinionated(tmp_path, 1))
    with pytest.raises(UserError, match="train it again"):
        load(TINY, opinionated(tmp_path, 1, replace(TINY, action_classes=((0.0, 1.0),))))


def play_small_games(steps: int) -> Demonstrations:
    """Six short games of random actions, saved with their seeds and without their observations."""
    games = gymnasium.make_vec(PINBALL.gymnasium_id, num_envs=6, max_steps=steps)
    seeds = np.arange(6)
    games.reset(seed=seeds.tolist())
    actions = np.random.default_rng(0).integers(9, size=(6, steps, 1))
    rewards = np.stack([games.step(actions[:, step, 0])[4]["true_reward"] for step in range(steps)], axis=1)
    games.close()
    return Demonstrations(
        np.zeros((6, steps, 0), dtype=np.uint8), actions, rewards, np.zeros((6, steps), dtype=bool), {"seed": seeds}
    )


@pytest.mark.parametrize("source", ["games", "recordings"])
def test_from_demonstrations_to_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    """Both of games that are played again from their seeds and of a folder of people's screens."""
    log = tmp_path / "log"
    if source == "games":
        play_small_games(12).save(log / PINBALL.name / "small.npz")
    else:
        for number in range(6):
            record_game(
                log / PINBALL.name / "small", number, np.random.default_rng(number).integers(18, size=40).tolist()
            )
    monkeypatch.setattr(quantilizer, "LOG_DIRECTORY", log)
    monkeypatch.setattr(convolutional, "TRAINING", replace(SMALL, steps=4, checkpoint_interval=2))
    words = ["--env_name", PINBALL.name, "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "1"]
    words += ["--number_trajectories", "2", "--max_steps", "15"]
    code = quantilizer.main(words)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert "imitation" in captured.out
    results = load_arrays(log / "rewards" / f"small_{PINBALL.name}_0.npz", ["true_returns", "proxy_returns", "lengths"])
    assert results["lengths"].tolist() == [[15, 15], [15, 15]]
    assert (results["true_returns"] <= results["proxy_returns"]).all()
    assert (log / "fig" / f"small_{PINBALL.name}_mean_seeds.png").read_bytes().startswith(b"\x89PNG")
    for quantile in (1.0, 0.5):
        keras.saving.load_model(log / "models" / f"small_{PINBALL.name}_{quantile}_0.keras")
    assert not list(log.rglob("*checkpoint*"))
