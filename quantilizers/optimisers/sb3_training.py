"""PPO of stable-baselines3 and QR-DQN of sb3-contrib: one seed in one process, from checkpoint to measurement.

A resumed training restores networks, optimiser state and counters, and continues in a new episode with new random
numbers. QR-DQN's replay buffer takes gigabytes and is not saved: a resumed training fills it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.execution.executor import SendNowAndThen
from quantilizers.files import atomic_write
from quantilizers.optimisers.agents import Agent, AgentJob, LearningCurve, Progress, load_agent, save_agent
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.learner import SendProgress
from quantilizers.optimisers.measurements import NOT_FINITE, is_measured, measure_agent
from quantilizers.optimisers.paths import stands_still
from quantilizers.optimisers.sb3_models import (
    ActingModel,
    as_measured,
    convolves,
    make_model,
    restore_state,
    state_arrays,
)

CHECKPOINT_STEPS = 10_000
#: Returns the untrained agent of a job; see `quantilizers.optimisers.sb3_models.make_model`.
MakeModel = Callable[[AgentJob, EnvironmentDefinition, int], BaseAlgorithm]


class _Recorder(BaseCallback):
    """Records and reports episodes, and saves checkpoints."""

    def __init__(
        self, job: AgentJob, environment: EnvironmentDefinition, curve: LearningCurve, send: SendProgress
    ) -> None:
        super().__init__()
        self._job, self._environment, self._curve, self._send = job, environment, curve, send
        self._send_now_and_then = SendNowAndThen(send)

    def _on_training_start(self) -> None:
        self._saved_steps = self.num_timesteps
        self._finished = False

    def _on_step(self) -> bool:
        if self._finished:
            return False
        if not np.isfinite(self.locals["rewards"]).all():
            raise NotFiniteError(NOT_FINITE, [])
        for episode in (info["episode"] for info in self.locals["infos"] if "episode" in info):
            returns = episode["proxy_return"], episode["true_return"]
            if not np.isfinite(returns).all():
                raise NotFiniteError(NOT_FINITE, [])
            self._curve.append(self.num_timesteps, *returns)
            self._send(Progress(self._job.seed, self.num_timesteps, *returns))
        self._send_now_and_then(Progress(self._job.seed, self.num_timesteps))
        return True

    def _on_rollout_start(self) -> None:
        # All steps so far have been learned from.
        if self.num_timesteps - self._saved_steps >= CHECKPOINT_STEPS:
            self._saved_steps = self.num_timesteps
            _save(self._job, self.model, self._curve)
        self._finished = _is_trained(self._job, self._environment, self.num_timesteps, self._curve)


def _is_trained(job: AgentJob, environment: EnvironmentDefinition, steps: int, curve: LearningCurve) -> bool:
    """Return whether all steps are done, or the algorithm ends early and its proxy return has stopped rising."""
    if steps >= job.steps:
        return True
    early = ALGORITHMS[job.algorithm].ends_early and not convolves(environment.observation_space)
    return early and stands_still(curve, steps, job.steps)


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Train, save and measure one agent; see `quantilizers.optimisers.learner.Learner`."""
    (job,) = jobs
    model, _ = trained(job, environment, send)
    if not is_measured(job):
        measure_agent(job, environment, as_measured(job, environment, model), model.num_timesteps, send)


def trained(
    job: AgentJob, environment: EnvironmentDefinition, send: SendProgress, make: MakeModel = make_model
) -> tuple[BaseAlgorithm, LearningCurve]:
    """Train an agent from its checkpoint, save and export it, and return it with its learning curve.

    `make` returns the untrained agent.
    """
    # More threads would change the last digits, and other seeds use the other cores.
    torch.set_num_threads(1)
    saved = load_agent(job)
    curve = saved.curve if saved else LearningCurve()
    model = make(job, environment, saved.steps if saved else 0)
    # The library's default logger would leave an empty folder behind.
    model.set_logger(Logger(folder=None, output_formats=[]))
    if saved is not None:
        restore_state(model, saved.arrays, job.agent)
    if not _is_trained(job, environment, model.num_timesteps, curve):
        # An existing file is of an earlier agent.
        job.exported.unlink(missing_ok=True)
        recorder = _Recorder(job, environment, curve, send)
        model.learn(job.steps - model.num_timesteps, callback=recorder, reset_num_timesteps=False)
        _save(job, model, curve)
    if not job.exported.exists():
        export(model, job)
    send(Progress(job.seed, model.num_timesteps))
    return model, curve


def policies_of(job: AgentJob, environment: EnvironmentDefinition, episode: int) -> ActingModel:
    """Return the agent as it acts while it is measured; see `quantilizers.optimisers.learner.Learner`."""
    saved = load_agent(job)
    if saved is None:
        raise MissingError(f"{job.agent} is missing")
    model = make_model(job, environment, saved.steps)
    restore_state(model, saved.arrays, job.agent)
    return as_measured(job, environment, model)


def export(model: BaseAlgorithm, job: AgentJob) -> None:
    """Write the agent as the `.zip` that stable-baselines3's `load` reads; this project never reads it."""
    with atomic_write(job.exported) as temporary, temporary.open("wb") as file:
        model.save(file)


def _save(job: AgentJob, model: BaseAlgorithm, curve: LearningCurve) -> None:
    save_agent(job, Agent(model.num_timesteps, curve, state_arrays(model)))
