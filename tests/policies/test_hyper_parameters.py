from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import pytest

from quantilizers.choices import declared
from quantilizers.errors import UserError
from quantilizers.policies.hyper_parameters import (
    ConvolutionalTraining,
    HyperParameters,
    PerceptronTraining,
    training_from,
)


def test_the_defaults_are_the_reference_s() -> None:
    perceptron = PerceptronTraining()
    assert (perceptron.hidden_units, perceptron.learning_rate, perceptron.batch_size) == ((20, 20), 1e-3, 200)
    assert (perceptron.l2, perceptron.max_epochs, perceptron.tolerance, perceptron.patience) == (1e-4, 200, 1e-4, 10)
    convolutional = ConvolutionalTraining()
    assert (convolutional.learning_rate, convolutional.weight_decay) == (1e-3, 1e-2)
    assert (convolutional.batch_size, convolutional.steps, convolutional.validation_fraction) == (512, 200, 0.2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_units", "20"),
        ("hidden_units", 20),
        ("hidden_units", (20, 0)),
        ("hidden_units", (20, 2.5)),
        ("hidden_units", (65_537,)),
        ("hidden_units", (1,) * 17),
        ("hidden_units", {20: 20}),
        ("learning_rate", 0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "0.1"),
        ("learning_rate", True),
        ("learning_rate", 10**400),
        ("first_moment_decay", 1),
        ("second_moment_decay", -0.1),
        ("epsilon", 0.0),
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("batch_size", True),
        ("l2", -1),
        ("max_epochs", 0),
        ("max_epochs", 2**31),
        ("tolerance", -1e-9),
        ("patience", -1),
        ("max_epochs", None),
    ],
)
def test_impossible_values_are_refused_by_name_in_one_line(name: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^{name} is .*; give ") as raised:
        training_from("multilayer_perceptron", {name: value})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("validation_fraction", 1.0),
        ("validation_fraction", -0.1),
        ("steps", 0),
        ("weight_decay", -1.0),
        ("validation_interval", 0),
        ("validation_rows", 0),
        ("checkpoint_interval", 0),
    ],
)
def test_those_of_the_convolutional_network_are_refused_too(name: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^{name} is "):
        training_from("convolutional", {name: value})


def test_a_name_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"max_epoch is not a hyper-parameter .*did you mean max_epochs\?"):
        training_from("multilayer_perceptron", {"max_epoch": 3})
    with pytest.raises(
        UserError, match=r"hidden_units is not .* of a convolutional policy, but of a .* perceptron one; it has .*steps"
    ):
        training_from("convolutional", {"hidden_units": (3,)})


def test_values_have_the_type_of_their_default_and_survive_json() -> None:
    given = {"hidden_units": [np.int64(3), 4], "learning_rate": 1, "max_epochs": np.int32(7)}
    training = training_from("multilayer_perceptron", given)
    assert training == PerceptronTraining((3, 4), learning_rate=1.0, max_epochs=7)
    assert isinstance(training, PerceptronTraining)
    assert repr(training.learning_rate) == "1.0"
    assert type(training.max_epochs) is int
    assert training_from("multilayer_perceptron", json.loads(json.dumps(asdict(training)))) == training
    assert training_from("multilayer_perceptron", {"hidden_units": []}) == PerceptronTraining(())


@dataclass(frozen=True)
class Scheduled(HyperParameters):
    """A family whose hyper-parameters include a word."""

    schedule: str = declared("constant", "how the learning rate changes", choices=("constant", "cosine", "linear"))


def test_a_hyper_parameter_may_be_a_choice() -> None:
    assert Scheduled().schedule == "constant"
    assert Scheduled("cosine").schedule == "cosine"
    with pytest.raises(UserError, match=r"schedule is 'cosin'; did you mean cosine.*constant, cosine, linear"):
        Scheduled("cosin")


def test_networks_that_no_memory_holds_are_refused() -> None:
    with pytest.raises(UserError, match="hidden_units makes 1,600,000,000 weights between the hidden layers, of which"):
        PerceptronTraining((40_000, 40_000))
    PerceptronTraining((40_000,))
