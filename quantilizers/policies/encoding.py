"""Features and labels of networks from recorded steps, and actions from their predictions.

A network predicts a class for each component of the action, or the action itself. It sees the observation. A policy
with a history of k also sees the last k steps, because people react late and hold keys, so their actions depend on
earlier observations and actions. Its features are

| features | number |
|---|---|
| the current observation, flattened | F |
| the observations of the k steps before it, the latest first | k · F |
| the actions of these steps, the latest first | k · D |

An action is a vector of D numbers. A component with classes has one number for each class, in ascending order: 1 for
the class taken, 0 for the others. An action between two classes, as the expected value can be, is divided between them.
Where actions are predicted by regression, D is A + 1: the action's numbers, and a 1 that marks an action.

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
from gymnasium.spaces import Box, Space

from quantilizers.choices import Acting
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import ActionClasses
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.rewards import Float32Array, FloatArray, IntArray


def number_of_features(environment: EnvironmentDefinition, history: int) -> int:
    """Return how many features a policy sees: (k + 1) · F + k · D."""
    return (history + 1) * int(np.prod(environment.observation_shape)) + history * _action_features(environment)


def recorded_features(episodes: Episodes, environment: EnvironmentDefinition, history: int) -> Float32Array:
    """Return the features (n, …) of each real step of recorded episodes, episode after episode."""
    seen = episodes.transitions()[0]
    observations = seen.reshape(len(seen), -1).astype(np.float32)
    if not history:
        return observations
    (features,) = Past.recorded(episodes, environment, history).features(observations[None])
    return np.asarray(features)


@dataclass(frozen=True, eq=False)
class Past:
    """Steps before the current one in each of E episodes of each of P policies.

    Attributes:
        environment: where they act.
        observations: (P, E, k, F) of the last k steps, the latest first.
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
            np.zeros((*shape, int(np.prod(environment.observation_shape))), dtype=np.float32),
            np.zeros((*shape, _action_features(environment)), dtype=np.float32),
            np.zeros((policies, episodes), dtype=np.bool_),
        )

    @classmethod
    def recorded(cls, episodes: Episodes, environment: EnvironmentDefinition, history: int) -> Past:
        """Return the past of each of n real steps of recorded episodes, as if each were an episode."""
        seen, actions = episodes.transitions()
        observations, taken = seen.reshape(len(seen), -1).astype(np.float32), _as_features(actions, environment)
        # (n, k): how far back each of the last k steps lies, no further than the episode's first.
        step, lag = np.nonzero(~episodes.done)[1][:, None], np.arange(1, history + 1)
        back = np.arange(len(seen))[:, None] - np.minimum(step, lag)
        did = np.where((step >= lag)[..., None], taken[back], np.float32(0))
        return cls(environment, observations[back][None], did[None], np.ones((1, len(seen)), dtype=np.bool_))

    def of_policies(self, number: int) -> Past:
        """Return the past of one policy, repeated for a number of policies."""

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
    """Return the class index of one component of recorded actions (n,)."""
    # In the recording's own precision: 0.1 in a file of float32 is not 0.1.
    values = np.asarray(classes).astype(actions.dtype if actions.dtype.kind == "f" else np.float64)
    indices: npt.NDArray[np.int64] = np.argmax(actions[:, None] == values, axis=1)
    return indices


def recorded_classes(episodes: Episodes, classes: ActionClasses) -> npt.NDArray[np.int64]:
    """Return the class index of each component of the action in all real steps, (A, n), episode after episode."""
    actions = episodes.transitions()[1]
    return np.stack([class_indices(actions[:, component], values) for component, values in enumerate(classes)])


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
