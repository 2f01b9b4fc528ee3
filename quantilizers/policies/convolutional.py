"""Behavioural cloning from pictures: the network of Nature DQN (Mnih et al. 2015), trained as a classifier.

A policy is a stock Keras model from observations of bytes, (stack, height, width) or (height, width, channels), to the
class probabilities of each component of the action; where there are no classes, to the action's A numbers. It is
trained with cross-entropy (or half the squared error) by Adam for a fixed number of minibatches; weight decay is the L2
kind, added to the gradient, as in the reference implementation's PyTorch. A fifth of the trajectories is held out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import digest_of, load_arrays, noted_difference, save_cached
from quantilizers.choices import Acting, Scaling
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError, reason_of
from quantilizers.policies.encoding import Past, choose, class_indices, marginal_score, rounded, within
from quantilizers.policies.hyper_parameters import AnyTraining, ConvolutionalTraining
from quantilizers.policies.policy import (
    SILENT,
    Batch,
    DivergedError,
    Key,
    Monitor,
    TrainedPolicy,
    channels_first,
    key_name,
    picture_sides,
)
from quantilizers.policies.selection_settings import Selection
from quantilizers.policies.tensorflow import (
    THREADS,
    check_process,
    compiled,
    compute_pictures,
    default_settings,
    keras,
    tf,
)
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

compute_pictures()

#: Filters, their sides and strides of the three convolutional layers; units of the dense one after them.
_FILTERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
_DENSE = 512
#: Prefix of the names of curves in a checkpoint.
_CURVE = "curve/"


def _heads(environment: EnvironmentDefinition) -> list[tuple[str, int]]:
    """Return the name and the number of outputs of each of the network's last layers."""
    classes = environment.action_classes
    if classes is None:
        return [("actions", environment.action_components)]
    if len(classes) == 1:
        return [("logits", len(classes[0]))]
    return [(f"logits_{component}", len(values)) for component, values in enumerate(classes)]


@default_settings()
def build_model(
    environment: EnvironmentDefinition, training: AnyTraining | None = None, scaling: Scaling = "none"
) -> keras.Model:
    """Build the network: observations of bytes to class probabilities, one head for each component of the action.

    Where actions are predicted by regression there is one linear head of A numbers. The hyper-parameters change
    nothing about it, and bytes are always scaled by 255.
    """
    check_process()
    layers = keras.layers
    inputs = keras.Input(environment.observation_shape, dtype="uint8", name="observation")
    units = layers.Rescaling(1 / 255, name="unit_range")(inputs)
    if channels_first(environment.observation_shape):
        units = layers.Permute((2, 3, 1), name="channels_last")(units)
    for number, (filters, side, stride) in enumerate(_FILTERS, start=1):
        name = f"convolution_{number}"
        units = layers.Conv2D(filters, side, strides=stride, activation="relu", name=name)(units)
    units = layers.Flatten(name="flat")(units)
    units = layers.Dense(_DENSE, activation="relu", name="dense")(units)
    outputs = [layers.Dense(number, name=name)(units) for name, number in _heads(environment)]
    if environment.action_classes is not None:
        outputs = [
            layers.Softmax(name=name.replace("logits", "probabilities"))(logits)
            for (name, _), logits in zip(_heads(environment), outputs, strict=True)
        ]
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)


def channels_last(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return pictures (n, …) as (n, height, width, stack or channels), copied if they are not in that order.

    >>> channels_last(np.zeros((2, 4, 84, 72), dtype=np.uint8)).shape
    (2, 84, 72, 4)
    """
    if not channels_first(pictures.shape[1:]):
        return pictures
    turned = np.empty((len(pictures), *pictures.shape[2:], pictures.shape[1]), dtype=np.uint8)
    # One channel after the other: several times as fast as NumPy copies a transposed view.
    for channel in range(pictures.shape[1]):
        turned[..., channel] = pictures[:, channel]
    return turned


def _on_turned(model: keras.Model, outputs: Any) -> Callable[[Any], Any]:
    """Return a function that computes outputs of a model's layers from bytes that `channels_last` has transposed.

    The model itself transposes floats, which gives the same but takes several times as long.
    """
    turned = "channels_last" if channels_first(model.input_shape[1:]) else "unit_range"
    rest = keras.Model(model.get_layer(turned).output, outputs)
    in_unit_range = model.get_layer("unit_range")
    return lambda pictures: rest(in_unit_range(pictures))


def weight_shapes(
    environment: EnvironmentDefinition, training: AnyTraining | None = None, scaling: Scaling = "none"
) -> list[tuple[int, ...]]:
    """Return the shapes of that model's `get_weights()`."""
    shape = environment.observation_shape
    sides, channels = np.array(picture_sides(shape)), shape[0] if channels_first(shape) else shape[2]
    shapes: list[tuple[int, ...]] = []
    for filters, side, stride in _FILTERS:
        shapes += [(side, side, channels, filters), (filters,)]
        sides, channels = (sides - side) // stride + 1, filters
    shapes += [(int(sides.prod()) * channels, _DENSE), (_DENSE,)]
    for _, number in _heads(environment):
        shapes += [(_DENSE, number), (number,)]
    return shapes


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators from which Keras draws initial weights, and restore them afterwards."""
    state, numpy_state = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


class CloningRun:
    """One policy's training, which can be saved and resumed between any two steps.

    Attributes:
        step: minibatches learned from so far.
        curves: by name, the points (step, value) in the order in which they were noted.
    """

    def __init__(self, environment: EnvironmentDefinition, seed: int, training: ConvolutionalTraining) -> None:
        self.seed = seed
        self.training = training
        self.step = 0
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self._regression = environment.action_classes is None
        with _seeded(seed), default_settings():
            self.model = build_model(environment)
            heads = [self.model.get_layer(name).output for name, _ in _heads(environment)]
            outputs = heads[0] if len(heads) == 1 else heads
            self._to_heads = keras.Model(self.model.input, outputs)
            self._heads_of = _on_turned(self.model, outputs)
            self._optimiser = keras.optimizers.Adam(training.learning_rate, epsilon=1e-8)
            self._optimiser.build(self._to_heads.trainable_variables)
        self._compiled_update = compiled(self._update)
        self._compiled_measure = compiled(self._measure)

    def train_on(self, observations: npt.NDArray[np.uint8], answers: npt.NDArray[Any]) -> dict[str, float]:
        """Take one step on observations (n, …) and class indices (n, A), for regression actions (n, A).

        Return the loss before the step, and where there are classes the accuracy.
        """
        self.step += 1
        return self._computed(self._compiled_update, observations, answers)

    def measure(self, observations: npt.NDArray[np.uint8], answers: npt.NDArray[Any]) -> dict[str, float]:
        """Return the same as `train_on`, without learning."""
        return self._computed(self._compiled_measure, observations, answers)

    def save_checkpoint(self, path: Path, recipe: Recipe) -> None:
        """Write everything that resuming needs to an `.npz`, with the recipe of the training."""
        arrays = {f"variable_{number}": np.asarray(variable) for number, variable in enumerate(self._variables)}
        arrays |= {_CURVE + name: np.array(points) for name, points in self.curves.items()}
        save_cached(path, {**arrays, "step": np.array(self.step)}, recipe)

    def resume_from(self, path: Path, recipe: Recipe) -> None:
        """Resume from a checkpoint if there is one of this recipe; refuse a damaged one."""
        if not path.exists():
            return
        arrays = load_arrays(path, ["step"])
        try:
            if not noted_difference(arrays, recipe):
                self._resume(arrays)
        except Exception as error:  # a file may hold anything
            raise UserError(f"{path} is damaged ({reason_of(error)}); delete it to train from the start") from None

    def _resume(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        saved = [arrays[f"variable_{number}"] for number in range(len(self._variables))]
        for array, variable in zip(saved, self._variables, strict=True):
            fits = array.shape == tuple(variable.shape) and array.dtype == np.asarray(variable).dtype
            if not fits or not np.isfinite(array).all():
                wanted = f"a finite {variable.dtype} {variable.shape}"
                raise ValueError(f"it holds {array.dtype} {array.shape}, not {wanted}")
        step = arrays["step"]
        curves = {name.removeprefix(_CURVE): array for name, array in arrays.items() if name.startswith(_CURVE)}
        if step.shape != () or step.dtype.kind not in "iu" or not 0 <= step <= self.training.steps:
            raise ValueError(f"its step is {step.dtype} {step.shape}")
        for name, points in curves.items():
            if points.ndim != 2 or points.shape[1] != 2 or points.dtype != np.float64 or not np.isfinite(points).all():
                raise ValueError(f"its curve {name[:60]!r} is {points.dtype} {points.shape}, not finite (points, 2)")
        for array, variable in zip(saved, self._variables, strict=True):
            variable.assign(array)
        self.step = int(step)
        self.curves = {name: [(int(at), float(value)) for at, value in points] for name, points in curves.items()}

    @property
    def _variables(self) -> list[Any]:
        return [*self._to_heads.variables, *self._optimiser.variables]

    def _computed(
        self, program: Callable[..., Any], observations: npt.NDArray[np.uint8], answers: npt.NDArray[Any]
    ) -> dict[str, float]:
        labels = tf.constant(answers, dtype=tf.float32 if self._regression else tf.int32)
        return {name: float(value) for name, value in program(tf.constant(channels_last(observations)), labels).items()}

    def _measure(self, pictures: Any, answers: Any) -> dict[str, Any]:
        heads = self._heads_of(pictures)
        if self._regression:
            # As in scikit-learn, the reported loss is the mean over components, and their sum is minimised.
            return {"loss": 0.5 * tf.reduce_mean(tf.square(heads - answers))}
        losses, accuracies = [], []
        for component, logits in enumerate([heads] if not isinstance(heads, (list, tuple)) else heads):
            labels = answers[:, component]
            losses.append(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
            right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
            accuracies.append(tf.reduce_mean(tf.cast(right, tf.float32)))
        if len(losses) == 1:
            return {"loss": losses[0], "accuracy": accuracies[0]}
        return {"loss": tf.add_n(losses), "accuracy": tf.add_n(accuracies) / len(accuracies)}

    def _update(self, pictures: Any, answers: Any) -> dict[str, Any]:
        variables = self._to_heads.trainable_variables
        with tf.GradientTape() as tape:
            measured = self._measure(pictures, answers)
            loss = measured["loss"] * answers.shape[1] if self._regression else measured["loss"]
        decay = self.training.weight_decay
        gradients = [
            gradient + decay * tf.convert_to_tensor(variable)
            for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True)
        ]
        self._optimiser.apply(gradients, variables)
        return measured


def plan(
    selections: Mapping[Any, Selection],
    seeds: Sequence[int],
    training: AnyTraining,
    missing: Collection[tuple[Key, int]] | None = None,
    stacked: bool = False,
) -> list[Batch]:
    """Divide training into batches of one policy each; see `quantilizers.policies.policy.PolicyFamily`."""
    training = cast(ConvolutionalTraining, training)
    return [
        # It uses several threads, and pictures fill the memory: further processes gain nothing.
        Batch((key,), (seed,), frozenset({(key, seed)}), training, steps=training.steps, seconds=0.0)
        for key in selections
        for seed in seeds
        if missing is None or (key, seed) in missing
    ]


def fit(
    batch: Batch,
    selections: Mapping[Any, Selection],
    monitor: Monitor = SILENT,
    checkpoint: Callable[[Any, int], Path] | None = None,
) -> Iterator[TrainedPolicy]:
    """Train the policy of a batch by `THREADS` threads; see `quantilizers.policies.policy.PolicyFamily`.

    With a checkpoint, a training that was stopped resumes, and one that was finished is not done again. Minibatches are
    drawn with replacement anyway, so steps that count more are drawn more often: the expected loss is the weighted
    mean, and steps without weight are never drawn.
    """
    ((key, seed),) = batch.policies
    training = cast(ConvolutionalTraining, batch.training)
    learned = selections[key].demonstrations.with_observations()
    cloning = CloningRun(learned.environment, seed, training)
    _learn(cloning, key, learned, monitor, checkpoint and checkpoint(key, seed), selections[key].step_weights)
    curve = tuple(value for _, value in cloning.curves["loss/train"])
    if not np.isfinite(curve[-1]):
        raise DivergedError([(key, seed)])
    yield TrainedPolicy(key, seed, cloning.model.get_weights(), training, (curve,), learned.fingerprint)


def _learn(
    cloning: CloningRun,
    key: Key,
    split: Demonstrations,
    monitor: Monitor,
    checkpoint: Path | None,
    weights: FloatArray | None,
) -> None:
    """Train one policy, from its checkpoint if there is one, to the end or until its loss is not finite."""
    seed, training = cloning.seed, cloning.training
    recipe = _recipe(split, seed, training, weights)
    if checkpoint is not None:
        cloning.resume_from(checkpoint, recipe)
    monitor.advance(cloning.step)
    for name, points in cloning.curves.items():
        for step, value in points:
            monitor.scalar(key, seed, name, value, step)
    learned, held_out = split_trajectories(split, training.validation_fraction, seed)
    drawn = _Drawing.of(split, learned, weights)
    looked_at = min(training.validation_rows, len(held_out))
    validation = _Drawing.of(split, held_out, weights).minibatch(np.random.default_rng(seed), looked_at)
    text = ""
    steps = range(cloning.step, training.steps)
    for step, batch in _drawn_ahead(drawn, seed, steps, training.batch_size):
        measured = cloning.train_on(*batch)
        noted = {f"{name}/train": value for name, value in measured.items()}
        if len(held_out) and (step % training.validation_interval == 0 or cloning.step == training.steps):
            of_held_out = cloning.measure(*validation)
            noted |= {f"{name}/validation": value for name, value in of_held_out.items()}
            text = f"{key_name(key)} seed {seed}: loss {measured['loss']:.3f} ({of_held_out['loss']:.3f} held out)"
            if "accuracy" in measured:
                text += f", accuracy {measured['accuracy']:.2f} ({of_held_out['accuracy']:.2f})"
        if len(held_out) and cloning.step == training.steps:
            noted |= _without_looking(split, learned, held_out)
        for name, value in noted.items():
            cloning.curves.setdefault(name, []).append((step, value))
            monitor.scalar(key, seed, name, value, step)
        monitor.advance(1, text)
        if not np.isfinite(measured["loss"]):
            monitor.advance(training.steps - cloning.step)
            return
        # The last one marks this policy as finished.
        last = cloning.step == training.steps
        if checkpoint is not None and (last or cloning.step % training.checkpoint_interval == 0):
            cloning.save_checkpoint(checkpoint, recipe)


def _recipe(split: Demonstrations, seed: int, training: ConvolutionalTraining, weights: FloatArray | None) -> Recipe:
    """Return the recipe of a checkpoint's training: data, settings, and the number of threads, which changes bits."""
    weighted = "" if weights is None else digest_of([("", weights)])
    of = {"training": asdict(training), "seed": seed, "threads": THREADS, "data": split.fingerprint}
    return Recipe({**of, "weights": weighted})


def split_trajectories(
    demonstrations: Demonstrations, fraction: float, seed: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Split N trajectories at random: floor(fraction · N) are held out, the others are learned from.

    Return the learned and the held-out steps, each as (n, 2): episode and step.
    """
    done = demonstrations.episodes.done
    order = np.random.default_rng([seed, 2]).permutation(demonstrations.number)
    held_out = np.zeros((demonstrations.number, 1), dtype=np.bool_)
    held_out[order[: int(fraction * demonstrations.number)]] = True
    return np.argwhere(~done & ~held_out), np.argwhere(~done & held_out)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Draws steps of demonstrations with replacement."""

    demonstrations: Demonstrations
    steps: npt.NDArray[np.intp]  # (n, 2): episode and step
    reached: FloatArray | None  # (n,) cumulative weights, the last is 1; None draws uniformly

    @classmethod
    def of(cls, demonstrations: Demonstrations, steps: npt.NDArray[np.intp], weights: FloatArray | None) -> _Drawing:
        """Draw by weights of all steps of the demonstrations, episode after episode."""
        if weights is None or not len(steps):
            return cls(demonstrations, steps, None)
        by_step = np.zeros(demonstrations.episodes.done.shape)
        by_step[~demonstrations.episodes.done] = weights
        reached = np.cumsum(by_step[steps[:, 0], steps[:, 1]])
        # If none of them has a weight, as can happen to held-out ones, they are drawn uniformly.
        return cls(demonstrations, steps, reached / reached[-1] if reached[-1] > 0 else None)

    def minibatch(self, generator: np.random.Generator, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """Draw a minibatch: observations (number, …), and the answers that `CloningRun.train_on` takes."""
        if not number:
            chosen = self.steps[:0]
        elif self.reached is None:
            chosen = self.steps[generator.integers(len(self.steps), size=number)]
        else:
            chosen = self.steps[np.searchsorted(self.reached, generator.random(number), side="right")]
        observations = self.demonstrations.episodes.observations[chosen[:, 0], chosen[:, 1]]
        return observations, _answers(self.demonstrations, chosen)


def _drawn_ahead(
    drawing: _Drawing, seed: int, steps: range, number: int
) -> Iterator[tuple[int, tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]]]:
    """Draw a minibatch for each step, in a thread that is one minibatch ahead.

    Each step has a generator, so a resumed run draws the same minibatches.
    """

    def draw(step: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        return drawing.minibatch(np.random.default_rng([seed, step, 0]), number)

    with ThreadPoolExecutor(1) as thread:
        drawn = [thread.submit(draw, step) for step in steps[:1]]
        for step in steps:
            if step + 1 in steps:
                drawn.append(thread.submit(draw, step + 1))
            yield step, drawn.pop(0).result()


def _answers(demonstrations: Demonstrations, steps: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return the class indices of the actions at steps (n, 2), or for regression the actions, (n, A)."""
    actions: npt.NDArray[Any] = demonstrations.episodes.actions[steps[:, 0], steps[:, 1]]
    classes = demonstrations.environment.action_classes
    if classes is None:
        return actions
    return np.stack([class_indices(actions[:, component], values) for component, values in enumerate(classes)], axis=1)


def _without_looking(
    demonstrations: Demonstrations, learned: npt.NDArray[np.intp], held_out: npt.NDArray[np.intp]
) -> dict[str, float]:
    """Return how well frequencies predict held-out actions, without observations, as points of curves.

    `marginal` are the frequencies of all steps; if the file names players, `player_marginal` are those of each player.
    """
    classes = demonstrations.environment.action_classes
    if classes is None:
        return {}
    answers = _answers(demonstrations, learned), _answers(demonstrations, held_out)
    numbers = tuple(map(len, classes))
    scores = {"marginal": marginal_score(*answers, numbers)}
    players = demonstrations.episodes.extras.get("player")
    if players is not None and players.ndim == 1:
        groups = np.unique(players, return_inverse=True)[1]
        scores["player_marginal"] = marginal_score(*answers, numbers, (groups[learned[:, 0]], groups[held_out[:, 0]]))
    return {f"{kind}/{name}": getattr(score, kind) for name, score in scores.items() for kind in ("loss", "accuracy")}


class ConvolutionalPolicies:
    """P policies that act side by side, without a history."""

    past: Past | None = None

    def __init__(self, environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting) -> None:
        self._environment = environment
        self._acting = acting
        # Episodes end one by one; without the signature each number of them would be compiled.
        shape = environment.observation_shape
        signature = [tf.TensorSpec((None, *picture_sides(shape), min(shape[0], shape[2])), tf.uint8)]
        self._models = []
        for policy in policies:
            model = build_model(environment)
            model.set_weights(policy.weights)
            turned = _on_turned(model, model.output)
            self._models.append(tf.function(turned, input_signature=signature, autograph=False))

    def begin(self, episodes: int) -> None:
        """Begin new episodes; these policies have no history."""

    def recall(self, episodes: Episodes) -> None:
        """Begin at recorded steps; these policies have no history."""

    def remember(self, observations: npt.NDArray[Any], actions: npt.NDArray[Any]) -> None:
        """Note actions that others took; these policies have no history."""

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> FloatArray:
        """Choose actions (P, E, A) for observations (P, E, …); see `quantilizers.policies.policy.Policies`."""
        space, classes = self._environment.action_space, self._environment.action_classes
        actions = np.zeros((*observations.shape[:2], self._environment.action_components))
        for policy, (seen, active, chosen) in enumerate(zip(observations, running, actions, strict=True)):
            drawn: list[FloatArray | None] = [None] * len(classes or ())
            if self._acting == "sample":
                # Drawn for all episodes, so an episode's end does not change the draws of the others.
                drawn = [generators[policy].random(len(seen))[active] for _ in drawn]
            if not active.any():
                continue
            outputs = self._outputs(policy, seen[active])
            if classes is None:
                chosen[active] = within(outputs[0], space)
                continue
            for component, (values, probabilities) in enumerate(zip(classes, outputs, strict=True)):
                chosen[active, component] = choose(probabilities, values, self._acting, drawn[component])
        return rounded(actions, space)

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return class probabilities (P, E, classes) of each component for observations (P, E, …)."""
        if self._environment.action_classes is None:
            return []
        by_policy = [self._outputs(policy, seen) for policy, seen in enumerate(observations)]
        return [np.stack(of_component) for of_component in zip(*by_policy, strict=True)]

    def _outputs(self, policy: int, seen: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        """Return the outputs of each head of one policy's network for observations (n, …)."""
        check_process()
        outputs = self._models[policy](tf.constant(channels_last(seen)))
        return [head.numpy() for head in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


#: See `quantilizers.policies.policy.PolicyFamily`.
stack = ConvolutionalPolicies
