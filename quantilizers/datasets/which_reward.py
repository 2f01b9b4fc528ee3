"""Which of an environment's rewards a foreign recording contains, and the true rewards computed from it.

Other libraries record the reward that `step` returned. That is the true reward, the proxy reward, or the environment's
own reward, which differs from the true one if the definition says so. Where a recording does not tell, its first
episodes are played again from their reset seeds and the rewards compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec

from quantilizers.choices import RECORDED_REWARDS, RecordedReward, check_choice
from quantilizers.demonstrations.episodes import STEP_PREFIX, Episodes
from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.recorded_rewards import rewards_from_own
from quantilizers.envs.shipped import MAKER, absolute
from quantilizers.envs.two_rewards import TwoRewards
from quantilizers.errors import UserError, reason_of
from quantilizers.rewards import FloatArray, Reward

#: Fields of `info` in environments of this library, which are computed from a recording.
COMPUTED = ("proxy_reward", "true_reward", "proxy_return", "true_return")
#: Rewards that differ by less count as equal: recordings may be in single precision.
_ROUNDING = 1e-4


class WhichRewardError(UserError):
    """It cannot be told which reward a recording contains, or in which field; programs add the flags that tell it."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """Episodes whose `true_rewards` are the rewards that another library recorded, whichever they are.

    Attributes:
        episodes: with those rewards.
        reward: which they are, if the recording tells or the user said.
        of_this_library: whether they were collected in an environment of this library, which pays the proxy reward
            by default.
        options: of the environment in which they were collected.
    """

    episodes: Episodes
    reward: RecordedReward | None = None
    of_this_library: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def said_to_be(self, reward: RecordedReward | None) -> Foreign:
        """Return them with the reward that the user says they contain; refuse another one than the recording tells."""
        if reward is not None and self.reward not in (None, reward):
            raise UserError(f"it says that it contains the {self.reward} reward, not the {reward} one")
        return replace(self, reward=reward or self.reward)


def told_by(spec: EnvSpec | None, episodes: Episodes, environment: EnvironmentDefinition | None) -> Foreign:
    """Return episodes with the reward that a specification names, if it is that of this environment."""
    if spec is None or spec.entry_point != MAKER:
        return Foreign(episodes)
    options = dict(spec.kwargs)
    reward = options.pop("reward", "proxy")
    for name in ("max_steps", "render_mode", "all_info"):
        options.pop(name, None)
    if environment is None or options.pop("environment", None) != absolute(environment.address):
        return Foreign(episodes, of_this_library=True)
    return Foreign(episodes, reward, of_this_library=True, options=options)


def with_true_rewards(foreign: Foreign, environment: EnvironmentDefinition) -> Episodes:
    """Return the episodes with their true rewards under the default options.

    They are the recorded ones, those that `info` has, those of the episodes played again, or computed from the
    recorded ones, whichever is possible first.

    Raises:
        WhichRewardError: the recording does not tell which reward it contains.
        UserError: the true rewards cannot be computed.
    """
    reward = foreign.reward or _found_reward(foreign, environment)
    check_choice("reward", reward, RECORDED_REWARDS)
    episodes = foreign.episodes
    under_defaults = environment.true_options(foreign.options) == environment.true_options()
    if reward == "true" and under_defaults:
        rewards: npt.NDArray[Any] | None = episodes.true_rewards
    elif reward == "own" and _is_own(environment.rewards()[1]):
        rewards = episodes.true_rewards
    else:
        recorded = episodes.step_info.get("true_reward") if under_defaults else None
        rewards = recorded if recorded is not None else _replayed_true(foreign, environment)
    extras = {key: array for key, array in episodes.extras.items() if not _is_computed(key, episodes)}
    episodes = replace(episodes, extras=extras)
    if rewards is None:
        rewards = _computed_true(replace(foreign, episodes=episodes), reward, environment)
    return replace(episodes, true_rewards=rewards)


def _is_computed(key: str, episodes: Episodes) -> bool:
    both = {f"{STEP_PREFIX}{name}" for name in COMPUTED}
    return both <= episodes.extras.keys() and key in both


def _is_own(reward: Reward) -> bool:
    return all(part.kind == "own" for part in reward.parts) and reward.own_weight == 1


def _found_reward(foreign: Foreign, environment: EnvironmentDefinition) -> RecordedReward:
    """Find out which reward was recorded: from `info`, or by playing episodes again until one reward is left."""
    episodes = foreign.episodes
    real = ~episodes.done
    if f"{STEP_PREFIX}true_reward" in episodes.extras and f"{STEP_PREFIX}proxy_reward" in episodes.extras:
        for name in ("true", "proxy"):
            if _equal(episodes.step_info[f"{name}_reward"][real], episodes.true_rewards[real]):
                return "true" if name == "true" else "proxy"
    possible, played = list(RECORDED_REWARDS), 0
    for index, paid in _replays(foreign, environment):
        recorded = episodes.true_rewards[index, : episodes.lengths[index]]
        possible = [name for name in possible if _equal(paid[name], recorded)]
        played += 1
        if len(_distinct(possible, foreign, environment)) < 2:
            break
    possible = _distinct(possible, foreign, environment)
    if possible and (len(possible) == 1 or played == episodes.number):
        return possible[0]
    # Other libraries record what the environment itself pays.
    is_plain = not foreign.of_this_library and _is_own(environment.rewards()[1])
    if possible and is_plain and not _is_the_proxy(foreign, environment):
        return "own"
    raise WhichRewardError(
        f"it does not tell which reward it contains: the true reward of {environment.name}, its proxy, or the "
        "environment's own; give reward as true, proxy or own"
    )


def _distinct(
    rewards: list[RecordedReward], foreign: Foreign, environment: EnvironmentDefinition
) -> list[RecordedReward]:
    """Return the rewards without `own` where another of them is the environment's own."""
    proxy, true = environment.rewards(foreign.options)
    same = {"true": _is_own(true), "proxy": _is_own(proxy)}
    return [one for one in rewards if one != "own" or not any(same.get(name, False) for name in rewards)]


def _is_the_proxy(foreign: Foreign, environment: EnvironmentDefinition) -> bool:
    """Whether the recorded rewards are those of a proxy that can be computed from the steps alone."""
    proxy = environment.rewards(foreign.options)[0]
    if proxy.own_weight:
        return False
    try:
        computed = rewards_from_own(environment, proxy, None, foreign.episodes)
    except UserError:
        return False
    real = ~foreign.episodes.done
    return _equal(computed[real], foreign.episodes.true_rewards[real])


def _equal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING)


def _replayed_true(foreign: Foreign, environment: EnvironmentDefinition) -> FloatArray | None:
    """Return the true rewards (N, T) of episodes played again; None if one cannot be."""
    found = np.zeros(foreign.episodes.done.shape)
    number = 0
    for index, paid in _replays(foreign, environment):
        found[index, : len(paid["true"])] = paid["true"]
        number += 1
    return found if number == foreign.episodes.number else None


def _computed_true(foreign: Foreign, reward: RecordedReward, environment: EnvironmentDefinition) -> FloatArray:
    """Compute the true rewards (N, T) from the recorded ones, by way of the environment's own."""
    episodes = foreign.episodes
    _, true = environment.rewards()
    own: FloatArray | None = None
    if true.own_weight:
        own = episodes.true_rewards.astype(np.float64)
        if reward != "own":
            recorded = environment.rewards(foreign.options)[0 if reward == "proxy" else 1]
            if recorded.own_weight == 0:
                raise UserError(
                    f"its rewards are the {reward} rewards of {environment.name}, from which the true ones cannot be "
                    "computed; collect it with reward='true' or with record_infos=True"
                )
            others = rewards_from_own(environment, recorded.without_own, None, episodes)
            own = (own - others) / recorded.own_weight
    return rewards_from_own(environment, true, own, episodes)


class _Own(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that remembers its last reward."""

    paid = 0.0

    def step(self, action: Any) -> Any:
        outcome = self.env.step(action)
        self.paid = float(outcome[1])
        return outcome


def _replays(foreign: Foreign, environment: EnvironmentDefinition) -> Iterator[tuple[int, dict[str, FloatArray]]]:
    """Play episodes again from their seeds and yield their indices and the rewards (t,) that each reward gives.

    It ends at an episode without a seed, or whose observations are not the recorded ones.
    """
    episodes = foreign.episodes
    seeds = episodes.extras.get("seed")
    if seeds is None or episodes.observations.shape[2:] != environment.observation_shape:
        return
    proxy, _ = environment.rewards(foreign.options)
    _, true = environment.rewards()
    try:
        base = _Own(environment.make_own(foreign.options))
    except UserError:
        return
    try:
        for index in range(episodes.number):
            if seeds[index] < 0:
                return
            paid = _replay(base, proxy, true, episodes, index)
            if paid is None:
                return
            yield index, paid
    finally:
        base.close()


def _replay(base: _Own, proxy: Reward, true: Reward, episodes: Episodes, index: int) -> dict[str, FloatArray] | None:
    length = int(episodes.lengths[index])
    game = TwoRewards(base, proxy, true, max_steps=length)
    after = episodes.observations[index, 1:length]
    paid: dict[str, list[float]] = {name: [] for name in RECORDED_REWARDS}
    try:
        observation, _ = game.reset(seed=int(episodes.extras["seed"][index]))
        if not _equal(np.asarray(observation), episodes.observations[index, 0]):
            return None
        for step in range(length):
            action = environment_action(episodes.actions[index, step], game.action_space)
            observation, _, terminated, truncated, info = game.step(action)
            for name, value in (("true", info["true_reward"]), ("proxy", info["proxy_reward"]), ("own", base.paid)):
                paid[name].append(value)
            last = step == length - 1
            if (terminated or truncated) != last or not (last or _equal(np.asarray(observation), after[step])):
                return None
    except (UserError, ValueError, TypeError, OverflowError) as error:
        raise UserError(f"episode {index} cannot be played again: {reason_of(error)}") from None
    return {name: np.array(values) for name, values in paid.items()}
