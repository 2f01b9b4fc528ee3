"""Behavioural cloning by multilayer perceptrons: one classifier for each component of the action, or one regressor.

A policy is a stock Keras model: from observations to one vector of class probabilities a component, the classes in the
order of `EnvironmentDefinition.action_classes`; where there are no classes, to the action's A numbers. With a history
its input is not the observation but the features that `quantilizers.policies.encoding` describes. Policies are stacked:
groups of a quantile's seeds train as one network, and so do arms of a study with equally many episodes; all policies
that play act as one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Acting, Scaling
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.policies.encoding import (
    Past,
    Standardisation,
    choose,
    flat_features,
    is_one_hot,
    number_of_features,
    recorded_classes,
    recorded_features,
    rounded,
    within,
)
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining, padded_length
from quantilizers.policies.policy import SILENT, Batch, DivergedError, Key, Monitor, TrainedPolicy, key_name
from quantilizers.policies.selection_settings import Selection
from quantilizers.rewards import FloatArray

if TYPE_CHECKING:  # policies act without TensorFlow
    import keras

    from quantilizers.policies.perceptron_training import Fitted, MemberData

#: Seeds of one quantile are divided into stacks of at least this many members. From five on, a member and minibatch
#: take about as long as in any larger stack, and small stacks keep all cores busy.
DIVIDED = 5
#: Most members of a stack of several selections: more would leave one core with most work, and lose more when stopped.
STACK = 30
#: Largest ratio of the steps of two members of a stack, of which the shorter waits for the longer in each epoch.
UNLIKE = 1.1
#: Time in which one network learns from one row on a processor with AVX2; half as long with AVX-512.
SECONDS_A_ROW = 1.3e-7


@dataclass(frozen=True)
class PerceptronBatch(Batch):
    """Policies that train as one network."""

    capacity: int  # rows that the data are padded to


def plan(
    selections: Mapping[Any, Selection],
    seeds: Sequence[int],
    training: AnyTraining,
    missing: Collection[tuple[Key, int]] | None = None,
    stacked: bool = False,
) -> list[Batch]:
    """Divide training into batches, each one network; see `quantilizers.policies.policy.PolicyFamily`.

    The seeds of a selection that trains alone are divided into groups of equal size, selections that are stacked train
    with all their seeds. The largest batch is the first, or it would keep one core busy at the end.
    """
    training = cast(PerceptronTraining, training)
    splits = {key: selection.demonstrations for key, selection in selections.items()}
    rows = {key: int(split.lengths.sum()) for key, split in splits.items()}
    epochs = {key: training.epochs_for(number) for key, number in rows.items()}
    wanted = set(itertools.product(splits, seeds)) if missing is None else set(missing)
    stacks = _stacks(splits, seeds) if stacked else [[key] for key in splits]
    batches: list[PerceptronBatch] = []
    for keys, capacity in zip(stacks, _capacities(splits, stacks, stacked), strict=True):
        environment = splits[keys[0]].environment
        for group in _seed_groups(environment, seeds) if len(keys) == 1 else [seeds]:
            of_batch = wanted.intersection(itertools.product(keys, group))
            seen = sum(rows[key] * epochs[key] for key, _ in of_batch)
            batches.append(
                PerceptronBatch(
                    keys=tuple(keys),
                    seeds=tuple(group),
                    missing=frozenset(of_batch),
                    training=training,
                    steps=sum(epochs[key] for key, _ in of_batch),
                    seconds=SECONDS_A_ROW * _heads(environment) * seen,
                    capacity=capacity,
                )
            )
    batches.sort(key=lambda batch: len(batch.seeds) * sum(rows[key] for key in batch.keys), reverse=True)
    return [batch for batch in batches if batch.missing]


def _seed_groups(environment: EnvironmentDefinition, seeds: Sequence[int]) -> list[Sequence[int]]:
    """Return which seeds of a selection train as one network.

    >>> from quantilizers.envs.registry import load_environment
    >>> _seed_groups(load_environment("MountainCar-v0"), range(11))
    [range(0, 6), range(6, 11)]
    """
    number = max(1, len(seeds) // -(-DIVIDED // _heads(environment)))
    return [seeds[part[0] : part[-1] + 1] for part in np.array_split(np.arange(len(seeds)), number)]


def _stacks(splits: Mapping[Any, Demonstrations], seeds: Sequence[int]) -> list[list[Key]]:
    """Return which selections train as one network: those of as many episodes and about as many steps.

    Stacks of more than `STACK` members, or of numbers of steps that differ by more than `UNLIKE`, are cut.
    """
    steps = {key: int(split.lengths.sum()) for key, split in splits.items()}
    together = max(1, STACK // (len(seeds) * _heads(next(iter(splits.values())).environment)))
    planned: list[list[Key]] = []
    # The sorting is stable: equal ones stay in their order.
    for key in sorted(splits, key=lambda key: (-splits[key].number, steps[key])):
        last = planned[-1] if planned else []
        joins = (
            0 < len(last) < together
            and splits[key].number == splits[last[0]].number
            and steps[key] <= UNLIKE * steps[last[0]]
        )
        if joins:
            last.append(key)
        else:
            planned.append([key])
    return planned


def _capacities(splits: Mapping[Any, Demonstrations], stacks: Sequence[Sequence[Key]], stacked: bool) -> list[int]:
    """Return to how many rows the data of each stack are padded.

    A program is compiled for each number, and a large one costs time in each epoch of many members: stacks of as many
    episodes have the same, and without stacks all have the same.
    """
    steps = {key: int(split.lengths.sum()) for key, split in splits.items()}
    if not stacked:
        return [padded_length(max(steps.values()))] * len(splits)
    by_size: dict[int, int] = {}
    for key, split in splits.items():
        by_size[split.number] = max(by_size.get(split.number, 0), padded_length(steps[key]))
    return [by_size[splits[keys[0]].number] for keys in stacks]


def fit(
    batch: Batch,
    selections: Mapping[Any, Selection],
    monitor: Monitor = SILENT,
    checkpoint: Callable[[Any, int], Path] | None = None,
) -> Iterator[TrainedPolicy]:
    """Train the missing policies of a batch; see `quantilizers.policies.policy.PolicyFamily`.

    There are no checkpoints: all policies of a batch train, even where one is missing.
    """
    batch = cast(PerceptronBatch, batch)
    splits = {key: selections[key].demonstrations.with_observations() for key in batch.keys}
    weights = {key: selections[key].step_weights for key in batch.keys}
    scales = {
        key: Standardisation.of(split.episodes, split.environment, weights[key])
        for key, split in splits.items()
        if split.environment.experiment.scaling == "standard"
    }
    fitted = _fit(batch, splits, weights, scales, monitor)
    diverged = []
    for policy in _policies(batch, splits, scales, fitted):
        if (policy.key, policy.seed) in batch.missing:
            if all(np.isfinite(curve[-1]) for curve in policy.loss_curves):
                yield policy
            else:
                diverged.append((policy.key, policy.seed))
    if diverged:
        raise DivergedError(diverged)


def _fit(
    batch: PerceptronBatch,
    splits: Mapping[Any, Demonstrations],
    weights: Mapping[Any, FloatArray | None],
    scales: Mapping[Any, Standardisation],
    monitor: Monitor,
) -> Fitted:
    """Fit all components of the policies of a batch, and report each epoch of the missing ones."""
    from quantilizers.policies.perceptron_training import fit_regressors, fit_stack

    training = cast(PerceptronTraining, batch.training)
    environment = splits[batch.keys[0]].environment
    heads = _heads(environment)
    left = batch.steps

    def report(epoch: int, losses: FloatArray) -> None:
        nonlocal left
        learning = set()
        for policy, of_policy in zip(batch.policies, losses.reshape(-1, heads), strict=True):
            for head, loss in enumerate(of_policy):
                if np.isfinite(loss):
                    learning.add(policy)
                    monitor.scalar(*policy, "loss" if heads == 1 else f"loss/component_{head}", loss, epoch)
        if done := len(learning.intersection(batch.missing)):
            left -= done
            name = key_name(batch.keys[0]) + (f" and {len(splits) - 1} more" if len(splits) > 1 else "")
            monitor.advance(done, f"{name}, loss {np.nanmean(losses):.4f}")

    generators = [np.random.RandomState(seed) for _, seed in batch.policies for _ in range(heads)]
    member_data = _member_data(splits, weights, len(batch.seeds) * heads)
    if environment.action_classes is None:
        features = [
            recorded_features(split.episodes, environment, training.history, scales.get(key))
            for key, split in splits.items()
        ]
        actions = np.concatenate([split.episodes.transitions()[1] for split in splits.values()])
        fitted = fit_regressors(
            np.concatenate(features), actions, generators, training, batch.capacity, report, member_data
        )
    else:
        examples = [classification_data(split, training.history, scales.get(key)) for key, split in splits.items()]
        fitted = fit_stack(
            np.concatenate([of_split for of_split, _ in examples]),
            np.tile(np.concatenate([labels for _, labels in examples], axis=1), (len(batch.policies), 1)),
            number_classes=max(map(len, environment.action_classes)),
            generators=generators,
            settings=training,
            capacity=batch.capacity,
            on_epoch=report,
            member_data=member_data,
        )
    # Epochs skipped by an early stop count as done.
    monitor.advance(left)
    return fitted


def _member_data(
    splits: Mapping[Any, Demonstrations], weights: Mapping[Any, FloatArray | None], members: int
) -> list[MemberData]:
    """Return the data of a stack's members, as many for each selection, whose rows follow each other."""
    from quantilizers.policies.perceptron_training import MemberData

    member_data, first = list[MemberData](), 0
    for key, split in splits.items():
        number = int(split.lengths.sum())
        member_data += [MemberData(np.arange(first, first + number), weights[key])] * members
        first += number
    return member_data


def classification_data(
    demonstrations: Demonstrations, history: int = 0, standardisation: Standardisation | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the classifiers' training data: features (n, …) of steps with a history, class indices (A, n)."""
    episodes, environment = demonstrations.episodes, demonstrations.environment
    labels = recorded_classes(episodes, environment.action_classes or ())
    return recorded_features(episodes, environment, history, standardisation), labels


def _policies(
    batch: Batch, splits: Mapping[Any, Demonstrations], scales: Mapping[Any, Standardisation], fitted: Fitted
) -> Iterator[TrainedPolicy]:
    """Take the policies of a batch apart."""
    history = cast(PerceptronTraining, batch.training).history
    first = 0
    for key in batch.keys:
        split = splits[key]
        classes = split.environment.action_classes
        heads = _heads(split.environment)
        data = split.fingerprint
        for seed in batch.seeds:
            members = range(first, first + heads)
            first += heads
            weights = list[npt.NDArray[Any]]()
            if key in scales:
                weights += scales[key].of_features(split.environment, history)
            for layer, (kernels, biases) in enumerate(zip(fitted.weights, fitted.biases, strict=True)):
                for head, member in enumerate(members):
                    # All classifiers of a stack have as many outputs as the largest of them.
                    last = classes is not None and layer == len(fitted.weights) - 1
                    outputs = len(classes[head]) if classes is not None and last else kernels.shape[2]
                    weights += [kernels[member, :, :outputs].copy(), biases[member, :outputs].copy()]
            curves = tuple(fitted.loss_curves[member] for member in members)
            scaling: Scaling = "standard" if key in scales else "none"
            yield TrainedPolicy(key, seed, weights, batch.training, curves, data, scaling=scaling)


def _heads(environment: EnvironmentDefinition) -> int:
    """Return the number of networks of a policy."""
    return len(_outputs(environment))


def _outputs(environment: EnvironmentDefinition) -> list[int]:
    """Return the number of outputs of each network of a policy."""
    if environment.action_classes is None:
        return [environment.action_components]
    return [len(classes) for classes in environment.action_classes]


def build_model(environment: EnvironmentDefinition, training: AnyTraining, scaling: Scaling = "none") -> keras.Model:
    """Build the Keras model of one policy: a branch of dense layers for each component of the action.

    Where actions are predicted by regression there is one branch, whose last layer is linear. Standardised policies
    begin with a batch normalisation whose mean and variance are fixed.
    """
    from quantilizers.policies.tensorflow import check_process, default_settings

    check_process()
    with default_settings():
        return _model(environment, cast(PerceptronTraining, training), scaling)


def _model(environment: EnvironmentDefinition, training: PerceptronTraining, scaling: Scaling) -> keras.Model:
    from quantilizers.policies.tensorflow import keras

    layers = keras.layers
    regression = environment.action_classes is None
    # Single precision cannot tell a thousand apart from a thousand and a hundred-thousandth.
    dtype = "float64" if scaling == "standard" else None
    if training.history:
        inputs = keras.Input((number_of_features(environment, training.history),), dtype=dtype, name="history")
    elif is_one_hot(environment):
        inputs = keras.Input((number_of_features(environment, 0),), dtype=dtype, name="one_hot")
    else:
        inputs = keras.Input(environment.observation_shape, dtype=dtype, name="observation")
    features = inputs if len(inputs.shape) == 2 else layers.Flatten(dtype=dtype, name="features")(inputs)
    if scaling == "standard":
        fixed = {"center": False, "scale": False, "trainable": False}
        scaled = layers.BatchNormalization(epsilon=0.0, **fixed, dtype="float64", name="standardised")
        features = scaled(features)
    outputs = []
    for head, number in enumerate(_outputs(environment)):
        name = "actions" if regression else f"component_{head}"
        units = features
        for layer, width in enumerate(training.hidden_units):
            units = layers.Dense(width, "relu", name=f"{name}_layer_{layer}")(units)
        last = f"{name}_layer_{len(training.hidden_units)}"
        outputs.append(layers.Dense(number, "linear" if regression else "softmax", name=last)(units))
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)


def weight_shapes(
    environment: EnvironmentDefinition, training: AnyTraining, scaling: Scaling = "none"
) -> list[tuple[int, ...]]:
    """Return the shapes of a model's `get_weights()`: layer by layer, and in each layer network by network."""
    training = cast(PerceptronTraining, training)
    inputs, shapes = number_of_features(environment, training.history), list[tuple[int, ...]]()
    if scaling == "standard":
        shapes += [(inputs,), (inputs,)]
    for width in training.hidden_units:
        shapes += [(inputs, width), (width,)] * _heads(environment)
        inputs = width
    for number in _outputs(environment):
        shapes += [(inputs, number), (number,)]
    return shapes


class StackedPerceptrons:
    """P policies that act side by side, in NumPy.

    Matrix products of a few thousand rows by twenty units take microseconds, less than a call into TensorFlow.
    """

    past: Past | None = None

    def __init__(self, environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting) -> None:
        self._environment = environment
        self._acting = acting
        self._number = len(policies)
        self._history = cast(PerceptronTraining, policies[0].training).history
        heads = _heads(environment)
        if len({policy.scaling for policy in policies}) > 1:
            raise ValueError("some of the policies scale observations, and some do not")
        stacked = [np.stack(arrays) for arrays in zip(*(policy.weights for policy in policies), strict=True)]
        self._standardisation: Standardisation | None = None
        if policies[0].scaling == "standard":
            of_observations = slice(number_of_features(environment, 0))
            mean, variance = (array[:, None, of_observations] for array in stacked[:2])
            self._standardisation, stacked = Standardisation(mean, variance), stacked[2:]
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
            seen = self._flat(episodes.transitions()[0][None])
            past = Past.recorded(episodes, self._environment, self._history, seen)
            self.past = past.of_policies(self._number)

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> FloatArray:
        """Choose actions (P, E, A) for observations (P, E, …); see `quantilizers.policies.policy.Policies`."""
        seen = self._flat(observations)
        actions = self._actions(self._features(seen), generators)
        if self.past is not None:
            self.past = self.past.then(seen, actions)
        return actions

    def remember(self, observations: npt.NDArray[Any], actions: npt.NDArray[Any]) -> None:
        """Note actions (P, E, A) that others took; see `quantilizers.policies.policy.TrainedPolicies`."""
        if self.past is not None:
            self.past = self.past.then(self._flat(observations), actions)

    def _actions(self, rows: npt.NDArray[np.float32], generators: Sequence[np.random.Generator]) -> FloatArray:
        """Choose actions (P, E, A) for features (P, E, features)."""
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

    def _flat(self, observations: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return flat_features(observations, self._environment, self._standardisation)

    def _features(self, seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the features (P, E, features) of observations (P, E, F) after the policies' past."""
        if not self._history:
            return seen
        if self.past is None or self.past.begun.shape != seen.shape[:2]:
            raise ValueError(f"policies with a history need `begin`; no episodes {seen.shape[:2]} were begun")
        return self.past.features(seen)

    def _outputs(self, rows: npt.NDArray[np.float32], head: int) -> npt.NDArray[np.float32]:
        """Return the outputs of the last layer of one network, (P, E, outputs)."""
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


#: See `quantilizers.policies.policy.PolicyFamily`.
stack = StackedPerceptrons
