"""Train many small networks as one stacked network, in one compiled TensorFlow program.

Each member of the stack is what scikit-learn's `MLPClassifier` or `MLPRegressor` would fit, with its own
initialisation, shuffling and early stop: ReLU layers, Adam (Kingma & Ba 2015) with bias correction folded into the
learning rate, L2 on the weights divided by the minibatch's size, Glorot-uniform weights and biases. Classifiers are
trained on the softmax cross-entropy over the classes that their labels hold (of two classes the first has logit 0,
which makes the softmax a logistic unit, as there), regressors on half the mean squared error.

Members may learn from rows of their own, with weights of their own. A minibatch's loss is Σ w · loss over its number
of rows: with weights whose mean is 1 its expectation is the weighted mean of all rows, however the weights fall into
minibatches. (scikit-learn divides by Σ w of the minibatch; with one minibatch an epoch the two are the same.)

What a member learns does not depend on the other members or on the padding, but for rounding: it is the same bits among
stacks of fewer than ten members, or of ten and more, which XLA compiles otherwise, whose members have all the same
number of rows.

Tensors are features-major, (member, feature, row): the minibatch is the contiguous axis, so the compiler
vectorises over it, which is twice as fast as over twenty units.
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

from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.tensorflow import tf

#: A tensor, or a nested structure of them: TensorFlow has no types to say more.
Tensors = Any
FloatArray = npt.NDArray[np.float32]
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

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    loss_curves: tuple[tuple[float, ...], ...]


OnEpoch = Callable[[int, npt.NDArray[np.float64]], None]


@dataclass(frozen=True, eq=False)
class Portion:
    """What one member of a stack learns from.

    Attributes:
        rows: (r,) indices of rows, in the order that its first permutation permutes; r ≥ 1.
        weights: (r,) what each counts, not negative, with a mean of 1; None is 1 for each.
    """

    rows: npt.NDArray[np.integer[Any]]
    weights: npt.NDArray[np.floating[Any]] | None = None


def fit_stack(
    observations: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    number_classes: int,
    generators: Sequence[np.random.RandomState],
    settings: PerceptronTraining = REFERENCE,
    capacity: int | None = None,
    on_epoch: OnEpoch | None = None,
    portions: Sequence[Portion] | None = None,
) -> Fitted:
    """Fit S classifiers to the same rows, or each to its own.

    Args:
        observations: (n, features).
        labels: (S, n) class indices, each member's own.
        number_classes: how many classes there are, present or not.
        generators: S of them; each draws its member's initialisation and shuffling, as scikit-learn's
            `random_state` does: `RandomState(seed)` gives the classifier of `MLPClassifier(random_state=seed)`.
        settings: hyper-parameters.
        capacity: pad a member's rows to so many; fits with equal capacity, n, features, classes and S share one
            compiled program.
        on_epoch: called after each epoch with its number from 0 and the S losses, NaN for members that had
            stopped before.
        portions: for each member the rows that it learns from; None is all rows for all.

    Returns:
        The trained classifiers.

    Raises:
        ValueError: no row, or numbers of rows, labels, generators and portions that do not fit.
    """
    members, rows = labels.shape
    if rows < 1 or len(observations) != rows or len(generators) != members:
        raise ValueError(f"{len(observations)} rows, labels {labels.shape} and {len(generators)} generators do not fit")
    lessons = _lessons(rows, members, portions, settings, capacity)
    classes = np.zeros((members, lessons.room), dtype=np.int32)
    classes[:, :rows] = labels
    present = np.stack(
        [
            np.isin(np.arange(number_classes), of_member[own])
            for of_member, own in zip(labels, lessons.rows, strict=True)
        ]
    )
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
    fitted = _fit(observations, answers, free, _Classification(), generators, settings, lessons, on_epoch)
    # Classes without a free logit have kept weights and bias 0.
    return replace(fitted, biases=(*fitted.biases[:-1], fitted.biases[-1] + offsets))


def fit_regressors(
    observations: npt.NDArray[np.floating[Any]],
    targets: npt.NDArray[np.floating[Any]],
    generators: Sequence[np.random.RandomState],
    settings: PerceptronTraining = REFERENCE,
    capacity: int | None = None,
    on_epoch: OnEpoch | None = None,
    portions: Sequence[Portion] | None = None,
) -> Fitted:
    """Fit S networks with one linear output to the same rows, or each to its own.

    Args:
        observations: (n, features).
        targets: (n, A), what to predict.
        generators: S of them: `RandomState(seed)` gives the network of `MLPRegressor(random_state=seed)`.
        settings: hyper-parameters.
        capacity: as for `fit_stack`.
        on_epoch: as for `fit_stack`.
        portions: as for `fit_stack`.

    Returns:
        The trained networks. As in scikit-learn, losses are averaged over the A outputs, while what is minimised
        adds them up.

    Raises:
        ValueError: no row, or numbers of rows, targets, generators and portions that do not fit.
    """
    rows, outputs = targets.shape
    if rows < 1 or len(observations) != rows or not generators:
        raise ValueError(f"{len(observations)} rows and targets {targets.shape} do not fit")
    lessons = _lessons(rows, len(generators), portions, settings, capacity)
    answers = np.zeros((outputs, lessons.room), dtype=np.float32)
    answers[:, :rows] = targets.T
    free = np.ones((len(generators), outputs), dtype=np.bool_)
    return _fit(observations, (tf.constant(answers),), free, _Regression(), generators, settings, lessons, on_epoch)


@dataclass(frozen=True, eq=False)
class _Lessons:
    """What the members of a stack learn from.

    Attributes:
        rows: of each member the indices of its rows.
        weights: of each row for each member (S, room); None is 1 throughout.
        batch: rows of a minibatch.
        padded: rows of all minibatches of a member, padding included.
        room: rows of the data, padding included.
    """

    rows: tuple[npt.NDArray[np.integer[Any]], ...]
    weights: FloatArray | None
    batch: int
    padded: int
    room: int


def _lessons(
    number: int,
    members: int,
    portions: Sequence[Portion] | None,
    settings: PerceptronTraining,
    capacity: int | None,
) -> _Lessons:
    """Check portions of so many rows, and lay them out."""
    portions = [Portion(np.arange(number))] * members if portions is None else list(portions)
    for portion in portions:
        weights, rows = portion.weights, portion.rows
        if (
            len(rows) < 1
            or rows.min() < 0
            or rows.max() >= number
            or (weights is not None and weights.shape != rows.shape)
        ):
            raise ValueError("a portion has no row, rows that are not there, or other weights than rows")
        if weights is not None and not (np.isfinite(weights).all() and weights.min() >= 0):
            raise ValueError("weights must be finite and not negative")
    if len(portions) != members:
        raise ValueError(f"{len(portions)} portions do not fit {members} members")
    longest = max(len(portion.rows) for portion in portions)
    batch = min(settings.batch_size, longest)
    padded = -(-max(capacity or longest, longest) // batch) * batch
    # Whole multiples, so that stacks of about as many rows share a program.
    room = -(-max(number, padded) // padded) * padded
    counts = None
    if any(portion.weights is not None for portion in portions):
        counts = np.ones((members, room), dtype=np.float32)
        for of_member, portion in zip(counts, portions, strict=True):
            if portion.weights is not None:
                of_member[portion.rows] = portion.weights
    return _Lessons(tuple(portion.rows for portion in portions), counts, batch, padded, room)


@dataclass(frozen=True)
class _Classification:
    """Cross-entropy; the answers are class indices (S, rows), free logits and offsets (S, classes, 1)."""

    def shuffled(self, answers: Tensors, order: Tensors) -> Tensors:
        """Return the class indices in each member's order, (S, rows)."""
        return tf.gather(answers[0], order, axis=1, batch_dims=1)

    def minibatch(self, shuffled: Tensors, start: Tensors, members: int, batch: int) -> Tensors:
        """Return those of a minibatch, (S, batch)."""
        return tf.slice(shuffled, (0, start), (members, batch))

    def losses(self, outputs: Tensors, chosen: Tensors, answers: Tensors) -> tuple[Tensors, Tensors]:
        """Return what is minimised and what is reported of each row, (S, batch) both."""
        _, free, offsets = answers
        logits = outputs * free + offsets
        log_probability = logits - tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        right = tf.one_hot(chosen, tf.shape(logits)[1], axis=1)
        cross_entropy = -tf.reduce_sum(log_probability * right, axis=1)
        return cross_entropy, cross_entropy


@dataclass(frozen=True)
class _Regression:
    """Half the squared error; the answers are the targets (A, rows) of all members."""

    def shuffled(self, answers: Tensors, order: Tensors) -> Tensors:
        """Return the targets in each member's order, (S, A, rows)."""
        return tf.transpose(tf.gather(answers[0], order, axis=1), (1, 0, 2))

    def minibatch(self, shuffled: Tensors, start: Tensors, members: int, batch: int) -> Tensors:
        """Return those of a minibatch, (S, A, batch)."""
        return tf.slice(shuffled, (0, 0, start), (members, shuffled.shape[1], batch))

    def losses(self, outputs: Tensors, chosen: Tensors, answers: Tensors) -> tuple[Tensors, Tensors]:
        """Return what is minimised and what is reported of each row, (S, batch) both."""
        squares = 0.5 * tf.square(outputs - chosen)
        return tf.reduce_sum(squares, axis=1), tf.reduce_mean(squares, axis=1)


Objective = _Classification | _Regression


def _fit(
    observations: npt.NDArray[np.floating[Any]],
    answers: Tensors,
    free: npt.NDArray[np.bool_],
    objective: Objective,
    generators: Sequence[np.random.RandomState],
    settings: PerceptronTraining,
    lessons: _Lessons,
    on_epoch: OnEpoch | None,
) -> Fitted:
    """Train one network for each generator, epoch after epoch; free outputs (S, outputs) have weights to learn."""
    members = len(generators)
    features = np.zeros((observations.shape[1], lessons.room), dtype=np.float32)
    features[:, : len(observations)] = observations.T
    sizes = (observations.shape[1], *settings.hidden_units, free.shape[1])
    parameters = [tf.constant(drawn) for drawn in _initialise(sizes, free, generators)]
    state = (
        parameters,
        [tf.zeros_like(parameter) for parameter in parameters],
        [tf.zeros_like(parameter) for parameter in parameters],
    )
    weights = None if lessons.weights is None else tf.constant(lessons.weights)
    data = (tf.constant(features), answers, weights)

    numbers = np.array([len(rows) for rows in lessons.rows])
    # Rows of the same number are counted once, for all.
    alike = len(set(numbers.tolist())) == 1
    rows_left = tf.constant(numbers[0] if alike else numbers, dtype=tf.int32)
    updates = tf.constant(0.0) if alike else tf.zeros(members)
    epoch_of = _compiled_epoch(settings, lessons.batch, objective)
    epochs = np.array([settings.epochs_for(number) for number in numbers.tolist()])
    active = np.ones(members, dtype=np.bool_)
    best = np.full(members, np.inf)
    stale = np.zeros(members, dtype=np.int64)
    curves: list[list[float]] = [[] for _ in range(members)]
    orders = _Orders(lessons, generators)
    with ThreadPoolExecutor(1) as ahead:
        order = orders.draw(active)
        for epoch in range(int(epochs.max())):
            # XLA lets go of the interpreter: meanwhile the next epoch's order is drawn, also for members that stop now.
            drawn = ahead.submit(orders.draw, active & (epoch + 1 < epochs))
            state, updates, losses = epoch_of(
                data, state, updates, tf.constant(order), rows_left, tf.constant(active, dtype=tf.float32)
            )
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
    """In what order each member of a stack learns from its rows, epoch after epoch.

    Args:
        lessons: what they learn from.
        generators: of each member.
    """

    def __init__(self, lessons: _Lessons, generators: Sequence[np.random.RandomState]) -> None:
        self._generators = generators
        self._numbers = [len(rows) for rows in lessons.rows]
        # Of the width at which NumPy shuffles fastest.
        self._order = np.zeros((len(generators), lessons.padded), dtype=np.int64)
        for of_member, rows in zip(self._order, lessons.rows, strict=True):
            of_member[: len(rows)] = rows

    def draw(self, learns: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """Return the order of one more epoch (S, padded), a new one for the members that learn (S,)."""
        for of_member, generator, number, wanted in zip(
            self._order, self._generators, self._numbers, learns.tolist(), strict=True
        ):
            if wanted:
                # To the last bit what `of_member[generator.permutation(number)]` gives.
                generator.shuffle(of_member[:number])
                # Shuffling holds the interpreter, which other stacks may wait for.
                time.sleep(0)
        return self._order.astype(np.int32)


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


_programs: dict[tuple[PerceptronTraining, int, Objective], Callable[..., Tensors]] = {}


def _compiled_epoch(settings: PerceptronTraining, batch: int, objective: Objective) -> Callable[..., Tensors]:
    """Return the compiled program of one epoch; it is traced anew for each shape of its arguments."""
    # One epoch is the same however many there are.
    forever = replace(settings, max_epochs=1, updates=0)
    key = (forever, batch, objective)
    if key not in _programs:
        _programs[key] = tf.function(_epoch_program(*key), jit_compile=True, autograph=False)
    return _programs[key]


def _epoch_program(settings: PerceptronTraining, batch: int, objective: Objective) -> Callable[..., Tensors]:
    """Build the program of one pass over the rows, minibatch after minibatch."""
    layers = len(settings.hidden_units) + 1

    def losses_of(
        parameters: Tensors, inputs: Tensors, chosen: Tensors, counted: Tensors, number: Tensors, answers: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Mean loss of each member over the counted rows, minimised and reported; inputs (S, features, batch)."""
        units = inputs
        for layer in range(layers):
            units = tf.matmul(parameters[layer], units) + parameters[layers + layer]
            if layer < layers - 1:
                units = tf.nn.relu(units)
        minimised, reported = objective.losses(units, chosen, answers)
        squares = tf.add_n([tf.reduce_sum(tf.square(weights), axis=(1, 2)) for weights in parameters[:layers]])
        loss = (tf.reduce_sum(minimised * counted, axis=1) + 0.5 * settings.l2 * squares) / number
        if reported is minimised:
            return loss, loss
        return loss, (tf.reduce_sum(reported * counted, axis=1) + 0.5 * settings.l2 * squares) / number

    def epoch(
        data: Tensors, state: Tensors, updates: Tensors, order: Tensors, rows: Tensors, active: Tensors
    ) -> Tensors:
        # Members have as many rows as each other, and then share one count of updates, or numbers of their own (S,).
        features, answers, weights = data
        members, alike = order.shape[0], rows.shape.rank == 0
        # Shuffled once an epoch, so that each minibatch is one contiguous slice.
        shuffled = tf.transpose(tf.gather(features, order, axis=1), (1, 0, 2))
        shuffled_answers = objective.shuffled(answers, order)
        shuffled_weights = None if weights is None else tf.gather(weights, order, axis=1, batch_dims=1)
        step_size = active[:, None, None] * settings.learning_rate

        def minibatch(start: Tensors, updates: Tensors, state: Tensors, total: Tensors) -> Tensors:
            parameters, first, second = state
            inputs = tf.slice(shuffled, (0, 0, start), (members, shuffled.shape[1], batch))
            there = tf.cast(start + tf.range(batch) < (rows if alike else rows[:, None]), tf.float32)
            number = tf.reduce_sum(there, axis=-1)
            counted = (
                there if shuffled_weights is None else there * tf.slice(shuffled_weights, (0, start), (members, batch))
            )
            # A member whose rows are used up waits for the others.
            waits: Tensors = None if alike else number == 0.0
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                chosen = objective.minibatch(shuffled_answers, start, members, batch)
                divisor = number if alike else tf.maximum(number, 1.0)
                loss, reported = losses_of(parameters, inputs, chosen, counted, divisor, answers)
            gradients = tape.gradient(loss, parameters)
            updates += 1.0 if alike else tf.cast(~waits, tf.float32)
            decay1, decay2 = settings.first_moment_decay, settings.second_moment_decay
            done = updates if alike else updates[:, None, None]
            rate = step_size * tf.sqrt(1.0 - decay2**done) / (1.0 - decay1**done)
            old = parameters, first, second
            first = [decay1 * m + (1.0 - decay1) * g for m, g in zip(first, gradients, strict=True)]
            second = [decay2 * v + (1.0 - decay2) * g * g for v, g in zip(second, gradients, strict=True)]
            parameters = [
                p - rate * m / (tf.sqrt(v) + settings.epsilon)
                for p, m, v in zip(parameters, first, second, strict=True)
            ]
            new = parameters, first, second
            if not alike:
                new = tf.nest.map_structure(lambda o, n: tf.where(waits[:, None, None], o, n), old, new)
            return start + batch, updates, new, total + reported * number

        _, updates, state, total = tf.while_loop(
            lambda start, *_: start < (rows if alike else tf.reduce_max(rows)),
            minibatch,
            (tf.constant(0), updates, state, tf.zeros(members)),
        )
        return state, updates, total / tf.cast(rows, tf.float32)

    return epoch
