"""One environment with two rewards: `step` returns the observed one, and `info` reports both."""

from __future__ import annotations

import copy
import importlib
import random
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import FlattenObservation, HumanRendering, RenderCollection

from quantilizers.choices import whole_number
from quantilizers.envs.actions import in_form_of
from quantilizers.errors import DataWarning, NotInstalledError, UserError, fault_of, reason_of, shown
from quantilizers.rewards import Meter, Reward, Steps

RewardName = Literal["proxy", "true"]
#: Errors that are raised unchanged: this library's own, and the caller's mistake, a step before a reset.
_PASSED_THROUGH = (UserError, gymnasium.error.ResetNeeded)


#: Calls of `reset` and `step` in which each kind of environment is watched for draws from global random generators, and
#: for observations outside of its space.
WATCHED_CALLS = 200
#: Relative size of what counts as rounding of an observation or action.
_ROUNDING = 1e-5
_calls_watched: Counter[type] = Counter()
#: Kinds of environments whose observations outside of their space were reported.
_outside: set[type] = set()


class _ContractError(Exception):
    """An environment violates its observation space or Gymnasium's interface."""


def make_base(
    make: str | Callable[..., gymnasium.Env[Any, Any]],
    name: str,
    render_mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    flatten: bool = False,
) -> gymnasium.Env[Any, Any]:
    """Make one environment with its own reward and no time limit.

    Args:
        make: as in `EnvironmentDefinition`.
        name: the environment's, for messages.
        render_mode: as Gymnasium's; one that ends in `_list` collects pictures even if the environment does not, and
            `human` always opens a window.
        options: further arguments.
        flatten: whether observations are flattened to vectors.

    Raises:
        NotInstalledError: a library that it needs is missing.
        UserError: it cannot be made.
    """
    if flatten:
        game = make_base(make, name, render_mode, options)
        try:
            return FlattenObservation(game)
        except Exception as error:  # spaces of other libraries raise anything
            raise UserError(
                f"{name}: its observations {type(game.observation_space).__name__} cannot be flattened "
                f"({fault_of(error)}); remove what holds no numbers with a wrapper"
            ) from error
    arguments: dict[str, Any] = dict(options or {})
    if render_mode is not None:
        arguments["render_mode"] = render_mode
    try:
        if isinstance(make, str) and not _is_path(make):
            # −1 omits Gymnasium's time limit: `TwoRewards` truncates instead, with the rewards due at the end.
            return gymnasium.make(make, max_episode_steps=-1, disable_env_checker=True, **arguments)
        maker = load_path(make)
        about = getattr(maker, "metadata", {})  # a property of Gymnasium's wrappers, which only an instance tells
        modes = about.get("render_modes", ()) if isinstance(about, Mapping) else ()
        if render_mode is not None and render_mode.endswith("_list") and render_mode not in modes:
            arguments["render_mode"] = render_mode.removesuffix("_list")
            drawn = maker(**arguments)
            if getattr(drawn, "render_mode", None) is None:
                raise UserError(f"{name} has no pictures: its render_mode is None after it was asked for rgb_array")
            return RenderCollection(drawn)
        if render_mode == "human" and render_mode not in modes and "rgb_array" in modes:
            return HumanRendering(maker(**{**arguments, "render_mode": "rgb_array"}))
        made: gymnasium.Env[Any, Any] = maker(**arguments)
    except UserError:
        raise
    except ImportError as error:
        raise NotInstalledError(f"{name} needs {error.name}, which is not installed", str(error.name)) from None
    except gymnasium.error.Error as error:
        raise UserError(f"{name} cannot be made: {reason_of(error)}") from error
    except (Exception, SystemExit) as error:  # whatever an environment's constructor raises
        raise UserError(f"{name} cannot be made: {fault_of(error)}") from error
    if not isinstance(made, gymnasium.Env):
        raise UserError(f"{name} is no environment of Gymnasium: make returned a {type(made).__name__}")
    return made


def _is_path(make: str) -> bool:
    """Whether a name is a path such as `package.module:Name`, rather than an id of Gymnasium."""
    return ":" in make and make.rpartition(":")[2].isidentifier()


def reset_seed(seed: Any) -> int:
    """Return a reset seed as Gymnasium takes it, which refuses the whole numbers of NumPy.

    Raises:
        UserError: it is no whole number from 0 on.
    """
    return whole_number("the reset seed", seed, least=0)


def load_path(path: Any) -> Any:
    """Return the object at a path such as `package.module:Name`; other objects are returned unchanged."""
    if not isinstance(path, str):
        return path
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class TwoRewards(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """One environment whose `step` returns the proxy reward.

    `info` has the same fields after every reset and step:

    | field | value |
    |---|---|
    | `proxy_reward`, `true_reward` | both rewards of the step; 0 after a reset |
    | `proxy_return`, `true_return` | their sums over the episode so far: at its last step, its returns |
    | each field that a reward reads | the environment's; 0 after a reset that does not give it |
    | each number that the environment's reset gives | the environment's; the last one if a step does not give it |

    Stable-Baselines3's `Monitor(info_keywords=("true_return", "proxy_return"))` logs the returns.

    Args:
        env: an environment that returns its own reward.
        proxy: the observed reward.
        true: the wanted reward.
        max_steps: steps after which the episode is truncated. It then receives the reward due at its end.
        reward: the reward that `step` returns.
        all_info: also pass on the environment's other fields of `info`, which may differ from step to step.
        spec: by which Gymnasium makes the same environment again; None uses that of `env`, with this wrapper.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        proxy: Reward,
        true: Reward,
        max_steps: int,
        reward: RewardName = "proxy",
        *,
        all_info: bool = False,
        spec: EnvSpec | None = None,
    ) -> None:
        # Gymnasium uses these arguments to make the same environment again.
        arguments: dict[str, Any] = {"proxy": proxy, "true": true, "max_steps": max_steps, "reward": reward}
        RecordConstructorArgs.__init__(self, **arguments, all_info=all_info)
        super().__init__(env)
        if reward not in ("proxy", "true"):
            raise ValueError(f"reward is {reward!r}, neither 'proxy' nor 'true'")
        self.max_steps = max_steps
        self.steps = 0
        self._kind = type(self.unwrapped)
        self._spec, self._spec_before = spec, self.unwrapped.spec
        self._reward = reward
        self._all_info = all_info
        self._fields = tuple(dict.fromkeys((*proxy.info, *true.info)))
        self._zeros: dict[str, Any] = dict.fromkeys(self._fields, 0.0)
        self._numbers: dict[str, Any] = {}
        self._meters = {"proxy": Meter(proxy, 1), "true": Meter(true, 1)}
        #: Kinds of rewards that an episode gives at its last step alone.
        self.paid_at_end = {
            kind: all(part.kind == "mean_at_end" for part in reward.parts)
            for kind, reward in (("proxy", proxy), ("true", true))
        }
        self._returns = {"proxy": 0.0, "true": 0.0}

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """The specification by which Gymnasium makes the same environment again, which pays the same reward."""
        inside = self.unwrapped.spec
        if inside is not None and inside is not self._spec_before:
            # `gymnasium.make` made this environment, its wrappers included, and recorded how.
            return copy.deepcopy(inside)
        return super().spec if self._spec is None else copy.deepcopy(self._spec)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; a `UserError` if the environment fails or its observation is not in its space."""
        self.steps = 0
        for kind, meter in self._meters.items():
            meter.restart()
            self._returns[kind] = 0.0
        if seed is not None:
            seed = reset_seed(seed)
        try:
            outcome = self._watched(super().reset, seed=seed, options=options)
            if not isinstance(outcome, tuple) or len(outcome) != 2:
                raise _ContractError(f"it returns {_kind(outcome)}, not an observation and its info")
            observation, info = outcome
            observation = self._checked(observation)
            if not isinstance(info, Mapping):
                raise _ContractError(f"its info is {_kind(info)}, not a dictionary")
        except _PASSED_THROUGH:
            raise
        except (Exception, SystemExit) as error:  # whatever an environment raises
            raise self._failed("reset", error) from error
        self._numbers = {name: value for name, value in info.items() if _is_number(value)}
        return observation, self._info({**self._zeros, **info}, {"proxy": 0.0, "true": 0.0})

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step; a `UserError` if the environment or a reward fails, or the observation is not in the space."""
        try:
            return self._step(action)
        except _PASSED_THROUGH:
            raise
        except (Exception, SystemExit) as error:  # whatever an environment raises
            raise self._failed("step", error, f", at step {self.steps + 1}") from error

    def _step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        outcome = self._watched(super().step, action)
        if not isinstance(outcome, tuple) or len(outcome) != 5:
            raise _ContractError(
                f"it returns {_kind(outcome)}, not observation, reward, terminated, truncated and info"
            )
        observation, own, terminated, truncated, info = outcome
        observation = self._checked(observation)
        if not isinstance(info, Mapping):
            raise _ContractError(f"its info is {_kind(info)}, not a dictionary")
        missing = [name for name in self._fields if name not in info]
        if missing:
            raise _ContractError(f"its info lacks {missing[0]}, which a reward depends on")
        if isinstance(own, (str, bytes)) or own is None:
            raise _ContractError(f"its reward is {own!r}, not a number")
        if np.shape(own):
            raise _ContractError(f"its reward has shape {np.shape(own)}, and is not a number")
        terminated, truncated = _flag("terminated", terminated), _flag("truncated", truncated)
        truncated = truncated or self.steps + 1 >= self.max_steps
        last = terminated or truncated
        fields = {name: np.asarray(info[name])[None] for name in self._fields}
        steps = Steps(np.asarray(observation)[None], in_form_of(action, 1, self.action_space), fields)
        own_reward, rewards = np.array([float(own)]), {}
        try:
            for kind, meter in self._meters.items():
                rewards[kind] = float(meter.pay(own_reward, steps, np.array([last]))[0])
                self._returns[kind] += rewards[kind]
        except UserError as error:
            raise UserError(f"{error}, at step {self.steps + 1} in {type(self.unwrapped).__name__}") from error
        self.steps += 1
        self._zeros = {name: np.zeros_like(info[name])[()] for name in self._fields}
        return observation, rewards[self._reward], terminated, truncated, self._info(info, rewards)

    def _info(self, info: Mapping[str, Any], rewards: Mapping[str, float]) -> dict[str, Any]:
        """Return an info of the one structure that all have."""
        self._numbers |= {name: info[name] for name in self._numbers if name in info}
        read = {name: np.asarray(info[name]) if _is_list(info[name]) else info[name] for name in self._fields}
        return {
            **(info if self._all_info else {}),
            **self._numbers,
            **read,
            **{f"{kind}_reward": reward for kind, reward in rewards.items()},
            **{f"{kind}_return": value for kind, value in self._returns.items()},
        }

    def _watched(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Call the environment, and warn if it draws from a global random generator; only first calls are watched."""
        if _calls_watched[self._kind] >= WATCHED_CALLS:
            return call(*arguments, **more)
        _calls_watched[self._kind] += 1
        before = random.getstate(), _numpy_state()
        outcome = call(*arguments, **more)
        source = "Python's random" if random.getstate() != before[0] else ""
        if _numpy_state() != before[1]:
            source = "numpy.random"
        if source:
            _calls_watched[self._kind] = WATCHED_CALLS
            warnings.warn(
                f"the environment {self._kind.__name__} uses the global generator of {source}, so its episodes depend "
                "on whatever else uses it, and cannot be repeated; let it draw from self.np_random",
                DataWarning,
                stacklevel=2,
            )
        return outcome

    def _checked(self, observation: Any) -> Any:
        """Return an observation, as numbers that vectorised forms can convert to its space's type.

        One that differs in shape from its space, or that its type cannot hold, is refused.
        """
        space = self.observation_space
        if isinstance(space, (Discrete, MultiDiscrete, MultiBinary)):
            whole = np.asarray(observation)
            if whole.dtype.kind not in "biu" or not space.contains(whole.astype(np.int64)):
                raise _ContractError(f"it observes {shown(observation, 60)}, which is not in {space}")
        if not isinstance(space, Box):
            return observation
        array = np.asarray(observation)
        if array.shape != space.shape or array.dtype.kind not in "biuf":
            raise _ContractError(f"it observes {array.dtype} {array.shape} where its space says {space.shape}")
        if array.dtype != space.dtype:
            with np.errstate(all="ignore"):
                kept = array.astype(space.dtype)
            if kept.dtype.kind in "biu":
                if (strange := array[kept != array]).size:
                    raise _ContractError(f"it observes {strange[0]:g}, which its space of {space.dtype} does not have")
                observation = kept
            array = kept
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _ContractError(f"it observes NaN or infinity: {shown(' '.join(str(array).split()), 100)}")
        watched = _calls_watched[self._kind] < WATCHED_CALLS and self._kind not in _outside
        if watched and (line := outside_of(space, array[np.newaxis])):
            _outside.add(self._kind)
            warnings.warn(f"the environment {self._kind.__name__} leaves its observation space: {line}", DataWarning, 2)
        return observation

    def _failed(self, deed: str, error: BaseException, place: str = "") -> UserError:
        """Return an error that names the environment, its exception, the line and the step."""
        text = reason_of(error) if isinstance(error, _ContractError) else fault_of(error)
        return UserError(f"the environment {type(self.unwrapped).__name__} failed in {deed}: {text}{place}")


def outside_of(space: Box, values: npt.NDArray[Any], kind: str = "an observation") -> str:
    """Describe the first number of observations or actions (n, …) that is outside of its bounds, but for rounding.

    Empty if there is none.
    """
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    whole = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
    if whole is not None and (low <= whole.min).all() and (high >= whole.max).all():
        return ""
    if not (np.isfinite(low) | np.isfinite(high)).any():
        return ""
    below, above = (
        _ROUNDING * np.maximum(1.0, np.abs(np.nan_to_num(ends, posinf=0.0, neginf=0.0))) for ends in (low, high)
    )
    wrong = (values < low - below) | (values > high + above)
    if not wrong.any():
        return ""
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    part = place[1:]
    which = f"number {', '.join(str(int(one) + 1) for one in part)} of {kind}" if part else kind
    return f"{which} is {values[place]:g}, and its bounds are {low[part]:g} and {high[part]:g}"


def _flag(name: str, value: Any) -> bool:
    """Return whether an environment says that an episode ended."""
    told = np.asarray(value)
    if told.dtype.kind not in "biuf" or told.size != 1 or told.reshape(-1)[0] not in (0, 1):
        raise _ContractError(f"its {name} is {' '.join(repr(value).split())[:60]}, neither true nor false")
    return bool(told)


def _numpy_state() -> list[Any]:
    state: Any = np.random.get_state(legacy=False)
    numbers = {**state, **state["state"]}.values()
    return [one.tobytes() if isinstance(one, np.ndarray) else one for one in numbers if not isinstance(one, dict)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.number, np.bool_))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _kind(outcome: Any) -> str:
    """Describe a wrong return value."""
    return f"{len(outcome)} values" if isinstance(outcome, tuple) else f"a {type(outcome).__name__}"
