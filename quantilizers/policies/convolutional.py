"""Behavioural cloning from pictures: the network of Nature DQN (Mnih et al. 2015), trained as a classifier.

A saved policy is a stock Keras model from observations (stack, height, width) of grey bytes to the probabilities of
the actions. It is trained with cross-entropy by Adam for a fixed number of minibatches; weight decay is the L2 kind,
added to the gradient, as in the reference implementation's PyTorch. A fifth of the trajectories is held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.files import atomic_write
from quantilizers.policies.saved_models import load_weights_of
from quantilizers.policies.tensorflow import keras, tf
from quantilizers.progress import event_writer
from quantilizers.settings import Settings


@dataclass(frozen=True)
class ConvolutionalSettings:
    """Hyper-parameters; the defaults are the reference implementation's.

    Attributes:
        learning_rate: of Adam.
        weight_decay: factor of the weights that is added to their gradients.
        batch_size: rows of a minibatch, drawn with replacement.
        steps: number of minibatches.
        validation_fraction: of the trajectories, held out.
        validation_interval: steps between two looks at the held-out trajectories,
        validation_rows: of which so many steps are looked at, the same each time.
        checkpoint_interval: steps between two checkpoints.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    batch_size: int = 512
    steps: int = 200
    validation_fraction: float = 0.2
    validation_interval: int = 10
    validation_rows: int = 512
    checkpoint_interval: int = 25


TRAINING = ConvolutionalSettings()
#: What the names of curves begin with in a checkpoint.
_CURVE = "curve/"


def build_model(environment: EnvironmentDefinition) -> keras.Model:
    """Build the network: observations (stack, height, width) of bytes to action probabilities."""
    layers = keras.layers
    inputs = keras.Input(environment.observation_shape, dtype="uint8", name="observation")
    units = layers.Rescaling(1 / 255, name="unit_range")(inputs)
    units = layers.Permute((2, 3, 1), name="channels_last")(units)
    units = layers.Conv2D(32, 8, strides=4, activation="relu", name="convolution_1")(units)
    units = layers.Conv2D(64, 4, strides=2, activation="relu", name="convolution_2")(units)
    units = layers.Conv2D(64, 3, strides=1, activation="relu", name="convolution_3")(units)
    units = layers.Flatten(name="flat")(units)
    units = layers.Dense(512, activation="relu", name="dense")(units)
    units = layers.Dense(len(environment.action_classes[0]), name="logits")(units)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(units))


class Cloning:
    """One policy's training, which can be saved and resumed between any two steps.

    Args:
        environment: names the network's inputs and outputs.
        seed: of the initialisation, the split and the minibatches.
        settings: hyper-parameters.

    Attributes:
        step: minibatches learned from so far.
        curves: for each name that TensorBoard shows, (step, value) in the order in which they were noted.
    """

    def __init__(self, environment: EnvironmentDefinition, seed: int, settings: ConvolutionalSettings) -> None:
        self.seed = seed
        self.settings = settings
        self.step = 0
        self.curves: dict[str, list[tuple[int, float]]] = {}
        keras.utils.set_random_seed(seed)
        self.model = build_model(environment)
        self._to_logits = keras.Model(self.model.input, self.model.get_layer("logits").output)
        self._optimiser = keras.optimizers.Adam(settings.learning_rate, epsilon=1e-8)
        self._optimiser.build(self._to_logits.trainable_variables)
        self._compiled_update = tf.function(self._update)
        self._compiled_measure = tf.function(self._measure)

    def train_on(self, observations: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Take one step on a minibatch (n, …), (n,); return its loss and accuracy before the step."""
        loss, accuracy = self._compiled_update(tf.constant(observations), tf.constant(labels, dtype=tf.int32))
        self.step += 1
        return float(loss), float(accuracy)

    def measure(self, observations: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Return the loss and accuracy of rows (n, …), (n,) without learning from them."""
        loss, accuracy = self._compiled_measure(tf.constant(observations), tf.constant(labels, dtype=tf.int32))
        return float(loss), float(accuracy)

    def generator(self, purpose: int) -> np.random.Generator:
        """Return the random numbers of this step for a purpose: a resumed run draws what the first would have."""
        return np.random.default_rng([self.seed, self.step, purpose])

    def save_checkpoint(self, path: Path, data: str) -> None:
        """Write everything that going on needs, atomically.

        Args:
            path: the `.npz` to write.
            data: identifies what is learned from and how.
        """
        variables = [*self._to_logits.variables, *self._optimiser.variables]
        arrays = {f"variable_{place}": np.asarray(one) for place, one in enumerate(variables)}
        arrays |= {_CURVE + name: np.array(points) for name, points in self.curves.items()}
        save_arrays(path, {**arrays, "step": np.array(self.step), "data": np.array(data)})

    def resume_from(self, path: Path, data: str) -> None:
        """Go on from a checkpoint, if there is one and it learned from the same data in the same way.

        Raises:
            UserError: the checkpoint cannot be read.
        """
        if not path.exists():
            return
        arrays = load_arrays(path, ["step", "data"])
        variables = [*self._to_logits.variables, *self._optimiser.variables]
        names = [f"variable_{place}" for place in range(len(variables))]
        if str(arrays["data"]) != data or not all(name in arrays for name in names):
            return
        if any(arrays[name].shape != tuple(one.shape) for name, one in zip(names, variables, strict=True)):
            return
        for name, one in zip(names, variables, strict=True):
            one.assign(arrays[name])
        self.step = int(arrays["step"])
        curves = {name.removeprefix(_CURVE): points for name, points in arrays.items() if name.startswith(_CURVE)}
        self.curves = {
            name: [(int(step), float(value)) for step, value in points.reshape(-1, 2)]
            for name, points in curves.items()
        }

    def _measure(self, observations: Any, labels: Any) -> tuple[Any, Any]:
        logits = self._to_logits(observations)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))

    def _update(self, observations: Any, labels: Any) -> tuple[Any, Any]:
        variables = self._to_logits.trainable_variables
        with tf.GradientTape() as tape:
            loss, accuracy = self._measure(observations, labels)
        decay = self.settings.weight_decay
        gradients = [
            gradient + decay * tf.convert_to_tensor(one)
            for gradient, one in zip(tape.gradient(loss, variables), variables, strict=True)
        ]
        self._optimiser.apply(gradients, variables)
        return loss, accuracy


def train(settings: Settings, splits: Mapping[float, Demonstrations]) -> None:
    """Train and save one policy for each quantile and seed, one after the other on all cores.

    A run that was stopped goes on where its last checkpoint was, and keeps the policies that were finished.

    Args:
        settings: names the seeds and the files.
        splits: for each quantile, the demonstrations that it keeps.
    """
    with tqdm(
        total=len(splits) * len(settings.seeds) * TRAINING.steps, desc="training", unit="step", dynamic_ncols=True
    ) as bar:
        for quantile, split in splits.items():
            for seed in settings.seeds:
                _train_one(settings, quantile, seed, split, bar)
    for quantile in splits:
        for seed in settings.seeds:
            _checkpoint(settings, quantile, seed).unlink(missing_ok=True)


def _checkpoint(settings: Settings, quantile: float, seed: int) -> Path:
    return settings.layout.model(quantile, seed).with_suffix(".checkpoint.npz")


def _train_one(settings: Settings, quantile: float, seed: int, split: Demonstrations, bar: tqdm[Any]) -> None:
    environment = settings.environment
    data = _fingerprint(split, seed)
    cloning = Cloning(environment, seed, TRAINING)
    checkpoint = _checkpoint(settings, quantile, seed)
    cloning.resume_from(checkpoint, data)
    bar.update(cloning.step)
    learned, held_out = split_trajectories(split, TRAINING.validation_fraction, seed)
    validation = _minibatch(
        split, held_out, environment, np.random.default_rng(seed), min(TRAINING.validation_rows, len(held_out))
    )
    with event_writer(settings.layout.training_events(quantile, seed)) as events:
        for name, points in cloning.curves.items():
            for step, value in points:
                events.add_scalar(name, value, step)
        while cloning.step < TRAINING.steps:
            batch = _minibatch(split, learned, environment, cloning.generator(0), TRAINING.batch_size)
            step = cloning.step
            loss, accuracy = cloning.train_on(*batch)
            noted = {"loss/train": loss, "accuracy/train": accuracy}
            if len(held_out) and (step % TRAINING.validation_interval == 0 or cloning.step == TRAINING.steps):
                held_out_loss, held_out_accuracy = cloning.measure(*validation)
                noted |= {"loss/validation": held_out_loss, "accuracy/validation": held_out_accuracy}
                bar.set_postfix_str(
                    f"q = {quantile} seed {seed}: loss {loss:.3f} ({held_out_loss:.3f} held out), "
                    f"accuracy {accuracy:.2f} ({held_out_accuracy:.2f})",
                    refresh=False,
                )
            for name, value in noted.items():
                cloning.curves.setdefault(name, []).append((step, value))
                events.add_scalar(name, value, step)
            bar.update()
            # The last one tells a resumed run that this policy is finished.
            if cloning.step % TRAINING.checkpoint_interval == 0 or cloning.step == TRAINING.steps:
                cloning.save_checkpoint(checkpoint, data)
    with atomic_write(settings.layout.model(quantile, seed)) as temporary:
        cloning.model.save(temporary)


def _fingerprint(split: Demonstrations, seed: int) -> str:
    """Identify what a policy learns from and how."""
    digest = hashlib.sha256(repr((asdict(TRAINING), seed)).encode())
    for array in (split.actions, split.true_rewards, split.done):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def split_trajectories(
    demonstrations: Demonstrations, fraction: float, seed: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Split whole trajectories at random into those to learn from and those held out.

    Args:
        demonstrations: N episodes.
        fraction: floor(fraction · N) of them are held out.
        seed: of the choice.

    Returns:
        For each part the places of its steps, (n, 2): episode and step.
    """
    order = np.random.default_rng([seed, 2]).permutation(demonstrations.number)
    held_out = np.zeros((demonstrations.number, 1), dtype=np.bool_)
    held_out[order[: int(fraction * demonstrations.number)]] = True
    return np.argwhere(~demonstrations.done & ~held_out), np.argwhere(~demonstrations.done & held_out)


def _minibatch(
    demonstrations: Demonstrations,
    places: npt.NDArray[np.intp],
    environment: EnvironmentDefinition,
    generator: np.random.Generator,
    number: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draw steps among `places` with replacement: observations (number, …) and class indices (number,)."""
    chosen = places[generator.integers(len(places), size=number)] if number else places[:0]
    observations = demonstrations.observations[chosen[:, 0], chosen[:, 1]]
    actions = demonstrations.actions[chosen[:, 0], chosen[:, 1], 0]
    return observations, np.searchsorted(np.asarray(environment.action_classes[0]), actions)


class ConvolutionalPolicies:
    """P policies that act side by side, each on its own episodes.

    Args:
        environment: where they act.
        paths: their Keras files.

    Raises:
        UserError: a file is no policy of this environment.
    """

    def __init__(self, environment: EnvironmentDefinition, paths: Sequence[Path]) -> None:
        self._classes = np.asarray(environment.action_classes[0])
        # Episodes end one by one; without the signature each number of them would be compiled anew.
        signature = [tf.TensorSpec((None, *environment.observation_shape), tf.uint8)]
        self._models = []
        for path in paths:
            model = build_model(environment)
            load_weights_of(model, path, environment)
            self._models.append(tf.function(model, input_signature=signature))

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float64]:
        """Draw actions (P, E, 1) for observations (P, E, …); see `quantilizers.policies.Policies`."""
        actions = np.zeros((*observations.shape[:2], 1))
        for model, seen, generator, active, chosen in zip(
            self._models, observations, generators, running, actions, strict=True
        ):
            # Drawn for all episodes, so that an episode's end does not change what the others draw.
            drawn = generator.random(len(seen))[active]
            if len(drawn):
                cumulative = np.cumsum(model(tf.constant(seen[active])).numpy(), axis=1)
                places = (cumulative < drawn[:, None]).sum(axis=1)
                chosen[active, 0] = self._classes[np.minimum(places, len(self._classes) - 1)]
        return actions


def load(environment: EnvironmentDefinition, paths: Sequence[Path]) -> ConvolutionalPolicies:
    """Load trained policies so that they act side by side, in the given order.

    Raises:
        UserError: a file is no policy of this environment.
    """
    return ConvolutionalPolicies(environment, paths)
