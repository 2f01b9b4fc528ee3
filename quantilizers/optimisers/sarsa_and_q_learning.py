"""SARSA and Q-learning with linear values of random Fourier features, all seeds side by side in NumPy.

The settings are those of the reference implementation of Carey (2019), which took them from D. Britz's course on
reinforcement learning: 400 features (`quantilizers.optimisers.fourier_features`), no bias, weights that start at 0,
steps of α = 0.01 on the squared error of one transition at a time, γ = 0.99, ε-greedy actions with ε = 0.1. Like the
reference, both bootstrap past the end of an episode, whether it terminated or was cut.

The reference calls its agent SARSA, but learns towards the greatest value of the next observation. That is
Q-learning (Watkins 1989); it is offered beside SARSA (Rummery & Niranjan 1994), which learns towards the value of
the action that it takes next.

The agent is measured as the reference does it: by its last training episodes, in which it goes on exploring and
learning. "SARSA, greedy" and "Q-learning, greedy" are the same agents, measured when they have learned, in the episodes
that the quantilizers are tested in, in which they take the action of the greatest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_vector
from quantilizers.errors import UserError
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.evaluation.running_episodes import RunningEpisodes
from quantilizers.execution.units import Executor, UnfinishedError
from quantilizers.optimisers.agents import Agent, LearningCurve, damaged_agent, load_agent, save_agent
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.fourier_features import FourierFeatures, draw_features
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measurements import is_measured, save_measurement
from quantilizers.optimisers.measuring import NOT_FINITE, measure_agent
from quantilizers.optimisers.reports import TrainingReport
from quantilizers.optimisers.suitability import check_suitable

FloatArray = npt.NDArray[np.float64]

EXPLORATION, LEARNING_RATE, DISCOUNT = 0.1, 0.01, 0.99
#: Agents are saved whenever they have learned from so many more episodes.
CHECKPOINT_EPISODES = 25
#: What a seed's random numbers are for, so that none are used twice.
_FEATURES, _STARTS, _ACTIONS = range(3)


class LinearLearners:
    """S agents that learn side by side, each from its own episodes. What one does depends on no other.

    Args:
        jobs: S of them, of the same algorithm and environment.
        environment: where they learn.

    Raises:
        UserError: the algorithm does not suit the environment, or the steps are less than an episode.
    """

    def __init__(self, jobs: Sequence[Job], environment: EnvironmentDefinition) -> None:
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
        """Go on from what is saved. An episode's random numbers depend on its number only, so nothing changes."""
        for index, job in enumerate(self.jobs):
            agent = load_agent(job)
            if agent is None:
                continue
            try:
                self._restore(index, agent)
            except Exception as error:  # whatever is made of what stands in a file
                raise damaged_agent(job, error) from None

    def _restore(self, index: int, agent: Agent) -> None:
        """Give one agent back what it had learned.

        Raises:
            ValueError: the arrays are not its own, or hold NaN or infinity.
        """
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
            **self.features.arrays_of(index),
        }
        save_agent(self.jobs[index], Agent(int(self.steps[index]), self.curves[index], learned))

    def is_finite(self, index: int) -> bool:
        """Return whether what an agent learned, and was paid in its last episode, are numbers."""
        last = self.done[index] - 1
        paid = self.proxy_rewards[index, last], self.true_rewards[index, last]
        return bool(np.isfinite(self.weights[index]).all() and np.isfinite(paid).all())

    def run_episode(self) -> npt.NDArray[np.intp]:
        """Let every agent that has not done all its episodes learn from one more; return their indices."""
        learning = self.done < self.episodes
        rows = np.arange(len(self.jobs))
        max_steps = self.proxy_rewards.shape[2]
        # For each agent and step: whether to explore, and what then.
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
            # The values of the new observation, with the weights just learned.
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


class GreedyAgent:
    """One of the agents as `quantilizers.policies.policy.Policies`: it takes the action of the greatest value.

    Args:
        learners: with the agent.
        index: its place among them.
    """

    def __init__(self, learners: LinearLearners, index: int) -> None:
        self._features, self._weights = learners.features.one(index), learners.weights[index]
        self._lowest = learners.lowest_action

    def begin(self, episodes: int) -> None:
        """Begin episodes; it remembers nothing of those before."""

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, 1)."""
        values = self._features(observations[0]) @ self._weights.T
        chosen: npt.NDArray[Any] = values.argmax(axis=1)[None, :, None] + self._lowest
        return chosen


def _generator(job: Job, purpose: int, episode: int = 0) -> np.random.Generator:
    return np.random.default_rng([job.seed, purpose, episode])


def policies_of(job: Job, environment: EnvironmentDefinition, episode: int) -> GreedyAgent:
    """Return the agent as it acts without exploring; see `quantilizers.optimisers.learner.Learner`."""
    learners = LinearLearners([job], environment)
    try:
        learners.restore()
    finally:
        learners.vector.close()
    return GreedyAgent(learners, 0)


def optimise(jobs: Sequence[Job], report: TrainingReport, executor: Executor | None = None) -> list[LearningCurve]:
    """Train, save and measure; see `quantilizers.optimisers.learner.Learner`."""
    learners = LinearLearners(jobs, report.environment)
    lost: dict[int, str] = {}
    try:
        learners.restore()
        for index, curve in enumerate(learners.curves):
            report.begin(index, curve, int(learners.steps[index]))
        while (learners.done < learners.episodes).any():
            # What becomes of infinite rewards is looked at here, agent by agent.
            with np.errstate(over="ignore", invalid="ignore"):
                ended = learners.run_episode()
            for index in ended.tolist():
                if not learners.is_finite(index):
                    lost[index] = NOT_FINITE
                    learners.done[index] = learners.episodes
                    continue
                report.episode(index, learners.curves[index])
                done = learners.done[index]
                if done % CHECKPOINT_EPISODES == 0 or done == learners.episodes:
                    learners.save(index)
    finally:
        learners.vector.close()
    for index, job in enumerate(jobs):
        if index in lost:
            continue
        if ALGORITHMS[job.algorithm].measured_in_training:
            last = slice(-job.number_trajectories, None)
            true_rewards, proxy_rewards = learners.true_rewards[index, last], learners.proxy_rewards[index, last]
            save_measurement(job, true_rewards, proxy_rewards, learners.lengths[index, last])
        elif not is_measured(job):
            try:
                measure_agent(job, report.environment, GreedyAgent(learners, index), partial(report.measuring, index))
            except NotFiniteError as error:
                lost[index] = str(error)
    if lost:
        raise UnfinishedError({jobs[index].name: reason for index, reason in lost.items()}, len(jobs))
    return learners.curves
