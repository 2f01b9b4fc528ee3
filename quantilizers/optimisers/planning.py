"""One seed of a planner, from its first plan or last checkpoint to what the plans earn.

Plans are found for the starts of the episodes in which quantilizers are tested, and played there: in the environment
that everybody is measured in, which may be another program than the one that was planned on. A plan that earns
otherwise than it was planned to is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.actions import environment_action
from quantilizers.envs.base import load_path, make_base
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.planning import GameSimulator, Simulator
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, episode_seeds, randomness_of, roll_out
from quantilizers.execution.units import SendNowAndThen
from quantilizers.optimisers.agents import Agent, LearningCurve, save_agent
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.dynamic_programme import DynamicProgramme
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measurements import is_measured, save_measurement
from quantilizers.optimisers.messages import Progress, SendProgress
from quantilizers.optimisers.plans import FollowedPlans, Plans, plans_of
from quantilizers.optimisers.policy_search import Generation, LinearPolicies, search
from quantilizers.optimisers.sequence_search import action_drawer, check_simulator, plan_episode
from quantilizers.rewards import Reward

#: Plans are the same in every environment if they pay the same to so many digits: rewards are added up in other orders.
_SAME = 1e-9


def plan(job: Job, send: SendProgress) -> None:
    """Plan the episodes that are not planned yet, save the plans, and measure them unless that was done already.

    Args:
        job: which planner; its steps are the effort.
        send: told of the progress, see `quantilizers.optimisers.messages.Progress`.

    Raises:
        UserError: a plan does not earn what it was planned to, or a file is damaged or cannot be written.
    """
    environment = load_environment(job.environment)
    plans = plans_of(job, environment)
    if plans is None or plans.number < job.number_trajectories:
        method = {"dynamic_programme": _by_dynamic_programme, "policies": _by_policies, "sequences": _by_sequences}
        plans = method[environment.planning.method](job, environment, plans, send)
    if not is_measured(job):
        _measure(job, environment, plans)


def _reward_of(job: Job, environment: EnvironmentDefinition) -> Reward:
    proxy, true = environment.rewards(job.options)
    return true if ALGORITHMS[job.algorithm].on_true else proxy


def _by_dynamic_programme(job: Job, environment: EnvironmentDefinition, _: Plans | None, send: SendProgress) -> Plans:
    dynamics = load_path(environment.planning.dynamics)
    programme = DynamicProgramme(dynamics, _reward_of(job, environment), min(job.steps, job.max_steps))
    plans = programme.plan(episode_seeds(job.seed, slice(0, job.number_trajectories)), job.max_steps)
    return _saved(job, plans, LearningCurve(), send)


def _by_policies(job: Job, environment: EnvironmentDefinition, known: Plans | None, send: SendProgress) -> Plans:
    curve = LearningCurve()
    on_true = ALGORITHMS[job.algorithm].on_true

    def tell(generation: Generation) -> None:
        curve.append(generation.tried, generation.proxy_return, generation.true_return)
        send(Progress(generation.tried, generation.proxy_return, generation.true_return))

    names = ("observation_mean", "observation_scale", "weights")
    if known is not None and set(names) <= set(known.more):
        found = tuple(known.more[name] for name in names)
    else:
        found = search(environment, job.seed, job.steps, job.max_steps, job.options, on_true, tell)
    mean, scale, weights = found
    acting = Recorder(LinearPolicies(environment, mean, scale, weights[None]), environment)
    played = _play(job, environment, acting)
    returns = played.true_rewards[0] if on_true else played.proxy_rewards[0]
    episodes = [actions[:length] for actions, length in zip(acting.actions, played.lengths[0], strict=True)]
    plans = replace(
        Plans.of_episodes(episodes, returns.sum(axis=1).tolist()), more=dict(zip(names, found, strict=True))
    )
    return _saved(job, plans, curve, send)


def _by_sequences(job: Job, environment: EnvironmentDefinition, known: Plans | None, send: SendProgress) -> Plans:
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
        # An episode's plan depends on nothing but the seed and its number, so that it can be planned after any others.
        actions, earned = plan_episode(
            simulator,
            draw,
            planning,
            job.steps,
            job.max_steps,
            np.random.default_rng([job.seed, episode]),
            lambda planned, before=before: send_now_and_then(Progress(before + planned)),  # type: ignore[misc]
        )
        episodes.append(actions)
        expected.append(earned)
        steps += len(actions)
        plans = _saved(job, Plans.of_episodes(episodes, expected), LearningCurve(), send)
    return plans


def _simulator(job: Job, environment: EnvironmentDefinition) -> Simulator:
    reward, declared = _reward_of(job, environment), environment.planning.simulator
    if declared is not None:
        simulator: Simulator = load_path(declared)(reward)
        return simulator
    game = make_base(environment.make, environment.name, options=environment.making_options(job.options))
    assert environment.planning.save_state is not None
    assert environment.planning.restore_state is not None
    return GameSimulator(
        game,
        reward,
        environment.planning.save_state,
        environment.planning.restore_state,
        lambda action: environment_action(action, environment.action_space),
    )


def _saved(job: Job, plans: Plans, curve: LearningCurve, send: SendProgress) -> Plans:
    """Write the agent's file."""
    steps = curve.steps[-1] if curve.steps else int(plans.lengths.sum())
    save_agent(job, Agent(steps, curve, plans.as_arrays()))
    send(Progress(steps))
    return plans


class Recorder:
    """Policies as they are, which remembers what they do in episodes that run side by side, batch after batch.

    Args:
        policies: one of them, for some episodes.
        environment: where they act.

    Attributes:
        actions: of each episode (T, A), as the environment takes them.
    """

    def __init__(self, policies: LinearPolicies, environment: EnvironmentDefinition) -> None:
        self._policies = policies
        self._dtype = environment.action_space.dtype
        self._steps: list[npt.NDArray[Any]] = []
        self._episodes: list[npt.NDArray[Any]] = []

    @property
    def actions(self) -> list[npt.NDArray[Any]]:
        """Of each episode so far, (T, A)."""
        return [*self._episodes, *(np.stack(self._steps, axis=1) if self._steps else ())]

    def begin(self, episodes: int) -> None:
        """Begin new episodes; those before are kept."""
        self._episodes, self._steps = self.actions, []
        self._policies.begin(episodes)

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        chosen = self._policies.act(observations, generators, running).astype(self._dtype)
        self._steps.append(chosen[0])
        return chosen


def _play(job: Job, environment: EnvironmentDefinition, policies: Recorder | Plans) -> Rollouts:
    """Play the episodes that the quantilizers are tested in."""
    played = Rollouts.empty(1, job.number_trajectories, job.max_steps)
    for episodes in episode_batches(job.number_trajectories, environment.parallel_episodes):
        acting = FollowedPlans(policies, episodes) if isinstance(policies, Plans) else policies
        part = roll_out(environment, acting, *randomness_of([job.seed], episodes), job.max_steps, job.options)
        played.put(slice(0, 1), episodes, part)
    return played


def _measure(job: Job, environment: EnvironmentDefinition, plans: Plans) -> None:
    """Play the plans, and save what they earn."""
    played = _play(job, environment, plans)
    rewards = played.true_rewards[0] if ALGORITHMS[job.algorithm].on_true else played.proxy_rewards[0]
    expected = plans.expected[: job.number_trajectories]
    other = ~np.isclose(rewards.sum(axis=1), expected, rtol=_SAME, atol=_SAME)
    other |= played.lengths[0] != plans.lengths[: job.number_trajectories]
    if other.any():
        episode = int(np.argmax(other))
        raise UserError(
            f"{environment.name}: the plan of episode {episode + 1} earns {rewards[episode].sum():.6g} where it was "
            f"planned to earn {expected[episode]:.6g}; is there chance that the reset seed does not set, or a state "
            "that save_state leaves out?"
        )
    save_measurement(job, played.true_rewards[0], played.proxy_rewards[0], played.lengths[0])
