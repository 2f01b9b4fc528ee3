"""What an agent earns in the episodes that the quantilizers are tested in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.evaluation.rollouts import Rollouts, episode_batches, randomness_of, roll_out
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measurements import save_measurement
from quantilizers.policies.policy import Policies

#: What is said of an agent that learned from such rewards, or was measured by them.
NOT_FINITE = "the environment paid it NaN or infinity, or its values became so"


def measure_agent(
    job: Job, environment: EnvironmentDefinition, acting: Policies, on_step: Callable[[int], object]
) -> None:
    """Run the episodes that the quantilizers are tested in, and save what the agent earns.

    Args:
        job: whose agent, whose file is there.
        environment: where.
        acting: the agent, as one policy.
        on_step: called with the number of steps so far.

    Raises:
        NotFiniteError: the environment paid the agent NaN or infinity.
        UserError: the file cannot be written.
    """
    rollouts = Rollouts.empty(1, job.number_trajectories, job.max_steps)
    steps = 0

    def stepped(episodes: int) -> None:
        nonlocal steps
        steps += episodes
        on_step(steps)

    for episodes in episode_batches(job.number_trajectories, environment.parallel_episodes):
        randomness = randomness_of([job.seed], episodes)
        part = roll_out(environment, acting, *randomness, job.max_steps, job.options, on_step=stepped)
        rollouts.put(slice(0, 1), episodes, part)
    if not (np.isfinite(rollouts.true_rewards).all() and np.isfinite(rollouts.proxy_rewards).all()):
        raise NotFiniteError(NOT_FINITE, [])
    save_measurement(job, rollouts.true_rewards[0], rollouts.proxy_rewards[0], rollouts.lengths[0])
