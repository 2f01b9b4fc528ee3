"""One seed of PPO or QR-DQN, from its first step or last checkpoint to what it earns.

A resumed training has its networks, their optimiser's state and its counters back, and goes on in a new episode with
new random numbers. QR-DQN's memory of past steps is not saved, for it takes gigabytes: a resumed training fills it
anew, from the first step on.
"""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError
from quantilizers.evaluation.measuring import NotFiniteError
from quantilizers.execution.units import SendNowAndThen
from quantilizers.files import atomic_write
from quantilizers.optimisers.agents import Agent, LearningCurve, load_agent, save_agent
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.along_training import stands_still
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.measurements import is_measured
from quantilizers.optimisers.measuring import NOT_FINITE
from quantilizers.optimisers.messages import Progress, SendProgress
from quantilizers.optimisers.sb3_measuring import ActingModel, as_measured, measure
from quantilizers.optimisers.sb3_models import convolves, make_model
from quantilizers.optimisers.sb3_state import restore_state, state_arrays

CHECKPOINT_STEPS = 10_000


class _Recorder(BaseCallback):
    """Notes episodes, reports them, and saves the agent now and then."""

    def __init__(self, job: Job, environment: EnvironmentDefinition, curve: LearningCurve, send: SendProgress) -> None:
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
            self._send(Progress(self.num_timesteps, *returns))
        self._send_now_and_then(Progress(self.num_timesteps))
        return True

    def _on_rollout_start(self) -> None:
        # Here all steps so far have been learned from.
        if self.num_timesteps - self._saved_steps >= CHECKPOINT_STEPS:
            self._saved_steps = self.num_timesteps
            _save(self._job, self.model, self._curve)
        self._finished = _is_trained(self._job, self._environment, self.num_timesteps, self._curve)


def _is_trained(job: Job, environment: EnvironmentDefinition, steps: int, curve: LearningCurve) -> bool:
    """Return whether all steps are done, or the algorithm is one that ends where its proxy return stands still."""
    if steps >= job.steps:
        return True
    early = ALGORITHMS[job.algorithm].ends_early and not convolves(environment.observation_space)
    return early and stands_still(curve, steps, job.steps)


def train(job: Job, send: SendProgress) -> None:
    """Finish the agent's training, save the agent, and measure it, unless these were done already.

    Args:
        job: which agent.
        send: told of the progress, see `quantilizers.optimisers.messages.Progress`.

    Raises:
        NotFiniteError: the environment paid NaN or infinity.
        UserError: the algorithm cannot act in the environment, or a file is damaged or cannot be written.
    """
    # Seeds run side by side; more threads for one would change the last digits of its numbers.
    torch.set_num_threads(1)
    environment = load_environment(job.environment)
    saved = load_agent(job)
    curve = saved.curve if saved else LearningCurve()
    model = make_model(job, environment, saved.steps if saved else 0)
    # The library's own logger would leave an empty folder in the system's temporary one.
    model.set_logger(Logger(folder=None, output_formats=[]))
    if saved is not None:
        restore_state(model, saved.arrays, job.agent)
    if not _is_trained(job, environment, model.num_timesteps, curve):
        # What is there is another agent's.
        job.exported.unlink(missing_ok=True)
        recorder = _Recorder(job, environment, curve, send)
        model.learn(job.steps - model.num_timesteps, callback=recorder, reset_num_timesteps=False)
        _save(job, model, curve)
    if not job.exported.exists():
        export(model, job)
    send(Progress(model.num_timesteps))
    if not is_measured(job):
        measure(job, environment, model, send)


def restored(job: Job, environment: EnvironmentDefinition) -> ActingModel:
    """Return the agent in a file, as it acts where it is measured.

    Raises:
        MissingError: there is none of this job's.
        UserError: it is damaged.
    """
    saved = load_agent(job)
    if saved is None:
        raise MissingError(f"{job.agent} is missing")
    model = make_model(job, environment, saved.steps)
    restore_state(model, saved.arrays, job.agent)
    return as_measured(job, environment, model)


def export(model: BaseAlgorithm, job: Job) -> None:
    """Write the agent as the `.zip` that stable-baselines3's own `load` reads. Nothing here ever reads it.

    Raises:
        UserError: it cannot be written.
    """
    with atomic_write(job.exported) as temporary, temporary.open("wb") as file:
        model.save(file)


def _save(job: Job, model: BaseAlgorithm, curve: LearningCurve) -> None:
    save_agent(job, Agent(model.num_timesteps, curve, state_arrays(model)))
