"""Behavioural cloning by multilayer perceptrons: one classifier for each component of the action, or one regressor.

A policy is a stock Keras model: from observations to one vector of class probabilities a component, the classes in the
order of `EnvironmentDefinition.action_classes`; where there are no classes, to the action's A numbers. With a history
its input is not the observation but the features of `quantilizers.policies.history`, which whoever runs the model
elsewhere makes as that module says. Trained and run, policies are stacked: groups of a quantile's seeds train as one
network, and so do the arms of a study that keep as many episodes; all policies that play act as one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Acting
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.policies.choosing import choose, recorded_classes, rounded, within
from quantilizers.policies.history import Past, number_of_features, recorded_features
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining
from quantilizers.policies.policy import SILENT, DivergedError, Monitor, TrainedPolicy, fingerprint, split_name
from quantilizers.processors import available_cores
from quantilizers.rewards import FloatArray

if TYPE_CHECKING:  # policies act without TensorFlow
    import keras

    from quantilizers.policies.stacked_training import Fitted, Portion

Training = PerceptronTraining
#: Members of a stack at least where seeds of one quantile are divided. From five on, a member and minibatch take about
#: as long as in any larger stack, and small stacks keep all cores busy.
DIVIDED = 5
#: Members of a stack of several splits at most: no core is left alone at the end, and little is lost where a study is
#: stopped.
STACK = 30
#: How many times as many steps a member may have as another of its stack, which waits for it in each epoch.
UNLIKE = 1.1
#: What one network takes to learn from one row, on a processor with AVX2; half as long with AVX-512.
SECONDS_A_ROW = 1.3e-7


def seed_groups(environment: EnvironmentDefinition, seeds: Sequence[int]) -> list[Sequence[int]]:
    """Return which seeds of a quantile train together, as one network.

    >>> from quantilizers.envs.registry import load_environment
    >>> seed_groups(load_environment("MountainCar-v0"), range(11))
    [range(0, 6), range(6, 11)]
    """
    number = max(1, len(seeds) // -(-DIVIDED // _heads(environment)))
    return [seeds[part[0] : part[-1] + 1] for part in np.array_split(np.arange(len(seeds)), number)]


def steps_of(
    splits: Mapping[float, Demonstrations],
    seeds: Sequence[int],
    training: AnyTraining,
    wanted: Collection[tuple[float, int]] | None = None,
) -> tuple[int, str]:
    """Return how many steps `fit` takes, and what they are called: the epochs of all policies that are wanted."""
    training = cast(PerceptronTraining, training)
    epochs = {quantile: training.epochs_for(int(split.lengths.sum())) for quantile, split in splits.items()}
    asked = itertools.product(splits, seeds) if wanted is None else wanted
    return sum(epochs[quantile] for quantile, _ in asked), "epoch"


def seconds_of(
    splits: Mapping[float, Demonstrations],
    seeds: Sequence[int],
    training: AnyTraining,
    wanted: Collection[tuple[float, int]] | None = None,
) -> float:
    """Return about how many seconds of one processor `fit` takes, with small layers and without an early stop."""
    training = cast(PerceptronTraining, training)
    rows = {quantile: int(split.lengths.sum()) for quantile, split in splits.items()}
    seen = {quantile: number * training.epochs_for(number) for quantile, number in rows.items()}
    asked = itertools.product(splits, seeds) if wanted is None else wanted
    heads = _heads(next(iter(splits.values())).environment)
    return SECONDS_A_ROW * heads * sum(seen[quantile] for quantile, _ in asked)


def stacks(splits: Mapping[float, Demonstrations], seeds: Sequence[int]) -> list[list[float]]:
    """Return which splits can train together, each list as one network: those of as many episodes and about as long.

    With more than `STACK` members, or lengths that differ by more than `UNLIKE`, they are cut.
    """
    steps = {quantile: int(split.lengths.sum()) for quantile, split in splits.items()}
    together = max(1, STACK // (len(seeds) * _heads(next(iter(splits.values())).environment)))
    planned: list[list[float]] = []
    # The sorting is stable, so that equal ones stay in their order.
    for quantile in sorted(splits, key=lambda quantile: (-splits[quantile].number, steps[quantile])):
        last = planned[-1] if planned else []
        joins = (
            0 < len(last) < together
            and splits[quantile].number == splits[last[0]].number
            and steps[quantile] <= UNLIKE * steps[last[0]]
        )
        if joins:
            last.append(quantile)
        else:
            planned.append([quantile])
    return planned


def rooms_of(splits: Mapping[float, Demonstrations], together: Sequence[Sequence[float]] | None = None) -> list[int]:
    """Return to how many rows the data of each stack are padded; see `quantilizers.policies.policy.PolicyFamily`.

    A program is compiled for each number, and a large one costs time in each epoch of many members: stacks of as many
    episodes have the same, and so has everything where each split trains alone.
    """
    steps = {quantile: int(split.lengths.sum()) for quantile, split in splits.items()}
    if together is None:
        return [roomy(max(steps.values()))] * len(splits)
    by_size: dict[int, int] = {}
    for quantile, split in splits.items():
        by_size[split.number] = max(by_size.get(split.number, 0), roomy(steps[quantile]))
    return [by_size[splits[stack[0]].number] for stack in together]


def fit(
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
    """Train a policy for each quantile and seed; see `quantilizers.policies.policy.PolicyFamily`.

    Groups of seeds of one split share one compiled program, and train side by side, one on each core. There are no
    checkpoints: where one policy of a group is wanted, the whole group trains.
    """
    # TensorFlow is imported here, not by several threads at once.
    import quantilizers.policies.stacked_training  # noqa: F401

    training = cast(PerceptronTraining, training)
    planned = [[quantile] for quantile in splits] if together is None else together
    rooms = rooms_of(splits, together) if rooms is None else rooms
    asked = set(itertools.product(splits, seeds)) if wanted is None else set(wanted)
    groups = [group for group in _groups(splits, planned, rooms, seeds) if not asked.isdisjoint(group.policies)]
    if not groups:
        return
    learned_from = {quantile for group in groups for quantile in group.quantiles}
    splits = {quantile: splits[quantile].with_observations() for quantile in splits if quantile in learned_from}
    stop = Event()
    diverged: list[tuple[float, int]] = []
    with ThreadPoolExecutor(min(len(groups), available_cores())) as pool:
        fits = {
            pool.submit(_fit, group, splits, weights or {}, training, asked, monitor, stop): group for group in groups
        }
        try:
            for finished in as_completed(fits):
                for policy in _policies(fits[finished], splits, training, finished.result()):
                    if (policy.quantile, policy.seed) not in asked:
                        continue
                    if all(np.isfinite(curve[-1]) for curve in policy.loss_curves):
                        yield policy
                    else:
                        diverged.append((policy.quantile, policy.seed))
        except BaseException:
            # Leaving the pool waits for its threads: tell them not to go on for minutes.
            stop.set()
            raise
    if diverged:
        raise DivergedError(diverged)


@dataclass(frozen=True)
class _Group:
    """Policies that train as one network, those of all `quantiles` and `seeds`, their data padded to `room` rows."""

    quantiles: Sequence[float]
    seeds: Sequence[int]
    room: int

    @property
    def policies(self) -> list[tuple[float, int]]:
        return list(itertools.product(self.quantiles, self.seeds))


def _groups(
    splits: Mapping[float, Demonstrations],
    stacks: Sequence[Sequence[float]],
    rooms: Sequence[int],
    seeds: Sequence[int],
) -> list[_Group]:
    """Return what trains as one network, the largest first, so that no core ends up alone with it."""
    groups = [
        _Group(stack, of_group, room)
        for stack, room in zip(stacks, rooms, strict=True)
        for of_group in (seed_groups(splits[stack[0]].environment, seeds) if len(stack) == 1 else [seeds])
    ]

    def work(group: _Group) -> int:
        return len(group.seeds) * sum(int(splits[quantile].lengths.sum()) for quantile in group.quantiles)

    return sorted(groups, key=work, reverse=True)


def roomy(rows: int) -> int:
    """Return a number of rows to pad to, so that data sets of about one size share a compiled program.

    Compiling takes longer than training on a small data set. It is the next of four numbers an octave.

    >>> [roomy(rows) for rows in (7, 1000, 1025, 1280, 1281)]
    [7, 1024, 1280, 1280, 1536]

    Args:
        rows: 1 or more.
    """
    step = 1 << max(0, rows.bit_length() - 3)
    return -(-rows // step) * step


def _fit(
    group: _Group,
    splits: Mapping[float, Demonstrations],
    weights: Mapping[float, FloatArray],
    training: PerceptronTraining,
    counted: Collection[tuple[float, int]],
    monitor: Monitor,
    stop: Event,
) -> Fitted:
    """Fit all components of the policies of one group, and report each epoch of those that are counted."""
    from quantilizers.policies.stacked_training import fit_regressors, fit_stack

    splits = {quantile: splits[quantile] for quantile in group.quantiles}
    environment = splits[group.quantiles[0]].environment
    heads = _heads(environment)
    epochs = {quantile: training.epochs_for(int(split.lengths.sum())) for quantile, split in splits.items()}
    left = sum(epochs[policy[0]] for policy in group.policies if policy in counted)

    def report(epoch: int, losses: npt.NDArray[np.float64]) -> None:
        nonlocal left
        learning = set()
        for policy, of_policy in zip(group.policies, losses.reshape(-1, heads), strict=True):
            for head, loss in enumerate(of_policy):
                if np.isfinite(loss):
                    learning.add(policy)
                    monitor.scalar(*policy, "loss" if heads == 1 else f"loss/component_{head}", loss, epoch)
        if done := len(learning.intersection(counted)):
            left -= done
            name = split_name(group.quantiles[0]) + (f" and {len(splits) - 1} more" if len(splits) > 1 else "")
            monitor.advance(done, f"{name}: epoch {epoch + 1}, loss {np.nanmean(losses):.4f}")
        if stop.is_set():
            raise InterruptedError("training was stopped")

    generators = [np.random.RandomState(seed) for _, seed in group.policies for _ in range(heads)]
    portions = _portions(splits, weights, len(group.seeds) * heads)
    if environment.action_classes is None:
        features = [recorded_features(split.episodes, environment, training.history) for split in splits.values()]
        actions = np.concatenate([split.episodes.transitions()[1] for split in splits.values()])
        fitted = fit_regressors(np.concatenate(features), actions, generators, training, group.room, report, portions)
    else:
        examples = [classification_data(split, training.history) for split in splits.values()]
        fitted = fit_stack(
            np.concatenate([of_split for of_split, _ in examples]),
            np.tile(np.concatenate([labels for _, labels in examples], axis=1), (len(group.policies), 1)),
            number_classes=max(map(len, environment.action_classes)),
            generators=generators,
            settings=training,
            capacity=group.room,
            on_epoch=report,
            portions=portions,
        )
    # Epochs that an early stop has spared are done, too.
    monitor.advance(left)
    return fitted


def _portions(
    splits: Mapping[float, Demonstrations], weights: Mapping[float, FloatArray], members: int
) -> list[Portion]:
    """Return what each member of a stack learns from, so many of each split, whose rows stand one after the other."""
    from quantilizers.policies.stacked_training import Portion

    portions, first = list[Portion](), 0
    for quantile, split in splits.items():
        number = int(split.lengths.sum())
        portions += [Portion(np.arange(first, first + number), weights.get(quantile))] * members
        first += number
    return portions


def classification_data(
    demonstrations: Demonstrations, history: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return what the classifiers learn from: features (n, …) of steps with a history, class indices (A, n)."""
    episodes, environment = demonstrations.episodes, demonstrations.environment
    labels = recorded_classes(episodes, environment.action_classes or ())
    return recorded_features(episodes, environment, history), labels


def _policies(
    group: _Group, splits: Mapping[float, Demonstrations], training: PerceptronTraining, fitted: Fitted
) -> Iterator[TrainedPolicy]:
    """Take the policies of one group apart."""
    first = 0
    for quantile in group.quantiles:
        split = splits[quantile]
        classes = split.environment.action_classes
        heads = _heads(split.environment)
        data = fingerprint(split)
        for seed in group.seeds:
            members = range(first, first + heads)
            first += heads
            weights = []
            for layer, (kernels, biases) in enumerate(zip(fitted.weights, fitted.biases, strict=True)):
                for head, member in enumerate(members):
                    # The classifiers of a stack have as many outputs as the largest of them needs.
                    last = classes is not None and layer == len(fitted.weights) - 1
                    outputs = len(classes[head]) if classes is not None and last else kernels.shape[2]
                    weights += [kernels[member, :, :outputs].copy(), biases[member, :outputs].copy()]
            curves = tuple(fitted.loss_curves[member] for member in members)
            yield TrainedPolicy(quantile, seed, weights, training, curves, data)


def _heads(environment: EnvironmentDefinition) -> int:
    """Return the number of networks of a policy."""
    return 1 if environment.action_classes is None else len(environment.action_classes)


def _outputs(environment: EnvironmentDefinition) -> list[int]:
    """Return how many outputs each network of a policy has."""
    if environment.action_classes is None:
        return [environment.action_components]
    return [len(classes) for classes in environment.action_classes]


def build_model(environment: EnvironmentDefinition, training: AnyTraining) -> keras.Model:
    """Build the Keras model of one policy: a branch of dense layers for each component of the action.

    Where actions are predicted by regression there is one branch, whose last layer is linear.
    """
    from quantilizers.policies.tensorflow import keras

    training = cast(PerceptronTraining, training)
    layers = keras.layers
    regression = environment.action_classes is None
    if training.history:
        inputs = keras.Input((number_of_features(environment, training.history),), name="history")
    else:
        inputs = keras.Input(environment.observation_shape, name="observation")
    features = inputs if len(inputs.shape) == 2 else layers.Flatten(name="features")(inputs)
    outputs = []
    for head, number in enumerate(_outputs(environment)):
        name = "actions" if regression else f"component_{head}"
        units = features
        for layer, width in enumerate(training.hidden_units):
            units = layers.Dense(width, "relu", name=f"{name}_layer_{layer}")(units)
        last = f"{name}_layer_{len(training.hidden_units)}"
        outputs.append(layers.Dense(number, "linear" if regression else "softmax", name=last)(units))
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)


def weight_shapes(environment: EnvironmentDefinition, training: AnyTraining) -> list[tuple[int, ...]]:
    """Return the shapes of a model's `get_weights()`: layer by layer, and in each layer network by network."""
    training = cast(PerceptronTraining, training)
    inputs, shapes = number_of_features(environment, training.history), []
    for width in training.hidden_units:
        shapes += [(inputs, width), (width,)] * _heads(environment)
        inputs = width
    for number in _outputs(environment):
        shapes += [(inputs, number), (number,)]
    return shapes


class StackedPerceptrons:
    """P policies that act side by side, in NumPy.

    Matrix products of a few thousand rows by twenty units take microseconds; calling into TensorFlow for each
    step of the environment would take longer than the products themselves.

    Args:
        environment: where they act.
        policies: P of them, with the same hidden layers and history.
        acting: how they choose their actions.

    Attributes:
        past: what they remember; see `quantilizers.policies.policy.TrainedPolicies`.
    """

    past: Past | None = None

    def __init__(self, environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting) -> None:
        self._environment = environment
        self._acting = acting
        self._number = len(policies)
        self._history = cast(PerceptronTraining, policies[0].training).history
        heads = _heads(environment)
        stacked = [np.stack(arrays) for arrays in zip(*(policy.weights for policy in policies), strict=True)]
        #: For each network, of each layer the weights (P, inputs, outputs) and biases (P, 1, outputs).
        self._networks = [
            [(stacked[place], stacked[place + 1][:, None]) for place in range(2 * head, len(stacked), 2 * heads)]
            for head in range(heads)
        ]

    def begin(self, episodes: int) -> None:
        """Begin E new episodes of each policy; see `quantilizers.policies.policy.Policies`."""
        if self._history:
            self.past = Past.none(self._environment, self._history, self._number, episodes)

    def recall(self, episodes: Episodes) -> None:
        """Begin at each recorded step; see `quantilizers.policies.policy.TrainedPolicies`."""
        if self._history:
            self.past = Past.recorded(episodes, self._environment, self._history).of_policies(self._number)

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float64]:
        """Choose actions (P, E, A) for observations (P, E, …); see `quantilizers.policies.policy.Policies`."""
        seen = self._flat(observations)
        actions = self._actions(self._features(seen), generators)
        if self.past is not None:
            self.past = self.past.then(seen, actions)
        return actions

    def _actions(
        self, rows: npt.NDArray[np.float32], generators: Sequence[np.random.Generator]
    ) -> npt.NDArray[np.float64]:
        """Choose actions (P, E, A) for what the policies see, (P, E, features)."""
        space, classes = self._environment.action_space, self._environment.action_classes
        if classes is None:
            return rounded(within(self._outputs(rows, 0), space), space)
        actions = np.empty((*rows.shape[:2], len(classes)))
        for component, values in enumerate(classes):
            probabilities = _softmax(self._outputs(rows, component))
            drawn = None
            if self._acting == "sample":
                drawn = np.stack([generator.random(rows.shape[1]) for generator in generators])
            actions[..., component] = choose(probabilities, values, self._acting, drawn)
        return rounded(actions, space)

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return class probabilities (P, E, classes) of each component for observations (P, E, …)."""
        rows = self._features(self._flat(observations))

        classes = self._environment.action_classes or ()
        return [_softmax(self._outputs(rows, component)) for component in range(len(classes))]

    @staticmethod
    def _flat(observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return observations.reshape(*observations.shape[:2], -1).astype(np.float32)

    def _features(self, seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what the policies see in observations (P, E, F) after their past, (P, E, features)."""
        if not self._history:
            return seen
        if self.past is None or self.past.begun.shape != seen.shape[:2]:
            raise ValueError(f"no episodes {seen.shape[:2]} were begun, which policies with a history need")
        return self.past.features(seen)

    def _outputs(self, rows: npt.NDArray[np.float32], head: int) -> npt.NDArray[np.float32]:
        """Return what the last layer of one network gives, (P, E, outputs)."""
        units = rows
        *hidden, output = self._networks[head]
        for weights, biases in hidden:
            units = np.matmul(units, weights)
            units += biases
            np.maximum(units, 0.0, out=units)
        outputs: npt.NDArray[np.float32] = np.matmul(units, output[0]) + output[1]
        return outputs


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the probabilities (…, classes) of logits, which are overwritten."""
    logits -= logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(logits)
    probabilities: npt.NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def stack(environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting) -> StackedPerceptrons:
    """Put policies side by side, in the given order; see `quantilizers.policies.policy.PolicyFamily`."""
    return StackedPerceptrons(environment, policies, acting)
