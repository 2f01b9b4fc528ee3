"""What a policy is: trained ones, those that act side by side, and the families that train them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from quantilizers.choices import Acting, PolicyFamilyName
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.policies.history import Past
from quantilizers.policies.hyper_parameters import AnyTraining, training_from
from quantilizers.policies.pictures import takes_pictures
from quantilizers.policies.treatment import REFERENCE, Treatment
from quantilizers.rewards import FloatArray

#: Of each family; raised where the same data and settings come to give other policies, but for rounding.
TRAINING_CODE: Mapping[PolicyFamilyName, int] = {"multilayer_perceptron": 2, "convolutional": 1}
#: Families whose policies act without TensorFlow, which trained them. It is known before their module is imported.
ACTS_WITHOUT_TENSORFLOW: Mapping[PolicyFamilyName, bool] = {"multilayer_perceptron": True, "convolutional": False}
#: Of one policy: its arrays in the order of its Keras model's `get_weights()`.
Weights = list[npt.NDArray[Any]]


class Policies(Protocol):
    """P policies that act side by side.

    Some remember what came before in an episode, so that episodes are begun before policies act in them.
    """

    def begin(self, episodes: int) -> None:
        """Begin E new episodes of each policy, in which `act` acts from now on. Those before are forgotten."""
        ...

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose an action in each of E episodes of each policy, and remember it where they remember anything.

        What one policy does depends on its own observations and generator only, not on which others act beside
        it.

        Args:
            observations: (P, E, …).
            generators: one for each policy, for policies that sample.
            running: (P, E), which episodes still go on; what is chosen in the others does not matter.

        Returns:
            Actions (P, E, A).
        """
        ...


class TrainedPolicies(Policies, Protocol):
    """P trained policies that act side by side.

    Attributes:
        past: what they remember of the episodes that they act in; None where they remember nothing, or no episode was
            begun. Given back, the episodes go on from there.
    """

    past: Past | None

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return how probable each class is, as `act` would find it next.

        Args:
            observations: (P, E, …).

        Returns:
            For each component of the action, (P, E, classes); nothing where actions are predicted by regression.
        """
        ...

    def recall(self, episodes: Episodes) -> None:
        """Begin n episodes, one for each real step of recorded ones, at that step and with what was recorded before it.

        The observations for which `probabilities` or `act` is then asked are those of these steps, (P, n, …).
        """
        ...


class DivergedError(UserError):
    """The loss of some policies became NaN or infinite; the others are trained.

    Args:
        policies: those, as (quantile, seed).
    """

    def __init__(self, policies: Sequence[tuple[float, int]]) -> None:
        self.policies = tuple(policies)
        names = ", ".join(f"{split_name(quantile)} seed {seed}" for quantile, seed in self.policies)
        super().__init__(
            f"training diverged: the loss of {names} became NaN or infinite; the other policies are trained. Look for "
            "huge values in the demonstrations, or lower the learning rate"
        )

    def __reduce__(self) -> tuple[Any, ...]:  # so that it comes out of another process as it is
        return type(self), (self.policies,)


def split_name(quantile: Any) -> str:
    """Return how messages call a split: by its quantile, or by what else it is told by, such as a study's arm."""
    return f"q = {quantile}" if isinstance(quantile, (int, float)) else str(quantile)


@dataclass(frozen=True, eq=False)
class TrainedPolicy:
    """One policy.

    Attributes:
        quantile: of the demonstrations that it imitates.
        seed: of its training.
        weights: its arrays, in the order of its Keras model's `get_weights()`.
        training: the hyper-parameters that it was trained with.
        loss_curves: the training loss of each component's network, epoch by epoch; of the convolutional network, the
            loss of each minibatch. Empty for a policy that was read from a file.
        data: identifies the episodes that it imitates, as `fingerprint` does.
        treatment: what was done with the demonstrations before it learned from them.
    """

    quantile: float
    seed: int
    weights: Weights
    training: AnyTraining
    loss_curves: tuple[tuple[float, ...], ...] = ()
    data: str = ""
    treatment: Treatment = REFERENCE


class Monitor(Protocol):
    """Is told how training goes on.

    Several threads may call at the same time, but those that speak of one quantile speak one after the other.
    """

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        """Take a point of one policy's curve of a name."""
        ...

    def advance(self, number: int, text: str = "") -> None:
        """Hear that so many more of the steps that `PolicyFamily.steps_of` counts are done, and a few words."""
        ...


class SilentMonitor:
    """A monitor that keeps what it hears to itself."""

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        """Ignore a point of a curve."""

    def advance(self, number: int, text: str = "") -> None:
        """Ignore progress."""


#: The monitor where none is given.
SILENT = SilentMonitor()


class PolicyFamily(Protocol):
    """What a module that trains policies offers: `multilayer_perceptron` and `convolutional` do."""

    @property
    def Training(self) -> type[AnyTraining]:  # noqa: N802
        """The dataclass of its hyper-parameters; the defaults are the reference implementation's."""
        ...

    def seed_groups(self, environment: EnvironmentDefinition, seeds: Sequence[int]) -> list[Sequence[int]]:
        """Return which seeds of a quantile are trained where one of them is, so that each comes out as it always does.

        Args:
            environment: where the policies act.
            seeds: all of a quantile.
        """
        ...

    def fit(
        self,
        splits: Mapping[float, Demonstrations],
        seeds: Sequence[int],
        training: AnyTraining,
        monitor: Monitor = SILENT,
        checkpoint: Callable[[float, int], Path] | None = None,
        weights: Mapping[float, FloatArray] | None = None,
        together: Sequence[Sequence[float]] | None = None,
        rooms: Sequence[int] | None = None,
        wanted: Collection[tuple[float, int]] | None = None,
    ) -> Iterator[TrainedPolicy]:
        """Train a policy for each quantile and seed, and give each when it is finished, in no particular order.

        Args:
            splits: for each quantile, the demonstrations that it keeps, all of one environment.
            seeds: of the policies.
            training: hyper-parameters.
            monitor: is told how it goes on.
            checkpoint: where the checkpoint of a quantile and seed is kept, so that a stopped training goes on from
                there; families that train in seconds keep none. They are deleted after the last policy was taken.
            weights: for some of the quantiles, what each step of their demonstrations counts, episode after episode,
                with a mean of 1. Where there are none, all steps count alike.
            together: which of the splits train together, as `stacks` gives them; None is each alone. Together they
                take less time, and give the same but for rounding.
            rooms: of each stack, as `rooms_of` gives them for all that is wanted, so that some of the stacks alone
                give the same bits as all of them; None is those of these splits.
            wanted: the policies that are missing, as (quantile, seed); None is all. They are the same bits as where all
                are wanted: what trains together, and how, is planned for all, and where one of those is missing all of
                them train.

        Raises:
            UserError: a checkpoint cannot be read or written, or the demonstrations cannot be learned from.
            DivergedError: the loss of a policy became NaN or infinite. The others were given before.
        """
        ...

    def stacks(self, splits: Mapping[float, Demonstrations], seeds: Sequence[int]) -> list[list[float]]:
        """Return which of the splits can train together."""
        ...

    def rooms_of(
        self, splits: Mapping[float, Demonstrations], together: Sequence[Sequence[float]] | None = None
    ) -> list[int]:
        """Return to how many rows the data of each stack are padded, by all splits that are wanted.

        Padding can change the last digits of what is learned, so that it may not depend on which of the stacks are
        left to train.
        """
        ...

    def steps_of(
        self,
        splits: Mapping[float, Demonstrations],
        seeds: Sequence[int],
        training: AnyTraining,
        wanted: Collection[tuple[float, int]] | None = None,
    ) -> tuple[int, str]:
        """Return how many steps `fit` takes, for a progress bar, and what they are called."""
        ...

    def seconds_of(
        self,
        splits: Mapping[float, Demonstrations],
        seeds: Sequence[int],
        training: AnyTraining,
        wanted: Collection[tuple[float, int]] | None = None,
    ) -> float:
        """Return about how many seconds of one processor `fit` takes, for who divides it among processes.

        It is 0 where one process keeps two processors at work by itself.
        """
        ...

    def stack(
        self, environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting
    ) -> TrainedPolicies:
        """Put policies side by side, in the given order.

        Args:
            environment: where they act.
            policies: trained for it, all with the same hidden layers and history.
            acting: how they choose their actions, as `acting_of` gives it.
        """
        ...

    def build_model(self, environment: EnvironmentDefinition, training: AnyTraining) -> Any:
        """Return an untrained stock Keras model, from observations to class probabilities or to actions."""
        ...

    def weight_shapes(self, environment: EnvironmentDefinition, training: AnyTraining) -> list[tuple[int, ...]]:
        """Return the shapes of that model's `get_weights()`, without building it."""
        ...


def family_name(environment: EnvironmentDefinition) -> PolicyFamilyName:
    """Return the name of the family that imitates in an environment.

    It is the one declared; otherwise `convolutional` for pictures of bytes whose sides are 36 or more, else
    `multilayer_perceptron`.

    Raises:
        UserError: a convolutional network is declared for observations that are not such pictures.
    """
    pictures = takes_pictures(environment.observation_space)
    if environment.experiment.policy is None:
        return "convolutional" if pictures else "multilayer_perceptron"
    if environment.experiment.policy not in get_args(PolicyFamilyName):
        known = " and ".join(get_args(PolicyFamilyName))
        raise UserError(f"{environment.name}: policy is {environment.experiment.policy!r}; the families are {known}")
    if environment.experiment.policy == "convolutional" and not pictures:
        raise UserError(
            f"{environment.name}: a convolutional policy sees stacks of grey pictures or colour pictures, uint8 with "
            f"sides of at least 36, not {environment.observation_dtype} {environment.observation_shape}"
        )
    return environment.experiment.policy


def family_of(environment: EnvironmentDefinition) -> PolicyFamily:
    """Import and return the family that imitates in an environment.

    Raises:
        UserError: it cannot see the environment's observations.
        NotInstalledError: it needs TensorFlow, which is not installed. Perceptrons need it only to be trained.
    """
    return cast(PolicyFamily, importlib.import_module(f"{__package__}.{family_name(environment)}"))


def acts_without_tensorflow(environment: EnvironmentDefinition) -> bool:
    """Return whether policies act in an environment without TensorFlow."""
    return ACTS_WITHOUT_TENSORFLOW[family_name(environment)]


def training_of(environment: EnvironmentDefinition, values: Mapping[str, Any]) -> AnyTraining:
    """Return the hyper-parameters of an environment's family: those given, and the defaults of the others.

    Args:
        environment: where the policies act.
        values: names to values.

    Raises:
        UserError: the family has no hyper-parameter of a name, or a value is impossible.
    """
    return training_from(family_name(environment), values)


def acting_of(environment: EnvironmentDefinition, wanted: Acting | str | None = None) -> Acting:
    """Return how policies choose their actions in an environment.

    Args:
        environment: where they act.
        wanted: by the user; None is what the environment declares, by default the expected value where actions are a
            `Box` and the most probable class elsewhere. Where actions are predicted by regression the prediction
            counts as both.

    Raises:
        UserError: there is no such way, or it is impossible here.
    """
    continuous = isinstance(environment.action_space, Box)
    acting = wanted or environment.experiment.acting or ("expected_value" if continuous else "most_probable")
    if acting not in get_args(Acting):
        raise UserError(f"acting is {acting!r}; it is one of {', '.join(get_args(Acting))}")
    if acting == "expected_value" and not continuous:
        kind = type(environment.action_space).__name__
        raise UserError(f"acting by expected_value needs Box actions; those of {environment.name} are {kind}")
    if acting == "sample" and environment.action_classes is None:
        raise UserError(
            f"acting by sample needs actions that are classes; those of {environment.name} are predicted by regression"
        )
    return cast(Acting, acting)


def fingerprint(demonstrations: Demonstrations) -> str:
    """Return `demonstrations.fingerprint`."""
    return demonstrations.fingerprint
