"""The hyper-parameters of the policy families: their defaults are those of the reference implementation.

>>> training_from("multilayer_perceptron", {"hidden_units": [64, 64], "max_epochs": 50})
PerceptronTraining(hidden_units=(64, 64), learning_rate=0.001, first_moment_decay=0.9, second_moment_decay=0.999, \
epsilon=1e-08, batch_size=200, l2=0.0001, max_epochs=50, tolerance=0.0001, patience=10, updates=0, history=0)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar

from quantilizers.choices import PolicyFamilyName
from quantilizers.errors import UserError, did_you_mean

#: Most hidden layers, and units of one.
MAX_HIDDEN_LAYERS = 16
MAX_HIDDEN_UNITS = 65_536
#: Largest whole number of any other hyper-parameter.
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class _Limits:
    """Bounds of a number."""

    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    most: float = math.inf

    def hold(self, value: float) -> bool:
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        limits = {"above": self.above, "from": self.least, "below": self.below, "at most": self.most}
        return " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if math.isfinite(limit))


def _number(default: Any, about: str, **limits: float) -> Any:
    return field(default=default, metadata={"help": about, "limits": _Limits(**limits)})


def _choice(default: str, about: str, *others: str) -> Any:
    choices = default, *others
    return field(default=default, metadata={"help": f"{about}: {', '.join(choices)}", "choices": choices})


class HyperParameters:
    """Base of the frozen dataclasses of hyper-parameters. Each value is checked, and converted to the default's type.

    The metadata of a field hold a line of `help` and the `limits` of a number or the `choices` of a word.

    Attributes:
        code: version of the family's training code, raised when the same data and settings give other policies beyond
            rounding.
        unit: of its progress bar.
        acts_without_tensorflow: whether its policies act without TensorFlow, which trained them.

    Raises:
        UserError: a value is impossible; the message names the hyper-parameter.
    """

    code: ClassVar[int]
    unit: ClassVar[str]
    acts_without_tensorflow: ClassVar[bool]

    def __post_init__(self) -> None:
        for parameter in fields(self):  # type: ignore[arg-type]  # the subclasses are dataclasses
            value = getattr(self, parameter.name)
            about = parameter.metadata
            if "choices" in about:
                checked: Any = _one_of(parameter.name, value, about["choices"])
            elif isinstance(parameter.default, tuple):
                checked = _layers(parameter.name, value)
            elif isinstance(parameter.default, int):
                checked = _whole(parameter.name, value, about["limits"])
            else:
                checked = _real(parameter.name, value, about["limits"])
            object.__setattr__(self, parameter.name, checked)


@dataclass(frozen=True)
class PerceptronTraining(HyperParameters):
    """Hyper-parameters of the multilayer perceptrons; their defaults are those of scikit-learn, except the layers."""

    code = 2
    unit = "epoch"
    acts_without_tensorflow = True

    hidden_units: tuple[int, ...] = _number((20, 20), "units of each hidden layer")
    learning_rate: float = _number(1e-3, "learning rate of Adam", above=0)
    first_moment_decay: float = _number(0.9, "β₁ of Adam", least=0, below=1)
    second_moment_decay: float = _number(0.999, "β₂ of Adam", least=0, below=1)
    epsilon: float = _number(1e-8, "ε of Adam", above=0)
    batch_size: int = _number(200, "rows of a minibatch; all rows where there are fewer", least=1)
    l2: float = _number(1e-4, "factor of half the squared weights", least=0)
    max_epochs: int = _number(200, "passes over the rows after which training stops", least=1)
    tolerance: float = _number(1e-4, "fall of an epoch's mean loss that counts as progress", least=0)
    patience: int = _number(10, "epochs in a row without progress after which training stops", least=0)
    updates: int = _number(0, "minibatches to learn from, without early stop; 0 leaves it to max_epochs", least=0)
    history: int = _number(
        0, "earlier observations and actions that policies see, too; such policies should sample", least=0, most=1000
    )

    def epochs_for(self, rows: int) -> int:
        """Return the largest number of passes over a number of rows."""
        minibatches = -(-rows // min(self.batch_size, rows))
        return max(1, round(self.updates / minibatches)) if self.updates else self.max_epochs


@dataclass(frozen=True)
class ConvolutionalTraining(HyperParameters):
    """Hyper-parameters of the convolutional network."""

    code = 1
    unit = "step"
    acts_without_tensorflow = False

    learning_rate: float = _number(1e-3, "learning rate of Adam", above=0)
    weight_decay: float = _number(1e-2, "factor of the weights that is added to their gradients", least=0)
    batch_size: int = _number(512, "rows of a minibatch, drawn with replacement", least=1)
    steps: int = _number(200, "minibatches to learn from", least=1)
    validation_fraction: float = _number(0.2, "fraction of the trajectories that is held out", least=0, below=1)
    validation_interval: int = _number(10, "minibatches between two evaluations on held-out trajectories", least=1)
    validation_rows: int = _number(512, "held-out rows that are evaluated, the same each time", least=1)
    checkpoint_interval: int = _number(25, "minibatches between two checkpoints", least=1)


AnyTraining = PerceptronTraining | ConvolutionalTraining
#: The hyper-parameters of each family.
TRAININGS: Mapping[PolicyFamilyName, type[AnyTraining]] = {
    "multilayer_perceptron": PerceptronTraining,
    "convolutional": ConvolutionalTraining,
}


def hyper_parameters() -> dict[str, dict[str, Field[Any]]]:
    """Return the hyper-parameters of all families: for each name, the field in every family that has it."""
    found: dict[str, dict[str, Field[Any]]] = {}
    for family, training in TRAININGS.items():
        for parameter in fields(training):
            found.setdefault(parameter.name, {})[family] = parameter
    return found


def training_from(family: PolicyFamilyName, values: Mapping[str, Any]) -> AnyTraining:
    """Return the hyper-parameters of a family: values by name, of which lists stand for tuples, and defaults.

    Raises:
        UserError: the family has no hyper-parameter of a name, or a value is impossible.
    """
    names = [parameter.name for parameter in fields(TRAININGS[family])]
    for name in values:
        if name not in names:
            hint = did_you_mean(name, names) or f"; it has {', '.join(names)}"
            raise UserError(f"{name} is not a hyper-parameter of a {family.replace('_', ' ')} policy{hint}")
    return TRAININGS[family](**values)


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        hint = did_you_mean(str(value), choices) or ";"
        raise UserError(f"{name} is {value!r}{hint} give one of {', '.join(choices)}")
    return str(value)


def _whole(name: str, value: Any, limits: _Limits) -> int:
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if not limits.hold(number) or not 0 <= number <= MAX_NUMBER:
        raise UserError(f"{name} is {value!r}; give a whole number {limits}")
    return number


def _real(name: str, value: Any, limits: _Limits) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or not limits.hold(number):
        raise UserError(f"{name} is {value!r}; give a number {limits}")
    return number


def _layers(name: str, value: Any) -> tuple[int, ...]:
    try:
        layers = tuple(_whole(name, units, _Limits(least=1, most=MAX_HIDDEN_UNITS)) for units in value)
        if isinstance(value, (str, bytes, Mapping)) or len(layers) > MAX_HIDDEN_LAYERS:
            raise TypeError
    except (TypeError, UserError):
        raise UserError(
            f"{name} is {value!r}; give the units of at most {MAX_HIDDEN_LAYERS} layers, "
            f"whole numbers from 1 to {MAX_HIDDEN_UNITS}, such as (20, 20)"
        ) from None
    return layers
