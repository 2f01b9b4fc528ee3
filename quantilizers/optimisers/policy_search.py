"""Policy search: try linear policies from exact starts, draw the next ones like the best.

A policy is a matrix: each component of the action is a linear function of the standardised observation and of 1,
clipped to its bounds; a component that is one of several classes takes the one whose linear function is greatest. The
policies of a generation play one episode each, from one common start, which is drawn anew for each generation. What is
found is the mean of the last distribution.

Sources: Hansen (2016) for the search (`quantilizers.optimisers.evolution_strategy`); Mania, Guy & Recht (2018), *Simple
random search*, for linear policies of standardised observations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.rollouts import Rollouts, roll_out
from quantilizers.optimisers.evolution_strategy import EvolutionStrategy
from quantilizers.optimisers.random_play import RandomPlay
from quantilizers.rewards import FloatArray

#: Policies of a generation, those of them that are reported, and how far apart the first ones are.
GENERATION, REPORTED, FIRST_STEP = 40, 4, 0.3
#: Episodes of random actions by whose observations all others are standardised.
RANDOM_EPISODES = 50
#: So many of their standard deviations are 1, so that the first policies turn on what they see only a little.
STANDARD_DEVIATIONS = 4.0
#: What a seed's random numbers are for, so that none are used twice.
_STANDARDS, _STARTS, _POLICIES = range(3)


class LinearPolicies:
    """P linear policies, as `quantilizers.policies.policy.Policies`.

    Args:
        environment: where they act.
        mean: (F,) of observations.
        deviation: (F,) of observations.
        weights: (P, outputs, F + 1); a component that has classes has an output for each, any other has one.
    """

    def __init__(
        self, environment: EnvironmentDefinition, mean: FloatArray, deviation: FloatArray, weights: FloatArray
    ) -> None:
        self._mean, self._deviation, self._weights = mean, deviation, weights
        space = environment.action_space
        self._space = space if isinstance(space, spaces.Box) else None
        self._classes = () if self._space is not None else (environment.action_classes or ())

    def begin(self, episodes: int) -> None:
        """Begin new episodes, of which it remembers nothing."""

    def act(
        self,
        observations: npt.NDArray[np.float64],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float64]:
        """Choose actions (P, E, A)."""
        standard = (observations - self._mean) / self._deviation
        # One product after the other: so no policy's numbers depend on how many act beside it.
        outputs = np.einsum("pef,pof->peo", standard, self._weights[..., :-1]) + self._weights[:, None, :, -1]
        if self._space is not None:
            low, high = self._space.low.ravel(), self._space.high.ravel()
            actions: npt.NDArray[np.float64] = (high + low) / 2 + (high - low) / 2 * np.clip(outputs, -1.0, 1.0)
            return actions
        ends = np.cumsum([len(values) for values in self._classes])[:-1]
        parts = np.split(outputs, ends, axis=-1)
        return np.stack(
            [np.array(values)[part.argmax(axis=-1)] for values, part in zip(self._classes, parts, strict=True)], axis=-1
        )


def outputs_of(environment: EnvironmentDefinition) -> int:
    """Return how many linear functions a policy has."""
    space = environment.action_space
    if isinstance(space, spaces.Box):
        return int(np.prod(space.shape))
    return sum(len(values) for values in environment.action_classes or ())


@dataclass(frozen=True, eq=False)
class Generation:
    """How a generation did.

    Attributes:
        tried: policies so far.
        proxy_return: mean of the best few.
        true_return: mean of the same.
        steps: that the generation took in the environment.
    """

    tried: int
    proxy_return: float
    true_return: float
    steps: int


class _Watching(RandomPlay):
    """Random play that remembers what it sees."""

    def __init__(self, environment: EnvironmentDefinition) -> None:
        super().__init__(environment.action_space, environment.name)
        self.seen: list[FloatArray] = []

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        self.seen.append(observations[running].astype(np.float64))
        return super().act(observations, generators, running)


def search(
    environment: EnvironmentDefinition,
    seed: int,
    effort: int,
    max_steps: int,
    options: Mapping[str, Any],
    on_true: bool,
    on_generation: Callable[[Generation], object],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Search the policy.

    Args:
        environment: where.
        seed: of all that is random.
        effort: how many policies are tried.
        max_steps: episodes are cut after so many steps.
        options: of the environment.
        on_true: search the highest true return, not the highest proxy return.
        on_generation: told of each generation.

    Returns:
        What is taken from observations and what they are divided by, (F,) each, and the weights (outputs, F + 1).
    """

    def starts(purpose: int, number: int, episodes: int) -> npt.NDArray[np.int64]:
        drawn = np.random.SeedSequence([seed, purpose, number]).generate_state(episodes) >> 1
        return drawn.astype(np.int64)[None]

    watching, generator = _Watching(environment), np.random.default_rng([seed, _STANDARDS])
    roll_out(environment, watching, starts(_STANDARDS, 0, RANDOM_EPISODES), [generator], max_steps, options)
    seen = np.concatenate(watching.seen)
    mean, deviation = seen.mean(axis=0), STANDARD_DEVIATIONS * seen.std(axis=0)
    deviation[deviation == 0] = 1.0
    shape = (outputs_of(environment), len(mean) + 1)
    strategy = EvolutionStrategy(int(np.prod(shape)), GENERATION, FIRST_STEP)
    center, tried = strategy.mean, 0
    for number in range(-(-effort // GENERATION)):
        # The last generation may be cut; of less than one, the best policy is taken.
        size = min(GENERATION, effort - tried)
        drawn = strategy.draw(np.random.default_rng([seed, _POLICIES, number]))
        policies = LinearPolicies(environment, mean, deviation, drawn[:size].reshape(size, *shape))
        start = np.repeat(starts(_STARTS, number, 1), size, axis=0)
        played = roll_out(environment, policies, start, [], max_steps, options)
        proxy, true = _returns(played)
        worth = true if on_true else proxy
        if size == GENERATION:
            strategy.learn(drawn, worth)
            center = strategy.mean
        elif number == 0:
            center = drawn[int(np.argmax(worth))]
        tried += size
        best = np.argsort(-worth, kind="stable")[:REPORTED]
        on_generation(Generation(tried, float(proxy[best].mean()), float(true[best].mean()), int(played.lengths.sum())))
    return mean, deviation, center.reshape(shape)


def _returns(played: Rollouts) -> tuple[FloatArray, FloatArray]:
    """Return proxy and true returns (P,) of one episode each."""
    return played.proxy_rewards.sum(axis=-1)[:, 0], played.true_rewards.sum(axis=-1)[:, 0]
