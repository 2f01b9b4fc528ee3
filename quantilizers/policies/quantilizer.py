"""A quantilizer in memory, in scikit-learn's manner."""

from __future__ import annotations

import inspect
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import Field, asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Acting, whole_number
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import class_doubts, ranking_doubts, space_doubts
from quantilizers.envs.actions import environment_actions
from quantilizers.envs.definition import EnvironmentDefinition, choice_ranges
from quantilizers.envs.registry import load_environment
from quantilizers.errors import DataWarning, MissingError, UserError, did_you_mean, reason_of
from quantilizers.execution.executor import Shared
from quantilizers.policies.encoding import Past, labels_of, log_likelihoods
from quantilizers.policies.hyper_parameters import AnyTraining, hyper_parameters
from quantilizers.policies.policy import (
    SILENT,
    Key,
    Monitor,
    TrainedPolicies,
    TrainedPolicy,
    acting_of,
    family_of,
    learned_nothing,
    training_of,
)
from quantilizers.policies.selection_settings import REFERENCE, Selection, SelectionSettings
from quantilizers.policies.training_jobs import train
from quantilizers.progress import ProgressBar
from quantilizers.rewards import FloatArray

#: The constructor's arguments beside hyper-parameters.
_SELECTION_SETTINGS = tuple(asdict(REFERENCE))
_OWN = ("quantile", "seeds", "acting", *_SELECTION_SETTINGS)
#: Steps whose observations `score` looks at together.
_AT_A_TIME = 1024
#: Stands for an argument that was not given, where None is one.
_NOT_GIVEN: Any = object()
Self = TypeVar("Self", bound="Quantilizer")

if TYPE_CHECKING:
    from sklearn.utils import Tags  # type: ignore[import-untyped]


def _with_all_parameters(cls: type[Self]) -> type[Self]:
    """Add the fields of `SelectionSettings` and of hyper-parameters to the constructor and the class docstring.

    They are declared once, where commands find them too.
    """
    constructor = inspect.signature(cls.__init__)
    own = [parameter for parameter in constructor.parameters.values() if parameter.kind != parameter.VAR_KEYWORD]
    lines, others = [], []

    def add(name: str, annotation: Any, default: Any, about: str) -> None:
        lines.extend(textwrap.wrap(f"{name}: {about}.", 120, initial_indent=" " * 8, subsequent_indent=" " * 12))
        others.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))

    def about(parameter: Field[Any]) -> str:
        choices = parameter.metadata.get("choices")
        return str(parameter.metadata["help"]).replace("--", "") + (f"; {', '.join(choices)}" if choices else "")

    for parameter in fields(SelectionSettings):
        add(parameter.name, parameter.type, parameter.default, about(parameter))
    for name, families in hyper_parameters().items():
        first = next(iter(families.values()))
        words = ", ".join(f"{family.replace('_', ' ')} {one.default}" for family, one in families.items())
        add(name, f"{first.type} | None", None, f"{about(first)}; {words}")
    signature = constructor.replace(parameters=[*own, *others])
    cls.__init__.__signature__ = signature  # type: ignore[attr-defined]
    if cls.__doc__ is not None:  # python -OO drops it
        cls.__doc__ = cls.__doc__.replace("{others}", "\n".join(lines).strip(" "))
    return cls


@_with_all_parameters
class Quantilizer:
    """Imitates the top fraction of demonstrations, ranked by their proxy return (Taylor 2016; Carey 2019).

    >>> from quantilizers import Demonstrations, Quantilizer
    >>> demonstrations = Demonstrations.load("demo", "MountainCar-v0")
    >>> quantilizer = Quantilizer(quantile=0.04, seeds=2, batch_size=20, max_epochs=20).fit(demonstrations)
    >>> quantilizer
    Quantilizer(quantile=0.04, seeds=2, batch_size=20, max_epochs=20)
    >>> quantilizer.kept_.number, len(quantilizer.policies_)
    (10, 2)
    >>> quantilizer.predict([[-0.5, 0.03], [-0.5, -0.03]])
    array([2, 0])

    A single observation gives a single action, ready for `step`:

    >>> from quantilizers import make_environment
    >>> game = make_environment(quantilizer.environment_)
    >>> observation, _ = game.reset(seed=1)
    >>> observation, *_ = game.step(quantilizer.predict(observation))

    `seed` chooses one of the policies:

    >>> int(quantilizer.predict([-0.5, 0.03], seed=1))
    2

    The constructor only stores its arguments; `fit` checks them. A hyper-parameter that is None has the default of the
    environment's family of policies, the reference implementation's.

    Args:
        quantile: q, the fraction of the demonstrations that is imitated, 0 < q ≤ 1; 1 imitates all of them.
        seeds: of the policies; a number n stands for 0, …, n − 1.
        acting: how a policy acts: `most_probable`, `expected_value` or `sample`; None is the environment's way.
        {others}

    Attributes:
        policies_: the trained policies, in the order of the seeds.
        kept_: the demonstrations that they imitate, best first; None where the policies were loaded.
        weights_: of these; they sum to 1. None where the policies were loaded.
        training_: the hyper-parameters that they were trained with, defaults included.
        loss_curves_: for each policy its training losses: of each component's perceptron epoch by epoch, of the
            convolutional network minibatch by minibatch.
        environment_: where they act.
        longest_demonstration_: steps of the longest of all demonstrations, kept or not; None where the policies were
            loaded.
    """

    policies_: tuple[TrainedPolicy, ...]
    kept_: Demonstrations | None
    weights_: FloatArray | None
    training_: AnyTraining
    loss_curves_: tuple[tuple[tuple[float, ...], ...], ...]
    environment_: EnvironmentDefinition
    longest_demonstration_: int | None
    _stacks: dict[tuple[int, Acting], TrainedPolicies]

    def __init__(
        self,
        quantile: float = 1.0,
        seeds: int | Iterable[int] = 5,
        acting: Acting | None = None,
        **others: Any,
    ) -> None:
        self.quantile = quantile
        self.seeds = seeds
        self.acting = acting
        known = inspect.signature(type(self)).parameters
        for name in others:
            if name not in known:
                hint = did_you_mean(name, known)
                raise TypeError(f"Quantilizer got an unexpected keyword argument {name!r}{hint}")
        for name in list(known)[3:]:
            setattr(self, name, others.get(name, known[name].default))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters by name; scikit-learn passes `deep`, which changes nothing."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: Self, **params: Any) -> Self:
        """Change parameters of the constructor, and return this quantilizer; `fit` it again.

        Raises:
            UserError: there is no such parameter.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                hint = did_you_mean(name, known) or ";"
                raise UserError(f"{name} is not a parameter of a quantilizer{hint} it takes {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = [
            f"{name}={_short(value)}"
            for name, value in self.get_params().items()
            if not np.array_equal(value, defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs; policies that are ready to act are made again there."""
        return {name: value for name, value in vars(self).items() if name != "_stacks"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "policies_" in state:
            self._stacks = {}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "policies_")

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags  # only scikit-learn calls this

        # Neither a classifier nor a regressor: demonstrations hold the actions, and there is no y.
        inputs = InputTags(two_d_array=False)
        return Tags(None, TargetTags(required=False), input_tags=inputs, non_deterministic=self.acting == "sample")

    def fit(
        self: Self, demonstrations: Demonstrations, monitor: Monitor | None = None, *, verbose: bool | int = False
    ) -> Self:
        """Train one policy for each seed on the top of the demonstrations.

        Args:
            demonstrations: of which the top is imitated, as their environment's proxy ranks them under their options.
            monitor: is called as training goes on; None is silent.
            verbose: whether a bar on the terminal shows the progress.

        Warns:
            UserWarning: policies predict the imitated actions no better than the actions' frequencies do.

        Raises:
            UserError: a parameter is impossible, or the demonstrations cannot be ranked or learned from.
        """
        _check_demonstrations("fit", demonstrations)
        if monitor is not None and not hasattr(monitor, "advance"):
            raise UserError("fit takes no y: demonstrations hold the actions that are learned")
        environment = demonstrations.environment
        training = training_of(environment, self._given())
        acting_of(environment, self.acting)
        seeds = _seeds(self.seeds)
        selecting = self._selecting
        chosen = selecting.choose_all(demonstrations, [self.quantile])
        doubts = class_doubts(demonstrations) + space_doubts(demonstrations)
        doubts += ranking_doubts(demonstrations, selecting.within) if self.quantile < 1 else []
        for doubt in doubts:
            warnings.warn(doubt, DataWarning, stacklevel=2)
        batches = family_of(environment).plan(chosen, seeds, selecting.training(training, demonstrations))
        with _Bar(sum(batch.steps for batch in batches), training.unit, monitor or SILENT, bool(verbose)) as shown:
            fitted = list(train(batches, Shared(chosen), shown))
        by_seed = {
            policy.seed: replace(policy, selecting=selecting, options=demonstrations.options) for policy in fitted
        }
        self._take([by_seed[seed] for seed in seeds], environment, chosen[self.quantile])
        self.longest_demonstration_ = int(demonstrations.lengths.max())
        if line := learned_nothing(fitted, chosen[self.quantile]):
            warnings.warn(line, UserWarning, stacklevel=2)
        return self

    def predict(
        self,
        observations: npt.ArrayLike,
        state: Any = _NOT_GIVEN,
        episode_start: Any = _NOT_GIVEN,
        deterministic: Any = _NOT_GIVEN,
        *,
        seed: int | None = None,
    ) -> Any:
        """Choose the actions of one of the policies.

        With `state`, `episode_start` or `deterministic` it answers as Stable-Baselines3's algorithms do, and
        `stable_baselines3.common.evaluation.evaluate_policy` accepts a quantilizer.

        Policies with a history need the past of their episodes. Their `state` is None where n episodes begin, and then
        the one that the last call returned:

            actions, state = quantilizer.predict(observations, state, episode_start)

        Args:
            observations: (n, …), or a single one, (…).
            state: of the n episodes; policies without a history return it unchanged.
            episode_start: (n,), True where the observation is an episode's first, which makes policies with a history
                forget the state; None where no episode begins.
            deterministic: True takes the most probable action where the policy samples.
            seed: of the policy that acts; None is the first.

        Returns:
            Actions as the environment takes them: for `Discrete` (n,) whole numbers, else (n, …); without n for a
            single observation. In Stable-Baselines3's protocol these and `state`.

        Raises:
            UserError: it is not fitted, no policy has that seed, the environment has other observations, or policies
                with a history get no state.
        """
        acting = acting_of(self._fitted.environment_, self.acting)
        if deterministic is not _NOT_GIVEN and deterministic and acting == "sample":
            acting = "most_probable"
        rows, single = self._rows(observations)
        policy = self._policy(seed)
        stack = self._stack(policy, acting)
        if self._remembers:
            self._recall(stack, state, episode_start, len(rows))
        running = np.ones((1, len(rows)), dtype=np.bool_)
        chosen = stack.act(rows[None], [self._generators[policy.seed]], running)[0]
        actions = environment_actions(chosen, self.environment_.action_space)
        if single:
            actions = actions[0]
        if self._remembers:
            return actions, stack.past
        if all(argument is _NOT_GIVEN for argument in (state, episode_start, deterministic)):
            return actions
        return actions, None if state is _NOT_GIVEN else state

    def predict_proba(self, observations: npt.ArrayLike, state: Any = _NOT_GIVEN, *, seed: int | None = None) -> Any:
        """Return one policy's probability of each class of action.

        Args:
            observations: (n, …), or a single one, (…).
            state: of policies with a history, as `predict` returns it; None where the n episodes begin.
            seed: of the policy; None is the first.

        Returns:
            (n, classes), or (classes,) for a single observation; where an action has several components, a list with
            one of these for each. The classes are in the order of the environment's `action_classes`.

        Raises:
            UserError: as `predict`, or actions are predicted by regression.
        """
        environment = self._fitted.environment_
        if environment.action_classes is None:
            raise UserError(f"the actions of {environment.name} are predicted by regression and have no probabilities")
        rows, single = self._rows(observations)
        stack = self._stack(self._policy(seed), acting_of(environment, self.acting))
        if self._remembers:
            self._recall(stack, state, None, len(rows))
        components = [probabilities[0] for probabilities in stack.probabilities(rows[None])]
        if single:
            components = [probabilities[0] for probabilities in components]
        return components[0] if len(components) == 1 else components

    def score(self, demonstrations: Demonstrations, y: None = None) -> float:
        """Return how well the policies predict held-out demonstrations, of which they imitate as large a part.

        The part is selected as in `fit`: the top quantile by proxy return. Larger is better. It compares policies of
        one quantile, not quantiles, and says nothing about returns, which `quantilizers.evaluate` measures.

        Args:
            demonstrations: that the policies have not seen, of the same environment.
            y: is ignored; scikit-learn passes it.

        Returns:
            The mean log-likelihood of a step's action in nats, at least log(1e-6) for each component of the action;
            where actions are predicted by regression, minus their mean squared error. It is the mean over policies.

        Raises:
            UserError: it is not fitted, or the demonstrations cannot be ranked.
        """
        _check_demonstrations("score", demonstrations)
        environment = self._fitted.environment_
        selection = self._selecting.choose_all(demonstrations, [self.quantile])[self.quantile]
        episodes = selection.demonstrations.episodes
        acting = acting_of(environment, self.acting)
        stack = family_of(environment).stack(environment, self.policies_, acting)
        real, scores = ~episodes.done, np.zeros((len(self.policies_), int(episodes.lengths.sum())))
        first = 0
        # Policies with a history recall all steps at once; pictures of all steps would fill the memory.
        for part in [real] if self._remembers else _parts(real):
            number = int(part.sum())
            seen = np.broadcast_to(
                episodes.observations[part], (len(self.policies_), number, *environment.observation_shape)
            )
            actions, place = episodes.actions[part], slice(first, first + number)
            if self._remembers:
                stack.recall(episodes)
            if environment.action_classes is None:
                generators = [np.random.default_rng(policy.seed) for policy in self.policies_]
                predicted = stack.act(seen, generators, np.ones(seen.shape[:2], dtype=np.bool_))
                scores[:, place] = -np.square(predicted - actions).mean(axis=-1)
            else:
                labels = labels_of(actions, environment.action_classes)
                of_components = stack.probabilities(seen)
                for policy, found in enumerate(scores[:, place]):
                    found[:] = log_likelihoods([component[policy] for component in of_components], labels)
            first += number
        return float(np.average(scores.mean(axis=0), weights=selection.step_weights))

    def save(self, folder: str | Path) -> list[Path]:
        """Write each policy to a `.keras` file, which stock Keras opens without this library.

        Args:
            folder: is created if it is missing.

        Returns:
            The files, in the order of the seeds: `ENVIRONMENT_QUANTILE_SEED.keras`.

        Raises:
            UserError: it is not fitted, or a file cannot be written.
        """
        from quantilizers.policies.keras_files import save_policy  # files are seldom needed

        environment, paths = self._fitted.environment_, []
        for policy in self.policies_:
            paths.append(Path(folder) / f"{environment.name}_{policy.quantile}_{policy.seed}.keras")
            save_policy(paths[-1], environment, policy)
        return paths

    @classmethod
    def load(
        cls: type[Self],
        paths: str | Path | Iterable[str | Path],
        environment: str | Path | EnvironmentDefinition,
        acting: Acting | None = None,
    ) -> Self:
        """Read policies of one quantile that were trained with the same settings.

        Args:
            paths: of their files, which `save` or the command line has written; or one file, or a folder of them.
            environment: its definition, its name, or the address of one of your own, such as `my_env.py:ENVIRONMENT`.
            acting: how they act; None is the environment's way.

        Raises:
            UserError: a file is missing, damaged or of another environment, or their settings differ.
        """
        from quantilizers.policies.keras_files import load_policy  # files are seldom needed

        definition = load_environment(environment)
        policies = [load_policy(path, definition) for path in _files_of(paths)]
        if not policies:
            raise UserError("no policies to load; give the path of at least one")
        first = policies[0]
        kind = first.quantile, first.training, first.selecting
        if any((policy.quantile, policy.training, policy.selecting) != kind for policy in policies):
            raise UserError(
                "the policies have different quantiles, hyper-parameters or selection settings; load each kind alone"
            )
        if any(policy.options != first.options for policy in policies):
            raise UserError("the policies' demonstrations were ranked under different options; load each kind alone")
        if any(policy.scaling != first.scaling for policy in policies):
            raise UserError("some of the policies scale observations, and some do not; load each kind alone")
        seeds = tuple(policy.seed for policy in policies)
        if len(set(seeds)) < len(seeds):
            raise UserError(f"two of the policies have the same seed; their seeds are {' '.join(map(str, seeds))}")
        values = asdict(first.selecting) | {name: getattr(first.training, name) for name in _names(first.training)}
        if first.selecting.budget == "updates":
            # `fit` computes them from the budget.
            values["updates"] = None
        return cls(first.quantile, seeds, acting, **values)._take(policies, definition, None)

    def _take(
        self: Self, policies: list[TrainedPolicy], environment: EnvironmentDefinition, chosen: Selection | None
    ) -> Self:
        """Become a fitted quantilizer."""
        self.policies_ = tuple(policies)
        self.kept_ = None if chosen is None else chosen.demonstrations
        self.weights_ = None if chosen is None else chosen.weights
        self.training_ = policies[0].training
        self.loss_curves_ = tuple(policy.loss_curves for policy in policies)
        self.environment_ = environment
        self.longest_demonstration_ = None
        self._stacks = {}
        self._generators = {policy.seed: np.random.default_rng(policy.seed) for policy in policies}
        return self

    @property
    def _selecting(self) -> SelectionSettings:
        return SelectionSettings(**{name: getattr(self, name) for name in _SELECTION_SETTINGS})

    def _given(self) -> dict[str, Any]:
        """Return the hyper-parameters that are not None."""
        return {name: value for name, value in self.get_params().items() if name not in _OWN and value is not None}

    @property
    def _fitted(self: Self) -> Self:
        if not hasattr(self, "policies_"):
            raise UserError("this quantilizer is not fitted yet; call fit with demonstrations first")
        return self

    def _policy(self, seed: int | None) -> TrainedPolicy:
        for policy in self.policies_:
            if seed is None or policy.seed == seed:
                return policy
        known = " ".join(str(policy.seed) for policy in self.policies_)
        raise UserError(f"no policy has the seed {seed}; the seeds are {known}")

    def _stack(self, policy: TrainedPolicy, acting: Acting) -> TrainedPolicies:
        """Return one policy, ready to act; it is cached."""
        key = policy.seed, acting
        if key not in self._stacks:
            self._stacks[key] = family_of(self.environment_).stack(self.environment_, [policy], acting)
        return self._stacks[key]

    @property
    def _remembers(self) -> bool:
        """Whether the policies have a history."""
        return bool(getattr(self.training_, "history", 0))

    def _recall(self, stack: TrainedPolicies, state: Any, episode_start: Any, episodes: int) -> None:
        """Give a policy with a history the past of its episodes; refuse a missing state, or that of other episodes."""
        if state is _NOT_GIVEN:
            raise UserError(
                "these policies have a history; pass state: None where episodes begin, then the state that the last "
                "predict returned"
            )
        if state is None:
            stack.begin(episodes)
            return
        history = getattr(self.training_, "history", 0)
        if not isinstance(state, Past) or state.observations.shape[1:3] != (episodes, history):
            raise UserError(f"state is not that of {episodes} episodes; pass the one that their last predict returned")
        starts = np.zeros(episodes, dtype=np.bool_)
        if episode_start is not _NOT_GIVEN and episode_start is not None:
            starts[:] = np.asarray(episode_start, dtype=np.bool_)
        stack.past = state.without(starts[None])

    def _rows(self, observations: npt.ArrayLike) -> tuple[npt.NDArray[Any], bool]:
        """Return observations as (n, …), and whether they were a single one."""
        environment = self.environment_
        try:
            rows = np.asarray(observations, dtype=environment.observation_dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"observations cannot be an array of numbers: {reason_of(error)}") from None
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            raise UserError("observations hold NaN or infinity")
        if rows.dtype.kind != "f" and not np.array_equal(rows, observations):
            raise UserError(
                f"observations are not all whole numbers of {rows.dtype}, which {environment.name} observes"
            )
        single = rows.shape == environment.observation_shape
        ranges = choice_ranges(environment.observation_space)
        if ranges is not None and (single or rows.shape[1:] == environment.observation_shape):
            components = rows.reshape(-1, len(ranges[0]))
            if (
                not np.array_equal(rows, observations)
                or not ((components >= ranges[0]) & (components < sum(ranges))).all()
            ):
                raise UserError(f"observations are not all in {environment.observation_space}")
        if not single and rows.shape[1:] != environment.observation_shape:
            raise UserError(
                f"observations have shape {rows.shape} where {environment.name} has {environment.observation_shape}"
            )
        return (rows[None] if single else rows), single


def _names(training: AnyTraining) -> list[str]:
    return list(training.__dataclass_fields__)


def _short(value: Any) -> str:
    """Return a parameter's value in at most some 60 letters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _files_of(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the paths of policies; those in it if a folder is given."""
    if not isinstance(paths, (str, Path)):
        return [Path(path) for path in paths]
    folder = Path(paths)
    if not folder.is_dir():
        return [folder]
    found = sorted(folder.glob("*.keras"))
    if not found:
        raise MissingError(f"the folder {folder} holds no policies, which are files that end in .keras")
    return found


def _parts(real: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.bool_]]:
    """Divide steps (N, T) into masks of at most `_AT_A_TIME` each, in order."""
    places = np.flatnonzero(real)
    for start in range(0, len(places), _AT_A_TIME):
        part = np.zeros(real.size, dtype=np.bool_)
        part[places[start : start + _AT_A_TIME]] = True
        yield part.reshape(real.shape)


class _Bar:
    """A monitor that shows the progress of training on the terminal, if it is wanted, and passes all on to another."""

    def __init__(self, steps: int, unit: str, monitor: Monitor, shown: bool) -> None:
        self._monitor = monitor
        self._bar = ProgressBar(total=steps, doing="training", unit=f"{unit}s", disable=not shown)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def scalar(self, key: Key, seed: int, name: str, value: float, step: int) -> None:
        """Pass a point of a curve on."""
        self._monitor.scalar(key, seed, name, value, step)

    def advance(self, number: int, text: str = "") -> None:
        """Move the bar on."""
        if text:
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(number)
        self._monitor.advance(number, text)


def _check_demonstrations(method: str, demonstrations: object) -> None:
    """Refuse arrays and the like, as scikit-learn's estimators take them; raise a UserError."""
    if not isinstance(demonstrations, Demonstrations):
        kind = type(demonstrations).__name__
        raise UserError(
            f"{method} takes Demonstrations, not {kind}; make them by Demonstrations.load(name, environment) or "
            "Demonstrations(episodes, environment)"
        )


def _seeds(given: int | Iterable[int]) -> tuple[int, ...]:
    try:
        if isinstance(given, (str, bytes)):
            raise TypeError
        every = given if isinstance(given, Iterable) else range(whole_number("seeds", given))
        seeds = tuple(whole_number("seed", seed, least=0) for seed in every)
    except (TypeError, ValueError, UserError):
        seeds = ()
    # The largest that NumPy's RandomState takes.
    if not seeds or len(set(seeds)) < len(seeds) or max(seeds) >= 2**32:
        raise UserError(f"seeds is {given!r}; give how many, or different whole numbers from 0 on")
    return seeds
