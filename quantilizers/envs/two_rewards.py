"""Any environment with two rewards: the observed one is paid, the true one is told beside it."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from quantilizers.rewards import Meter, Reward, Steps

Paid = Literal["proxy", "true"]


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
        """Start an episode."""
        self.steps = 0
        for kind, meter in self._meters.items():
            meter.restart()
            self._returns[kind] = 0.0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step."""
        observation, own, terminated, truncated, info = super().step(action)
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
