"""Policies: those that act side by side, trained ones, and the families that train them."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Space

from quantilizers.choices import Acting, PolicyFamilyName, Scaling, check_choice
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.policies.encoding import Past, frequency_loss
from quantilizers.policies.hyper_parameters import TRAININGS, AnyTraining, PerceptronTraining, training_from
from quantilizers.policies.selection_settings import REFERENCE, Selection, SelectionSettings

#: Names a selection among all that train: its quantile, or a study's arm. It can be hashed and pickled.
Key = Any
#: Smallest side of a picture of which the convolutional network's three layers of filters leave a pixel.
SMALLEST_SIDE = 36
#: A loss that is lower than that of frequencies by less than this share of it is no better.
NOT_BETTER = 0.01
#: Actions whose frequencies have a lower loss are nearly always the same, and leave nothing to be learned.
NOTHING_TO_LEARN = 0.01
#: The number of last minibatches that tell the loss of a network whose curve is of minibatches.
LAST_MINIBATCHES = 20
#: The arrays of one policy, in the order of its Keras model's `get_weights()`.
Weights = list[npt.NDArray[Any]]


class Policies(Protocol):
    """P policies that act side by side.

    Some remember the past of an episode, so episodes are begun before policies act in them.
    """

    def begin(self, episodes: int) -> None:
        """Begin E new episodes of each policy, in which `act` acts from now on; nothing to do without a memory."""
        return

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (P, E, A) on observations (P, E, …), and remember them if the policies have a history.

        Args:
            observations: of E episodes of each policy. Its actions do not depend on the other policies.
            generators: one for each policy, for policies that sample.
            running: (P, E), which episodes have not ended; actions in the others are ignored.
        """
        ...


class TrainedPolicies(Policies, Protocol):
    """P trained policies that act side by side.

    Attributes:
        past: of the episodes that they act in; None without a history, or before `begin`. It can be saved, and set to
            continue the episodes from there.
    """

    past: Past | None

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the class probabilities from which `act` would choose next on observations (P, E, …).

        They are (P, E, classes) for each component of the action; an empty list if actions are predicted by regression.
        """
        ...

    def remember(self, observations: npt.NDArray[Any], actions: npt.NDArray[Any]) -> None:
        """Note that others took actions (P, E, A) on observations (P, E, …), as `act` notes its own."""
        return

    def recall(self, episodes: Episodes) -> None:
        """Begin n episodes, one at each real step of recorded episodes, with the past recorded before it.

        The next call of `probabilities` or `act` takes the observations of these steps, (P, n, …).
        """
        ...


class DivergedError(UserError):
    """The loss of some policies, as (key, seed), became NaN or infinite; the others are trained."""

    def __init__(self, policies: Sequence[tuple[Key, int]]) -> None:
        self.policies = tuple(policies)
        names = ", ".join(f"{key_name(key)} seed {seed}" for key, seed in self.policies)
        super().__init__(
            f"training diverged: the loss of {names} became NaN or infinite; the other policies are trained. Look for "
            "huge values in the demonstrations, or lower the learning rate"
        )

    def __reduce__(self) -> tuple[Any, ...]:  # pickled by its argument, not by its message
        return type(self), (self.policies,)


def key_name(key: Key) -> str:
    """Return the name of a key's policies in messages."""
    return f"q = {key}" if isinstance(key, (int, float)) else str(key)


@dataclass(frozen=True, eq=False)
class TrainedPolicy:
    """One policy.

    Attributes:
        key: of the selection that it imitates.
        seed: of its training.
        weights: its arrays, in the order of its Keras model's `get_weights()`.
        training: the hyper-parameters that it was trained with.
        loss_curves: the training loss of each component's network, epoch by epoch; of the convolutional network, the
            loss of each minibatch. Empty for a policy that was read from a file.
        data: the `fingerprint` of the episodes that it imitates.
        selecting: how these episodes were selected and weighted.
        options: of the environment, under which the proxy ranked the demonstrations.
        archive: its `keras_archive`, if that was made where it was trained.
        scaling: of observations; if `standard`, the first two arrays are the mean and the variance of each feature.
    """

    key: Key
    seed: int
    weights: Weights
    training: AnyTraining
    loss_curves: tuple[tuple[float, ...], ...] = ()
    data: str = ""
    selecting: SelectionSettings = REFERENCE
    options: Mapping[str, Any] = field(default_factory=dict)
    archive: bytes | None = None
    scaling: Scaling = "none"

    @property
    def quantile(self) -> float:
        """The quantile that it imitates, if that is its key."""
        return float(self.key)

    @property
    def training_loss(self) -> float:
        """The mean loss of a step at the end of training, of all components of the action together."""
        if isinstance(self.training, PerceptronTraining):
            return float(sum(curve[-1] for curve in self.loss_curves))
        return float(np.mean([curve[-LAST_MINIBATCHES:] for curve in self.loss_curves]))


def learned_nothing(policies: Sequence[TrainedPolicy], selection: Selection) -> str:
    """Describe the policies of a selection, just trained, whose loss is no lower than that of frequencies of actions.

    Returns:
        One line about how many they are, their losses and what may help; empty if there are none.
    """
    demonstrations = selection.demonstrations
    environment, weights = demonstrations.environment, selection.step_weights
    known = frequency_loss(demonstrations.episodes, environment, weights)
    losses = [policy.training_loss for policy in policies if policy.loss_curves]
    worse = [loss for loss in losses if loss > (1 - NOT_BETTER) * known]
    if not worse or known < NOTHING_TO_LEARN:
        return ""
    than = "the frequencies of actions do" if environment.action_classes is not None else "the mean action does"
    return (
        f"{key_name(policies[0].key)}: {len(worse)} of {len(losses)} policies predict the imitated actions no better "
        f"than {than} (loss {sum(worse) / len(worse):.3f}, {known:.3f}); train for longer, or look whether the "
        "observations show what the players reacted to"
    )


class Monitor(Protocol):
    """Callbacks of training.

    Several threads may call at the same time, but calls about one key come one after the other.
    """

    def scalar(self, key: Key, seed: int, name: str, value: float, step: int) -> None:
        """Take a point of one policy's curve of a name."""
        ...

    def advance(self, number: int, text: str = "") -> None:
        """Note that further steps, as `Batch.steps` counts them, are done, and a short text on their state."""
        ...


class SilentMonitor:
    """A monitor that ignores all events."""

    def scalar(self, key: Key, seed: int, name: str, value: float, step: int) -> None:
        """Ignore a point of a curve."""

    def advance(self, number: int, text: str = "") -> None:
        """Ignore progress."""


#: The monitor where none is given.
SILENT = SilentMonitor()


@dataclass(frozen=True)
class Batch:
    """Policies that train together, of all `keys` and `seeds`: one job for one process. It can be pickled.

    Attributes:
        keys: of their selections.
        seeds: of the policies of each key.
        missing: those to train, as (key, seed). The others of the batch may train beside them, and are dropped.
        training: hyper-parameters.
        steps: length of the progress bar.
        seconds: about how long one processor takes; 0 if a batch keeps two processors at work by itself, and worker
            processes gain nothing.
    """

    keys: tuple[Key, ...]
    seeds: tuple[int, ...]
    missing: frozenset[tuple[Key, int]]
    training: AnyTraining
    steps: int
    seconds: float

    @property
    def name(self) -> str:
        """Its name in messages, such as `q = 0.25 seeds 0 to 4`."""
        more = f" and {len(self.keys) - 1} more" if len(self.keys) > 1 else ""
        first, *others = self.seeds
        seeds = f"seeds {first} to {others[-1]}" if others else f"seed {first}"
        return f"{key_name(self.keys[0])}{more} {seeds}"

    @property
    def policies(self) -> list[tuple[Key, int]]:
        """All of its policies, as (key, seed), in the order in which they are stacked."""
        return list(itertools.product(self.keys, self.seeds))


class PolicyFamily(Protocol):
    """The functions of a family of policies, which the modules `multilayer_perceptron` and `convolutional` define.

    `plan` divides training into batches, and `fit` trains one of them. `training_jobs.train` runs batches side by side.
    """

    def plan(
        self,
        selections: Mapping[Any, Selection],
        seeds: Sequence[int],
        training: AnyTraining,
        missing: Collection[tuple[Key, int]] | None = None,
        stacked: bool = False,
    ) -> list[Batch]:
        """Divide training into batches, the largest first.

        Which policies share a batch, and how their data are padded, can change the last digits of what they learn. Both
        are planned for all selections and seeds of a run, whatever is missing: a batch gives the same bits alone, among
        all, and in a run that resumes.

        Args:
            selections: by key; observations may be missing.
            seeds: of the policies of each key.
            training: hyper-parameters.
            missing: the policies to train, as (key, seed); None is all. Batches in which none is missing are left out.
            stacked: whether selections of about the same size may train as one network, which is faster.
        """
        ...

    def fit(
        self,
        batch: Batch,
        selections: Mapping[Any, Selection],
        monitor: Monitor = SILENT,
        checkpoint: Callable[[Any, int], Path] | None = None,
    ) -> Iterator[TrainedPolicy]:
        """Train the missing policies of a batch, and yield each when it is finished, in no particular order.

        Args:
            batch: of `plan`.
            selections: by key; those of the batch suffice.
            monitor: is called as training goes on.
            checkpoint: the checkpoint file of a key and seed, from which a stopped training resumes. It stays when the
                policy is finished, for the caller to delete. Families that train in seconds write none.

        Raises:
            UserError: a checkpoint cannot be read or written, or the demonstrations cannot be learned from.
            DivergedError: the loss of a policy became NaN or infinite. The others were yielded before.
        """
        ...

    def stack(
        self, environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting
    ) -> TrainedPolicies:
        """Return policies that act side by side, in the given order, all with the same hidden layers and history."""
        ...

    def build_model(self, environment: EnvironmentDefinition, training: AnyTraining, scaling: Scaling = "none") -> Any:
        """Return an untrained stock Keras model, from observations to class probabilities or to actions."""
        ...

    def weight_shapes(
        self, environment: EnvironmentDefinition, training: AnyTraining, scaling: Scaling = "none"
    ) -> list[tuple[int, ...]]:
        """Return the shapes of that model's `get_weights()`, without building it."""
        ...


def channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether pictures are (stack, height, width) and not (height, width, channels).

    The smallest axis is that of the stack or channels; the first where several are.

    >>> channels_first((4, 84, 84)), channels_first((96, 96, 3))
    (True, False)
    """
    return shape[0] <= shape[2]


def picture_sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the height and width of pictures, of three axes.

    >>> picture_sides((4, 84, 72)), picture_sides((96, 80, 3))
    ((84, 72), (96, 80))
    """
    return (shape[1], shape[2]) if channels_first(shape) else (shape[0], shape[1])


def takes_pictures(space: Space[Any]) -> bool:
    """Return whether the convolutional network can see the observations of a space."""
    return (
        isinstance(space, Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and min(picture_sides(space.shape)) >= SMALLEST_SIDE
    )


def family_name(environment: EnvironmentDefinition) -> PolicyFamilyName:
    """Return the name of the family that imitates in an environment.

    The environment may declare it. The default is `convolutional` for pictures of bytes with sides of at least 36, else
    `multilayer_perceptron`.

    Raises:
        UserError: a convolutional network is declared for observations that are not such pictures.
    """
    pictures = takes_pictures(environment.observation_space)
    if environment.experiment.policy is None:
        return "convolutional" if pictures else "multilayer_perceptron"
    if environment.experiment.policy == "convolutional" and not pictures:
        raise UserError(
            f"{environment.name}: a convolutional policy sees stacks of grey pictures or colour pictures, uint8 with "
            f"sides of at least 36, not {environment.observation_dtype} {environment.observation_shape}"
        )
    return environment.experiment.policy


def scaling_of(environment: EnvironmentDefinition) -> Scaling:
    """Return how policies scale observations; the convolutional network always divides bytes by 255."""
    return "none" if family_name(environment) == "convolutional" else environment.experiment.scaling


def family_of(environment: EnvironmentDefinition) -> PolicyFamily:
    """Import and return the family that imitates in an environment.

    Raises:
        UserError: it cannot see the environment's observations.
        NotInstalledError: it needs TensorFlow, which is not installed. Perceptrons need it only to be trained.
    """
    return cast(PolicyFamily, importlib.import_module(f"{__package__}.{family_name(environment)}"))


def acts_without_tensorflow(environment: EnvironmentDefinition) -> bool:
    """Return whether policies act in an environment without TensorFlow, which is not imported to answer."""
    return TRAININGS[family_name(environment)].acts_without_tensorflow


def training_of(
    environment: EnvironmentDefinition, values: Mapping[str, Any], spelled: Callable[[str], str] = str
) -> AnyTraining:
    """Return the hyper-parameters of an environment's family: see `hyper_parameters.training_from`."""
    return training_from(family_name(environment), values, spelled)


def acting_of(environment: EnvironmentDefinition, wanted: Acting | str | None = None) -> Acting:
    """Return how policies choose their actions in an environment: as wanted, or in the environment's way.

    Its default is the expected value of `Box` actions and the most probable class of others. A prediction by regression
    counts as both.

    Raises:
        UserError: it is unknown, or impossible in this environment.
    """
    continuous = isinstance(environment.action_space, Box)
    acting = wanted or environment.experiment.acting or ("expected_value" if continuous else "most_probable")
    check_choice("acting", acting, get_args(Acting))
    if acting == "expected_value" and not continuous:
        kind = type(environment.action_space).__name__
        raise UserError(f"acting by expected_value needs Box actions; those of {environment.name} are {kind}")
    if acting == "sample" and environment.action_classes is None:
        raise UserError(
            f"acting by sample needs actions that are classes; those of {environment.name} are predicted by regression"
        )
    return cast(Acting, acting)
