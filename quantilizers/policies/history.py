"""What policies with a history see: beside the current observation those before it, and the actions taken then.

People react late and hold keys, so that what they do now depends on what they saw and did before. A policy with a
history of k is a network of the last k steps as well. Its features are

| features | number |
|---|---|
| the current observation, flattened | F |
| the observations of the k steps before it, the latest first | k · F |
| the actions of these steps, the latest first | k · D |

An action is a vector of D numbers, which for a component with classes are as many weights as there are classes, in
ascending order: 1 for the class taken, 0 for the others. An action between two classes, which a policy that takes the
expected value gives, is divided between them. Where actions are predicted by regression, D is A + 1: the action's
numbers, and a 1 which says that there was an action.

Before an episode's start there was nothing: its first observation stands for the earlier ones, and D zeros for their
actions, which no action is. So it is in training, where the past is the recorded one, and so it is in acting.

Let such policies sample their actions. Who holds a key does most probably what he did last, so that a policy which
takes the most probable action may repeat its first one for ever, however well it foretells people (de Haan, Jayaraman &
Levine 2019, *Causal confusion in imitation learning*).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition

FloatArray = npt.NDArray[np.float32]


def number_of_features(environment: EnvironmentDefinition, history: int) -> int:
    """Return how many features a policy sees: (k + 1) · F + k · D."""
    return (history + 1) * int(np.prod(environment.observation_shape)) + history * _action_features(environment)


def recorded_features(episodes: Episodes, environment: EnvironmentDefinition, history: int) -> FloatArray:
    """Return what a policy sees in each real step of recorded episodes, episode after episode.

    Args:
        episodes: n steps in all.
        environment: where they were played.
        history: k.

    Returns:
        (n, features).
    """
    seen = episodes.transitions()[0]
    observations = seen.reshape(len(seen), -1).astype(np.float32)
    if not history:
        return observations
    (features,) = Past.recorded(episodes, environment, history).features(observations[None])
    return np.asarray(features)


@dataclass(frozen=True, eq=False)
class Past:
    """What came before the current step in each of E episodes of each of P policies.

    Attributes:
        environment: where they act.
        observations: (P, E, k, F) of the last k steps, the latest first.
        actions: (P, E, k, D) of these steps, as features.
        begun: (P, E), False where the next observation is an episode's first.
    """

    environment: EnvironmentDefinition
    observations: FloatArray
    actions: FloatArray
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
        """Return what came before each of n real steps of recorded episodes, as if each were an episode of its own."""
        seen, actions = episodes.transitions()
        observations, taken = seen.reshape(len(seen), -1).astype(np.float32), _as_features(actions, environment)
        # (n, k): how far back each of the last k steps lies, no further than the episode's first.
        step, lag = np.nonzero(~episodes.done)[1][:, None], np.arange(1, history + 1)
        back = np.arange(len(seen))[:, None] - np.minimum(step, lag)
        did = np.where((step >= lag)[..., None], taken[back], np.float32(0))
        return cls(environment, observations[back][None], did[None], np.ones((1, len(seen)), dtype=np.bool_))

    def of_policies(self, number: int) -> Past:
        """Return the past of one policy as that of so many."""

        def of_all(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return np.broadcast_to(array, (number, *array.shape[1:]))

        return Past(self.environment, of_all(self.observations), of_all(self.actions), of_all(self.begun))

    def without(self, episodes: npt.NDArray[np.bool_]) -> Past:
        """Forget what came before in some of the episodes, (P, E), which begin with the next observation."""
        actions = np.where(episodes[..., None, None], np.float32(0), self.actions)
        return replace(self, actions=actions, begun=self.begun & ~episodes)

    def features(self, observations: FloatArray) -> FloatArray:
        """Return what the policies see in their current observations (P, E, F): (P, E, features)."""
        before = self._before(observations)
        seen = np.concatenate([observations[:, :, None], before], axis=2)
        flat = [array.reshape(*observations.shape[:2], -1) for array in (seen, self.actions)]
        return np.concatenate(flat, axis=2)

    def then(self, observations: FloatArray, actions: npt.NDArray[Any]) -> Past:
        """Return the past of the next step, after actions (P, E, A) on observations (P, E, F)."""
        taken = _as_features(actions, self.environment)
        return replace(
            self,
            observations=np.concatenate([observations[:, :, None], self._before(observations)[:, :, :-1]], axis=2),
            actions=np.concatenate([taken[:, :, None], self.actions[:, :, :-1]], axis=2),
            begun=np.ones_like(self.begun),
        )

    def _before(self, observations: FloatArray) -> FloatArray:
        """Return the last k observations; an episode's first stands for those before it."""
        before: FloatArray = np.where(self.begun[..., None, None], self.observations, observations[:, :, None])
        return before


def _action_features(environment: EnvironmentDefinition) -> int:
    """Return D, of how many numbers an action is."""
    classes = environment.action_classes
    return environment.action_components + 1 if classes is None else sum(map(len, classes))


def _as_features(actions: npt.NDArray[Any], environment: EnvironmentDefinition) -> FloatArray:
    """Return actions (…, A) as features (…, D)."""
    if environment.action_classes is None:
        return np.concatenate([actions, np.ones_like(actions[..., :1])], axis=-1).astype(np.float32)
    parts = []
    for component, classes in enumerate(environment.action_classes):
        numbers = np.arange(len(classes))
        position = np.interp(actions[..., component], np.sort(classes), numbers)
        parts.append(np.maximum(0.0, 1.0 - np.abs(position[..., None] - numbers)))
    return np.concatenate(parts, axis=-1).astype(np.float32)
