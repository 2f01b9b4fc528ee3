"""One environment with two rewards: `step` returns the observed one, and `info` reports both."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import HumanRendering, RenderCollection

from quantilizers.envs.actions import in_form_of
from quantilizers.errors import NotInstalledError, UserError, reason_of
from quantilizers.rewards import Meter, Reward, Steps

RewardName = Literal["proxy", "true"]
#: Errors that are raised unchanged: this library's own, and the caller's mistakes, such as a step before a reset.
_PASSED_THROUGH = (UserError, gymnasium.error.Error)


class _ContractError(Exception):
    """An environment violates its observation space or Gymnasium's interface."""


def make_base(
    make: str | Callable[..., gymnasium.Env[Any, Any]],
    name: str,
    render_mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> gymnasium.Env[Any, Any]:
    """Make one environment with its own reward and no time limit.

    Args:
        make: as in `EnvironmentDefinition`.
        name: the environment's, for messages.
        render_mode: as Gymnasium's; one that ends in `_list` collects pictures even if the environment does not, and
            `human` always opens a window.
        options: further arguments.

    Raises:
        NotInstalledError: a library that it needs is missing.
        UserError: it cannot be made.
    """
    arguments: dict[str, Any] = dict(options or {})
    if render_mode is not None:
        arguments["render_mode"] = render_mode
    try:
        if isinstance(make, str) and not make.rpartition(":")[2].isidentifier():
            # −1 omits Gymnasium's time limit: `TwoRewards` truncates instead, with the rewards due at the end.
            return gymnasium.make(make, max_episode_steps=-1, disable_env_checker=True, **arguments)
        maker = load_path(make)
        modes = getattr(maker, "metadata", {}).get("render_modes", ())
        if render_mode is not None and render_mode.endswith("_list") and render_mode not in modes:
            arguments["render_mode"] = render_mode.removesuffix("_list")
            return RenderCollection(maker(**arguments))
        if render_mode == "human" and render_mode not in modes and "rgb_array" in modes:
            return HumanRendering(maker(**{**arguments, "render_mode": "rgb_array"}))
        game: gymnasium.Env[Any, Any] = maker(**arguments)
    except UserError:
        raise
    except ImportError as error:
        raise NotInstalledError(f"{name} needs {error.name}, which is not installed", str(error.name)) from None
    except Exception as error:  # whatever an environment's constructor raises
        raise UserError(f"{name} cannot be made: {reason_of(error)}") from error
    return game


def load_path(path: Any) -> Any:
    """Return the object at a path such as `package.module:Name`; other objects are returned unchanged."""
    if not isinstance(path, str):
        return path
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class TwoRewards(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """One environment whose `step` returns the proxy reward.

    `info` has `proxy_reward` and `true_reward` of every step, and at an episode's last step `proxy_return` and
    `true_return`, the sums over the episode, which Stable-Baselines3's
    `Monitor(info_keywords=("true_return", "proxy_return"))` logs.

    Args:
        env: an environment that returns its own reward.
        proxy: the observed reward.
        true: the wanted reward.
        max_steps: steps after which the episode is truncated. It then receives the reward due at its end.
        reward: the reward that `step` returns.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], proxy: Reward, true: Reward, max_steps: int, reward: RewardName = "proxy"
    ) -> None:
        # Gymnasium uses these arguments to make the same environment again.
        RecordConstructorArgs.__init__(self, proxy=proxy, true=true, max_steps=max_steps, reward=reward)
        super().__init__(env)
        if reward not in ("proxy", "true"):
            raise ValueError(f"reward is {reward!r}, neither 'proxy' nor 'true'")
        self.max_steps = max_steps
        self.steps = 0
        self._reward = reward
        self._fields = tuple(dict.fromkeys((*proxy.info, *true.info)))
        self._meters = {"proxy": Meter(proxy, 1), "true": Meter(true, 1)}
        self._returns = {"proxy": 0.0, "true": 0.0}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; a `UserError` if the environment fails or its observation is not in its space."""
        self.steps = 0
        for kind, meter in self._meters.items():
            meter.restart()
            self._returns[kind] = 0.0
        try:
            outcome: Any = super().reset(seed=seed, options=options)
            if not isinstance(outcome, tuple) or len(outcome) != 2:
                raise _ContractError(f"it returns {_kind(outcome)}, not an observation and its info")
            self._check_observation(outcome[0])
        except _PASSED_THROUGH:
            raise
        except Exception as error:  # whatever an environment raises
            raise self._failed("reset", error) from error
        return outcome

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step; a `UserError` if the environment or a reward fails, or the observation is not in the space."""
        try:
            return self._step(action)
        except _PASSED_THROUGH:
            raise
        except Exception as error:  # whatever an environment or a reward raises
            raise self._failed("step", error) from error

    def _step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        outcome: Any = super().step(action)
        if not isinstance(outcome, tuple) or len(outcome) != 5:
            raise _ContractError(
                f"it returns {_kind(outcome)}, not observation, reward, terminated, truncated and info"
            )
        observation, own, terminated, truncated, info = outcome
        self._check_observation(observation)
        missing = [name for name in self._fields if name not in info]
        if missing:
            raise _ContractError(f"its info lacks {missing[0]}, which a reward depends on")
        if isinstance(own, (str, bytes)) or own is None:
            raise _ContractError(f"its reward is {own!r}, not a number")
        self.steps += 1
        truncated = bool(truncated) or self.steps >= self.max_steps
        last = bool(terminated) or truncated
        fields = {name: np.asarray(info[name])[None] for name in self._fields}
        steps = Steps(np.asarray(observation)[None], in_form_of(action, 1, self.action_space), fields)
        rewards = {}
        for kind, meter in self._meters.items():
            rewards[kind] = float(meter.pay(np.array([float(own)]), steps, np.array([last]))[0])
            self._returns[kind] += rewards[kind]
        info = {**info, "proxy_reward": rewards["proxy"], "true_reward": rewards["true"]}
        if last:
            info |= {"proxy_return": self._returns["proxy"], "true_return": self._returns["true"]}
        return observation, rewards[self._reward], bool(terminated), truncated, info

    def _check_observation(self, observation: Any) -> None:
        """Refuse an observation that differs in shape from its space, or holds NaN or infinity."""
        if not isinstance(self.observation_space, Box):
            return
        array = np.asarray(observation)
        if array.shape != self.observation_space.shape or array.dtype.kind not in "biuf":
            raise _ContractError(
                f"it observes {array.dtype} {array.shape} where its space says {self.observation_space.shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _ContractError(f"it observes NaN or infinity: {' '.join(str(array).split())[:100]}")

    def _failed(self, deed: str, error: Exception) -> UserError:
        """Return an error that names the environment, its exception, and the line."""
        text = " ".join(str(error).split())[:300]
        if not isinstance(error, _ContractError):
            last = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"
        return UserError(f"the environment {type(self.unwrapped).__name__} failed in {deed}: {text}")


def _kind(outcome: Any) -> str:
    """Describe a wrong return value."""
    return f"{len(outcome)} values" if isinstance(outcome, tuple) else f"a {type(outcome).__name__}"
