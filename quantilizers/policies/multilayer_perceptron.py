"""Behavioural cloning by multilayer perceptrons: one classifier for each component of the action.

A saved policy is a stock Keras model: from observations to one vector of class probabilities a component, the
classes in the order of `EnvironmentDefinition.action_classes`. Trained and run, policies are stacked: all seeds
of a quantile train as one network, all policies under test act as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from quantilizers.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.files import atomic_write
from quantilizers.policies.saved_models import load_weights_of
from quantilizers.policies.stacked_training import Fitted, TrainingSettings, fit_stack
from quantilizers.policies.tensorflow import keras
from quantilizers.processors import available_cores
from quantilizers.progress import event_writer
from quantilizers.settings import Settings

TRAINING = TrainingSettings()


def train(settings: Settings, splits: Mapping[float, Demonstrations]) -> None:
    """Train and save one policy for each quantile and seed.

    The quantiles share one compiled program and train side by side, one on each core.

    Args:
        settings: names the seeds and the files.
        splits: for each quantile, the demonstrations that it keeps.
    """
    capacity = max(int(split.lengths.sum()) for split in splits.values())
    total = len(splits) * TRAINING.max_epochs
    stop = Event()
    workers = min(len(splits), available_cores())
    with (
        tqdm(total=total, desc="training", unit="epoch", dynamic_ncols=True) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        fits = {
            pool.submit(_fit, settings, quantile, split, capacity, bar, stop): quantile
            # The largest first, so that no core ends up alone with it.
            for quantile, split in sorted(splits.items(), reverse=True)
        }
        try:
            for fit in as_completed(fits):
                _save(settings, fits[fit], fit.result())
        except BaseException:
            # Leaving the pool waits for its threads: tell them not to go on for minutes.
            stop.set()
            raise


def _fit(
    settings: Settings, quantile: float, split: Demonstrations, capacity: int, bar: tqdm[Any], stop: Event
) -> Fitted:
    """Fit all seeds and components of one quantile, and report each epoch."""
    observations, labels = classification_data(split, settings.environment)
    heads, seeds = len(labels), settings.seeds
    with ExitStack() as stack:
        writers = [stack.enter_context(event_writer(settings.layout.training_events(quantile, s))) for s in seeds]

        def report(epoch: int, losses: npt.NDArray[np.float64]) -> None:
            for writer, of_seed in zip(writers, losses.reshape(len(seeds), heads), strict=True):
                for head, loss in enumerate(of_seed):
                    if np.isfinite(loss):
                        writer.add_scalar("loss" if heads == 1 else f"loss/component_{head}", loss, epoch)
            bar.set_postfix_str(f"q = {quantile}: epoch {epoch + 1}, loss {np.nanmean(losses):.4f}", refresh=False)
            bar.update()
            if stop.is_set():
                raise InterruptedError("training was stopped")

        fitted = fit_stack(
            observations,
            np.tile(labels, (len(seeds), 1)),
            number_classes=max(map(len, settings.environment.action_classes)),
            generators=[np.random.RandomState(seed) for seed in seeds for _ in range(heads)],
            settings=TRAINING,
            capacity=capacity,
            on_epoch=report,
        )
    # Epochs that an early stop has spared are done, too.
    bar.update(TRAINING.max_epochs - max(map(len, fitted.loss_curves)))
    return fitted


def classification_data(
    demonstrations: Demonstrations, environment: EnvironmentDefinition
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return what the classifiers learn from: observations (n, features), class indices (A, n)."""
    observations, actions = demonstrations.transitions()
    labels = [
        np.argmax(actions[:, component, None] == np.asarray(classes), axis=1)
        for component, classes in enumerate(environment.action_classes)
    ]
    return observations.reshape(len(observations), -1).astype(np.float32), np.stack(labels)


def _layer_name(component: int, layer: int) -> str:
    return f"component_{component}_layer_{layer}"


def build_model(environment: EnvironmentDefinition, hidden_units: Sequence[int]) -> keras.Model:
    """Build the Keras model of one policy: a branch of dense layers for each component of the action."""
    inputs = keras.Input(environment.observation_shape, name="observation")
    outputs = []
    for component, classes in enumerate(environment.action_classes):
        units = inputs
        for layer, number in enumerate(hidden_units):
            units = keras.layers.Dense(number, "relu", name=_layer_name(component, layer))(units)
        last = _layer_name(component, len(hidden_units))
        outputs.append(keras.layers.Dense(len(classes), "softmax", name=last)(units))
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)


def _save(settings: Settings, quantile: float, fitted: Fitted) -> None:
    """Write one Keras file for each seed."""
    environment = settings.environment
    heads = len(environment.action_classes)
    model = build_model(environment, TRAINING.hidden_units)
    for position, seed in enumerate(settings.seeds):
        for component in range(heads):
            member = position * heads + component
            for layer, (weights, biases) in enumerate(zip(fitted.weights, fitted.biases, strict=True)):
                model.get_layer(_layer_name(component, layer)).set_weights([weights[member], biases[member]])
        with atomic_write(settings.layout.model(quantile, seed)) as temporary:
            model.save(temporary)


class StackedPerceptrons:
    """P policies that act side by side, in NumPy.

    Matrix products of a few thousand rows by twenty units take microseconds; calling into TensorFlow for each
    step of the environment would take longer than the products themselves.

    Args:
        environment: where they act.
        weights: for each component and layer, (P, inputs, outputs).
        biases: for each component and layer, (P, 1, outputs).
    """

    def __init__(
        self,
        environment: EnvironmentDefinition,
        weights: Sequence[Sequence[npt.NDArray[np.float32]]],
        biases: Sequence[Sequence[npt.NDArray[np.float32]]],
    ) -> None:
        self._environment = environment
        self._weights = weights
        self._biases = biases

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float64]:
        """Choose actions (P, E, A) for observations (P, E, …); see `quantilizers.policies.Policies`."""
        rows = observations.reshape(*observations.shape[:2], -1).astype(np.float32)
        actions = np.empty((*rows.shape[:2], len(self._weights)))
        for component, classes in enumerate(self._environment.action_classes):
            probabilities = self._probabilities(rows, component)
            values = np.asarray(classes)
            if self._environment.acting == "most_probable":
                actions[..., component] = values[np.argmax(probabilities, axis=-1)]
            elif self._environment.acting == "expected_value":
                actions[..., component] = probabilities @ values
            else:
                drawn = np.stack([generator.random(rows.shape[1]) for generator in generators])
                chosen = (np.cumsum(probabilities, axis=-1) < drawn[..., None]).sum(axis=-1)
                actions[..., component] = values[np.minimum(chosen, len(classes) - 1)]
        return actions

    def _probabilities(self, rows: npt.NDArray[np.float32], component: int) -> npt.NDArray[np.float32]:
        """Class probabilities (P, E, classes) of one component, as the Keras model gives them."""
        units = rows
        *hidden, output = zip(self._weights[component], self._biases[component], strict=True)
        for weights, biases in hidden:
            units = np.matmul(units, weights)
            units += biases
            np.maximum(units, 0.0, out=units)
        logits = np.matmul(units, output[0]) + output[1]
        logits -= logits.max(axis=-1, keepdims=True)
        exponentials = np.exp(logits)
        probabilities: npt.NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return probabilities


def load(environment: EnvironmentDefinition, paths: Sequence[Path]) -> StackedPerceptrons:
    """Load trained policies so that they act side by side, in the given order.

    Raises:
        UserError: a file is no policy of this environment.
    """
    expected = build_model(environment, TRAINING.hidden_units)
    names = [layer.name for layer in expected.layers if layer.weights]
    stacked: dict[str, list[list[npt.NDArray[np.float32]]]] = {name: [] for name in names}
    for path in paths:
        load_weights_of(expected, path, environment)
        for name in names:
            stacked[name].append(expected.get_layer(name).get_weights())
    layers = range(len(TRAINING.hidden_units) + 1)
    components = range(len(environment.action_classes))
    weights = [[np.stack([w for w, _ in stacked[_layer_name(c, k)]]) for k in layers] for c in components]
    biases = [[np.stack([b for _, b in stacked[_layer_name(c, k)]])[:, None] for k in layers] for c in components]
    return StackedPerceptrons(environment, weights, biases)
