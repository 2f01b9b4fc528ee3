"""What an agent of stable-baselines3 earns in the episodes that the quantilizers are tested in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.execution.units import SendNowAndThen
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measuring import measure_agent
from quantilizers.optimisers.messages import Progress, SendProgress
from quantilizers.optimisers.sb3_actions import lowest_action

#: How often QR-DQN acts at random while it is measured, as by Dabney et al. (2018): a greedy player of a game
#: without chance may wait for ever. One that has learned too little may do so all the same.
MEASURED_EXPLORATION = 0.001


class ActingModel:
    """An agent as `quantilizers.policies.policy.Policies`: one policy in E episodes.

    Args:
        model: the agent.
        space: the environment's actions.
        samples: whether it draws actions from its distribution, as it does while it learns; otherwise it takes the
            most probable one, and of a `Box` the mean.
        exploration: how often it acts at random, which only agents of `Discrete` actions can.
    """

    def __init__(
        self, model: BaseAlgorithm, space: spaces.Space[Any], samples: bool = False, exploration: float = 0.0
    ) -> None:
        self._model, self._samples, self._exploration = model, samples, exploration
        self._lowest = lowest_action(space)

    def begin(self, episodes: int) -> None:
        """Begin new episodes, of which it remembers nothing."""

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        space = self._model.action_space
        chosen = np.zeros((observations.shape[1], *(space.shape or ())), dtype=space.dtype)
        if self._samples:
            # The library draws from Torch's own generator.
            torch.manual_seed(int(generators[0].integers(2**63)))
        chosen[running[0]], _ = self._model.predict(observations[0][running[0]], deterministic=not self._samples)
        if self._exploration:
            assert isinstance(space, spaces.Discrete)
            random = generators[0].random((2, len(chosen)))
            explored = (random[1] * space.n).astype(chosen.dtype)
            chosen = np.where(random[0] < self._exploration, explored, chosen)
        vectors: npt.NDArray[Any] = chosen.reshape(1, len(chosen), -1)
        return vectors + self._lowest if self._lowest.any() else vectors


def as_measured(job: Job, environment: EnvironmentDefinition, model: BaseAlgorithm) -> ActingModel:
    """Return an agent as it acts where it is measured.

    PPO learns a distribution over actions, and draws from it where the environment's quantilizers draw from theirs:
    in a video game the most probable action alone may never launch a ball.
    """
    if job.algorithm == "qr_dqn":
        return ActingModel(model, environment.action_space, exploration=MEASURED_EXPLORATION)
    return ActingModel(model, environment.action_space, samples=environment.experiment.acting == "sample")


def measure(job: Job, environment: EnvironmentDefinition, model: BaseAlgorithm, send: SendProgress) -> None:
    """Run the episodes that the quantilizers are tested in, and save what the agent earns.

    Args:
        job: whose agent.
        environment: where.
        model: the trained agent.
        send: told of the progress now and then.

    Raises:
        UserError: the file cannot be written.
    """
    acting = as_measured(job, environment, model)
    send_now_and_then = SendNowAndThen(send)
    measure_agent(
        job,
        environment,
        acting,
        lambda steps: send_now_and_then(Progress(model.num_timesteps, measured_steps=steps)),
    )
