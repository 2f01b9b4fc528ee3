"""The quantilizer that can be run: n rollouts of the imitator from the given start, and one of the top k is played.

The imitator is the cloned policy of all demonstrations, which samples its actions. From the start of each test episode
it is rolled out n times in the environment itself, and one of the k rollouts with the highest proxy returns is played,
at random. Nothing is then more than n/k times as likely as under the imitator, so the mean of any cost is at most n/k
times the imitator's (Taylor 2016): the bound holds for what is run, whatever cloning got wrong.

All rollouts of an episode are reset with its seed, and so have its start. An environment whose steps are random repeats
its random numbers, too: the agent then knows the luck of the episode, and the bound is of the imitator with that luck.

Rollouts depend only on the policy, the seed, the episode and n. All their returns are kept, from which the returns at
every k follow (`path_of_rollouts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.measuring import NotFiniteError, stacked
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, episode_seeds, roll_out
from quantilizers.execution.executor import SendNowAndThen
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import Agent, AgentJob, LearningCurve, Progress, save_agent
from quantilizers.optimisers.learner import SendProgress
from quantilizers.optimisers.measurements import NOT_FINITE, is_measured
from quantilizers.optimisers.paths import OptimisationPath, PathPoint
from quantilizers.optimisers.planner import Plans, measure_plans, plans_of, policies_of
from quantilizers.policies.keras_files import load_policy
from quantilizers.policies.policy import Policies, TrainedPolicy
from quantilizers.quantilize import RULES, quantilize_scores
from quantilizers.rewards import FloatArray

__all__ = ["path_of_rollouts", "policies_of", "train"]

#: Parts of the random streams of rollouts and of the choice among them.
_ROLLING, _CHOOSING = 11, 12
#: Arrays of an agent's file: returns of all rollouts, (E, n).
_TRUE, _PROXY = "rollout_true_returns", "rollout_proxy_returns"


class Recorded(Policies):
    """Policies whose actions are recorded.

    Attributes:
        actions: of each step so far, (P, E, A).
    """

    def __init__(self, policies: Policies, environment: EnvironmentDefinition) -> None:
        self._policies, self._environment = policies, environment
        self.actions: list[npt.NDArray[Any]] = []

    def begin(self, episodes: int) -> None:
        """Begin new episodes, and forget the actions of earlier ones."""
        self.actions = []
        self._policies.begin(episodes)

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (P, E, A).

        Raises:
            UserError: the episodes of a policy do not begin alike.
        """
        if not self.actions and (observations != observations[:, :1]).any():
            raise UserError(
                f"{self._environment.name}: resets with the same seed begin in different states, and rollouts need one "
                "start; draw all random numbers of reset from self.np_random"
            )
        chosen = self._policies.act(observations, generators, running)
        # Classes are few numbers, and single precision holds them; all rollouts are kept until one is chosen.
        self.actions.append(chosen.astype(np.float32))
        return chosen


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Roll out and choose where that is not done, save and measure; see `quantilizers.optimisers.learner.Learner`.

    The steps of a job are its number n of rollouts from each start.

    Raises:
        MissingError: the imitator was not trained.
        NotFiniteError: a reward was NaN or infinite.
        UserError: the environment does not repeat itself, or a file is damaged or cannot be written.
    """
    (job,) = jobs
    plans = plans_of(job, environment)
    if plans is None or plans.number < job.number_trajectories or _TRUE not in plans.more:
        plans = _roll_out_all(job, environment, plans, send)
    if not is_measured(job):
        measure_plans(job, environment, plans)


def _roll_out_all(job: AgentJob, environment: EnvironmentDefinition, known: Plans | None, send: SendProgress) -> Plans:
    """Roll out from the starts that have no plan yet, some side by side, and save after each."""
    assert job.imitator is not None
    policy = load_policy(job.imitator, environment)
    actions: list[npt.NDArray[Any]] = []
    true: list[FloatArray] = []
    proxy: list[FloatArray] = []
    if known is not None and _TRUE in known.more:
        actions = [known.actions[row, :length] for row, length in enumerate(known.lengths)]
        true, proxy = list(known.more[_TRUE]), list(known.more[_PROXY])
    expected = [] if known is None or not actions else known.expected.tolist()
    together = max(1, environment.parallel_episodes // job.steps)
    done, send_now_and_then = len(actions) * job.steps, SendNowAndThen(send)
    plans = known
    for first in range(len(actions), job.number_trajectories, together):
        episodes = range(first, min(first + together, job.number_trajectories))
        of_true, of_proxy, lengths, taken = _rollouts(job, environment, policy, episodes)
        if not (np.isfinite(of_true).all() and np.isfinite(of_proxy).all()):
            raise NotFiniteError(NOT_FINITE, [])
        for row, episode in enumerate(episodes):
            generator = np.random.default_rng([job.seed, episode, _CHOOSING])
            chosen = quantilize_scores(of_proxy[row], k=job.top_k, rng=generator)
            actions.append(taken[row][: lengths[row, chosen], chosen].astype(environment.action_space.dtype))
            expected.append(float(of_proxy[row, chosen]))
            true.append(of_true[row])
            proxy.append(of_proxy[row])
        done += len(episodes) * job.steps
        more = {_TRUE: np.stack(true), _PROXY: np.stack(proxy)}
        plans = Plans.of_episodes(actions, expected, more)
        save_agent(job, Agent(done, LearningCurve(), plans.as_arrays()))
        send_now_and_then(Progress(job.seed, done))
    assert plans is not None
    send(Progress(job.seed, done))
    return plans


def _rollouts(
    job: AgentJob, environment: EnvironmentDefinition, policy: TrainedPolicy, episodes: range
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64], list[npt.NDArray[Any]]]:
    """Return true and proxy returns and lengths (S, n) of rollouts from S starts, and the actions (T, n, A) of each."""
    starts = np.array(episode_seeds(job.seed, slice(episodes.start, episodes.stop)))
    acting = Recorded(stacked(environment, [policy] * len(starts), "sample"), environment)
    played = Rollouts.empty(len(starts), job.steps, job.max_steps)
    parts: list[list[npt.NDArray[Any]]] = [[] for _ in starts]
    for batch in episode_batches(job.steps, environment.parallel_episodes):
        seeds = np.repeat(starts[:, None], batch.stop - batch.start, axis=1)
        generators = [np.random.default_rng([job.seed, episode, _ROLLING, batch.start]) for episode in episodes]
        part = roll_out(environment, acting, seeds, generators, job.max_steps, job.options)
        played.put(slice(0, len(starts)), batch, part)
        for row, of_start in enumerate(parts):
            steps = [actions[row] for actions in acting.actions]
            of_start.append(np.pad(np.stack(steps), ((0, job.max_steps - len(steps)), (0, 0), (0, 0))))
    return (
        played.true_rewards.sum(axis=-1),
        played.proxy_rewards.sum(axis=-1),
        played.lengths,
        [np.concatenate(of_start, axis=1) for of_start in parts],
    )


def rollout_returns(job: AgentJob, environment: EnvironmentDefinition) -> tuple[FloatArray, FloatArray]:
    """Return true and proxy returns (E, n) of the rollouts from the start of each test episode.

    Raises:
        MissingError: there are too few.
        UserError: the file is damaged.
    """
    plans = plans_of(job, environment)
    if plans is None or plans.number < job.number_trajectories:
        raise MissingError(f"{job.agent} has no rollouts for {counted(job.number_trajectories, 'episode')}")
    try:
        true, proxy = (plans.more[name][: job.number_trajectories].astype(np.float64) for name in (_TRUE, _PROXY))
    except (KeyError, ValueError, TypeError):
        raise UserError(f"{job.agent} has no returns of rollouts; delete it to roll out again") from None
    shape = (job.number_trajectories, job.steps)
    if true.shape != shape or proxy.shape != shape or not (np.isfinite(true).all() and np.isfinite(proxy).all()):
        raise UserError(f"{job.agent} is damaged (returns of rollouts are not {shape}); delete it to roll out again")
    return true, proxy


def numbers_of_best(n: int, k: int) -> list[int]:
    """Return the k at which a path is traced, descending: n, n/2, n/4, …, 1, and the agent's own.

    >>> numbers_of_best(10, 3)
    [10, 5, 3, 2, 1]
    """
    halves = {max(1, n >> power) for power in range(n.bit_length())}
    return sorted({*halves, k}, reverse=True)


def path_of_rollouts(jobs: Sequence[AgentJob], environment: EnvironmentDefinition) -> OptimisationPath:
    """Return what one of the best k of the rollouts earns in the mean, from k = n to 1; the effort is n/k.

    The point of k is exact for these rollouts: it is the mean over the choice, which the agent makes at random.

    Args:
        jobs: of all seeds, finished.
        environment: of the jobs.
    """
    of_jobs = [rollout_returns(job, environment) for job in jobs]
    true, proxy = (np.stack(returns) for returns in zip(*of_jobs, strict=True))  # (seeds, E, n)
    first = jobs[0]
    points = []
    for k in numbers_of_best(first.steps, first.top_k):
        strength = RULES["top_k_of_n"].at(first.steps, k=k)
        weights = np.array([[strength.weights(of_start) for of_start in of_seed] for of_seed in proxy])
        points.append(
            PathPoint(
                first.steps / k,
                (weights * true).sum(axis=-1),
                (weights * proxy).sum(axis=-1),
                np.full(true.shape[:2], strength.divergence),
            )
        )
    return OptimisationPath(
        first.algorithm,
        first.environment_name,
        first.max_steps,
        dict(first.options),
        "n/k, the factor of the bound on costs",
        tuple(job.seed for job in jobs),
        tuple(points),
        tuple(job.imitator_hash for job in jobs),
    )
