"""The hyper-parameters of the policy families: their defaults are those of the reference implementation.

>>> training_from("multilayer_perceptron", {"hidden_units": [64, 64], "max_epochs": 50})
PerceptronTraining(hidden_units=(64, 64), learning_rate=0.001, first_moment_decay=0.9, second_moment_decay=0.999, \
epsilon=1e-08, batch_size=200, l2=0.0001, max_epochs=50, tolerance=0.0001, patience=10, updates=0, history=0)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar

from quantilizers.choices import PolicyFamilyName, check_settings, declared
from quantilizers.errors import UserError, did_you_mean

#: Most hidden layers, and units of one.
MAX_HIDDEN_LAYERS = 16
MAX_HIDDEN_UNITS = 65_536
#: Most weights between the hidden layers: training holds a dozen copies of each policy's.
MAX_HIDDEN_WEIGHTS = 10_000_000


class HyperParameters:
    """Base of the frozen dataclasses of hyper-parameters. Each value is checked, and converted to the default's type.

    Fields are declared as `quantilizers.choices.setting` describes.

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
        check_settings(self, flags=False)


@dataclass(frozen=True)
class PerceptronTraining(HyperParameters):
    """Hyper-parameters of the multilayer perceptrons; their defaults are those of scikit-learn, except the layers."""

    code = 2
    unit = "epoch"
    acts_without_tensorflow = True

    hidden_units: tuple[int, ...] = declared(
        (20, 20), "units of each hidden layer", least=1, most=MAX_HIDDEN_UNITS, several=True, longest=MAX_HIDDEN_LAYERS
    )
    learning_rate: float = declared(1e-3, "learning rate of Adam", above=0)
    first_moment_decay: float = declared(0.9, "β₁ of Adam", least=0, below=1)
    second_moment_decay: float = declared(0.999, "β₂ of Adam", least=0, below=1)
    epsilon: float = declared(1e-8, "ε of Adam", above=0)
    batch_size: int = declared(200, "rows of a minibatch; all rows where there are fewer", least=1)
    l2: float = declared(1e-4, "factor of half the squared weights", least=0)
    max_epochs: int = declared(200, "passes over the rows after which training stops", least=1)
    tolerance: float = declared(1e-4, "fall of an epoch's mean loss that counts as progress", least=0)
    patience: int = declared(10, "epochs in a row without progress after which training stops", least=0)
    updates: int = declared(0, "minibatches to learn from, without early stop; 0 leaves it to max_epochs", least=0)
    history: int = declared(
        0, "earlier observations and actions that policies see, too; such policies should sample", least=0, most=1000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = sum(inputs * outputs for inputs, outputs in pairwise(self.hidden_units))
        if weights > MAX_HIDDEN_WEIGHTS:
            raise UserError(
                f"hidden_units makes {weights:,} weights between the hidden layers, of which {MAX_HIDDEN_WEIGHTS:,} "
                "are the most; give fewer units"
            )

    def epochs_for(self, rows: int) -> int:
        """Return the largest number of passes over a number of rows."""
        minibatches = -(-rows // min(self.batch_size, rows))
        return max(1, round(self.updates / minibatches)) if self.updates else self.max_epochs


def padded_length(rows: int) -> int:
    """Round a number of rows or minibatches up to the next of four numbers an octave.

    Data sets of similar size then share a compiled program. Compiling takes longer than training on a small data set,
    and a program takes 6 MiB as long as the process lives.

    >>> [padded_length(rows) for rows in (7, 1000, 1025, 1280, 1281)]
    [7, 1024, 1280, 1280, 1536]
    """
    step = 1 << max(0, rows.bit_length() - 3)
    return -(-rows // step) * step


@dataclass(frozen=True)
class ConvolutionalTraining(HyperParameters):
    """Hyper-parameters of the convolutional network."""

    code = 1
    unit = "step"
    acts_without_tensorflow = False

    learning_rate: float = declared(1e-3, "learning rate of Adam", above=0)
    weight_decay: float = declared(1e-2, "factor of the weights that is added to their gradients", least=0)
    batch_size: int = declared(512, "rows of a minibatch, drawn with replacement", least=1)
    steps: int = declared(200, "minibatches to learn from", "training_steps", least=1)
    validation_fraction: float = declared(0.2, "fraction of the trajectories that is held out", least=0, below=1)
    validation_interval: int = declared(10, "minibatches between two evaluations on held-out trajectories", least=1)
    validation_rows: int = declared(512, "held-out rows that are evaluated, the same each time", least=1)
    checkpoint_interval: int = declared(25, "minibatches between two checkpoints", least=1)


AnyTraining = PerceptronTraining | ConvolutionalTraining
#: The hyper-parameters of each family.
TRAININGS: Mapping[PolicyFamilyName, type[AnyTraining]] = {
    "multilayer_perceptron": PerceptronTraining,
    "convolutional": ConvolutionalTraining,
}


#: For hyper-parameters of one family, those of the other with the same effect.
COUNTERPARTS = {
    "steps": "updates", "updates": "steps", "max_epochs": "steps", "l2": "weight_decay", "weight_decay": "l2",
}  # fmt: skip


def hyper_parameters() -> dict[str, dict[str, Field[Any]]]:
    """Return the hyper-parameters of all families: for each name, the field in every family that has it."""
    found: dict[str, dict[str, Field[Any]]] = {}
    for family, training in TRAININGS.items():
        for parameter in fields(training):
            found.setdefault(parameter.name, {})[family] = parameter
    return found


def flag_of(hyper_parameter: str) -> str:
    """Return the name of a hyper-parameter's flag, without dashes."""
    (declared, *_) = hyper_parameters()[hyper_parameter].values()
    return declared.metadata["flag"] or hyper_parameter


def training_from(
    family: PolicyFamilyName, values: Mapping[str, Any], spelled: Callable[[str], str] = str
) -> AnyTraining:
    """Return the hyper-parameters of a family: values by name, of which lists stand for tuples, and defaults.

    Args:
        family: of policies.
        values: by name.
        spelled: from a name to the user's spelling of it, such as a flag, for messages.

    Raises:
        UserError: the family has no hyper-parameter of a name, or a value is impossible.
    """
    names = [parameter.name for parameter in fields(TRAININGS[family])]
    for name, value in values.items():
        if name not in names:
            raise UserError(f"{spelled(name)} is not a hyper-parameter of {_not_of(family, name, names, spelled)}")
        try:
            TRAININGS[family](**{name: value})
        except UserError as error:
            raise UserError(f"{spelled(name)}{str(error).removeprefix(name)}") from None
    return TRAININGS[family](**values)


def _not_of(family: PolicyFamilyName, name: str, names: list[str], spelled: Callable[[str], str]) -> str:
    """Describe a family that lacks a hyper-parameter, the family that has it, and what to give instead."""
    words = f"a {family.replace('_', ' ')} policy"
    having = next(iter(hyper_parameters().get(name, ())), None)
    if having is None:
        hint = did_you_mean(spelled(name), map(spelled, names)) or ";"
        return f"{words}{hint} it has {', '.join(map(spelled, names))}"
    words += f", but of a {having.replace('_', ' ')} one"
    if COUNTERPARTS.get(name) in names:
        return f"{words}; give {spelled(COUNTERPARTS[name])} instead"
    return f"{words}; it has {', '.join(map(spelled, names))}"
