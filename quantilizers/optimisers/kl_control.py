"""Control of the proxy with a KL penalty to the imitator, the rival of quantilization.

The agent maximises E[U] − KL(π, π₀)/β over its episodes, where π₀ is the cloned policy of all demonstrations, which
samples its actions. β has the unit of 1/U: 0 is imitation, and infinity optimisation. With k steps left,

    V_k(s) = log Σ_a π₀(a|s) exp(β (r(s, a) + V_{k−1}(s′))) / β,    π_k(a|s) ∝ π₀(a|s) exp(β (r(s, a) + V_{k−1}(s′)))

(Todorov 2009; Levine 2018, section 2), a soft dynamic programme over the states of the environment's `dynamics`. Over
whole episodes from a start it is exponential tilting of the imitator's episodes; as V is interpolated between grid
points, the agent is a little weaker than that. Without dynamics it is PPO (`quantilizers.optimisers.kl_ppo`).

The agent's file has the KL divergence of each test episode; its values are computed from the imitator's file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import Dynamics
from quantilizers.envs.two_rewards import load_path
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.measuring import NotFiniteError, stacked
from quantilizers.evaluation.pressure import Compared, DrawingPolicies
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import (
    Agent,
    AgentJob,
    LearningCurve,
    Progress,
    damaged_agent,
    load_agent,
    save_agent,
)
from quantilizers.optimisers.dynamic_programme import DynamicProgramme
from quantilizers.optimisers.learner import SendProgress
from quantilizers.optimisers.measurements import NOT_FINITE, is_measured, play_test_episodes, save_measurement
from quantilizers.policies.encoding import choose
from quantilizers.policies.keras_files import content_hash, load_policy
from quantilizers.policies.policy import Policies, TrainedPolicies
from quantilizers.rewards import FloatArray, Reward

#: Array of an agent's file: KL of each test episode.
DIVERGENCES = "divergences"
#: States for which the imitator's probabilities are computed at a time.
_AT_ONCE = 50_000

#: Returns class probabilities (n, actions) for observations (n, …).
Imitator = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class SoftProgramme(DynamicProgramme):
    """The soft values of all grid points for every number of steps left.

    Args:
        dynamics: of the environment.
        reward: the proxy, which has no mean at the end.
        steps: of an episode.
        imitator: its probabilities.
        beta: above 0.
    """

    def __init__(self, dynamics: Dynamics, reward: Reward, steps: int, imitator: Imitator, beta: float) -> None:
        self._imitator, self._beta = imitator, beta
        self._logs: FloatArray | None = None
        super().__init__(dynamics, reward, steps)

    def _backed_up(self, worth: FloatArray, states: FloatArray) -> FloatArray:
        """Return log Σ_a π₀(a|s) exp(β worth) / β for worths (actions, n) of states (n, D), the grid's."""
        if self._logs is None:
            self._logs = self._log_probabilities(states)
        tilted = self._logs + self._beta * worth
        highest = tilted.max(axis=0)
        values: FloatArray = (highest + np.log(np.exp(tilted - highest).sum(axis=0))) / self._beta
        return values

    def _log_probabilities(self, states: FloatArray) -> FloatArray:
        """Return log π₀ (actions, n) of states (n, D)."""
        parts = [states[first : first + _AT_ONCE] for first in range(0, len(states), _AT_ONCE)]
        found = np.concatenate([self._imitator(self._dynamics.observe(part)) for part in parts])
        logs: FloatArray = np.log(np.maximum(found.astype(np.float64), np.finfo(np.float32).tiny)).T
        return logs

    def probabilities(self, states: FloatArray, left: int) -> FloatArray:
        """Return the agent's probabilities (n, actions) in states (n, D) with so many steps left, at least 1."""
        tilted = self._log_probabilities(states) + self._beta * self._worth(states, left, 1)
        raw = np.exp(tilted - tilted.max(axis=0))
        shares: FloatArray = (raw / raw.sum(axis=0)).T
        return shares


class SoftPolicy(Policies):
    """The agent as one policy, which draws its actions."""

    draws = True

    def __init__(self, programme: SoftProgramme, dynamics: Dynamics, max_steps: int) -> None:
        self._programme, self._dynamics, self._max_steps = programme, dynamics, max_steps
        self._step = 0

    def begin(self, episodes: int) -> None:
        """Begin new episodes."""
        self._step = 0

    def probabilities(self, observations: npt.NDArray[Any]) -> list[FloatArray]:
        """Return class probabilities (1, E, actions) at the present step for observations (1, E, …)."""
        assert self._dynamics.state_of is not None
        left = max(1, self._max_steps - self._step)
        return [self._programme.probabilities(self._dynamics.state_of(observations[0]), left)[None]]

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, 1)."""
        probabilities = self.probabilities(observations)[0]
        self._step += 1
        drawn = generators[0].random((1, observations.shape[1]))
        chosen = choose(probabilities, range(self._dynamics.actions), "sample", drawn)
        actions: npt.NDArray[Any] = np.asarray(chosen)[..., None]
        return actions


def policies_of(job: AgentJob, environment: EnvironmentDefinition, episode: int) -> SoftPolicy:
    """Return the agent of a job; its values are computed again. See `quantilizers.optimisers.learner.Learner`."""
    if load_agent(job) is None:
        raise MissingError(f"{job.agent} is missing")
    return _agent(job, environment)[0]


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Compute, measure and save an agent; see `quantilizers.optimisers.learner.Learner`.

    Raises:
        MissingError: the imitator was not trained, or is another than the agent's.
        UserError: it has a history, or a file is damaged or cannot be written.
    """
    (job,) = jobs
    agent = load_agent(job)
    known = 0 if agent is None else len(agent.arrays.get(DIVERGENCES, ()))
    if known >= job.number_trajectories and is_measured(job):
        return
    measure_beside(job, environment, *_agent(job, environment), Agent(0, LearningCurve(), {}))
    send(Progress(job.seed, 0))


def measure_beside(
    job: AgentJob, environment: EnvironmentDefinition, acting: DrawingPolicies, imitator: TrainedPolicies, agent: Agent
) -> None:
    """Play the test episodes; save the agent with the KL of each of them, and the measurement.

    Raises:
        NotFiniteError: a reward was NaN or infinite.
        UserError: a file cannot be written.
    """
    batches: list[Compared] = []

    def compared(episodes: slice) -> Compared:
        batches.append(Compared(acting, imitator))
        return batches[-1]

    played = play_test_episodes(job, environment, compared)
    divergences = np.concatenate([one.divergences[0] for one in batches])
    if not all(np.isfinite(found).all() for found in (divergences, played.true_rewards, played.proxy_rewards)):
        raise NotFiniteError(NOT_FINITE, [])
    save_agent(job, replace(agent, arrays={**agent.arrays, DIVERGENCES: divergences}))
    save_measurement(job, played.true_rewards[0], played.proxy_rewards[0], played.lengths[0])


def imitator_of(job: AgentJob, environment: EnvironmentDefinition) -> TrainedPolicies:
    """Return the imitator to which an agent is held.

    Raises:
        MissingError: it was not trained, or is another than the agent's.
        UserError: it has a history, or its file is damaged.
    """
    assert job.imitator is not None
    policy = load_policy(job.imitator, environment)
    if content_hash(job.imitator) != job.imitator_hash:
        raise MissingError(f"{job.imitator} is another imitator than that of {job.agent}; optimize again with --force")
    if getattr(policy.training, "history", 0):
        raise UserError("KL control needs an imitator that sees the state alone; train it without --history")
    return cast(TrainedPolicies, stacked(environment, [policy], "sample"))


def _agent(job: AgentJob, environment: EnvironmentDefinition) -> tuple[SoftPolicy, TrainedPolicies]:
    """Return the agent, and the imitator to which it is held."""
    imitator = imitator_of(job, environment)
    dynamics: Dynamics = load_path(environment.planning.dynamics)
    proxy, _ = environment.rewards(job.options)

    def probabilities(seen: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = imitator.probabilities(seen[None])[0][0]
        return found

    programme = SoftProgramme(dynamics, proxy, job.max_steps, probabilities, job.beta)
    return SoftPolicy(programme, dynamics, job.max_steps), imitator


def divergences_of(job: AgentJob) -> FloatArray:
    """Return the KL divergence of each test episode of a job, (E,).

    Raises:
        MissingError: the agent, or some of its episodes, are missing.
        UserError: the file is damaged.
    """
    agent = load_agent(job)
    found = None if agent is None else agent.arrays.get(DIVERGENCES)
    if found is None or found.ndim != 1 or len(found) < job.number_trajectories:
        raise MissingError(f"{job.agent} does not have the KL of {counted(job.number_trajectories, 'episode')}")
    if found.dtype.kind != "f" or not np.isfinite(found).all():
        raise damaged_agent(job, ValueError(f"its divergences are {found.dtype} and not all finite"))
    divergences: FloatArray = found[: job.number_trajectories].astype(np.float64)
    return divergences
