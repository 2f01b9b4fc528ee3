"""Features and labels of networks from recorded steps, and actions from their predictions.

A network predicts a class for each component of the action, or the action itself. It sees the observation. A policy
with a history of k also sees the last k steps, because people react late and hold keys, so their actions depend on
earlier observations and actions. Its features are

| features | number |
|---|---|
| the current observation, flattened; of `Discrete` and `MultiDiscrete` spaces one number for each value, 1 or 0 | F |
| the observations of the k steps before it, the latest first | k · F |
| the actions of these steps, the latest first | k · D |

An action is a vector of D numbers. A component with classes has one number for each class, in ascending order: 1 for
the class taken, 0 for the others. An action between two classes, as the expected value can be, is divided between them.
Where actions are predicted by regression, D is A + 1: the action's numbers, and a 1 that marks an action.

Observations are standardised first where the environment's `Experiment.scaling` says so.

Before an episode's start nothing happened: its first observation stands for the earlier ones, and D zeros for their
actions, which no action is. The past is the recorded one in training, and the policy's own in acting.

Policies with a history should sample their actions. People hold keys, so the most probable action is often the last
one, and a policy that takes it may repeat its first action for ever, however well it predicts people (de Haan,
Jayaraman & Levine 2019, *Causal confusion in imitation learning*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from quantilizers.arrays import check_memory
from quantilizers.choices import Acting
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import ActionClasses
from quantilizers.envs.definition import EnvironmentDefinition, choice_ranges
from quantilizers.rewards import Float32Array, FloatArray, IntArray

#: Lower limit of a probability: one action that a policy considers impossible would decide everything.
LEAST_PROBABILITY = 1e-6
#: Variance of features that never change in the demonstrations: scaled by it, they are 0.
IGNORED = 1e200
#: Outside of these limits a variance or its inverse is not finite.
_LEAST, _MOST = 1e-300, 1e300
#: Numbers that are scaled at a time, in double precision.
_BLOCK = 2**22


def number_of_features(environment: EnvironmentDefinition, history: int) -> int:
    """Return how many features a policy sees: (k + 1) · F + k · D."""
    return (history + 1) * _observation_features(environment) + history * _action_features(environment)


def is_one_hot(environment: EnvironmentDefinition) -> bool:
    """Return whether the features of observations are one number for each value of a component."""
    return isinstance(environment.observation_space, (Discrete, MultiDiscrete))


def _observation_features(environment: EnvironmentDefinition) -> int:
    ranges = choice_ranges(environment.observation_space) if is_one_hot(environment) else None
    return int(np.prod(environment.observation_shape)) if ranges is None else int(ranges[1].sum())


@dataclass(frozen=True, eq=False)
class Standardisation:
    """How observations are scaled: a feature x becomes (x − mean) / √variance, computed in double precision.

    | feature in the demonstrations | mean | variance |
    |---|---|---|
    | always the same, but for rounding | its value | `IGNORED`: changes in play have no effect |
    | zeros and ones only | 0 | 1 |
    | of a picture: whole numbers in two or more axes | its mean | the mean variance of all |
    | a byte in one axis, such as one of a console's memory | its mean | its variance, at least 1 |
    | any other | its mean | its variance |

    A byte that hardly ever changed would otherwise be enormous in play where it changes.

    Attributes:
        mean: (…, F) float64.
        variance: (…, F) float64.
    """

    mean: FloatArray
    variance: FloatArray

    @classmethod
    def of(
        cls, episodes: Episodes, environment: EnvironmentDefinition, weights: FloatArray | None = None
    ) -> Standardisation:
        """Return that of the real steps of recorded episodes, whose weights are (n,)."""
        seen = episodes.transitions()[0]
        if weights is not None:
            seen, weights = seen[weights > 0], weights[weights > 0]
        rows = _flat(seen, environment)
        precision = _precision(rows.dtype, environment.observation_dtype)
        least = 1.0 if environment.observation_dtype == np.uint8 else 0.0
        return cls._of_rows(rows, weights, precision, _are_pictures(environment), least)

    @classmethod
    def _of_rows(
        cls, rows: npt.NDArray[Any], weights: FloatArray | None, precision: float, alike: bool, least: float
    ) -> Standardisation:
        shares = np.full(len(rows), 1 / len(rows)) if weights is None else weights / weights.sum()
        first = rows[0].astype(np.float64)
        mean, squares, largest = np.zeros_like(first), np.zeros_like(first), np.abs(first)
        binary = np.ones(len(first), dtype=np.bool_)
        blocks = _blocks(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            for block in blocks:
                mean += shares[block] @ (rows[block] - first)
                largest = np.maximum(largest, np.abs(rows[block]).max(axis=0))
                binary &= ((rows[block] == 0) | (rows[block] == 1)).all(axis=0)
            mean += first
            for block in blocks:
                squares += shares[block] @ np.square(rows[block] - mean)
            constant = (np.sqrt(squares) <= precision * largest) | (squares < _LEAST)
        if alike:
            return cls(mean, np.full(len(mean), squares.mean() or 1.0))
        variance = np.where(constant, IGNORED, np.where(binary, 1.0, np.clip(squares, least, _MOST)))
        return cls(np.where(binary & ~constant, 0.0, mean), variance)

    def __call__(self, observations: npt.NDArray[Any]) -> Float32Array:
        """Scale observations (…, F)."""
        with np.errstate(over="ignore"):
            scaled: Float32Array = ((observations - self.mean) / np.sqrt(self.variance)).astype(np.float32)
        return scaled

    def rows(self, observations: npt.NDArray[Any]) -> Float32Array:
        """Scale observations (n, F), some at a time because of memory."""
        scaled = np.empty(observations.shape, dtype=np.float32)
        for block in _blocks(observations):
            scaled[block] = self(observations[block])
        return scaled

    def of_features(self, environment: EnvironmentDefinition, history: int) -> list[FloatArray]:
        """Return the mean and the variance of each feature that a policy with a history sees, as models hold them."""
        actions = history * _action_features(environment)
        return [
            np.concatenate([np.tile(self.mean, history + 1), np.zeros(actions)]),
            np.concatenate([np.tile(self.variance, history + 1), np.ones(actions)]),
        ]


def _are_pictures(environment: EnvironmentDefinition) -> bool:
    space = environment.observation_space
    return isinstance(space, Box) and environment.observation_dtype.kind in "iu" and len(space.shape) > 1


def _precision(*dtypes: np.dtype[Any]) -> float:
    """Return the relative size of differences that are rounding, in the coarsest of some types."""
    return 4 * max([float(np.finfo(dtype).eps) for dtype in dtypes if dtype.kind == "f"], default=0.0)


def _blocks(rows: npt.NDArray[Any]) -> list[slice]:
    number = max(1, _BLOCK // max(1, rows.shape[1]))
    return [slice(start, start + number) for start in range(0, len(rows), number)]


def _flat(observations: npt.NDArray[Any], environment: EnvironmentDefinition) -> npt.NDArray[Any]:
    """Return observations (…, *shape) as features (…, F), unscaled."""
    shape = environment.observation_shape
    leading = observations.shape[: observations.ndim - len(shape)]
    flat = observations.reshape(*leading, int(np.prod(shape)))
    ranges = choice_ranges(environment.observation_space) if is_one_hot(environment) else None
    if ranges is None:
        return flat
    lowest, numbers = ranges
    features = int(numbers.sum())
    check_memory(int(np.prod(leading)) * features)
    places = flat.astype(np.int64) - lowest
    if (places < 0).any() or (places >= numbers).any():
        raise ValueError(f"observations are not in {environment.observation_space}")
    one_hot = np.zeros((*leading, features), dtype=np.uint8)
    np.put_along_axis(one_hot, places + (np.cumsum(numbers) - numbers), 1, axis=-1)
    return one_hot


def flat_features(
    observations: npt.NDArray[Any], environment: EnvironmentDefinition, standardisation: Standardisation | None = None
) -> Float32Array:
    """Return observations (…, *shape) as features (…, F), scaled if a standardisation is given."""
    flat = _flat(observations, environment)
    return flat.astype(np.float32) if standardisation is None else standardisation(flat)


def recorded_features(
    episodes: Episodes, environment: EnvironmentDefinition, history: int, standardisation: Standardisation | None = None
) -> Float32Array:
    """Return the features (n, …) of each real step of recorded episodes, episode after episode."""
    seen = _flat(episodes.transitions()[0], environment)
    observations = seen.astype(np.float32) if standardisation is None else standardisation.rows(seen)
    if not history:
        return observations
    (features,) = Past.recorded(episodes, environment, history, observations[None]).features(observations[None])
    return np.asarray(features)


@dataclass(frozen=True, eq=False)
class Past:
    """Steps before the current one in each of E episodes of each of P policies.

    Attributes:
        environment: where they act.
        observations: (P, E, k, F) of the last k steps, the latest first, scaled as the policies see them.
        actions: (P, E, k, D) of these steps, as features.
        begun: (P, E), False where the next observation is an episode's first.
    """

    environment: EnvironmentDefinition
    observations: Float32Array
    actions: Float32Array
    begun: npt.NDArray[np.bool_]

    @classmethod
    def none(cls, environment: EnvironmentDefinition, history: int, policies: int, episodes: int) -> Past:
        """Return the past of episodes that begin."""
        shape = policies, episodes, history
        return cls(
            environment,
            np.zeros((*shape, _observation_features(environment)), dtype=np.float32),
            np.zeros((*shape, _action_features(environment)), dtype=np.float32),
            np.zeros((policies, episodes), dtype=np.bool_),
        )

    @classmethod
    def recorded(
        cls, episodes: Episodes, environment: EnvironmentDefinition, history: int, observations: Float32Array
    ) -> Past:
        """Return the past of each of n real steps of recorded episodes, as if each were an episode.

        The observations (P, n, F) of these steps are as the policies see them.
        """
        taken = _as_features(episodes.transitions()[1], environment)
        # (n, k): how far back each of the last k steps lies, no further than the episode's first.
        step, lag = np.nonzero(~episodes.done)[1][:, None], np.arange(1, history + 1)
        back = np.arange(len(taken))[:, None] - np.minimum(step, lag)
        did = np.where((step >= lag)[..., None], taken[back], np.float32(0))
        return cls(environment, observations[:, back], did[None], np.ones((1, len(taken)), dtype=np.bool_))

    def of_policies(self, number: int) -> Past:
        """Return the past for a number of policies, of which that of one is repeated."""

        def of_all(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.broadcast_to(array, (number, *array.shape[1:]))

        return Past(self.environment, of_all(self.observations), of_all(self.actions), of_all(self.begun))

    def without(self, episodes: npt.NDArray[np.bool_]) -> Past:
        """Forget the past of some episodes (P, E), which begin with the next observation."""
        actions = np.where(episodes[..., None, None], np.float32(0), self.actions)
        return replace(self, actions=actions, begun=self.begun & ~episodes)

    def features(self, observations: Float32Array) -> Float32Array:
        """Return the features (P, E, features) of current observations (P, E, F)."""
        before = self._before(observations)
        seen = np.concatenate([observations[:, :, None], before], axis=2)
        flat = [array.reshape(*observations.shape[:2], -1) for array in (seen, self.actions)]
        return np.concatenate(flat, axis=2)

    def then(self, observations: Float32Array, actions: npt.NDArray[Any]) -> Past:
        """Return the past of the next step, after actions (P, E, A) on observations (P, E, F)."""
        taken = _as_features(actions, self.environment)
        return replace(
            self,
            observations=np.concatenate([observations[:, :, None], self._before(observations)[:, :, :-1]], axis=2),
            actions=np.concatenate([taken[:, :, None], self.actions[:, :, :-1]], axis=2),
            begun=np.ones_like(self.begun),
        )

    def _before(self, observations: Float32Array) -> Float32Array:
        # An episode's first observation stands for those before it.
        before: Float32Array = np.where(self.begun[..., None, None], self.observations, observations[:, :, None])
        return before


def _action_features(environment: EnvironmentDefinition) -> int:
    classes = environment.action_classes
    return environment.action_components + 1 if classes is None else sum(map(len, classes))


def _as_features(actions: npt.NDArray[Any], environment: EnvironmentDefinition) -> Float32Array:
    """Return actions (…, A) as features (…, D)."""
    if environment.action_classes is None:
        return np.concatenate([actions, np.ones_like(actions[..., :1])], axis=-1).astype(np.float32)
    parts = []
    for component, classes in enumerate(environment.action_classes):
        numbers = np.arange(len(classes))
        position = np.interp(actions[..., component], np.sort(classes), numbers)
        parts.append(np.maximum(0.0, 1.0 - np.abs(position[..., None] - numbers)))
    return np.concatenate(parts, axis=-1).astype(np.float32)


def class_indices(actions: npt.NDArray[Any], classes: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return the class index of one component of recorded actions (n,); that of the nearest class for those between."""
    # In the recording's own precision: 0.1 in a file of float32 is not 0.1.
    values = np.asarray(classes).astype(actions.dtype if actions.dtype.kind == "f" else np.float64)
    equal = actions[:, None] == values
    indices: npt.NDArray[np.int64] = np.argmax(equal, axis=1)
    between = ~equal[np.arange(len(actions)), indices]
    if between.any():
        indices[between] = np.argmin(np.abs(actions[between, None] - values), axis=1)
    return indices


def recorded_classes(episodes: Episodes, classes: ActionClasses) -> npt.NDArray[np.int64]:
    """Return the class index of each component of the action in all real steps, (A, n), episode after episode."""
    return labels_of(episodes.actions[~episodes.done], classes)  # without observations, which may be large


def labels_of(actions: npt.NDArray[Any], classes: ActionClasses) -> npt.NDArray[np.int64]:
    """Return the class indices (A, n) of recorded actions (n, A)."""
    return np.stack([class_indices(actions[:, component], values) for component, values in enumerate(classes)])


def log_likelihoods(probabilities: Sequence[npt.NDArray[Any]], labels: npt.NDArray[np.int64]) -> FloatArray:
    """Return log-likelihoods (n,) of actions (A, n), by the probabilities (n, classes) of each component."""
    found = [
        np.take_along_axis(of_component.astype(np.float64), label[:, None], axis=1)[:, 0]
        for of_component, label in zip(probabilities, labels, strict=True)
    ]
    return np.asarray(np.log(np.maximum(found, LEAST_PROBABILITY)).sum(axis=0))


def choose(
    probabilities: npt.NDArray[Any], classes: Sequence[float], acting: Acting, drawn: FloatArray | None
) -> npt.NDArray[Any]:
    """Choose one component of actions (…) by probabilities (…, classes); to sample, by numbers drawn from [0, 1)."""
    values: npt.NDArray[Any] = np.asarray(classes)
    if acting == "expected_value":
        expected: npt.NDArray[Any] = probabilities @ values
        return expected
    if acting == "most_probable":
        chosen = np.argmax(probabilities, axis=-1)
    else:
        assert drawn is not None
        below = (np.cumsum(probabilities, axis=-1) < drawn[..., None]).sum(axis=-1)
        chosen = np.minimum(below, len(values) - 1)
    taken: npt.NDArray[Any] = np.take(values, chosen)
    return taken


def within(actions: npt.NDArray[Any], space: Space[Any]) -> FloatArray:
    """Clip predicted actions (…, A) to the bounds of their space."""
    assert isinstance(space, Box)
    clipped: FloatArray = np.clip(
        actions.astype(np.float64), space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    )
    return clipped


def rounded(actions: FloatArray, space: Space[Any]) -> FloatArray:
    """Round actions (…, A) to whole numbers where their space has no others."""
    return np.rint(actions) if np.issubdtype(np.dtype(space.dtype), np.integer) else actions


def frequency_loss(episodes: Episodes, environment: EnvironmentDefinition, weights: FloatArray | None = None) -> float:
    """Return the training loss of predicting each recorded action by how frequent it is, or by the mean action.

    It is what a network learns whose observations tell it nothing: the entropy of the action's components together in
    nats, or where actions are predicted by regression half their variance. Weights of the steps are (n,).
    """
    if environment.action_classes is None:
        actions = episodes.actions[~episodes.done].astype(np.float64)
        mean = np.average(actions, axis=0, weights=weights)
        return 0.5 * float(np.average(np.square(actions - mean), axis=0, weights=weights).mean())
    entropy = 0.0
    for labels in recorded_classes(episodes, environment.action_classes):
        counts = np.bincount(labels, weights)
        shares = counts[counts > 0] / counts.sum()
        entropy -= float(shares @ np.log(shares))
    return entropy


@dataclass(frozen=True)
class MarginalScore:
    """How well held-out actions are predicted by their frequencies."""

    loss: float  # mean cross-entropy in nats, of an action's components together
    accuracy: float  # share of the components whose most frequent class was played


def marginal_score(
    learned: IntArray, held_out: IntArray, numbers: tuple[int, ...], groups: tuple[IntArray, IntArray] | None = None
) -> MarginalScore:
    """Predict held-out class indices (m, A) by the frequencies of the learned ones (n, A), without observations.

    A policy must score better than this to have learned from observations. One is added to each count, so no class is
    impossible.

    Args:
        learned: of the training steps.
        held_out: to predict.
        numbers: of classes, for each of the A components.
        groups: the player of each step, (n,) and (m,) whole numbers; each is predicted by their own actions. A player
            absent from the training steps gets a uniform prediction.
    """
    of_learned, of_held_out = groups or (np.zeros(len(learned), np.int64), np.zeros(len(held_out), np.int64))
    groups_in_all = int(max(of_learned.max(initial=0), of_held_out.max(initial=0))) + 1
    losses, rights = [], []
    for component, number in enumerate(numbers):
        counts = np.ones((groups_in_all, number))
        np.add.at(counts, (of_learned, learned[:, component]), 1.0)
        shares = counts / counts.sum(axis=1, keepdims=True)
        losses.append(-np.log(shares[of_held_out, held_out[:, component]]).mean())
        rights.append((shares.argmax(axis=1)[of_held_out] == held_out[:, component]).mean())
    return MarginalScore(float(np.sum(losses)), float(np.mean(rights)))
