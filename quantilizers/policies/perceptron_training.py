"""Training of perceptrons: many small networks train as one stacked network, in one compiled TensorFlow program.

Each member of the stack is fitted as scikit-learn's `MLPClassifier` or `MLPRegressor` would be, with its own
initialisation, shuffling and early stop: ReLU layers, Adam (Kingma & Ba 2015) with bias correction folded into the
learning rate, L2 on the weights divided by the minibatch's size, Glorot-uniform weights and biases. Classifiers are
trained on the softmax cross-entropy over the classes that their labels hold (of two classes the first has logit 0,
which makes the softmax a logistic unit, as there), regressors on half the mean squared error.

Members may learn from different rows, with different weights. The loss of a minibatch is Σ w · loss over its number of
rows: with weights of mean 1 its expectation is the weighted mean of all rows, however these fall into minibatches.
(scikit-learn divides by Σ w of the minibatch; with one minibatch an epoch the two are the same.)

What a member learns depends on the other members and on the padding only by rounding: it is the same bits in all stacks
of two or more whose members have equally many rows. A stack of one is compiled to another program.

Tensors are features-major, (member, feature, row): the minibatch is the contiguous axis, so the compiler
vectorises over it, which is twice as fast as over twenty units. Gradients are written by hand, because XLA compiles
those that TensorFlow derives to slow loops: a mask made by a comparison is not vectorised, one made by a sign is; a
product with a transposed matrix copies it number by number, so the program keeps the transpose too; products over two
or three numbers are sums that fuse with the next operation; and sums over rows are products with a vector, which are
added in one order whatever the number of members.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.policies.hyper_parameters import PerceptronTraining, padded_length
from quantilizers.policies.tensorflow import check_process, compiled, compute_perceptrons, tf
from quantilizers.rewards import Float32Array, FloatArray

compute_perceptrons()

#: A tensor, or a nested structure of them: TensorFlow has no types to say more.
Tensors = Any
#: The reference implementation's hyper-parameters.
REFERENCE = PerceptronTraining()
#: A logit that makes a class impossible: its softmax is exactly 0 in float32.
IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class Fitted:
    """S trained networks.

    Attributes:
        weights: for each layer, (S, inputs, outputs) float32.
        biases: for each layer, (S, outputs) float32; `IMPOSSIBLE` for classes that the data do not hold.
        loss_curves: for each member, its mean loss in each epoch that it trained. One that is NaN or infinite is the
            last: the member learns no more, and its weights are worthless.
    """

    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]
    loss_curves: tuple[tuple[float, ...], ...]


OnEpoch = Callable[[int, FloatArray], None]


@dataclass(frozen=True, eq=False)
class MemberData:
    """The rows that one member of a stack learns from.

    The first permutation permutes them in the given order.
    """

    rows: npt.NDArray[np.integer[Any]]  # (r,) indices, r ≥ 1
    weights: npt.NDArray[np.floating[Any]] | None = None  # (r,) not negative, with mean 1; None is 1 for each


def fit_stack(
    observations: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    number_classes: int,
    generators: Sequence[np.random.RandomState],
    settings: PerceptronTraining = REFERENCE,
    capacity: int | None = None,
    on_epoch: OnEpoch | None = None,
    member_data: Sequence[MemberData] | None = None,
) -> Fitted:
    """Fit S classifiers to the same rows, or to different ones.

    Args:
        observations: (n, features).
        labels: (S, n) class indices, for each member.
        number_classes: number of classes, present or not.
        generators: S of them; each draws its member's initialisation and shuffling, as scikit-learn's
            `random_state` does: `RandomState(seed)` gives the classifier of `MLPClassifier(random_state=seed)`.
        settings: hyper-parameters.
        capacity: padded length of a member's rows; fits with equal capacity, n, features, classes and S share one
            compiled program.
        on_epoch: called after each epoch with its number from 0 and the S losses, NaN for members that had stopped.
        member_data: of each member; None is all rows for all.

    Raises:
        ValueError: no row, or numbers of rows, labels, generators and member_data that do not fit.
    """
    check_process()
    members, rows = labels.shape
    if rows < 1 or len(observations) != rows or len(generators) != members:
        raise ValueError(f"{len(observations)} rows, labels {labels.shape} and {len(generators)} generators do not fit")
    training_data = _lay_out(rows, members, member_data, settings, capacity)
    classes = np.zeros((members, training_data.length), dtype=np.int32)
    classes[:, :rows] = labels
    own_labels = [of_member[own] for of_member, own in zip(labels, training_data.rows, strict=True)]
    present = np.stack([np.isin(np.arange(number_classes), own) for own in own_labels])
    free = present.copy()
    for of_member in free:
        if of_member.sum() == 2:
            of_member[np.argmax(of_member)] = False
    offsets = np.where(present, 0.0, IMPOSSIBLE).astype(np.float32)
    answers = (
        tf.constant(classes),
        tf.constant(free[:, :, None].astype(np.float32)),
        tf.constant(offsets[:, :, None]),
    )
    fitted = _fit(observations, answers, free, _Classification(), generators, settings, training_data, on_epoch)
    # Classes without a free logit have kept weights and bias 0.
    return replace(fitted, biases=(*fitted.biases[:-1], fitted.biases[-1] + offsets))


def fit_regressors(
    observations: npt.NDArray[np.floating[Any]],
    targets: npt.NDArray[np.floating[Any]],
    generators: Sequence[np.random.RandomState],
    settings: PerceptronTraining = REFERENCE,
    capacity: int | None = None,
    on_epoch: OnEpoch | None = None,
    member_data: Sequence[MemberData] | None = None,
) -> Fitted:
    """Fit S networks with linear outputs to targets (n, A); the other arguments are those of `fit_stack`.

    `RandomState(seed)` gives the network of `MLPRegressor(random_state=seed)`. As in scikit-learn, losses are averaged
    over the A outputs, while their sum is minimised.

    Raises:
        ValueError: no row, or numbers of rows, targets, generators and member_data that do not fit.
    """
    check_process()
    rows, outputs = targets.shape
    if rows < 1 or len(observations) != rows or not generators:
        raise ValueError(f"{len(observations)} rows and targets {targets.shape} do not fit")
    training_data = _lay_out(rows, len(generators), member_data, settings, capacity)
    answers = np.zeros((outputs, training_data.length), dtype=np.float32)
    answers[:, :rows] = targets.T
    free = np.ones((len(generators), outputs), dtype=np.bool_)
    return _fit(
        observations, (tf.constant(answers),), free, _Regression(), generators, settings, training_data, on_epoch
    )


@dataclass(frozen=True, eq=False)
class _TrainingData:
    """The data of all members of a stack."""

    rows: tuple[npt.NDArray[np.integer[Any]], ...]  # indices of each member's rows
    weights: Float32Array | None  # (S, length); None is 1 throughout
    batch: int  # rows of a minibatch
    padded: int  # rows of all minibatches of a member, padding included
    length: int  # rows of the data, padding included


def _lay_out(
    number: int,
    members: int,
    member_data: Sequence[MemberData] | None,
    settings: PerceptronTraining,
    capacity: int | None,
) -> _TrainingData:
    """Check which of the rows each member learns from, and lay them out."""
    member_data = [MemberData(np.arange(number))] * members if member_data is None else list(member_data)
    for data in member_data:
        weights, rows = data.weights, data.rows
        fits = weights is None or weights.shape == rows.shape
        if not fits or len(rows) < 1 or rows.min() < 0 or rows.max() >= number:
            raise ValueError("a member has no row, rows that do not exist, or not one weight for each row")
        if weights is not None and not (np.isfinite(weights).all() and weights.min() >= 0):
            raise ValueError("weights must be finite and not negative")
    if len(member_data) != members:
        raise ValueError(f"the data of {len(member_data)} members do not fit {members} members")
    longest = max(len(data.rows) for data in member_data)
    batch = min(settings.batch_size, longest)
    padded = padded_length(-(-max(capacity or longest, longest) // batch)) * batch
    # Whole multiples, so stacks of about as many rows share a program.
    length = -(-max(number, padded) // padded) * padded
    counts = None
    if any(data.weights is not None for data in member_data):
        counts = np.ones((members, length), dtype=np.float32)
        for of_member, data in zip(counts, member_data, strict=True):
            if data.weights is not None:
                of_member[data.rows] = data.weights
    return _TrainingData(tuple(data.rows for data in member_data), counts, batch, padded, length)


@dataclass(frozen=True)
class _Classification:
    """Cross-entropy; the answers are class indices (S, rows), free logits and offsets (S, classes, 1)."""

    def minibatch(self, answers: Tensors, order: Tensors) -> Tensors:
        """Return the class indices of a minibatch, (S, batch)."""
        return tf.gather(answers[0], order, axis=1, batch_dims=1)

    def losses(self, outputs: Tensors, chosen: Tensors, answers: Tensors) -> tuple[Tensors, Tensors]:
        """Return the reported loss of each row, (S, batch), and gradients of the minimised one, (S, classes, batch)."""
        _, free, offsets = answers
        logits = outputs * free + offsets
        largest = tf.reduce_max(logits, axis=1, keepdims=True)
        exponentials = tf.exp(logits - largest)
        total = tf.reduce_sum(exponentials, axis=1, keepdims=True)
        right = tf.cast(tf.range(logits.shape[1])[None, :, None] == chosen[:, None], tf.float32)
        cross_entropy = (tf.math.log(total) + largest)[:, 0] - tf.reduce_sum(logits * right, axis=1)
        return cross_entropy, (exponentials / total - right) * free


@dataclass(frozen=True)
class _Regression:
    """Half the squared error; the answers are the targets (A, rows) of all members."""

    def minibatch(self, answers: Tensors, order: Tensors) -> Tensors:
        """Return the targets of a minibatch, (S, A, batch)."""
        return _columns(answers[0], order)

    def losses(self, outputs: Tensors, chosen: Tensors, answers: Tensors) -> tuple[Tensors, Tensors]:
        """Return the reported loss of each row, (S, batch), and gradients of the minimised one, (S, A, batch)."""
        errors = outputs - chosen
        return 0.5 * tf.reduce_mean(tf.square(errors), axis=1), errors


def _columns(data: Tensors, order: Tensors) -> Tensors:
    """Return for each member its columns, (S, features, batch), of data (features, rows)."""
    features, rows = data.shape
    if features * rows > np.iinfo(np.int32).max:
        return tf.transpose(tf.gather(data, order, axis=1), (1, 0, 2))
    # From one dimension: the compiler then lays the result out as it is written here.
    places = order[:, None, :] + (tf.range(features) * rows)[None, :, None]
    return tf.gather(tf.reshape(data, [-1]), places)


#: Products over at most this many numbers are written out.
FEW = 4
#: Of more features than this, a minibatch is gathered row by row: by columns each number is a cache miss.
MANY = 64


def _product(matrices: Tensors, columns: Tensors) -> Tensors:
    """Multiply (S, m, k) by (S, k, batch)."""
    if not 0 < matrices.shape[2] <= FEW:
        return tf.matmul(matrices, columns)
    return tf.add_n([matrices[:, :, k : k + 1] * columns[:, k : k + 1] for k in range(matrices.shape[2])])


def _sums(columns: Tensors, weights: Tensors) -> Tensors:
    """Add up the rows of (S, m, batch), weighted by (S, batch): (S, m, 1)."""
    return tf.matmul(columns, weights[:, :, None])


def _outer(left: Tensors, right: Tensors) -> Tensors:
    """Return the sum over rows of the products of (S, m, batch) with (S, n, batch), which is (S, m, n)."""
    if right.shape[1] <= FEW:
        return tf.concat([_sums(left, right[:, n]) for n in range(right.shape[1])], axis=2)
    if left.shape[1] <= FEW:
        return tf.transpose(_outer(right, left), (0, 2, 1))
    return tf.matmul(left, right, transpose_b=True)


Objective = _Classification | _Regression


def _fit(
    observations: npt.NDArray[np.floating[Any]],
    answers: Tensors,
    free: npt.NDArray[np.bool_],
    objective: Objective,
    generators: Sequence[np.random.RandomState],
    settings: PerceptronTraining,
    training_data: _TrainingData,
    on_epoch: OnEpoch | None,
) -> Fitted:
    """Train one network for each generator, epoch after epoch; free outputs (S, outputs) have weights to learn."""
    members = len(generators)
    by_row = observations.shape[1] > MANY
    features = np.zeros((training_data.length, observations.shape[1]), dtype=np.float32)
    features[: len(observations)] = observations
    features = features if by_row else np.ascontiguousarray(features.T)
    sizes = (observations.shape[1], *settings.hidden_units, free.shape[1])
    parameters = [tf.constant(drawn) for drawn in _initialise(sizes, free, generators)]
    state = parameters, [tf.zeros_like(one) for one in parameters], [tf.zeros_like(one) for one in parameters]
    weights = None if training_data.weights is None else tf.constant(training_data.weights)
    data = (tf.constant(features), answers, weights)

    numbers = np.array([len(rows) for rows in training_data.rows])
    # Rows of the same number are counted once, for all.
    alike = len(set(numbers.tolist())) == 1
    rows_left = tf.constant(numbers[0] if alike else numbers, dtype=tf.int32)
    updates = tf.constant(0.0) if alike else tf.zeros(members)
    epoch_of = _compiled_epoch(settings, training_data.batch, objective, by_row)
    epochs = np.array([settings.epochs_for(number) for number in numbers.tolist()])
    active = np.ones(members, dtype=np.bool_)
    best = np.full(members, np.inf)
    stale = np.zeros(members, dtype=np.int64)
    curves: list[list[float]] = [[] for _ in range(members)]
    orders = _Orders(training_data, generators)
    with ThreadPoolExecutor(1) as ahead:
        order = orders.draw(active)
        for epoch in range(int(epochs.max())):
            # XLA releases the interpreter lock: the next epoch's order is drawn meanwhile, even for members that stop.
            drawn = ahead.submit(orders.draw, active & (epoch + 1 < epochs))
            rates = tf.constant(np.where(active, settings.learning_rate, 0.0), dtype=tf.float32)
            state, updates, losses = epoch_of(data, state, updates, tf.constant(order), rows_left, rates)
            loss = np.where(active, losses.numpy().astype(np.float64), np.nan)
            for curve, value, trained in zip(curves, loss.tolist(), active.tolist(), strict=True):
                if trained:
                    curve.append(value)
            if on_epoch is not None:
                on_epoch(epoch, loss)
            active &= np.isfinite(loss) & (epoch + 1 < epochs)
            stale = np.where(loss > best - settings.tolerance, stale + 1, 0)
            best = np.fmin(best, loss)
            if not settings.updates:
                active &= stale <= settings.patience
            if not active.any():
                break
            order = drawn.result()

    layers = len(sizes) - 1
    learned = [parameter.numpy() for parameter in state[0]]
    return Fitted(
        weights=tuple(np.ascontiguousarray(weights.transpose(0, 2, 1)) for weights in learned[:layers]),
        biases=tuple(biases[:, :, 0] for biases in learned[layers:]),
        loss_curves=tuple(tuple(curve) for curve in curves),
    )


class _Orders:
    """Shuffles the rows of each member of a stack, epoch after epoch."""

    def __init__(self, training_data: _TrainingData, generators: Sequence[np.random.RandomState]) -> None:
        self._generators = generators
        self._numbers = [len(rows) for rows in training_data.rows]
        # NumPy shuffles this integer type fastest.
        self._order = np.zeros((len(generators), training_data.padded), dtype=np.int64)
        for of_member, rows in zip(self._order, training_data.rows, strict=True):
            of_member[: len(rows)] = rows

    def draw(self, learns: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """Return the order of one more epoch (S, padded), a new one for the members that learn (S,)."""
        for of_member, generator, number, wanted in zip(
            self._order, self._generators, self._numbers, learns.tolist(), strict=True
        ):
            if wanted:
                # The same order as `of_member[generator.permutation(number)]`.
                generator.shuffle(of_member[:number])
                # Shuffling holds the interpreter lock, and other stacks may wait for it.
                time.sleep(0)
        return self._order.astype(np.int32)


def _initialise(
    sizes: Sequence[int], free: npt.NDArray[np.bool_], generators: Sequence[np.random.RandomState]
) -> list[Float32Array]:
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


_programs: dict[tuple[PerceptronTraining, int, Objective, bool], Callable[..., Tensors]] = {}


def _compiled_epoch(
    settings: PerceptronTraining, batch: int, objective: Objective, by_row: bool
) -> Callable[..., Tensors]:
    """Return the program of one epoch, which is compiled for each shape of its arguments."""
    # The number of epochs and when to stop do not change the program, and each epoch's learning rate is an argument.
    one_epoch = replace(settings, max_epochs=1, updates=0, learning_rate=1.0, tolerance=0.0, patience=1)
    key = (one_epoch, batch, objective, by_row)
    if key not in _programs:
        _programs[key] = compiled(_epoch_program(*key), jit_compile=True)
    return _programs[key]


def _turned(weights: Tensors) -> Tensors:
    return tf.transpose(weights, (0, 2, 1))


def _epoch_program(
    settings: PerceptronTraining, batch: int, objective: Objective, by_row: bool
) -> Callable[..., Tensors]:
    """Build the program of one pass over the rows, minibatch after minibatch.

    Features are (features, rows), or (rows, features) where `by_row`.
    """
    layers = len(settings.hidden_units) + 1

    def gradients_of(
        parameters: Tensors, turned: Tensors, inputs: Tensors, chosen: Tensors, counted: Tensors, answers: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Return losses (S,) and gradients, summed over rows (S, features, batch) as they count (S, batch)."""
        units = [inputs]
        for layer in range(layers):
            outputs = _product(parameters[layer], units[-1]) + parameters[layers + layer]
            if layer < layers - 1:
                units.append(tf.nn.relu(outputs))
        reported, errors = objective.losses(outputs, chosen, answers)
        loss = _sums(reported[:, None], counted)[:, 0, 0]
        errors *= counted[:, None]
        ones = tf.ones_like(counted)
        of_weights, of_biases = [], []
        for layer in reversed(range(layers)):
            of_weights.append(_outer(errors, units[layer]))
            of_biases.append(_sums(errors, ones))
            if layer:
                errors = tf.matmul(turned[layer - 1], errors) * tf.sign(units[layer])
        return loss, [*reversed(of_weights), *reversed(of_biases)]

    def epoch(
        data: Tensors, state: Tensors, updates: Tensors, order: Tensors, rows: Tensors, learning_rates: Tensors
    ) -> Tensors:
        # A member with learning rate 0 stays as it is. Members have equally many rows, and then share one count of
        # updates, or numbers of their own (S,).
        features, answers, weights = data
        members, alike = order.shape[0], rows.shape.rank == 0
        step_size = learning_rates[:, None, None]

        def minibatch(start: Tensors, updates: Tensors, turned: Tensors, state: Tensors, total: Tensors) -> Tensors:
            parameters, first, second = state
            chosen = tf.slice(order, (0, start), (members, batch))
            there = tf.cast(start + tf.range(batch) < (rows if alike else rows[:, None]), tf.float32)
            number = tf.reduce_sum(there, axis=-1)
            # A member whose rows are used up waits for the others.
            waits: Tensors = None if alike else number == 0.0
            share = 1.0 / (number if alike else tf.maximum(number, 1.0)[:, None])
            counted = tf.broadcast_to(there * share, (members, batch))
            if weights is not None:
                counted *= tf.gather(weights, chosen, axis=1, batch_dims=1)
            inputs = _turned(tf.gather(features, chosen)) if by_row else _columns(features, chosen)
            loss, gradients = gradients_of(
                parameters, turned, inputs, objective.minibatch(answers, chosen), counted, answers
            )
            squares = tf.add_n([tf.reduce_sum(tf.square(weights), axis=(1, 2)) for weights in parameters[:layers]])
            decay = settings.l2 * (share if alike else share[:, None])
            gradients[:layers] = [g + decay * p for g, p in zip(gradients, parameters[:layers], strict=False)]
            updates += 1.0 if alike else tf.cast(~waits, tf.float32)
            decay1, decay2 = settings.first_moment_decay, settings.second_moment_decay
            done = updates if alike else updates[:, None, None]
            rate = step_size * tf.sqrt(1.0 - decay2**done) / (1.0 - decay1**done)
            old = parameters, first, second
            first = [decay1 * m + (1.0 - decay1) * g for m, g in zip(first, gradients, strict=True)]
            second = [decay2 * v + (1.0 - decay2) * g * g for v, g in zip(second, gradients, strict=True)]
            moments = zip(parameters, first, second, strict=True)
            parameters = [p - rate * m / (tf.sqrt(v) + settings.epsilon) for p, m, v in moments]
            new = parameters, first, second
            loss = loss * number + 0.5 * settings.l2 * squares
            if not alike:
                new = tf.nest.map_structure(lambda o, n: tf.where(waits[:, None, None], o, n), old, new)
                loss = tf.where(waits, 0.0, loss)
            turned = [_turned(weights) for weights in new[0][1:layers]]
            return start + batch, updates, turned, new, total + loss

        _, updates, _, state, total = tf.while_loop(
            lambda start, *_: start < (rows if alike else tf.reduce_max(rows)),
            minibatch,
            (tf.constant(0), updates, [_turned(weights) for weights in state[0][1:layers]], state, tf.zeros(members)),
        )
        return state, updates, total / tf.cast(rows, tf.float32)

    return epoch
