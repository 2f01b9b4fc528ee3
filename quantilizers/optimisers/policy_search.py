"""Policy search: an evolution strategy over linear policies.

A policy is a matrix: each component of the action is a linear function of the standardised observation and of 1,
clipped to its bounds; a component with classes takes the class whose linear function is greatest. The policies of a
generation play one episode each from a common start, which is drawn for each generation. The result is the mean of the
last distribution.

Sources: Hansen (2016), *The CMA evolution strategy: a tutorial*, for the search; Mania, Guy & Recht (2018), *Simple
random search*, for linear policies of standardised observations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.rollouts import roll_out
from quantilizers.optimisers.random_play import RandomPlay
from quantilizers.policies.policy import Policies
from quantilizers.rewards import FloatArray

#: Policies in a generation, the best of them that are reported, and the initial standard deviation of their weights.
GENERATION, REPORTED, FIRST_STEP = 40, 4, 0.3
#: Episodes of random actions by whose observations others are standardised.
RANDOM_EPISODES = 50
#: Standard deviations that are scaled to 1: the actions of the first policies then depend little on observations.
STANDARD_DEVIATIONS = 4.0
#: Purposes of a seed's random streams.
_STANDARDS, _STARTS, _POLICIES = range(3)


class EvolutionStrategy:
    """CMA-ES (Hansen 2016, default settings of table 1, without negative weights): maximises a function by trials.

    >>> strategy = EvolutionStrategy(dimensions=2, candidates=12, step=0.5)
    >>> for generation in range(60):
    ...     tried = strategy.draw(np.random.default_rng([0, generation]))
    ...     strategy.learn(tried, -np.square(tried - [3.0, -1.0]).sum(axis=1))
    >>> strategy.mean.round(3).tolist()
    [3.0, -1.0]

    Args:
        dimensions: size D of a candidate.
        candidates: of a generation, at least 2.
        step: initial standard deviation in every direction; the initial mean is 0.
    """

    def __init__(self, dimensions: int, candidates: int, step: float) -> None:
        self.mean = np.zeros(dimensions)
        self.step = step  # the distribution's overall size
        self.covariance = np.eye(dimensions)  # of its shape
        self._candidates = candidates
        self._parents = candidates // 2
        weights = np.log((candidates + 1) / 2) - np.log(np.arange(1, self._parents + 1))
        self._weights = weights / weights.sum()
        effective = 1 / np.square(self._weights).sum()
        self._effective = effective
        self._step_rate = (effective + 2) / (dimensions + effective + 5)
        self._step_damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (dimensions + 1)) - 1) + self._step_rate
        self._path_rate = (4 + effective / dimensions) / (dimensions + 4 + 2 * effective / dimensions)
        self._rank_one_rate = 2 / ((dimensions + 1.3) ** 2 + effective)
        self._rank_many_rate = min(
            1 - self._rank_one_rate, 2 * (effective - 2 + 1 / effective) / ((dimensions + 2) ** 2 + effective)
        )
        self._usual_length = np.sqrt(dimensions) * (1 - 1 / (4 * dimensions) + 1 / (21 * dimensions**2))
        self._step_path, self._path = np.zeros(dimensions), np.zeros(dimensions)
        self._generations = 0

    def draw(self, generator: np.random.Generator) -> FloatArray:
        """Draw a generation, (candidates, D)."""
        axes, lengths = self._axes()
        standard = generator.standard_normal((self._candidates, len(self.mean)))
        return self.mean + self.step * (standard * lengths) @ axes.T

    def learn(self, tried: FloatArray, worth: FloatArray) -> None:
        """Move the distribution towards the best of the candidates (candidates, D) from `draw`.

        Their worth (candidates,) is maximised; among equals the first counts as the better.
        """
        self._generations += 1
        axes, lengths = self._axes()
        moves = (tried - self.mean) / self.step
        best = moves[np.argsort(-worth, kind="stable")[: self._parents]]
        move = self._weights @ best
        self.mean = self.mean + self.step * move
        whitened = axes @ ((axes.T @ move) / lengths)
        rate = self._step_rate
        self._step_path = (1 - rate) * self._step_path + np.sqrt(rate * (2 - rate) * self._effective) * whitened
        length = float(np.linalg.norm(self._step_path))
        grown = np.sqrt(1 - (1 - rate) ** (2 * self._generations))
        steady = length / grown < (1.4 + 2 / (len(self.mean) + 1)) * self._usual_length
        rate = self._path_rate
        gained = np.sqrt(rate * (2 - rate) * self._effective) * move if steady else 0.0
        self._path = (1 - rate) * self._path + gained
        one, many = self._rank_one_rate, self._rank_many_rate
        lost = 0.0 if steady else rate * (2 - rate)
        self.covariance = (
            (1 - one - many + one * lost) * self.covariance
            + one * np.outer(self._path, self._path)
            + many * (best.T * self._weights) @ best
        )
        self.step *= float(np.exp(self._step_rate / self._step_damping * (length / self._usual_length - 1)))

    def _axes(self) -> tuple[FloatArray, FloatArray]:
        """Return the covariance's eigenvectors (D, D) and the square roots of its eigenvalues (D,)."""
        values, vectors = np.linalg.eigh((self.covariance + self.covariance.T) / 2)
        return vectors, np.sqrt(np.maximum(values, 1e-20))


class LinearPolicies(Policies):
    """P linear policies.

    Args:
        environment: where they act.
        mean: (F,) of observations.
        deviation: (F,) of observations.
        weights: (P, outputs, F + 1); a component with classes has an output for each class, any other has one.
    """

    def __init__(
        self, environment: EnvironmentDefinition, mean: FloatArray, deviation: FloatArray, weights: FloatArray
    ) -> None:
        self._mean, self._deviation, self._weights = mean, deviation, weights
        space = environment.action_space
        self._space = space if isinstance(space, spaces.Box) else None
        self._classes = () if self._space is not None else (environment.action_classes or ())

    def act(
        self,
        observations: FloatArray,
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> FloatArray:
        """Choose actions (P, E, A)."""
        standard = (observations - self._mean) / self._deviation
        # Not a matrix product, whose bits would depend on the number of policies.
        outputs = np.einsum("pef,pof->peo", standard, self._weights[..., :-1]) + self._weights[:, None, :, -1]
        if self._space is not None:
            low, high = self._space.low.ravel(), self._space.high.ravel()
            actions: FloatArray = (high + low) / 2 + (high - low) / 2 * np.clip(outputs, -1.0, 1.0)
            return actions
        ends = np.cumsum([len(values) for values in self._classes])[:-1]
        parts = np.split(outputs, ends, axis=-1)
        return np.stack(
            [np.array(values)[part.argmax(axis=-1)] for values, part in zip(self._classes, parts, strict=True)], axis=-1
        )


def outputs_of(environment: EnvironmentDefinition) -> int:
    """Return the number of linear functions of a policy."""
    space = environment.action_space
    if isinstance(space, spaces.Box):
        return int(np.prod(space.shape))
    return sum(len(values) for values in environment.action_classes or ())


class _Watching(RandomPlay):
    """Random play that records its observations."""

    def __init__(self, environment: EnvironmentDefinition) -> None:
        super().__init__(environment.action_space, environment.name)
        self.seen: list[FloatArray] = []

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
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
    on_generation: Callable[[int, float, float], object],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Search for the policy of the highest return.

    Args:
        environment: where policies act.
        seed: of all random numbers.
        effort: number of policies to try.
        max_steps: length at which episodes are cut.
        options: of the environment.
        on_true: maximise the true return, not the proxy return.
        on_generation: called with the policies tried so far, and mean proxy and true return of the generation's best.

    Returns:
        Mean and scale of observations, (F,) each, and the weights (outputs, F + 1).
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
        # The last generation may be incomplete; if it is the only one, its best policy is taken.
        size = min(GENERATION, effort - tried)
        drawn = strategy.draw(np.random.default_rng([seed, _POLICIES, number]))
        policies = LinearPolicies(environment, mean, deviation, drawn[:size].reshape(size, *shape))
        start = np.repeat(starts(_STARTS, number, 1), size, axis=0)
        played = roll_out(environment, policies, start, [], max_steps, options)
        proxy, true = (rewards.sum(axis=-1)[:, 0] for rewards in (played.proxy_rewards, played.true_rewards))
        worth = true if on_true else proxy
        if size == GENERATION:
            strategy.learn(drawn, worth)
            center = strategy.mean
        elif number == 0:
            center = drawn[int(np.argmax(worth))]
        tried += size
        best = np.argsort(-worth, kind="stable")[:REPORTED]
        on_generation(tried, float(proxy[best].mean()), float(true[best].mean()))
    return mean, deviation, center.reshape(shape)
