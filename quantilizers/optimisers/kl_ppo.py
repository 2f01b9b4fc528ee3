"""KL control by PPO, where an environment declares no dynamics.

The objective is that of `quantilizers.optimisers.kl_control`, E[U] − KL(π, π₀)/β over episodes. The agent tilts the
imitator: log π = log π₀ + f, up to a constant, where f is a network that begins as 0, and the agent as the imitator.
PPO's loss has the penalty KL(π(·|s), π₀(·|s))/β of each state (Schulman et al. 2017, section 4, with another reference
policy). What an action changes in the divergence of later states is a cost in the rewards, without which the loss
would not have the objective's gradient.

Settings are those of "PPO, long" (`quantilizers.optimisers.sb3_models`), without its bonus for entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, NatureCNN
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import MissingError
from quantilizers.evaluation.pressure import LEAST
from quantilizers.optimisers.agents import Agent, AgentJob, load_agent
from quantilizers.optimisers.kl_control import DIVERGENCES, imitator_of, measure_beside
from quantilizers.optimisers.learner import SendProgress
from quantilizers.optimisers.measurements import is_measured
from quantilizers.optimisers.sb3_environments import lowest_action
from quantilizers.optimisers.sb3_models import ScaledToBounds, convolves, long_ppo, restore_state, state_arrays
from quantilizers.optimisers.sb3_training import trained
from quantilizers.policies.encoding import choose
from quantilizers.policies.policy import Policies, TrainedPolicies
from quantilizers.rewards import Float32Array

#: Parts of an agent's observation: the environment's, and the imitator's log-probabilities of all classes there.
SEEN, LOGS = "seen", "imitator"
#: Steps of all environments whose divergences are computed at a time.
_AT_ONCE = 16


def imitator_logs(imitator: TrainedPolicies, observations: npt.NDArray[Any]) -> Float32Array:
    """Return log π₀ (n, classes of all components) of observations (n, …)."""
    parts = [found[0] for found in imitator.probabilities(observations[None])]
    logs: Float32Array = np.log(np.maximum(np.concatenate(parts, axis=-1), LEAST)).astype(np.float32)
    return logs


class BesideImitator(VecEnvWrapper):
    """Environments whose observations have the imitator's log-probabilities, and whose actions are class indices."""

    def __init__(self, games: VecEnv, environment: EnvironmentDefinition, imitator: TrainedPolicies) -> None:
        classes = environment.action_classes
        assert classes is not None
        self._imitator, self._lowest = imitator, lowest_action(environment.action_space)
        self._values = [np.asarray(values) for values in classes]
        numbers = [len(values) for values in classes]
        logs = spaces.Box(-np.inf, 0.0, (sum(numbers),), dtype=np.float32)
        seen = spaces.Dict({SEEN: games.observation_space, LOGS: logs})
        super().__init__(games, seen, spaces.MultiDiscrete(numbers))

    def _beside(self, observations: Any) -> dict[str, npt.NDArray[Any]]:
        return {SEEN: observations, LOGS: imitator_logs(self._imitator, observations)}

    def reset(self) -> dict[str, npt.NDArray[Any]]:
        """Start episodes."""
        return self._beside(self.venv.reset())

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Store the actions of class indices (N, A) for `step_wait`."""
        vectors = [np.take(values, actions[:, component]) for component, values in enumerate(self._values)]
        self.venv.step_async(np.stack(vectors, axis=1) - self._lowest)

    def step_wait(self) -> Any:
        """Step."""
        observations, *outcome = self.venv.step_wait()
        return self._beside(observations), *outcome


class SeenFeatures(BaseFeaturesExtractor):
    """The features of the environment's part of an observation, as "PPO, long" computes them."""

    def __init__(self, observation_space: spaces.Dict) -> None:
        seen = observation_space[SEEN]
        inner = NatureCNN(seen) if convolves(seen) else ScaledToBounds(seen)
        super().__init__(observation_space, features_dim=inner.features_dim)
        self._inner = inner

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return (batch, features)."""
        features: torch.Tensor = self._inner(observations[SEEN])
        return features


class TiltedPolicy(MultiInputActorCriticPolicy):
    """The imitator's class probabilities, tilted by a network that begins as 0."""

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        for parameters in self.action_net.parameters():
            torch.nn.init.zeros_(parameters)

    def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
        """Return the features of the environment's part, and keep the other part for the distribution."""
        self._logs = obs[LOGS]
        return super().extract_features(obs, features_extractor)

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Any:
        return self.action_dist.proba_distribution(action_logits=self._logs + self.action_net(latent_pi))

    def get_distribution(self, obs: Any) -> Any:
        """Return the distribution at observations."""
        self._logs = obs[LOGS]
        return super().get_distribution(obs)

    def evaluate_actions(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return values, log-probabilities, and in the place of the entropy that relative to the imitator, −KL."""
        values, log_prob, _ = super().evaluate_actions(obs, actions)
        return values, log_prob, -self._divergence()

    def divergence(self, obs: Any) -> torch.Tensor:
        """Return KL(π, π₀) (batch,) of observations."""
        self.get_distribution(obs)
        return self._divergence()

    def _divergence(self) -> torch.Tensor:
        """Return KL(π, π₀) of the last distribution."""
        parts: Any = self.action_dist.distribution
        logs = torch.split(self._logs, [part.logits.shape[-1] for part in parts], dim=-1)
        terms = [(part.probs * (part.logits - base)).sum(dim=-1) for part, base in zip(parts, logs, strict=True)]
        return torch.stack(terms).sum(dim=0)


class KLControlledPPO(PPO):
    """PPO with a penalty on the divergence from the imitator, `beta` the inverse of its weight."""

    def __init__(self, *arguments: Any, beta: float, **settings: Any) -> None:
        self.beta = beta
        # A minibatch's own scale would give the penalty another weight in each.
        super().__init__(*arguments, **{**settings, "normalize_advantage": False})

    def collect_rollouts(self, env: Any, callback: Any, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """Collect a rollout, and subtract the penalty from its rewards."""
        goes_on: bool = super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        if goes_on:
            self._penalise(rollout_buffer)
        return goes_on

    def _penalise(self, buffer: DictRolloutBuffer) -> None:
        games, policy, observed = self.get_vec_normalize_env(), cast(TiltedPolicy, self.policy), self._last_obs
        assert games is not None
        assert observed is not None
        assert self._last_episode_starts is not None
        # Rewards are divided by the running standard deviation of returns, and so is the penalty.
        weight = 1 / (self.beta * float(np.sqrt(games.ret_rms.var + games.epsilon)))
        with torch.no_grad():
            for first in range(0, buffer.buffer_size, _AT_ONCE):
                some = slice(first, first + _AT_ONCE)
                rows = {name: part[some].reshape(-1, *part.shape[2:]) for name, part in buffer.observations.items()}
                found = policy.divergence(obs_as_tensor(rows, self.device)).cpu().numpy()
                buffer.rewards[some] -= weight * found.reshape(-1, buffer.n_envs)
            last = policy.predict_values(obs_as_tensor(observed, self.device))
        buffer.compute_returns_and_advantage(last, self._last_episode_starts)
        # One factor for both terms of the loss changes the size of steps, and not what they lead to.
        size = float(buffer.advantages.std()) + weight
        buffer.advantages = (buffer.advantages - buffer.advantages.mean()) / size
        self.ent_coef = weight / size


class TiltedModel(Policies):
    """The agent as one policy, which draws its actions."""

    draws = True

    def __init__(self, model: BaseAlgorithm, environment: EnvironmentDefinition, imitator: TrainedPolicies) -> None:
        classes = environment.action_classes
        assert classes is not None
        self._model, self._imitator, self._classes = model, imitator, classes

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return class probabilities (1, E, classes) of each component for observations (1, E, …)."""
        policy: Any = self._model.policy
        seen = {SEEN: observations[0], LOGS: imitator_logs(self._imitator, observations[0])}
        with torch.no_grad():
            parts = policy.get_distribution(policy.obs_to_tensor(seen)[0]).distribution
        return [part.probs.cpu().numpy()[None] for part in parts]

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        drawn = generators[0].random((len(self._classes), *running.shape))
        parts = zip(self.probabilities(observations), self._classes, drawn, strict=True)
        return np.stack([choose(found, values, "sample", numbers) for found, values, numbers in parts], axis=-1)


def train(jobs: Sequence[AgentJob], environment: EnvironmentDefinition, send: SendProgress) -> None:
    """Train, save and measure one agent; see `quantilizers.optimisers.learner.Learner`.

    Raises:
        MissingError: the imitator was not trained, or is another than the agent's.
        UserError: it has a history, or a file is damaged or cannot be written.
    """
    (job,) = jobs
    imitator = imitator_of(job, environment)
    model, curve = trained(job, environment, send, partial(_make_model, imitator=imitator))
    saved = load_agent(job)
    assert saved is not None
    if len(saved.arrays.get(DIVERGENCES, ())) >= job.number_trajectories and is_measured(job):
        return
    acting = TiltedModel(model, environment, imitator)
    measure_beside(job, environment, acting, imitator, Agent(model.num_timesteps, curve, state_arrays(model)))


def _make_model(
    job: AgentJob, environment: EnvironmentDefinition, steps: int, imitator: TrainedPolicies
) -> BaseAlgorithm:
    """Return the untrained agent; see `quantilizers.optimisers.sb3_models.make_model`."""
    return long_ppo(
        job,
        environment,
        steps,
        partial(KLControlledPPO, TiltedPolicy, beta=job.beta),
        partial(BesideImitator, environment=environment, imitator=imitator),
        policy_kwargs={"features_extractor_class": SeenFeatures},
    )


def policies_of(job: AgentJob, environment: EnvironmentDefinition, episode: int) -> TiltedModel:
    """Return the agent as it acts while it is measured; see `quantilizers.optimisers.learner.Learner`."""
    saved = load_agent(job)
    if saved is None:
        raise MissingError(f"{job.agent} is missing")
    imitator = imitator_of(job, environment)
    model = _make_model(job, environment, saved.steps, imitator)
    restore_state(model, saved.arrays, job.agent)
    return TiltedModel(model, environment, imitator)
