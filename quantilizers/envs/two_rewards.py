"""Any environment with two rewards: the observed one is paid, the true one is told beside it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs

from quantilizers.errors import UserError
from quantilizers.rewards import Meter, Reward, Steps

Paid = Literal["proxy", "true"]
#: What passes as it is: what was said already, and mistakes of the caller, such as a step before a reset.
_NOT_ITS_FAULT = (UserError, gymnasium.error.Error)


class _LieError(Exception):
    """An environment returns what its space or Gymnasium's interface does not have."""


class TwoRewards(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """One environment whose `step` returns the proxy reward.

    `info` has `proxy_reward` and `true_reward` of every step, and at an episode's last step `proxy_return` and
    `true_return`, the sums over the episode, so that Stable-Baselines3's
    `Monitor(info_keywords=("true_return", "proxy_return"))` logs both.

    Args:
        env: pays its own reward.
        proxy: the observed reward.
        true: the wanted reward.
        max_steps: the episode is truncated after so many steps. What is due at an episode's end is paid then, too.
        reward: which of the two `step` returns.

    Attributes:
        steps: of this episode so far.

    Raises:
        ValueError: `reward` is neither `proxy` nor `true`.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], proxy: Reward, true: Reward, max_steps: int, reward: Paid = "proxy"
    ) -> None:
        # By what is noted here Gymnasium makes the same environment again.
        RecordConstructorArgs.__init__(self, proxy=proxy, true=true, max_steps=max_steps, reward=reward)
        super().__init__(env)
        if reward not in ("proxy", "true"):
            raise ValueError(f"reward is {reward!r}, neither 'proxy' nor 'true'")
        self.max_steps = max_steps
        self.steps = 0
        self._paid = reward
        self._fields = tuple(dict.fromkeys((*proxy.info, *true.info)))
        self._meters = {"proxy": Meter(proxy, 1), "true": Meter(true, 1)}
        self._returns = {"proxy": 0.0, "true": 0.0}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Raises:
            UserError: the environment fails, or observes what its space does not have.
        """
        self.steps = 0
        for kind, meter in self._meters.items():
            meter.restart()
            self._returns[kind] = 0.0
        try:
            outcome: Any = super().reset(seed=seed, options=options)
            if not isinstance(outcome, tuple) or len(outcome) != 2:
                raise _LieError(f"it returns {_kind(outcome)}, not an observation and its info")
            self._check_observation(outcome[0])
        except _NOT_ITS_FAULT:
            raise
        except Exception as error:  # whatever an environment raises
            raise self._failed("reset", error) from error
        return outcome

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step.

        Raises:
            UserError: the environment or a reward fails, or it observes what its space does not have.
        """
        try:
            return self._step(action)
        except _NOT_ITS_FAULT:
            raise
        except Exception as error:  # whatever an environment or a reward raises
            raise self._failed("step", error) from error

    def _step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        outcome: Any = super().step(action)
        if not isinstance(outcome, tuple) or len(outcome) != 5:
            raise _LieError(f"it returns {_kind(outcome)}, not observation, reward, terminated, truncated and info")
        observation, own, terminated, truncated, info = outcome
        self._check_observation(observation)
        missing = [name for name in self._fields if name not in info]
        if missing:
            raise _LieError(f"its info lacks {missing[0]}, which a reward is made of")
        if isinstance(own, (str, bytes)) or own is None:
            raise _LieError(f"its reward is {own!r}, not a number")
        self.steps += 1
        truncated = bool(truncated) or self.steps >= self.max_steps
        last = bool(terminated) or truncated
        fields = {name: np.asarray(info[name])[None] for name in self._fields}
        steps = Steps(np.asarray(observation)[None], np.asarray(action)[None], fields)
        rewards = {}
        for kind, meter in self._meters.items():
            rewards[kind] = float(meter.pay(np.array([float(own)]), steps, np.array([last]))[0])
            self._returns[kind] += rewards[kind]
        info = {**info, "proxy_reward": rewards["proxy"], "true_reward": rewards["true"]}
        if last:
            info |= {"proxy_return": self._returns["proxy"], "true_return": self._returns["true"]}
        return observation, rewards[self._paid], bool(terminated), truncated, info

    def _check_observation(self, observation: Any) -> None:
        """Refuse an observation that policies would make nonsense of.

        Raises:
            _LieError: it has another shape than the space says, or holds NaN or infinity.
        """
        if not isinstance(self.observation_space, Box):
            return
        array = np.asarray(observation)
        if array.shape != self.observation_space.shape or array.dtype.kind not in "biuf":
            raise _LieError(
                f"it observes {array.dtype} {array.shape} where its space says {self.observation_space.shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _LieError(f"it observes NaN or infinity: {' '.join(str(array).split())[:100]}")

    def _failed(self, deed: str, error: Exception) -> UserError:
        """Return what is said of an environment that failed: what it raised, and where."""
        text = " ".join(str(error).split())[:300]
        if not isinstance(error, _LieError):
            last = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"
        return UserError(f"the environment {type(self.unwrapped).__name__} failed in {deed}: {text}")


def _kind(outcome: Any) -> str:
    """Return in a few words what an environment returned instead of what it should."""
    return f"{len(outcome)} values" if isinstance(outcome, tuple) else f"a {type(outcome).__name__}"
