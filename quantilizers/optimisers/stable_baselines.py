"""One seed of PPO or QR-DQN, from its first step or last checkpoint to what it earns. Imports torch.

| | PPO | QR-DQN |
|---|---|---|
| source | Schulman et al. 2017, stable-baselines3 | Dabney et al. 2018, sb3-contrib |
| settings | the library's | the library's but those in `_make`, which say why they differ |
| acts, when measured | with the mean of its distribution | greedily, but at random in one step of a thousand |

QR-DQN is the best kept relative of Rainbow (Hessel et al. 2018): one of distributional Q-learning, as Rainbow is, but
without its other five additions to DQN.

A resumed training has its networks, their optimiser's state and its counters back, and goes on in a new episode with
new random numbers. QR-DQN's memory of past steps is not saved, for it takes gigabytes: a resumed training fills it
anew, from the first step on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from sb3_contrib import QRDQN
from stable_baselines3 import PPO
from stable_baselines3.common.atari_wrappers import ClipRewardEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.preprocessing import is_image_space

from quantilizers.envs import load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.optimisers import ALGORITHMS
from quantilizers.optimisers.agents import Agent, LearningCurve, load_agent, save_agent
from quantilizers.optimisers.deep_learning import Progress
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.learner_state import restore_state, state_arrays
from quantilizers.optimisers.measurements import is_measured, save_measurement
from quantilizers.optimisers.side_by_side import Send
from quantilizers.rollouts import Rollouts, episode_batches, randomness_of, roll_out

CHECKPOINT_STEPS = 10_000
#: How many steps QR-DQN remembers at most: 1.4 GB of Video Pinball's observations.
REMEMBERED_STEPS = 50_000
#: How often QR-DQN acts at random while it is measured, as by Dabney et al. (2018): a greedy player of a game
#: without chance may wait for ever. One that has learned too little may do so all the same.
MEASURED_EXPLORATION = 0.001
SECONDS_BETWEEN_MESSAGES = 0.5


class EpisodeReturns(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Reports both returns of an episode in the info of its last step, as `episode_returns`: (proxy, true)."""

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self._proxy_return = self._true_return = 0.0
        return self.env.reset(**arguments)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._proxy_return += float(reward)
        self._true_return += info["true_reward"]
        if terminated or truncated:
            info = {**info, "episode_returns": (self._proxy_return, self._true_return)}
        return observation, reward, terminated, truncated, info


class _SendNowAndThen:
    """Sends what comes, but for what comes too soon after the last."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = -math.inf

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_MESSAGES:
            self._send(progress)
            self._sent = time.monotonic()


class _Recorder(BaseCallback):
    """Notes episodes, reports them, and saves the agent now and then."""

    def __init__(self, job: Job, curve: LearningCurve, send: Send) -> None:
        super().__init__()
        self._job, self._curve, self._send = job, curve, send
        self._send_now_and_then = _SendNowAndThen(send)

    def _on_training_start(self) -> None:
        self._saved_steps = self.num_timesteps

    def _on_step(self) -> bool:
        returns = [info["episode_returns"] for info in self.locals["infos"] if "episode_returns" in info]
        for proxy_return, true_return in returns:
            self._curve.append(self.num_timesteps, proxy_return, true_return)
            self._send(Progress(self.num_timesteps, proxy_return, true_return))
        self._send_now_and_then(Progress(self.num_timesteps))
        return True

    def _on_rollout_start(self) -> None:
        # Here all steps so far have been learned from.
        if self.num_timesteps - self._saved_steps >= CHECKPOINT_STEPS:
            self._saved_steps = self.num_timesteps
            save_agent(self._job, _agent(self.model, self._curve))


class _Acting:
    """The agent as `quantilizers.policies.Policies`: one policy in E episodes."""

    def __init__(self, model: BaseAlgorithm, exploration: float) -> None:
        self._model, self._exploration = model, exploration

    def act(
        self,
        observations: npt.NDArray[Any],
        generators: Sequence[np.random.Generator],
        running: npt.NDArray[np.bool_],
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        space = self._model.action_space
        chosen = np.zeros((observations.shape[1], *(space.shape or ())), dtype=space.dtype)
        chosen[running[0]], _ = self._model.predict(observations[0][running[0]], deterministic=True)
        if self._exploration:
            assert isinstance(space, spaces.Discrete)
            random = generators[0].random((2, len(chosen)))
            explored = (random[1] * space.n).astype(chosen.dtype)
            chosen = np.where(random[0] < self._exploration, explored, chosen)
        return chosen.reshape(1, len(chosen), -1)


def train(job: Job, send: Send) -> None:
    """Train the agent as far as it is not trained yet, save it, and measure it unless that was done.

    Args:
        job: which agent.
        send: told of the progress, see `quantilizers.optimisers.deep_learning.Progress`.

    Raises:
        UserError: the algorithm cannot act in the environment.
    """
    # Seeds run side by side; more threads for one would change the last digits of its numbers.
    torch.set_num_threads(1)
    environment = load_environment(job.environment)
    saved = load_agent(job)
    curve = saved.curve if saved else LearningCurve()
    model = _make(job, environment, saved.steps if saved else 0)
    # The library's own logger would leave an empty folder in the system's temporary one.
    model.set_logger(Logger(folder=None, output_formats=[]))
    if saved is not None:
        restore_state(model, saved.arrays, job.agent)
    if model.num_timesteps < job.steps:
        recorder = _Recorder(job, curve, send)
        model.learn(job.steps - model.num_timesteps, callback=recorder, reset_num_timesteps=False)
        save_agent(job, _agent(model, curve))
    send(Progress(model.num_timesteps))
    if not is_measured(job):
        _measure(job, environment, model, send)


def _agent(model: BaseAlgorithm, curve: LearningCurve) -> Agent:
    return Agent(model.num_timesteps, curve, state_arrays(model))


def _make(job: Job, environment: EnvironmentDefinition, steps: int) -> BaseAlgorithm:
    """Return the untrained agent, in its environment.

    Args:
        job: which.
        environment: where.
        steps: that it has been trained for; from there on it gets other random numbers than from the start.
    """
    made: dict[str, Any] = {"max_steps": job.max_steps, **job.options}
    wrapped: gymnasium.Env[Any, Any] = EpisodeReturns(
        gymnasium.make(environment.gymnasium_id, disable_env_checker=True, **made)
    )
    pictures = is_image_space(wrapped.observation_space)
    policy = "CnnPolicy" if pictures else "MlpPolicy"
    seed = job.seed if steps == 0 else int(np.random.SeedSequence([job.seed, steps]).generate_state(1)[0])
    if job.algorithm == "ppo":
        return PPO(policy, wrapped, seed=seed, device="auto" if pictures else "cpu")
    if not isinstance(wrapped.action_space, spaces.Discrete):
        raise UserError(
            f"{ALGORITHMS[job.algorithm].label} needs discrete actions, which {job.environment} does not have; "
            "choose another --algorithm"
        )
    if pictures:
        # Scores of video games are learned from by their signs, as by Rainbow and by QR-DQN itself.
        wrapped = ClipRewardEnv(wrapped)
    return QRDQN(
        policy,
        wrapped,
        seed=seed,
        buffer_size=min(REMEMBERED_STEPS, job.steps),
        # Each picture is kept once. The library cannot do that and also tell cut episodes from finished ones.
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        # The library's are meant for millions of steps: it explores in 0.005 of them, and its target follows its
        # network every 10,000 steps.
        exploration_fraction=0.1,
        target_update_interval=max(1, min(10_000, job.steps // 50)),
    )


def _measure(job: Job, environment: EnvironmentDefinition, model: BaseAlgorithm, send: Send) -> None:
    """Run the episodes that the quantilizers are tested in, and save what the agent earns."""
    acting = _Acting(model, MEASURED_EXPLORATION if job.algorithm == "qr_dqn" else 0.0)
    rollouts = Rollouts.empty(1, job.number_trajectories, job.max_steps)
    send_now_and_then, measured_steps = _SendNowAndThen(send), 0

    def stepped(episodes: int) -> None:
        nonlocal measured_steps
        measured_steps += episodes
        send_now_and_then(Progress(model.num_timesteps, measured_steps=measured_steps))

    for episodes in episode_batches(job.number_trajectories, environment.parallel_episodes):
        randomness = randomness_of([job.seed], episodes)
        part = roll_out(environment, acting, *randomness, job.max_steps, job.options, on_step=stepped)
        rollouts.put(slice(0, 1), episodes, part)
    save_measurement(job, rollouts.true_rewards[0], rollouts.proxy_rewards[0], rollouts.lengths[0])
