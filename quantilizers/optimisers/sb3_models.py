"""Agents of stable-baselines3 in an environment of this library: untrained, acting, and as plain arrays.

| | PPO | QR-DQN |
|---|---|---|
| source | Schulman et al. 2017, stable-baselines3 | Dabney et al. 2018, sb3-contrib |
| settings | the library's | the library's, except those that `make_model` explains |

"PPO, long" is a variant trained to maximise proxy reward. Many environments step together; rewards are divided by the
running standard deviation of returns, as is usual; a cut counts as an end, because all reward due is given there
(`quantilizers.optimisers.sb3_environments`). Training ends early where the proxy return stops rising
(`quantilizers.optimisers.paths`), except on pictures, where the learning rate falls to the end.

| | on vectors | on pictures |
|---|---|---|
| environments side by side | 32 | 16 |
| steps of each between updates, batches, epochs | 128, of 512, 10 | 128, of 256, 4 |
| discount γ, GAE's λ | 0.9999, 0.98: the reward may come after 1,000 steps | 0.99, 0.95 |
| learning rate, clipping | the library's | 2.5e-4 and 0.1, both falling to 0 |
| entropy | 0.05 for `Discrete` actions, else 0 | 0.01 |
| why | hardly discounted returns, many episodes per update | Schulman et al.'s (2017) for Atari |

QR-DQN is the best maintained relative of Rainbow (Hessel et al. 2018): distributional Q-learning like Rainbow, without
the other five additions to DQN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
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
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.errors import UserError, reason_of
from quantilizers.optimisers.agents import AgentJob
from quantilizers.optimisers.learner import WIDEST_BOUND, check_suitable
from quantilizers.optimisers.sb3_environments import SideBySide, counting_from_zero, lowest_action, nearest_whole
from quantilizers.policies.policy import Policies

#: Size of QR-DQN's replay buffer: 1.4 GB of observations of four pictures, 84×84 each.
REMEMBERED_STEPS = 50_000
#: Largest replay buffer in bytes, where observations are larger than that.
REMEMBERED_BYTES = 1_500_000_000
#: Environments that step together for the long PPO, with vectors and with pictures as observations.
VECTORS, GAMES = 32, 16
#: Pictures with fewer lines or columns are too small for the three convolutions of the library's network.
SMALLEST_PICTURE = 36
#: Fraction of random actions while QR-DQN is measured, as by Dabney et al. (2018): a greedy player of a deterministic
#: game may wait for ever. One that has learned too little may still do so.
MEASURED_EXPLORATION = 0.001
#: Counters of the algorithms; the last exists only in QR-DQN, which updates its target network by it.
_COUNTERS = ("num_timesteps", "_n_updates", "_n_calls")
#: The state of the running standard deviation of returns.
_RUNNING = ("mean", "var", "count")


def make_model(job: AgentJob, environment: EnvironmentDefinition, steps: int) -> BaseAlgorithm:
    """Return the untrained agent of a job, in its environment.

    Args:
        job: names the algorithm.
        environment: where the agent acts.
        steps: of training in its checkpoint, from which training continues with other random numbers.

    Raises:
        UserError: the algorithm cannot act in the environment.
    """
    check_suitable(job.algorithm, environment)
    pictures = convolves(environment.observation_space)
    policy = "CnnPolicy" if pictures else "MlpPolicy"
    if job.algorithm == "ppo_long":
        return long_ppo(job, environment, steps)
    seed = _seed_of(job, steps)
    game: gymnasium.Env[Any, Any] = counting_from_zero(
        make_environment(environment, max_steps=job.max_steps, **job.options)
    )
    game = Monitor(game, info_keywords=("true_return", "proxy_return"))
    if job.algorithm == "ppo":
        return PPO(policy, game, seed=seed, device="auto" if pictures else "cpu")
    if pictures:
        # In video games the reward is the sign of the score, as in Rainbow and in QR-DQN itself.
        game = ClipRewardEnv(game)
    bytes_of_step = int(np.prod(environment.observation_shape)) * environment.observation_dtype.itemsize
    return QRDQN(
        policy,
        game,
        seed=seed,
        buffer_size=min(REMEMBERED_STEPS, job.steps, max(1, REMEMBERED_BYTES // bytes_of_step)),
        # Each picture is stored once. The library cannot do that and also tell cut episodes from finished ones.
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        # The library's defaults are for millions of steps: it explores in 0.005 of them, and updates its target
        # network every 10,000 steps.
        exploration_fraction=0.1,
        target_update_interval=max(1, min(10_000, job.steps // 50)),
    )


def _seed_of(job: AgentJob, steps: int) -> int:
    """Return the seed of a job's agent that continues after some steps."""
    return job.seed if steps == 0 else int(np.random.SeedSequence([job.seed, steps]).generate_state(1)[0])


def long_ppo(
    job: AgentJob,
    environment: EnvironmentDefinition,
    steps: int,
    make: Callable[..., PPO] | None = None,
    wrap: Callable[[VecEnv], VecEnv] = lambda games: games,
    **changes: Any,
) -> PPO:
    """Return PPO with the settings that the module's docstring explains.

    Args:
        job: see `make_model`.
        environment: likewise.
        steps: likewise.
        make: a relative of PPO with its policy; None is PPO.
        wrap: the environments that step together.
        changes: of the settings.
    """
    pictures = convolves(environment.observation_space)
    number = GAMES if pictures else VECTORS
    # A power of 2, which batches divide evenly.
    rollout = min(128, 2 ** max(1, (job.steps // number).bit_length() - 1))
    discount = 0.99 if pictures else 0.9999
    games = VecNormalize(
        SideBySide(environment, number, job.max_steps, **job.options),
        norm_obs=False,
        gamma=discount,
        # A return given at the last step is many times the usual reward, and no outlier.
        clip_reward=10.0 if pictures else np.inf,
    )
    settings: dict[str, Any] = {"n_steps": rollout, "gamma": discount, "seed": _seed_of(job, steps)}
    if pictures:
        settings |= {
            "batch_size": min(256, number * rollout),
            "n_epochs": 4,
            "learning_rate": LinearSchedule(2.5e-4, 0, 1),
            "clip_range": LinearSchedule(0.1, 0, 1),
            "ent_coef": 0.01,
        }
    else:
        settings |= {
            "batch_size": min(512, number * rollout),
            "gae_lambda": 0.98,
            "ent_coef": 0.05 if isinstance(environment.action_space, spaces.Discrete) else 0.0,
            "device": "cpu",
            "policy_kwargs": {"features_extractor_class": ScaledToBounds},
        }
    make = make or partial(PPO, "CnnPolicy" if pictures else "MlpPolicy")
    return make(wrap(games), **{**settings, **changes})


class ScaledToBounds(BaseFeaturesExtractor):
    """Scales observations to [-1, 1] where their space has bounds, and leaves them unchanged where it has none."""

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        features = get_flattened_obs_dim(observation_space)
        super().__init__(observation_space, features_dim=features)
        low, high = np.full(features, -np.inf), np.full(features, np.inf)
        if isinstance(observation_space, spaces.Box):  # choices are zeros and ones here
            low, high = observation_space.low.astype(np.float64), observation_space.high.astype(np.float64)
        bounded = (np.maximum(np.abs(low), np.abs(high)) < WIDEST_BOUND) & (low < high)
        low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        middle, reach = (low + high) / 2, (high - low) / 2
        self.middle: torch.Tensor
        self.reach: torch.Tensor
        self.register_buffer("middle", torch.as_tensor(middle, dtype=torch.float32).flatten())
        self.register_buffer("reach", torch.as_tensor(reach, dtype=torch.float32).flatten())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return (batch, size of an observation)."""
        return (observations.flatten(1) - self.middle) / self.reach


def convolves(space: spaces.Space[Any]) -> bool:
    """Return whether observations are pictures that the library's convolutional network takes."""
    # The smallest of three dimensions counts the channels.
    return is_image_space(space) and sorted(space.shape or ())[1] >= SMALLEST_PICTURE


class ActingModel(Policies):
    """An agent as one policy.

    It draws actions from its distribution if it `samples`, as during training; otherwise it takes the most probable
    action, and the mean in a `Box`. A fraction of `Discrete` actions is random (`exploration`).
    """

    def __init__(
        self, model: BaseAlgorithm, space: spaces.Space[Any], samples: bool = False, exploration: float = 0.0
    ) -> None:
        self._model, self._samples, self._exploration = model, samples, exploration
        self._lowest, self._space = lowest_action(space), space

    @property
    def draws(self) -> bool:
        """Whether it draws its actions among classes."""
        space = self._model.action_space
        if isinstance(space, spaces.MultiDiscrete):
            return self._samples
        return isinstance(space, spaces.Discrete) and (self._samples or self._exploration > 0)

    def probabilities(self, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return class probabilities (1, E, classes) of each component for observations (1, E, …), if it draws."""
        space = self._model.action_space
        if self._samples:
            with torch.no_grad():
                policy: Any = self._model.policy
                found = policy.get_distribution(policy.obs_to_tensor(observations[0])[0]).distribution
            parts = found if isinstance(found, list) else [found]
            return [part.probs.cpu().numpy()[None] for part in parts]
        assert isinstance(space, spaces.Discrete)
        best, _ = self._model.predict(observations[0], deterministic=True)
        greedy = np.arange(space.n) == np.asarray(best).reshape(-1, 1)
        return [((1 - self._exploration) * greedy + self._exploration / float(space.n))[None]]

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions (1, E, A)."""
        space = self._model.action_space
        chosen = np.zeros((observations.shape[1], *(space.shape or ())), dtype=space.dtype)
        if self._samples:
            # The library draws from Torch's global generator.
            torch.manual_seed(int(generators[0].integers(2**63)))
        chosen[running[0]], _ = self._model.predict(observations[0][running[0]], deterministic=not self._samples)
        if self._exploration:
            assert isinstance(space, spaces.Discrete)
            random = generators[0].random((2, len(chosen)))
            explored = (random[1] * space.n).astype(chosen.dtype)
            chosen = np.where(random[0] < self._exploration, explored, chosen)
        vectors = nearest_whole(chosen.reshape(len(chosen), -1), self._space)[None]
        return vectors + self._lowest if self._lowest.any() else vectors


def as_measured(job: AgentJob, environment: EnvironmentDefinition, model: BaseAlgorithm) -> ActingModel:
    """Return an agent as it acts while it is measured.

    PPO samples its actions where the environment's quantilizers sample theirs: in a video game the most probable action
    alone may never launch a ball.
    """
    if job.algorithm == "qr_dqn":
        return ActingModel(model, environment.action_space, exploration=MEASURED_EXPLORATION)
    return ActingModel(model, environment.action_space, samples=environment.experiment.acting == "sample")


def state_arrays(model: BaseAlgorithm) -> dict[str, npt.NDArray[Any]]:
    """Return a model's networks, optimiser state and counters; the library's own files are pickles.

    Returns:
        `policy/NAME`, `optimizer/NUMBER OF PARAMETER/NAME`, `counter/NAME`, and where rewards are divided by the
        running standard deviation of returns, `returns/NAME`.
    """
    parameters: dict[str, Any] = model.get_parameters()
    tensors = {f"policy/{name}": tensor for name, tensor in parameters["policy"].items()}
    for number, moments in parameters["policy.optimizer"]["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(moment) for name, moment in moments.items()}
    arrays = {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}
    scaling = model.get_vec_normalize_env()
    if scaling is not None:
        arrays |= {f"returns/{name}": np.array(getattr(scaling.ret_rms, name)) for name in _RUNNING}
    return arrays | {f"counter/{name}": np.array(getattr(model, name)) for name in _COUNTERS if hasattr(model, name)}


def restore_state(model: BaseAlgorithm, arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Restore the arrays of `state_arrays` in an untrained model; raise `UserError` if those of the file do not fit."""
    policy: dict[str, torch.Tensor] = {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        for key, array in arrays.items():
            kind, _, name = key.partition("/")
            if kind == "policy":
                policy[name] = torch.from_numpy(array)
            elif kind == "optimizer":
                number, _, moment = name.partition("/")
                moments.setdefault(int(number), {})[moment] = torch.from_numpy(array)
        # The optimiser keeps the settings of the untrained model.
        optimizer: dict[str, Any] = {**model.get_parameters()["policy.optimizer"], "state": moments}
        state: dict[str, Any] = {"policy": policy, "policy.optimizer": optimizer}
        model.set_parameters(state)
        for name in _COUNTERS:
            if hasattr(model, name):
                setattr(model, name, int(arrays[f"counter/{name}"]))
        scaling = model.get_vec_normalize_env()
        if scaling is not None:
            for name in _RUNNING:
                setattr(scaling.ret_rms, name, float(arrays[f"returns/{name}"]))
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not fit the agent ({reason_of(error)}); delete it to train again") from None
