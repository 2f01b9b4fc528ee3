"""What the rest of the library needs to know of an environment, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from quantilizers.demonstrations import Demonstrations

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PublishedOptimiser:
    """What an optimiser reached in the reference implementation of Carey (2019).

    Attributes:
        algorithm: its name, as in the paper.
        true_return: mean true return of an episode.
        proxy_return: mean proxy return of an episode.
    """

    algorithm: str
    true_return: float
    proxy_return: float


@dataclass(frozen=True)
class Keyboard:
    """How a person plays an environment with keys.

    Attributes:
        controls: what each key does, for people: key name (as pygame names it) to a few words.
        effects: key name, or several joined by `+` that are held together, to an action's vector. Where the action
            is continuous the vectors of all keys held are added up, and each entry is one key; where it is
            discrete the vector is the whole action.
        idle: the action when no key is pressed.
        frames_per_second: how many pictures of the game people are shown a second; most environments give one
            a step.
    """

    controls: Mapping[str, str]
    effects: Mapping[str, tuple[float, ...]]
    idle: tuple[float, ...]
    frames_per_second: float = 30.0


@dataclass(frozen=True)
class EnvironmentDefinition:
    """One environment as the pipeline sees it. An environment's module names its own `ENVIRONMENT`.

    Attributes:
        name: name on the command line, which is the paper's.
        gymnasium_id: id it is registered under with Gymnasium. Made by `gymnasium.make` and
            `gymnasium.make_vec`, it takes `max_steps`, pays the proxy reward and reports the true reward as
            `info["true_reward"]`.
        max_steps: steps after which an episode is cut unless `--max_steps` says otherwise.
        observation_shape: shape of one observation.
        observation_dtype: how observations are kept in memory and given to a policy.
        action_classes: for each component of the action (A of them), the values that demonstrations may hold;
            a policy has one classifier a component, whose classes are these values, in this order.
        acting: how a policy's class probabilities become an action.
        policy: which family of policies imitates here, a module of `quantilizers.policies`.
        proxy_rewards: from demonstrations of N episodes of at most T steps to their proxy rewards (N, T), as
            the environment pays them, zero on padding.
        published_optimiser: the right-hand bar until an optimiser is measured.
        optimisers: keys of `quantilizers.optimisers.ALGORITHMS`; figures show the first unless `--algorithm` says
            otherwise.
        number_trajectories: default number of test episodes a policy.
        parallel_episodes: how many test episodes run side by side at most, for memory's sake.
        true_label: axis label of the true return.
        proxy_label: axis label of the proxy return.
        keyboard: how people play it.
        options: further constructor arguments of the environment, with their defaults.
        replay_observations: makes the observations (N, T, …) of demonstrations that were saved without them,
            from their actions and reset seeds; None where files must hold observations.
        load_folder: reads a data set that is a folder in a layout of its own; takes the folder and one for its
            cache. None where data sets are npz files only.
        second_axis: what figures show beside the true return, from true and proxy returns of one shape and the
            environment's options; None is the proxy return.
        second_label: its axis label; None is `proxy_label`.
    """

    name: str
    gymnasium_id: str
    max_steps: int
    observation_shape: tuple[int, ...]
    observation_dtype: type[np.generic]
    action_classes: tuple[tuple[float, ...], ...]
    acting: Literal["most_probable", "expected_value", "sample"]
    policy: Literal["multilayer_perceptron", "convolutional"]
    proxy_rewards: Callable[[Demonstrations], FloatArray]
    published_optimiser: PublishedOptimiser
    number_trajectories: int
    parallel_episodes: int
    true_label: str
    proxy_label: str
    keyboard: Keyboard
    options: Mapping[str, float] = field(default_factory=dict)
    optimisers: tuple[str, ...] = ("ppo",)
    replay_observations: Callable[[Demonstrations], Any] | None = None
    load_folder: Callable[[Path, Path], Demonstrations] | None = None
    second_axis: Callable[[FloatArray, FloatArray, Mapping[str, float]], FloatArray] | None = None
    second_label: str | None = None
