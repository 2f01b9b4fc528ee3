"""Planners: plans for the starts of the episodes in which quantilizers are tested, found by one of three methods.

Plans are played in the environment in which all agents are measured, which may be another program than the one that was
planned in. A plan whose return differs from the expected one is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import GameSimulator, Simulator
from quantilizers.envs.two_rewards import load_path
from quantilizers.errors import MissingError, UserError, guarded
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.execution.executor import SendNowAndThen
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import Agent, AgentJob, LearningCurve, Progress, load_agent, save_agent
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.dynamic_programme import DynamicProgramme
from quantilizers.optimisers.learner import SendProgress
from quantilizers.optimisers.measurements import is_measured, play_test_episodes, save_measurement
from quantilizers.optimisers.policy_search import LinearPolicies, search
from quantilizers.optimisers.sequence_search import action_drawer, check_simulator, plan_episode
from quantilizers.policies.policy import Policies
from quantilizers.rewards import FloatArray, Reward

#: Relative tolerance for equal returns, because rewards are added in different orders.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Plans:
    """The planned actions of E episodes of at most T steps."""

    actions: npt.NDArray[Any]  # (E, T, A), zero after an episode's end
    lengths: npt.NDArray[np.int64]  # (E,) steps
    expected: FloatArray  # (E,) returns of the reward that is planned on
    more: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)  # further arrays of the planner

    @classmethod
    def of_episodes(
        cls,
        actions: Sequence[npt.NDArray[Any]],
        expected: Sequence[float],
        more: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> Plans:
        """Return plans from the actions (t, A) and the expected return of each episode, and further arrays."""
        lengths = np.array([len(one) for one in actions], dtype=np.int64)
        padded = np.zeros((len(actions), int(lengths.max(initial=0)), *actions[0].shape[1:]), dtype=actions[0].dtype)
        for row, one in zip(padded, actions, strict=True):
            row[: len(one)] = one
        return cls(padded, lengths, np.array(expected, dtype=np.float64), more or {})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], components: int) -> Plans:
        """Return the plans in the arrays of an agent's file; raise `UserError` if they do not fit together."""
        try:
            actions, lengths, expected = (arrays[name] for name in ("actions", "lengths", "expected"))
        except KeyError as error:
            raise UserError(f"{error.args[0]} is missing") from None
        number = len(actions) if actions.ndim == 3 else -1
        if not (lengths.shape == expected.shape == (number,)) or actions.shape[2] != components:
            raise UserError("actions, lengths and expected returns do not fit together")
        if lengths.dtype.kind != "i" or lengths.min(initial=1) < 1 or lengths.max(initial=1) > actions.shape[1]:
            raise UserError("the lengths of plans are impossible")
        if actions.dtype.kind not in "if" or not np.isfinite(actions).all():
            raise UserError("an action is not a finite number")
        known = ("actions", "lengths", "expected")
        return cls(actions, lengths, expected, {name: arrays[name] for name in arrays if name not in known})

    def as_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for an agent's file."""
        return {"actions": self.actions, "lengths": self.lengths, "expected": self.expected, **self.more}

    @property
    def number(self) -> int:
        """Number of episodes E."""
        return len(self.lengths)


class FollowedPlans(Policies):
    """The plans of some episodes as one policy."""

    def __init__(self, plans: Plans, episodes: slice) -> None:
        self._actions = plans.actions[episodes]
        self._step = 0

    def begin(self, episodes: int) -> None:
        """Start the episodes."""
        self._step = 0

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Return the next actions (1, E, A)."""
        # An episode that continues after the end of its plan is detected by its return.
        step = min(self._step, self._actions.shape[1] - 1)
        self._step += 1
        return self._actions[None, :, step]


class Recorder(Policies):
    """Linear policies that record their actions."""

    def __init__(self, policies: LinearPolicies, environment: EnvironmentDefinition) -> None:
        self._policies = policies
        self._dtype = environment.action_space.dtype
        self._steps: list[npt.NDArray[Any]] = []
        self._episodes: list[npt.NDArray[Any]] = []

    @property
    def actions(self) -> list[npt.NDArray[Any]]:
        """Of each episode so far, (T, A), as the environment takes them."""
        return [*self._episodes, *(np.stack(self._steps, axis=1) if self._steps else ())]

    def begin(self, episodes: int) -> None:
        """Start new episodes; earlier ones stay recorded."""
        self._episodes, self._steps = self.actions, []

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        chosen = self._policies.act(observations, generators, running).astype(self._dtype)
        self._steps.append(chosen[0])
        return chosen


def policies_of(job: AgentJob, environment: EnvironmentDefinition, episode: int) -> FollowedPlans:
    """Return the plan of an episode as a policy; see `quantilizers.optimisers.learner.Learner`."""
    plans = plans_of(job, environment)
    number = 0 if plans is None else plans.number
    if plans is None or episode >= number:
        raise MissingError(f"{job.agent} has plans for {counted(number, 'episode')}, not for episode {episode + 1}")
    return FollowedPlans(plans, slice(episode, episode + 1))


def plans_of(job: AgentJob, environment: EnvironmentDefinition) -> Plans | None:
    """Return the plans in a job's file, or None if there are none; raise `UserError` if the file is damaged."""
    agent = load_agent(job)
    if agent is None:
        return None
    try:
        return Plans.from_arrays(agent.arrays, environment.action_components)
    except UserError as error:
        raise UserError(f"{job.agent} is damaged ({error}); delete it to plan again") from None


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Plan the unplanned episodes, save and measure the plans; see `quantilizers.optimisers.learner.Learner`.

    The steps of a planner's job are its effort, see `quantilizers.envs.planning.Planning`.

    Raises:
        UserError: the return of a plan is not the expected one, or a file is damaged or cannot be written.
    """
    (job,) = jobs
    plans = plans_of(job, environment)
    if plans is None or plans.number < job.number_trajectories:
        method = {"dynamic_programme": _by_dynamic_programme, "policies": _by_policies, "sequences": _by_sequences}
        plans = method[environment.planning.method](job, environment, plans, send)
    if not is_measured(job):
        measure_plans(job, environment, plans)


def _reward_of(job: AgentJob, environment: EnvironmentDefinition) -> Reward:
    proxy, true = environment.rewards(job.options)
    return true if ALGORITHMS[job.algorithm].on_true else proxy


def _by_dynamic_programme(
    job: AgentJob, environment: EnvironmentDefinition, _: Plans | None, send: SendProgress
) -> Plans:
    with guarded(f"dynamics of {environment.name}"):
        dynamics = load_path(environment.planning.dynamics)
    programme = DynamicProgramme(dynamics, _reward_of(job, environment), min(job.steps, job.max_steps))
    plans = Plans(*programme.plan(episode_seeds(job.seed, slice(0, job.number_trajectories)), job.max_steps))
    return _saved(job, plans, LearningCurve(), send)


def _by_policies(job: AgentJob, environment: EnvironmentDefinition, known: Plans | None, send: SendProgress) -> Plans:
    curve = LearningCurve()
    on_true = ALGORITHMS[job.algorithm].on_true

    def report(tried: int, proxy_return: float, true_return: float) -> None:
        curve.append(tried, proxy_return, true_return)
        send(Progress(job.seed, tried, proxy_return, true_return))

    names = ("observation_mean", "observation_scale", "weights")
    if known is not None and set(names) <= set(known.more):
        found = tuple(known.more[name] for name in names)
    else:
        found = search(environment, job.seed, job.steps, job.max_steps, job.options, on_true, report)
    mean, scale, weights = found
    acting = Recorder(LinearPolicies(environment, mean, scale, weights[None]), environment)
    played = play_test_episodes(job, environment, lambda _: acting)
    returns = played.true_rewards[0] if on_true else played.proxy_rewards[0]
    episodes = [actions[:length] for actions, length in zip(acting.actions, played.lengths[0], strict=True)]
    plans = Plans.of_episodes(episodes, returns.sum(axis=1).tolist(), dict(zip(names, found, strict=True)))
    return _saved(job, plans, curve, send)


def _by_sequences(job: AgentJob, environment: EnvironmentDefinition, known: Plans | None, send: SendProgress) -> Plans:
    draw, planning = action_drawer(environment), environment.planning
    episodes = [] if known is None else [known.actions[row, :length] for row, length in enumerate(known.lengths)]
    expected = [] if known is None else known.expected.tolist()
    steps, send_now_and_then = sum(map(len, episodes)), SendNowAndThen(send)
    simulator = _simulator(job, environment)
    seeds = episode_seeds(job.seed, slice(0, job.number_trajectories))
    simulator.start(seeds[0])
    check_simulator(simulator, draw, planning, environment.name)
    for episode in range(len(episodes), job.number_trajectories):
        before = steps
        simulator.start(seeds[episode])
        # A plan depends only on the seed and the episode's number, not on the plans before it.
        actions, earned = plan_episode(
            simulator,
            draw,
            planning,
            job.steps,
            job.max_steps,
            np.random.default_rng([job.seed, episode]),
            lambda planned, before=before: send_now_and_then(Progress(job.seed, before + planned)),  # type: ignore[misc]
        )
        episodes.append(actions)
        expected.append(earned)
        steps += len(actions)
        plans = _saved(job, Plans.of_episodes(episodes, expected), LearningCurve(), send)
    return plans


def _simulator(job: AgentJob, environment: EnvironmentDefinition) -> Simulator:
    reward, declared = _reward_of(job, environment), environment.planning.simulator
    if declared is not None:
        with guarded(f"simulator of {environment.name}"):
            simulator: Simulator = load_path(declared)(reward)
        return simulator
    game = environment.make_own(job.options)
    assert environment.planning.save_state is not None
    assert environment.planning.restore_state is not None
    return GameSimulator(
        game,
        reward,
        environment.planning.save_state,
        environment.planning.restore_state,
        lambda action: environment_action(action, environment.action_space),
    )


def _saved(job: AgentJob, plans: Plans, curve: LearningCurve, send: SendProgress) -> Plans:
    """Write the agent's file and return the plans."""
    steps = curve.steps[-1] if curve.steps else int(plans.lengths.sum())
    save_agent(job, Agent(steps, curve, plans.as_arrays()))
    send(Progress(job.seed, steps))
    return plans


def measure_plans(job: AgentJob, environment: EnvironmentDefinition, plans: Plans) -> None:
    """Play the plans, check their returns, and save the rewards; raise a `UserError` if a return is another."""
    played = play_test_episodes(job, environment, lambda episodes: FollowedPlans(plans, episodes))
    rewards = played.true_rewards[0] if ALGORITHMS[job.algorithm].on_true else played.proxy_rewards[0]
    expected = plans.expected[: job.number_trajectories]
    other = ~np.isclose(rewards.sum(axis=1), expected, rtol=_SAME, atol=_SAME)
    other |= played.lengths[0] != plans.lengths[: job.number_trajectories]
    if other.any():
        episode = int(np.argmax(other))
        raise UserError(
            f"{environment.name}: the plan of episode {episode + 1} earns {rewards[episode].sum():.6g} where it was "
            f"planned to earn {expected[episode]:.6g}; is some randomness not set by the reset seed, or some state "
            "not in save_state?"
        )
    save_measurement(job, played.true_rewards[0], played.proxy_rewards[0], played.lengths[0])
