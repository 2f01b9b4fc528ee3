from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from quantilizers.demonstrations import Demonstrations
from quantilizers.envs import load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import Layout
from quantilizers.policies.multilayer_perceptron import build_model, classification_data, load, train
from quantilizers.settings import Settings

CAR = load_environment("MountainCar-v0")
#: Three components of two features each: shaped like an environment with joints.
JOINTS = replace(CAR, action_classes=((-1.0, 0.0, 1.0),) * 3, acting="expected_value")
ALL = np.array(True)


def random_models(environment: EnvironmentDefinition, folder: Path, number: int) -> list[Path]:
    paths = []
    for seed in range(number):
        keras.utils.set_random_seed(seed)
        model = build_model(environment, (20, 20))
        paths.append(folder / f"{seed}.keras")
        model.save(paths[-1])
    return paths


def test_trained_policies_are_stock_keras_models_that_need_no_code_of_this_project(
    tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    settings = Settings(CAR, Layout(tmp_path, CAR.name, "small"), (1.0,), range(3, 5), 1, 200)
    train(settings, {1.0: car_demonstrations})
    path = settings.layout.model(1.0, 4)
    code = (
        "import sys, keras, numpy as np\n"
        "probabilities = keras.saving.load_model(sys.argv[1])(np.array([[-0.5, 0.03]], dtype=np.float32)).numpy()\n"
        "assert 'quantilizers' not in sys.modules\n"
        "print(*probabilities[0])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    probabilities = np.array(ended.stdout.split(), dtype=float)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert probabilities.argmax() == 2, "moving right, this driver pushes right"
    action = load(CAR, [path]).act(np.array([[[-0.5, 0.03]]]), [], ALL)
    assert action.tolist() == [[[2.0]]]


@pytest.mark.parametrize("acting", ["most_probable", "expected_value"])
def test_stacked_policies_act_as_their_keras_models_do(tmp_path: Path, acting: str) -> None:
    environment = replace(JOINTS, acting=acting)
    paths = random_models(environment, tmp_path, 4)
    observations = np.random.default_rng(0).normal(size=(4, 30, 2)).astype(np.float32)
    actions = load(environment, paths).act(observations, [], ALL)
    assert actions.shape == (4, 30, 3)
    values = np.array([-1.0, 0.0, 1.0])
    for path, of_policy, seen in zip(paths, actions, observations, strict=True):
        for component, probabilities in enumerate(map(np.asarray, keras.saving.load_model(path)(seen))):
            expected = (
                probabilities @ values if acting == "expected_value" else values[np.argmax(probabilities, axis=1)]
            )
            np.testing.assert_allclose(of_policy[:, component], expected, atol=1e-5)


def test_sampled_actions_have_the_model_s_probabilities(tmp_path: Path) -> None:
    environment = replace(CAR, acting="sample")
    paths = random_models(environment, tmp_path, 2)
    observations = np.tile(np.array([[[-0.5, 0.03]], [[0.3, -0.01]]], dtype=np.float32), (1, 20_000, 1))
    actions = load(environment, paths).act(observations, [np.random.default_rng(seed) for seed in (0, 1)], ALL)
    for policy in range(2):
        expected = keras.saving.load_model(paths[policy])(observations[policy, :1]).numpy()[0]
        observed = np.bincount(actions[policy, :, 0].astype(int), minlength=3) / 20_000
        np.testing.assert_allclose(observed, expected, atol=0.015)


def test_what_one_policy_does_does_not_depend_on_the_others(tmp_path: Path) -> None:
    paths = random_models(JOINTS, tmp_path, 5)
    observations = np.random.default_rng(1).normal(size=(5, 100, 2)).astype(np.float32)
    together = load(JOINTS, paths).act(observations, [], ALL)
    alone = load(JOINTS, paths[3:4]).act(observations[3:4], [], ALL)
    np.testing.assert_array_equal(together[3], alone[0])


def test_classes_are_indices_into_the_environment_s_actions() -> None:
    actions = np.array([[[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]])
    made = Demonstrations(np.zeros((1, 2, 2)), actions, np.zeros((1, 2)), np.zeros((1, 2), dtype=bool))
    observations, labels = classification_data(made, JOINTS)
    assert observations.dtype == np.float32
    assert labels.tolist() == [[0, 2], [1, 2], [2, 1]]


def test_files_that_are_no_policies_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(UserError, match=r"text.keras is no policy for MountainCar-v0") as raised:
        load(CAR, [tmp_path / "text.keras"])
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="train it again"):
        load(CAR, random_models(JOINTS, tmp_path, 1))


def test_an_error_in_one_thread_ends_the_training(
    tmp_path: Path, car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of paper")

    monkeypatch.setattr("quantilizers.policies.multilayer_perceptron.fit_stack", fail)
    settings = Settings(CAR, Layout(tmp_path, CAR.name, "small"), (1.0, 0.5), range(2), 1, 200)
    with pytest.raises(RuntimeError, match="out of paper"):
        train(settings, {1.0: car_demonstrations, 0.5: car_demonstrations})
