"""The definition of an environment: three required fields, and defaults for everything else."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from quantilizers.choices import Acting, PolicyFamilyName, Scaling, as_tuple, check_choice, whole_number
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import ActionClasses, classes_of
from quantilizers.envs.planning import Planning
from quantilizers.envs.two_rewards import load_path, make_base
from quantilizers.errors import UserError, fault_of, guarded, name_of
from quantilizers.quantilize import check_quantile
from quantilizers.rewards import FloatArray, Reward, own

#: Spaces whose observations policies see: numbers as they are, choices as one number for each.
ObservationSpace = Box | Discrete | MultiDiscrete | MultiBinary
_Definition = TypeVar("_Definition")


@dataclass(frozen=True)
class PublishedOptimiser:
    """An optimiser in the reference implementation of Carey (2019), and its mean returns of an episode."""

    algorithm: str
    true_return: float
    proxy_return: float


@dataclass(frozen=True)
class Keyboard:
    """How a person plays an environment with keys.

    Attributes:
        controls: descriptions of the keys, shown to the player: key name (as pygame names it) to a few words.
        effects: key name, or several joined by `+` that are held together, to an action vector. If the action is
            one choice (`Discrete`), the vector is the whole action; otherwise the vectors of all keys held are
            added and clipped to the space, and each entry is one key.
        idle: the action when no key is pressed.
        frames_per_second: pictures of the game shown a second; most environments draw one picture a step.
    """

    controls: Mapping[str, str]
    effects: Mapping[str, tuple[float, ...]]
    idle: tuple[float, ...]
    frames_per_second: float = 30.0


@dataclass(frozen=True)
class Figures:
    """How figures and tables show the returns of an environment: axis labels, and the second axis.

    Attributes:
        second_axis: the quantity shown beside the true return, computed from true and proxy returns of one shape and
            the options; None shows the proxy return.
        second_label: its axis label; None uses `proxy_label`.
        true_step: the lowest and the highest true reward of a step under any options, where they are known. Intervals
            of the true return then stay within what an episode can earn.
    """

    true_label: str = "true return"
    proxy_label: str = "proxy return"
    second_axis: Callable[[FloatArray, FloatArray, Mapping[str, Any]], FloatArray] | None = None
    second_label: str | None = None
    true_step: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.true_step is not None and not self.true_step[0] <= self.true_step[1]:
            raise UserError(f"true_step is {self.true_step!r}; give the lowest reward of a step, and then the highest")


@dataclass(frozen=True)
class Experiment:
    """Defaults of experiments in an environment; the user's flags take precedence.

    Attributes:
        quantiles: the fractions of the demonstrations to imitate. Small data sets need fewer than the default, because
            a policy learns little from a few episodes.
        number_trajectories: test episodes of each policy.
        cut_as_demonstrations: cut episodes at the length of the longest demonstration, to compare agents with
            people over the same time.
        policy: the family of policies that imitates; by default a convolutional network for pictures, else perceptrons.
        acting: how class probabilities become an action; by default the most probable class, or the expected value
            if actions are a `Box`.
        scaling: how perceptrons scale observations: `standard`, by the mean and the deviation of each feature in what
            they imitate, or `none`. See `quantilizers.policies.encoding.Standardisation`.
        optimisers: algorithms that optimise the proxy reward; figures show the first.
        published_optimiser: the optimiser of the reference implementation, shown in figures.

    Raises:
        UserError: a value is impossible.
    """

    quantiles: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    number_trajectories: int = 100
    cut_as_demonstrations: bool = False
    policy: PolicyFamilyName | None = None
    acting: Acting | None = None
    scaling: Scaling = "standard"
    optimisers: tuple[str, ...] = ("ppo",)
    published_optimiser: PublishedOptimiser | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantiles", as_tuple("quantiles", self.quantiles, "[1.0, 0.25]"))
        object.__setattr__(self, "optimisers", as_tuple("optimisers", self.optimisers, "['ppo']"))
        if not self.quantiles:
            raise UserError("there are no quantiles; give one or more, such as (1.0, 0.25)")
        for quantile in self.quantiles:
            check_quantile(quantile)
        if not self.optimisers:
            raise UserError("optimisers is empty; name at least one algorithm, such as ppo")
        object.__setattr__(self, "number_trajectories", whole_number("number_trajectories", self.number_trajectories))
        if self.policy is not None:
            check_choice("policy", self.policy, get_args(PolicyFamilyName))
        if self.acting is not None:
            check_choice("acting", self.acting, get_args(Acting))
        check_choice("scaling", self.scaling, get_args(Scaling))


@dataclass(frozen=True)
class Recordings:
    """How to complete recorded episodes of an environment that do not hold everything.

    Attributes:
        final_observations: from episodes to the observations (N, …) after their last actions.
        own_rewards: from episodes to the environment's own rewards (N, T); needed if the proxy contains them and the
            true reward does not determine them.
        replay_observations: from episodes saved without observations to their observations (N, T, …), by replaying
            the actions from the reset seeds.
        load_folder: reads a data set that is a folder in a foreign layout; takes the folder and a folder for its cache.
        start_from: puts a game that was just reset into the state that an observation shows, and returns whether it
            could; None uses `quantilizers.envs.making.start_from`.
        group: the decision problem of each episode, such as its start, prompt or level, for `--within group`: a
            function from episodes to labels (N,) or (N, …), or the name of an array of the recording, such as
            `player`. None is the array `group`, if the recording has it.
    """

    final_observations: Callable[[Episodes], npt.NDArray[Any]] | None = None
    own_rewards: Callable[[Episodes], FloatArray] | None = None
    replay_observations: Callable[[Episodes], Any] | None = None
    load_folder: Callable[[Path, Path], Episodes] | None = None
    start_from: Callable[[gymnasium.Env[Any, Any], npt.NDArray[Any]], bool] | None = None
    group: str | Callable[[Episodes], npt.ArrayLike] | None = None


#: Groups whose fields a definition also accepts as keywords, because earlier versions had no groups.
_GROUPS: dict[str, type[Any]] = {
    "figures": Figures,
    "experiment": Experiment,
    "recordings": Recordings,
    "planning": Planning,
}


#: The attribute that marks the groups that a definition copied for itself.
_OWNED = "_of_definition"


def _check_group(group: str, value: Any) -> None:
    if not isinstance(value, _GROUPS[group]):
        raise UserError(f"{group} is {value!r}; give quantilizers.{_GROUPS[group].__name__}(…)")


def _refuse_contradictions(group: str, value: Any, keywords: Mapping[str, Any]) -> None:
    """Refuse keywords that differ from the values in the group that stands beside them; defaults count as not given."""
    default = type(value)()
    for name, keyword in keywords.items():
        inside = getattr(value, name)
        if inside not in (keyword, getattr(default, name)):
            raise UserError(f"{name} is {keyword!r}, and {group}.{name} is {inside!r}; give it once, in {group}")


def _accept_ungrouped_keywords(definition: type[_Definition]) -> type[_Definition]:
    """Let a definition accept `true_label=…` for `figures=Figures(true_label=…)`, as files for earlier versions do."""
    grouped: Callable[..., None] = definition.__init__
    all_fields = {one.name for one in fields(definition) if one.init}  # type: ignore[arg-type]

    @functools.wraps(grouped)
    def init(self: _Definition, *values: Any, **keywords: Any) -> None:
        # `dataclasses.replace` gives every field, and the groups of the definition that it copies.
        is_copy = all_fields <= keywords.keys()
        for group, kind in _GROUPS.items():
            given = {one.name: keywords.pop(one.name) for one in fields(kind) if one.name in keywords}
            if not given:
                continue
            beside = keywords.get(group, kind())
            _check_group(group, beside)
            if group in keywords and not (is_copy and hasattr(beside, _OWNED)):
                _refuse_contradictions(group, beside, given)
            keywords[group] = replace(beside, **given)
        grouped(self, *values, **keywords)

    definition.__init__ = init  # type: ignore[assignment]
    return definition


@_accept_ungrouped_keywords
@dataclass(frozen=True, eq=False, repr=False)
class EnvironmentDefinition:
    """An environment whose observed reward can be gamed. The first three fields are required.

    >>> from quantilizers.rewards import each_step
    >>> leaning = EnvironmentDefinition("CartPole-v1", each_step(lambda steps: steps.observations[:, 2]), max_steps=200)
    >>> leaning.name, leaning.observation_shape, leaning.action_classes
    ('CartPole-v1', (4,), ((0.0, 1.0),))

    Fields of a group, such as `true_label` and `quantiles`, are also accepted as keywords of the definition.

    Attributes:
        make: makes one environment with its own reward: an id of Gymnasium, a class or function that takes
            `render_mode`, or its path, such as `package.module:Name`.
        proxy: the observed reward, or a function of `options` that returns it.
        max_steps: steps after which an episode is truncated by default.
        true: the wanted reward, or a function of `options` that returns it; the environment's own by default.
        name: its name in files and messages; by default the name of `make`, or for an environment that is loaded
            from a file or module, that of the file without `.py`; by an entry point, the entry point's.
        options: further arguments, with their defaults. Those that `proxy` or `true` have as parameters go there,
            all others to `make`.
        vector: its vectorised form, a subclass of `quantilizers.envs.vector.TwoRewardVectorEnv` or its path; None
            steps single environments in Gymnasium's `SyncVectorEnv`.
        threaded: whether `vector` takes `threads`, the number of environments stepped outside of Python's lock. Then
            batches of test episodes run at the same time, each with a share of the processors.
        parallel_episodes: the most test episodes that run side by side; limits memory.
        spaces: of observations and of actions; None makes the environment once to find out.
        flatten_observations: whether `Dict` and `Tuple` observations are flattened to vectors, by Gymnasium's
            `FlattenObservation`. Rewards, recordings and policies then see the vectors.
        classes: if actions are a `Box`, the choices of policies in each dimension: a number of values, evenly spaced
            from the lowest to the highest, or the values themselves. None predicts actions by regression.
        keyboard: how people play it; by default keys are assigned to its actions.
        prepare_pictures: called with a game before its first picture; MuJoCo's games need none.
        gymnasium_id: the id it is registered under with Gymnasium, if any.
        address: the address that loads this definition in another process; set by `quantilizers.envs.registry`.
        name_is_derived: whether `name` was derived from `make`.
        is_at_address: whether `address` loads this very definition, which it does not if a field was replaced.

    Raises:
        UserError: a value is impossible.
    """

    make: str | Callable[..., gymnasium.Env[Any, Any]]
    proxy: Reward | Callable[..., Reward]
    max_steps: int
    true: Reward | Callable[..., Reward] = own
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    vector: str | Callable[..., Any] | None = None
    threaded: bool = False
    parallel_episodes: int = 100
    spaces: tuple[Space[Any], Space[Any]] | None = None
    flatten_observations: bool = False
    classes: int | tuple[tuple[float, ...], ...] | None = None
    keyboard: Keyboard | None = None
    prepare_pictures: Callable[[gymnasium.Env[Any, Any]], None] | None = None
    gymnasium_id: str | None = None
    figures: Figures = field(default_factory=Figures)
    experiment: Experiment = field(default_factory=Experiment)
    recordings: Recordings = field(default_factory=Recordings)
    planning: Planning = field(default_factory=Planning)
    address: str = ""
    name_is_derived: bool = field(init=False, default=False)
    is_at_address: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if not isinstance(self.make, str) and not callable(self.make):
            raise UserError(f"make is {self.make!r}; give an id of Gymnasium, a class or a function, or its path")
        for name in ("max_steps", "parallel_episodes"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if not isinstance(self.name, str):
            raise UserError(f"name is {self.name!r}; give a string")
        if not isinstance(self.options, Mapping):
            raise UserError(f"options is {self.options!r}; give each option's default, such as {{'price': 2.0}}")
        if self.spaces is not None:
            pair = as_tuple("spaces", self.spaces, "[observation_space, action_space]")
            if len(pair) != 2 or not all(isinstance(space, Space) for space in pair):
                raise UserError(f"spaces is {self.spaces!r}; give the spaces of observations and of actions")
            object.__setattr__(self, "spaces", pair)
        object.__setattr__(self, "classes", _classes(self.classes))
        for name, reward in (("proxy", self.proxy), ("true", self.true)):
            if not isinstance(reward, Reward) and not callable(reward):
                raise UserError(f"{name} is {reward!r}, not a reward; build one from own, each_step and mean_at_end")
        for group in _GROUPS:
            value = getattr(self, group)
            _check_group(group, value)
            if not hasattr(value, _OWNED):
                owned = replace(value)
                object.__setattr__(owned, _OWNED, True)
                object.__setattr__(self, group, owned)
        if not self.name:
            made = self.make if isinstance(self.make, str) else getattr(self.make, "__name__", "environment")
            object.__setattr__(self, "name_is_derived", True)
            object.__setattr__(self, "name", made.rpartition("/")[2].rpartition(":")[2])

    def __repr__(self) -> str:
        proxy, true = (
            repr(reward) if isinstance(reward, Reward) else f"{name_of(reward)}(…)"
            for reward in (self.proxy, self.true)
        )
        return f"EnvironmentDefinition({self.name}: proxy {proxy}, true {true}, at most {self.max_steps:,} steps)"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say where an attribute of earlier versions is; Python calls this for attributes that do not exist."""
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            for group, kind in _GROUPS.items():
                if any(one.name == name for one in fields(kind)):
                    message += f"; it is in the group {group}: read .{group}.{name}"
            raise AttributeError(message, name=name, obj=self)

    def __deepcopy__(self, _: dict[int, Any]) -> EnvironmentDefinition:
        """Return itself, because it does not change; Gymnasium copies specifications, which may contain it."""
        return self

    def rewards(self, options: Mapping[str, Any] | None = None) -> tuple[Reward, Reward]:
        """Return the proxy and the true reward under the given options and the defaults of the others.

        Raises:
            UserError: an option's value is impossible.
        """
        values = {**self.options, **(options or {})}
        return self._reward("proxy", self.proxy, values), self._reward("true", self.true, values)

    def _reward(self, role: str, declared: Reward | Callable[..., Reward], values: Mapping[str, Any]) -> Reward:
        """Return a reward that the definition holds, or that its function makes of options."""
        if isinstance(declared, Reward):
            return declared
        name = name_of(declared)
        lacking = [one for one in _parameters(declared, required=True) if one not in values]
        if lacking:
            raise UserError(
                f"{role} of {self.name} is the function {name}, whose parameter {lacking[0]!r} is no option of the "
                f"definition; a function of steps is written {role}=each_step({name}) or mean_at_end({name})"
            )
        with guarded(f"{role} of {self.name}, the function {name},"):
            made = declared(**{one: values[one] for one in _parameters(declared) if one in values})
        if not isinstance(made, Reward):
            raise UserError(
                f"{role} of {self.name}, the function {name}, returned {type(made).__name__}, not a reward; "
                "build one from own, each_step and mean_at_end"
            )
        return made

    @property
    def second_quantity(self) -> Callable[[FloatArray, FloatArray, Mapping[str, Any]], FloatArray] | None:
        """The quantity of `figures.second_axis`, checked: a `UserError` if it fails or returns another shape."""
        declared = self.figures.second_axis
        if declared is None:
            return None

        def checked(true: FloatArray, proxy: FloatArray, options: Mapping[str, Any]) -> FloatArray:
            with guarded(f"second_axis of {self.name}"):
                found = np.asarray(declared(true, proxy, options), dtype=np.float64)
            if found.shape != np.shape(true):
                raise UserError(
                    f"second_axis of {self.name} returned shape {found.shape} for returns of shape {np.shape(true)}"
                )
            return found

        return checked

    def proxy_options(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the options that the proxy takes: those under which it ranks demonstrations."""
        return self._options_of(self.proxy, options)

    def true_options(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the options that the true reward takes."""
        return self._options_of(self.true, options)

    def _options_of(self, reward: Reward | Callable[..., Reward], options: Mapping[str, Any] | None) -> dict[str, Any]:
        values = {**self.options, **(options or {})}
        return {name: values[name] for name in _parameters(reward) if name in values}

    def making_options(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the options that `make` and `vector` take: those that no reward takes."""
        of_rewards = {name for reward in (self.proxy, self.true) for name in _parameters(reward)}
        return {name: value for name, value in {**self.options, **(options or {})}.items() if name not in of_rewards}

    def true_range(self, max_steps: int) -> tuple[float, float]:
        """Return the lowest and the highest true return of an episode; infinite where they are unknown."""
        if self.figures.true_step is None:
            return -math.inf, math.inf
        low, high = self.figures.true_step
        return min(low, low * max_steps), max(high, high * max_steps)

    def make_own(
        self, options: Mapping[str, Any] | None = None, render_mode: str | None = None
    ) -> gymnasium.Env[Any, Any]:
        """Make one environment with its own reward and no time limit; see `quantilizers.envs.two_rewards.make_base`."""
        return make_base(self.make, self.name, render_mode, self.making_options(options), self.flatten_observations)

    @property
    def observation_space(self) -> ObservationSpace:
        """The space of observations; a `UserError` if policies cannot observe it."""
        space = self._spaces[0]
        if isinstance(space, (Box, Discrete, MultiDiscrete, MultiBinary)):
            return space
        way = "wrap the environment so that they are a Box"
        if isinstance(space, (Dict, Tuple)) and not self.flatten_observations:
            way = "give the definition flatten_observations=True to flatten them to vectors"
        raise UserError(
            f"{self.name}: observations are a {type(space).__name__}, which policies here cannot observe; {way}"
        )

    @property
    def action_space(self) -> Space[Any]:
        """The space of actions: `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`."""
        return self._spaces[1]

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation; () of a `Discrete` one."""
        return self.observation_space.shape or ()

    @property
    def observation_dtype(self) -> np.dtype[Any]:
        """The type of observations in memory and in a policy's input."""
        return np.dtype(self.observation_space.dtype)

    @cached_property
    def action_classes(self) -> ActionClasses | None:
        """For each component of the action, its possible values in order; None for regression.

        Policies cannot choose actions of some spaces, which raises a `UserError`.
        """
        return classes_of(self.action_space, self.classes, self.name)

    @property
    def shows_its_state(self) -> bool:
        """Whether dynamics of discrete actions are declared whose whole state observations show."""
        dynamics = load_path(self.planning.dynamics)
        return dynamics is not None and dynamics.state_of is not None and isinstance(self.action_space, Discrete)

    @property
    def action_components(self) -> int:
        """A, the length of an action in files."""
        classes = self.action_classes
        return len(classes) if classes is not None else int(np.prod(self.action_space.shape or (1,)))

    @cached_property
    def _spaces(self) -> tuple[Space[Any], Space[Any]]:
        if self.spaces is not None:
            return self.spaces
        game = self.make_own()
        try:
            found = game.observation_space, game.action_space
        except (Exception, SystemExit) as error:  # whatever an environment raises
            raise UserError(f"{self.name} is no environment of Gymnasium: {fault_of(error)}") from error
        if not all(isinstance(space, Space) for space in found):
            raise UserError(
                f"{self.name} is no environment of Gymnasium: its observation_space and action_space are no spaces"
            )
        with guarded(f"close of {self.name}"):
            game.close()
        return found


def _classes(declared: Any) -> int | tuple[tuple[float, ...], ...] | None:
    """Return the declared classes of a `Box`: their number, or tuples of the values of each dimension."""
    example = "3, or the values of each dimension, [[-1.0, 0.0, 1.0]]"
    if declared is None or (isinstance(declared, (int, np.integer)) and not isinstance(declared, bool)):
        return None if declared is None else int(declared)
    try:
        return tuple(
            tuple(float(value) for value in as_tuple("classes", values, example))
            for values in as_tuple("classes", declared, example)
        )
    except (TypeError, ValueError, UserError):
        raise UserError(f"classes is {declared!r}; give {example}") from None


def _parameters(reward: Reward | Callable[..., Reward], required: bool = False) -> list[str]:
    """Return the names of the parameters of a function that makes a reward; or of those without a default."""
    if isinstance(reward, Reward):
        return []
    try:
        parameters = inspect.signature(reward).parameters.values()
    except (TypeError, ValueError):
        raise UserError(f"{name_of(reward)} is no reward; build one from own, each_step and mean_at_end") from None
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return [one.name for one in named if not required or one.default is one.empty]


def choice_ranges(space: ObservationSpace) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Return the lowest value of each component of an observation and how many values it has; None for a `Box`."""
    if isinstance(space, Box):
        return None
    if isinstance(space, MultiBinary):
        components = int(np.prod(space.shape))
        return np.zeros(components, dtype=np.int64), np.full(components, 2)
    number = space.n if isinstance(space, Discrete) else space.nvec
    return np.ravel(space.start).astype(np.int64), np.ravel(number).astype(np.int64)
