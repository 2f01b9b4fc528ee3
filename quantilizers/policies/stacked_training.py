"""Train many small classifiers as one stacked network, in one compiled TensorFlow program.

Each member of the stack is what scikit-learn's `MLPClassifier` would fit, with its own initialisation, shuffling
and early stop: ReLU layers, softmax cross-entropy over the classes that its labels hold (of two classes the first
has logit 0, which makes the softmax a logistic unit, as there), Adam (Kingma & Ba 2015) with bias correction folded
into the learning rate, L2 on the weights divided by the minibatch's size, Glorot-uniform weights and biases.

Tensors are features-major, (member, feature, row): the minibatch is the contiguous axis, so the compiler
vectorises over it, which is twice as fast as over twenty units.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.policies.tensorflow import tf

#: A tensor, or a nested structure of them: TensorFlow has no types to say more.
Tensors = Any
FloatArray = npt.NDArray[np.float32]
#: A logit that makes a class impossible: its softmax is exactly 0 in float32.
IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class TrainingSettings:
    """Hyper-parameters; the defaults are the reference implementation's (those of scikit-learn).

    Attributes:
        hidden_units: units of each hidden layer.
        learning_rate: of Adam.
        first_moment_decay: β₁ of Adam.
        second_moment_decay: β₂ of Adam.
        epsilon: ε of Adam.
        batch_size: rows of a minibatch; all rows where there are fewer.
        l2: factor of half the squared weights.
        max_epochs: training stops after so many passes over the rows,
        tolerance: or when the mean loss of an epoch has not fallen by this much
        patience: for more than this many epochs in a row.
    """

    hidden_units: tuple[int, ...] = (20, 20)
    learning_rate: float = 1e-3
    first_moment_decay: float = 0.9
    second_moment_decay: float = 0.999
    epsilon: float = 1e-8
    batch_size: int = 200
    l2: float = 1e-4
    max_epochs: int = 200
    tolerance: float = 1e-4
    patience: int = 10


@dataclass(frozen=True)
class Fitted:
    """S trained classifiers.

    Attributes:
        weights: for each layer, (S, inputs, outputs) float32.
        biases: for each layer, (S, outputs) float32; `IMPOSSIBLE` for classes that the data do not hold.
        loss_curves: for each member, its mean loss in each epoch that it trained.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    loss_curves: tuple[tuple[float, ...], ...]


def fit_stack(
    observations: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    number_classes: int,
    generators: Sequence[np.random.RandomState],
    settings: TrainingSettings = TrainingSettings(),
    capacity: int | None = None,
    on_epoch: Callable[[int, npt.NDArray[np.float64]], None] | None = None,
) -> Fitted:
    """Fit S classifiers to the same rows.

    Args:
        observations: (n, features).
        labels: (S, n) class indices, each member's own.
        number_classes: how many classes there are, present or not.
        generators: S of them; each draws its member's initialisation and shuffling, as scikit-learn's
            `random_state` does: `RandomState(seed)` gives the classifier of `MLPClassifier(random_state=seed)`.
        settings: hyper-parameters.
        capacity: pad the rows to so many; fits with equal capacity, features, classes and S share one compiled
            program.
        on_epoch: called after each epoch with its number from 0 and the S losses, NaN for members that had
            stopped before.

    Returns:
        The trained classifiers.

    Raises:
        ValueError: no row, or a capacity below n.
    """
    members, rows = labels.shape
    if rows < 1 or len(observations) != rows or len(generators) != members:
        raise ValueError(f"{len(observations)} rows, labels {labels.shape} and {len(generators)} generators do not fit")
    batch = min(settings.batch_size, rows)
    padded = -(-max(capacity or rows, rows) // batch) * batch
    features = np.zeros((observations.shape[1], padded), dtype=np.float32)
    features[:, :rows] = observations.T
    classes = np.zeros((members, padded), dtype=np.int32)
    classes[:, :rows] = labels
    present = np.stack([np.isin(np.arange(number_classes), one) for one in labels])
    free = present.copy()
    for of_member in free:
        if of_member.sum() == 2:
            of_member[np.argmax(of_member)] = False

    sizes = (observations.shape[1], *settings.hidden_units, number_classes)
    parameters = [tf.constant(one) for one in _initialise(sizes, free, generators)]
    state = (
        parameters,
        [tf.zeros_like(one) for one in parameters],
        [tf.zeros_like(one) for one in parameters],
    )
    offsets = np.where(present, 0.0, IMPOSSIBLE).astype(np.float32)
    data = (
        tf.constant(features),
        tf.constant(classes),
        tf.constant(free[:, :, None].astype(np.float32)),
        tf.constant(offsets[:, :, None]),
    )
    epoch_of = _compiled_epoch(settings, batch)

    order = np.zeros((members, padded), dtype=np.int32)
    order[:, :rows] = np.arange(rows)
    updates = tf.constant(0.0)
    active = np.ones(members, dtype=np.bool_)
    best = np.full(members, np.inf)
    stale = np.zeros(members, dtype=np.int64)
    curves: list[list[float]] = [[] for _ in range(members)]
    for epoch in range(settings.max_epochs):
        for member, generator in enumerate(generators):
            if active[member]:
                order[member, :rows] = order[member, generator.permutation(rows)]
        state, updates, losses = epoch_of(
            data, state, updates, tf.constant(order), tf.constant(rows), tf.constant(active, dtype=tf.float32)
        )
        loss = np.where(active, losses.numpy().astype(np.float64), np.nan)
        for curve, value, trained in zip(curves, loss.tolist(), active.tolist(), strict=True):
            if trained:
                curve.append(value)
        if on_epoch is not None:
            on_epoch(epoch, loss)
        stale = np.where(loss > best - settings.tolerance, stale + 1, 0)
        best = np.fmin(best, loss)
        active &= stale <= settings.patience
        if not active.any():
            break

    layers = len(sizes) - 1
    trained = [one.numpy() for one in state[0]]
    biases = [one[:, :, 0] for one in trained[layers:]]
    # Classes without a free logit have kept weights and bias 0.
    biases[-1] = biases[-1] + offsets
    return Fitted(
        weights=tuple(np.ascontiguousarray(one.transpose(0, 2, 1)) for one in trained[:layers]),
        biases=tuple(biases),
        loss_curves=tuple(tuple(curve) for curve in curves),
    )


def _initialise(
    sizes: Sequence[int],
    free: npt.NDArray[np.bool_],
    generators: Sequence[np.random.RandomState],
) -> list[FloatArray]:
    """Draw each member's weights (S, outputs, inputs), then biases (S, outputs, 1), Glorot-uniform.

    A member's numbers are drawn in the order in which scikit-learn draws them, layer after layer, for the free
    outputs (S, classes) only; the rest stays 0.
    """
    shapes = list(itertools.pairwise(sizes))
    weights = [np.zeros((len(free), outputs, inputs), dtype=np.float32) for inputs, outputs in shapes]
    biases = [np.zeros((len(free), outputs, 1), dtype=np.float32) for _, outputs in shapes]
    for member, generator in enumerate(generators):
        for layer, (inputs, outputs) in enumerate(shapes):
            drawn = np.flatnonzero(free[member]) if layer == len(shapes) - 1 else np.arange(outputs)
            bound = np.sqrt(6.0 / (inputs + len(drawn)))
            weights[layer][member, drawn] = generator.uniform(-bound, bound, (inputs, len(drawn))).T
            biases[layer][member, drawn, 0] = generator.uniform(-bound, bound, len(drawn))
    return [*weights, *biases]


_programs: dict[tuple[TrainingSettings, int], Callable[..., Tensors]] = {}


def _compiled_epoch(settings: TrainingSettings, batch: int) -> Callable[..., Tensors]:
    """Return the compiled program of one epoch; it is traced anew for each shape of its arguments."""
    if (settings, batch) not in _programs:
        _programs[settings, batch] = tf.function(_epoch_program(settings, batch), jit_compile=True)
    return _programs[settings, batch]


def _epoch_program(settings: TrainingSettings, batch: int) -> Callable[..., Tensors]:
    """Build the program of one pass over the rows, minibatch after minibatch."""
    layers = len(settings.hidden_units) + 1

    def loss_of(
        parameters: Tensors, inputs: Tensors, labels: Tensors, counted: Tensors, free: Tensors, offsets: Tensors
    ) -> Tensors:
        """Mean loss of each member over the counted rows; inputs (S, features, batch)."""
        units = inputs
        for layer in range(layers):
            units = tf.matmul(parameters[layer], units) + parameters[layers + layer]
            if layer < layers - 1:
                units = tf.nn.relu(units)
        logits = units * free + offsets
        log_probability = logits - tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        chosen = tf.one_hot(labels, tf.shape(logits)[1], axis=1)
        cross_entropy = -tf.reduce_sum(log_probability * chosen, axis=1)
        squares = tf.add_n([tf.reduce_sum(tf.square(one), axis=(1, 2)) for one in parameters[:layers]])
        number = tf.reduce_sum(counted)
        return (tf.reduce_sum(cross_entropy * counted, axis=1) + 0.5 * settings.l2 * squares) / number

    def epoch(
        data: Tensors, state: Tensors, updates: Tensors, order: Tensors, rows: Tensors, active: Tensors
    ) -> Tensors:
        features, classes, free, offsets = data
        members = order.shape[0]
        # Shuffled once an epoch, so that each minibatch is one contiguous slice.
        shuffled = tf.transpose(tf.gather(features, order, axis=1), (1, 0, 2))
        labels = tf.gather(classes, order, axis=1, batch_dims=1)
        step_size = active[:, None, None] * settings.learning_rate

        def minibatch(start: Tensors, updates: Tensors, state: Tensors, total: Tensors) -> Tensors:
            parameters, first, second = state
            inputs = tf.slice(shuffled, (0, 0, start), (members, shuffled.shape[1], batch))
            counted = tf.cast(start + tf.range(batch) < rows, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                chosen = tf.slice(labels, (0, start), (members, batch))
                loss = loss_of(parameters, inputs, chosen, counted, free, offsets)
            gradients = tape.gradient(loss, parameters)
            updates += 1.0
            decay1, decay2 = settings.first_moment_decay, settings.second_moment_decay
            rate = step_size * tf.sqrt(1.0 - decay2**updates) / (1.0 - decay1**updates)
            first = [decay1 * m + (1.0 - decay1) * g for m, g in zip(first, gradients, strict=True)]
            second = [decay2 * v + (1.0 - decay2) * g * g for v, g in zip(second, gradients, strict=True)]
            parameters = [
                p - rate * m / (tf.sqrt(v) + settings.epsilon)
                for p, m, v in zip(parameters, first, second, strict=True)
            ]
            return start + batch, updates, (parameters, first, second), total + loss * tf.reduce_sum(counted)

        _, updates, state, total = tf.while_loop(
            lambda start, *_: start < rows, minibatch, (tf.constant(0), updates, state, tf.zeros(members))
        )
        return state, updates, total / tf.cast(rows, tf.float32)

    return epoch
