"""SARSA and Q-learning with linear values of random Fourier features, all seeds side by side in NumPy.

The settings are those of the reference implementation of Carey (2019), which took them from D. Britz's course on
reinforcement learning: 400 random Fourier features, no bias, weights that start at 0, stochastic gradient steps of
α = 0.01 on the squared error of one transition at a time, γ = 0.99, ε-greedy actions with ε = 0.1. As in the reference,
both algorithms bootstrap past the end of an episode, whether it terminated or was cut.

The reference calls its agent SARSA, but its target is the greatest value of the next observation. That is Q-learning
(Watkins 1989). SARSA (Rummery & Niranjan 1994), whose target is the value of the next action taken, is offered too.

The measurement is that of the reference: the last training episodes, in which the agent still explores and learns.
"SARSA, greedy" and "Q-learning, greedy" are the same agents measured after training, with the action of the greatest
value in the quantilizers' test episodes.

Random Fourier features are cosines whose products are, on average, Gaussian kernels (Rahimi & Recht 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_vector
from quantilizers.errors import UserError
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.evaluation.rollouts import RunningEpisodes
from quantilizers.execution.executor import UnfinishedError
from quantilizers.optimisers.agents import (
    Agent,
    AgentJob,
    LearningCurve,
    Progress,
    damaged_agent,
    load_agent,
    save_agent,
)
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.learner import SendProgress, check_suitable
from quantilizers.optimisers.measurements import NOT_FINITE, is_measured, measure_agent, save_measurement
from quantilizers.policies.policy import Policies
from quantilizers.rewards import FloatArray

EXPLORATION, LEARNING_RATE, DISCOUNT = 0.1, 0.01, 0.99
#: Episodes between two checkpoints.
CHECKPOINT_EPISODES = 25
#: Purposes of a seed's random streams.
_FEATURES, _STARTS, _ACTIONS = range(3)
#: A block of features for each γ of a kernel exp(−γ |x − y|²) of standardised observations.
KERNEL_GAMMAS = (5.0, 2.0, 1.0, 0.5)
FEATURES_PER_KERNEL = 100
#: Observations by which others are standardised.
SAMPLED_OBSERVATIONS = 10_000


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """Features √(2/n) cos(x·frequencies + offsets) of S agents; each agent has other features."""

    mean: FloatArray  # (S, D) of observations
    deviation: FloatArray  # (S, D) of observations
    frequencies: FloatArray  # (S, D, F) of standardised observations
    offsets: FloatArray  # (S, F)

    @classmethod
    def stack(cls, parts: Sequence[FourierFeatures]) -> FourierFeatures:
        """Join the features of several agents."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    @property
    def number(self) -> int:
        """F."""
        return int(self.offsets.shape[1])

    def __call__(self, observations: npt.NDArray[Any]) -> FloatArray:
        """Return features (S, F) of observations (S, D), one for each agent; or (n, F) of (n, D) where S is 1."""
        standardised = (observations - self.mean) / self.deviation
        phases = np.broadcast_to(self.offsets, (len(standardised), self.number)).copy()
        for dimension in range(standardised.shape[1]):
            phases += standardised[:, dimension, None] * self.frequencies[:, dimension]
        np.cos(phases, out=phases)
        phases *= np.sqrt(2 / FEATURES_PER_KERNEL)
        return phases

    def one(self, agent: int) -> FourierFeatures:
        """Return one agent's features."""
        return FourierFeatures(*(getattr(self, one.name)[agent : agent + 1] for one in fields(self)))


def draw_features(low: npt.NDArray[Any], high: npt.NDArray[Any], random: np.random.Generator) -> FourierFeatures:
    """Draw one agent's features for observations between two bounds, (D,) each.

    The reference implementation does this with scikit-learn's `StandardScaler` and `RBFSampler`, from other random
    numbers.
    """
    observations = random.uniform(low, high, size=(SAMPLED_OBSERVATIONS, len(low)))
    frequencies = [
        np.sqrt(2 * gamma) * random.standard_normal((len(low), FEATURES_PER_KERNEL)) for gamma in KERNEL_GAMMAS
    ]
    offsets = random.uniform(0, 2 * np.pi, FEATURES_PER_KERNEL * len(KERNEL_GAMMAS))
    deviation = observations.std(axis=0)
    return FourierFeatures(
        observations.mean(axis=0)[None],
        # Constant components are not scaled.
        np.where(deviation == 0, 1.0, deviation)[None],
        np.concatenate(frequencies, axis=1)[None],
        offsets[None],
    )


class LinearLearners:
    """S agents that learn side by side, each from its own episodes and independently of the others.

    Their S jobs differ only in their seeds.

    Raises:
        UserError: the algorithm does not suit the environment, or there are fewer steps than in one episode.
    """

    def __init__(self, jobs: Sequence[AgentJob], environment: EnvironmentDefinition) -> None:
        first = jobs[0]
        check_suitable(first.algorithm, environment)
        self.jobs = jobs
        self.episodes = first.steps // first.max_steps
        if self.episodes < 1:
            raise UserError(f"{first.steps} training steps are less than one episode of {first.max_steps} steps")
        self.vector = make_vector(environment, len(jobs), max_steps=first.max_steps, **first.options)
        observations, actions = self.vector.single_observation_space, self.vector.single_action_space
        assert isinstance(observations, spaces.Box)
        assert isinstance(actions, spaces.Discrete)
        self.lowest_action = int(actions.start)
        self.on_policy = first.algorithm.startswith("sarsa")
        self.features = FourierFeatures.stack(
            [draw_features(observations.low, observations.high, _generator(job, _FEATURES)) for job in jobs]
        )
        number = len(jobs)
        self.weights = np.zeros((number, int(actions.n), self.features.number))
        self.done = np.zeros(number, dtype=np.int64)
        self.steps = np.zeros(number, dtype=np.int64)
        self.curves = [LearningCurve() for _ in jobs]
        shape = (number, self.episodes, first.max_steps)
        self.proxy_rewards = np.zeros(shape, dtype=np.float32)
        self.true_rewards = np.zeros(shape, dtype=np.float32)
        self.lengths = np.zeros(shape[:2], dtype=np.int64)

    def restore(self) -> None:
        """Continue from checkpoints. Random numbers depend only on seed and episode, so the result is the same."""
        for index, job in enumerate(self.jobs):
            agent = load_agent(job)
            if agent is None:
                continue
            try:
                self._restore(index, agent)
            except Exception as error:  # a damaged file can raise anything
                raise damaged_agent(job, error) from None

    def _restore(self, index: int, agent: Agent) -> None:
        """Restore one agent; raise `ValueError` if its arrays do not fit, or hold NaN or infinity."""
        saved = agent.arrays
        done = len(saved["lengths"])
        wanted = {
            "weights": self.weights.shape[1:],
            "proxy_rewards": (done, self.proxy_rewards.shape[2]),
            "true_rewards": (done, self.true_rewards.shape[2]),
            "lengths": (done,),
        }
        for name, shape in wanted.items():
            kinds = "iu" if name == "lengths" else "f"
            if saved[name].shape != shape or saved[name].dtype.kind not in kinds or not np.isfinite(saved[name]).all():
                raise ValueError(f"its {name} are {saved[name].dtype} {saved[name].shape}, not finite ones of {shape}")
        if done != len(agent.curve.steps) or not done <= self.episodes or agent.steps != int(saved["lengths"].sum()):
            raise ValueError(f"{done} episodes and {agent.steps} steps do not fit together")
        self.weights[index] = saved["weights"]
        self.proxy_rewards[index, :done] = saved["proxy_rewards"]
        self.true_rewards[index, :done] = saved["true_rewards"]
        self.lengths[index, :done] = saved["lengths"]
        self.done[index], self.steps[index], self.curves[index] = done, agent.steps, agent.curve

    def save(self, index: int) -> None:
        """Write one agent's file."""
        done = int(self.done[index])
        learned = {
            "weights": self.weights[index],
            "proxy_rewards": self.proxy_rewards[index, :done],
            "true_rewards": self.true_rewards[index, :done],
            "lengths": self.lengths[index, :done],
            **{f"feature_{one.name}": getattr(self.features, one.name)[index] for one in fields(self.features)},
        }
        save_agent(self.jobs[index], Agent(int(self.steps[index]), self.curves[index], learned))

    def is_finite(self, index: int) -> bool:
        """Return whether an agent's weights and the rewards of its last episode are finite."""
        last = self.done[index] - 1
        rewards = self.proxy_rewards[index, last], self.true_rewards[index, last]
        return bool(np.isfinite(self.weights[index]).all() and np.isfinite(rewards).all())

    def run_episode(self) -> npt.NDArray[np.intp]:
        """Train each unfinished agent for one more episode; return the indices of these agents."""
        learning = self.done < self.episodes
        rows = np.arange(len(self.jobs))
        max_steps = self.proxy_rewards.shape[2]
        # For each agent and step: whether to explore, and with which action.
        seeded = list(zip(self.jobs, self.done.tolist(), strict=True))
        draws = np.stack([_generator(job, _ACTIONS, done).random((max_steps + 1, 2)) for job, done in seeded])
        explores, explored = draws[..., 0] < EXPLORATION, (draws[..., 1] * self.weights.shape[1]).astype(np.int64)
        starts = [int(_generator(job, _STARTS, done).integers(2**31)) for job, done in seeded]
        observations, _ = self.vector.reset(seed=starts)  # type: ignore[arg-type]
        episodes = RunningEpisodes(self.vector, max_steps, learning)
        features = self.features(observations)
        values = np.einsum("sf,saf->sa", features, self.weights)
        actions = np.where(explores[:, 0], explored[:, 0], values.argmax(axis=1))
        for step in range(1, max_steps + 1):
            observations, proxy, *ending = self.vector.step(actions + self.lowest_action)
            next_features = self.features(observations)
            next_values = np.einsum("sf,saf->sa", next_features, self.weights)
            next_actions = np.where(explores[:, step], explored[:, step], next_values.argmax(axis=1))
            bootstrap = next_values[rows, next_actions] if self.on_policy else next_values.max(axis=1)
            errors = proxy + DISCOUNT * bootstrap - values[rows, actions]
            changes = (LEARNING_RATE * errors * episodes.running)[:, None] * features
            self.weights[rows, actions] += changes
            episodes.record(proxy, *ending)
            if not episodes.running.any():
                break
            # Values of the new observation with the updated weights.
            next_values[rows, actions] += np.einsum("sf,sf->s", changes, next_features)
            if not self.on_policy:
                greedy = next_values.argmax(axis=1)
                next_actions = np.where(explores[:, step], explored[:, step], greedy)
            features, values, actions = next_features, next_values, next_actions
        indices = np.flatnonzero(learning)
        ended = indices, self.done[indices]
        self.proxy_rewards[ended] = episodes.proxy_rewards[indices]
        self.true_rewards[ended] = episodes.true_rewards[indices]
        self.lengths[ended] = episodes.lengths[indices]
        self.steps[indices] += episodes.lengths[indices]
        self.done[indices] += 1
        for index in indices:
            returns = episodes.proxy_rewards[index].sum(), episodes.true_rewards[index].sum()
            self.curves[index].append(int(self.steps[index]), *map(float, returns))
        return indices


class GreedyAgent(Policies):
    """The agent at an index of `LinearLearners` as one policy that takes the action of the greatest value."""

    def __init__(self, learners: LinearLearners, index: int) -> None:
        self._features, self._weights = learners.features.one(index), learners.weights[index]
        self._lowest = learners.lowest_action

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, 1)."""
        values = self._features(observations[0]) @ self._weights.T
        chosen: npt.NDArray[Any] = values.argmax(axis=1)[None, :, None] + self._lowest
        return chosen


def _generator(job: AgentJob, purpose: int, episode: int = 0) -> np.random.Generator:
    return np.random.default_rng([job.seed, purpose, episode])


def policies_of(job: AgentJob, environment: EnvironmentDefinition, episode: int) -> GreedyAgent:
    """Return the agent without exploration; see `quantilizers.optimisers.learner.Learner`."""
    learners = LinearLearners([job], environment)
    try:
        learners.restore()
    finally:
        learners.vector.close()
    return GreedyAgent(learners, 0)


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Train, save and measure the agents; see `quantilizers.optimisers.learner.Learner`."""
    learners = LinearLearners(jobs, environment)
    failed: dict[int, str] = {}
    try:
        learners.restore()
        while (learners.done < learners.episodes).any():
            # Overflows are handled below, for each agent.
            with np.errstate(over="ignore", invalid="ignore"):
                ended = learners.run_episode()
            for index in ended.tolist():
                if not learners.is_finite(index):
                    failed[index] = NOT_FINITE
                    learners.done[index] = learners.episodes
                    continue
                curve, done = learners.curves[index], learners.done[index]
                send(Progress(jobs[index].seed, curve.steps[-1], curve.proxy_returns[-1], curve.true_returns[-1]))
                if done % CHECKPOINT_EPISODES == 0 or done == learners.episodes:
                    learners.save(index)
    finally:
        learners.vector.close()
    for index, job in enumerate(jobs):
        if index in failed:
            continue
        if ALGORITHMS[job.algorithm].measured_in_training:
            last = slice(-job.number_trajectories, None)
            true_rewards, proxy_rewards = learners.true_rewards[index, last], learners.proxy_rewards[index, last]
            save_measurement(job, true_rewards, proxy_rewards, learners.lengths[index, last])
        elif not is_measured(job):
            try:
                measure_agent(job, environment, GreedyAgent(learners, index), int(learners.steps[index]), send)
            except NotFiniteError as error:
                failed[index] = str(error)
    if failed:
        raise UnfinishedError({jobs[index].name: reason for index, reason in failed.items()}, len(jobs))
