"""Controls: policies of the top episodes beside policies of as many random ones, of the bottom ones, and by player.

A quantile keeps fewer episodes than imitation does, so its policies are trained for fewer gradient steps. What it gains
over imitation can therefore come from the choice of episodes, from their number, or from less training. Each arm of the
study changes one of these: the selection (`top`, `random`, `bottom`) or the budget (`epochs`, the reference
implementation's passes over the data, or `updates`, one number of gradient steps whatever q). Further arms weight all
episodes by another rule, as strongly as the quantile.

The top episodes are mostly those of good players. Where players are known, two further selections tell what comes of
choosing players (`top_players`, all episodes of the best) and of choosing among a player's episodes
(`within_players`, as large a share of each player's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import cached_difference, load_cached, save_cached
from quantilizers.choices import (
    BUDGETS,
    PLAYER_SELECTIONS,
    Acting,
    Budget,
    Match,
    Scaling,
    SelectionName,
    Unit,
    Within,
)
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.identity import SENTENCES
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.measuring import NotFiniteError, measure_policies
from quantilizers.execution.executor import Executor, InProcess, Send, SendNowAndThen, Shared
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.policy import (
    Batch,
    DivergedError,
    Policies,
    SilentMonitor,
    TrainedPolicy,
    family_of,
    learned_nothing,
)
from quantilizers.policies.selection_settings import Selection, SelectionSettings
from quantilizers.policies.training_jobs import threads_for, train
from quantilizers.quantilize import Rule, effective_sample_size, rule_named
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

_ARRAYS = ("true_returns", "proxy_returns", "lengths", "kept_true", "kept_proxy", "kept_lengths", "kept_weights")


@dataclass(frozen=True)
class Arm:
    """One way to select episodes and to train on them."""

    quantile: float  # q, the share of episodes that is selected
    selection: SelectionName
    subset: int  # number of the random subset, from 0 on; 0 for other selections
    budget: Budget
    method: str = "quantile"  # the rule; other rules than `quantile` go with the selection `top`

    @property
    def rule(self) -> Rule:
        """The rule of the method."""
        return rule_named(self.method)

    def __str__(self) -> str:
        """Return a name for files and progress."""
        which = f"random{self.subset}" if self.selection == "random" else self.selection
        which = which if self.rule.is_quantile else self.method
        return f"q{self.quantile:g}_{which}_{self.budget}"


@dataclass(frozen=True, eq=False)
class ArmResults:
    """Test results of one arm's policies, S seeds of E episodes each, and the k episodes that they imitate."""

    arm: Arm
    true_returns: FloatArray  # (S, E)
    proxy_returns: FloatArray  # (S, E)
    lengths: npt.NDArray[np.int64]  # (S, E) steps
    kept_true: FloatArray  # (k,) true returns of the kept episodes
    kept_proxy: FloatArray  # (k,)
    kept_lengths: npt.NDArray[np.int64]  # (k,) steps
    kept_weights: FloatArray | None = None  # (k,) of the episodes, which sum to 1; None where they are equal
    doubt: str = ""  # a line if policies that were just trained learned nothing; it is not cached

    @property
    def true_interval(self) -> Interval:
        """Mean true return of the policies, with its interval over seeds."""
        return mean_interval(self.true_returns)

    @property
    def cloning_gap(self) -> float:
        """Mean true return of the policies less that of the episodes that they imitate."""
        return float(self.true_returns.mean() - self.kept_true_return)

    @property
    def kept_true_return(self) -> float:
        """Weighted mean true return of the episodes that they imitate."""
        return self._kept_mean(self.kept_true)

    @property
    def kept_proxy_return(self) -> float:
        """Weighted mean proxy return of the episodes that they imitate."""
        return self._kept_mean(self.kept_proxy)

    def _kept_mean(self, values: FloatArray) -> float:
        return float(values.mean() if self.kept_weights is None else self.kept_weights @ values)

    @property
    def effective_number(self) -> float:
        """Effective sample size of the episodes that they imitate (Kish 1965)."""
        return float(len(self.kept_true)) if self.kept_weights is None else effective_sample_size(self.kept_weights)


@dataclass(frozen=True)
class Protocol:
    """How every arm is trained and tested."""

    seeds: tuple[int, ...]
    training: AnyTraining
    acting: Acting
    episodes: int  # test episodes of each policy
    max_steps: int  # length at which test episodes are cut
    options: Mapping[str, Any]
    weight: Unit = "steps"  # unit with equal weight in the cloning loss
    match: Match = "kl"  # distance in which other rules are as strong as a quantile
    definition: Mapping[str, str] = field(default_factory=dict)  # of the environment, `quantilizers.envs.identity`
    scaling: Scaling = "none"  # of observations
    within: Within = "all"  # among which episodes a quantile ranks
    groups: str = ""  # digest of the episodes' groups, if it ranks within them


def selection_settings_of(arm: Arm, protocol: Protocol) -> SelectionSettings:
    """Return how an arm treats the demonstrations."""
    return SelectionSettings(
        arm.selection, arm.subset, arm.budget, arm.method, protocol.match, protocol.weight, protocol.within
    )


def arms_of(
    quantiles: Sequence[float],
    subsets: int,
    budgets: Sequence[Budget] = BUDGETS,
    methods: Sequence[str] = ("quantile",),
    controls: Sequence[SelectionName] = (),
) -> list[Arm]:
    """Return the arms of a study: for each q the top, the bottom and random subsets, under each budget; and imitation.

    >>> [str(arm) for arm in arms_of([1.0, 0.5], subsets=2, budgets=["epochs"])]
    ['q1_top_epochs', 'q0.5_top_epochs', 'q0.5_bottom_epochs', 'q0.5_random0_epochs', 'q0.5_random1_epochs']

    Rules other than `quantile`, which is always there, weight all episodes as strongly as each q. Further controls are
    of `PLAYER_SELECTIONS`.
    """
    arms = []
    for budget in budgets:
        arms.append(Arm(1.0, "top", 0, budget))
        for quantile in quantiles:
            if quantile < 1:
                arms += [Arm(quantile, "top", 0, budget), Arm(quantile, "bottom", 0, budget)]
                arms += [Arm(quantile, "random", subset, budget) for subset in range(subsets)]
                arms += [
                    Arm(quantile, "top", 0, budget, method) for method in methods if not rule_named(method).is_quantile
                ]
                arms += [Arm(quantile, control, 0, budget) for control in controls]
    return arms


def seconds_of(demonstrations: Demonstrations, arms: Sequence[Arm], protocol: Protocol) -> float:
    """Return about how many seconds one processor takes to train the arms, as `Batch.seconds` counts."""
    whole = {1.0: Selection.of_all(demonstrations)}
    batches = family_of(demonstrations.environment).plan(whole, protocol.seeds, protocol.training)
    return sum(batch.seconds for batch in batches) * sum(
        arm.quantile if arm.budget == "epochs" and arm.rule.is_quantile else 1.0 for arm in arms
    )


def run_arms(
    demonstrations: Demonstrations,
    arms: Sequence[Arm],
    protocol: Protocol,
    folder: Path | None = None,
    on_arm: Callable[[ArmResults], object] = lambda results: None,
    executor: Executor | None = None,
) -> dict[Arm, ArmResults]:
    """Train and test the policies of every arm.

    Args:
        folder: cache of each arm's results, from which a stopped study resumes; None caches nothing. Results of other
            data or settings are replaced.
        executor: runs jobs of some arms each; None is this process. The results are the same bits.

    Raises:
        UserError: the demonstrations cannot be ranked or learned from, or a file cannot be read or written.
        DivergedError: the loss of a policy became NaN or infinite; all other arms are done.
        NotFiniteError: the environment returned a non-finite reward; all other arms are done.
        UnfinishedError: some arms failed in their workers; all other arms are done.
    """
    study = ArmsStudy(demonstrations, arms, protocol, folder, on_arm)
    jobs = study.jobs()
    if executor is None:
        executor = InProcess(threads_for([batch for job in jobs for batch in job.batches]))
    for _, done in executor.map(train_and_test, jobs):
        study.take(done)
    return study.finish()


@dataclass(frozen=True, eq=False)
class ArmsJob:
    """Arms to train and test: all seeds of arms that train together."""

    name: str
    demonstrations: Shared[Demonstrations]
    batches: tuple[Batch, ...]  # of the arms' training
    protocol: Protocol
    study: int = 0


@dataclass(frozen=True, eq=False)
class ArmsDone:
    """The outcome of a job."""

    results: list[ArmResults] = field(default_factory=list)  # of the arms that succeeded
    diverged: list[tuple[Any, int]] = field(default_factory=list)  # (arm, seed) whose loss became NaN or infinite
    # A message for each arm to which the environment returned a non-finite reward.
    not_finite: list[str] = field(default_factory=list)


class ArmsStudy:
    """The arms of one set of demonstrations: what is cached, the jobs that are missing, and their results.

    Attributes:
        demonstrations: as given.
        results: by arm, as they come.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        arms: Sequence[Arm],
        protocol: Protocol,
        folder: Path | None = None,
        on_arm: Callable[[ArmResults], object] = lambda results: None,
    ) -> None:
        self.demonstrations, self._arms, self._protocol = demonstrations, arms, protocol
        self._folder, self._on_arm = folder, on_arm
        self._failed = ArmsDone()
        self.results: dict[Arm, ArmResults] = {}
        for arm in arms:
            cached = None if folder is None else _load(folder / f"{arm}.npz", arm, self._recipe(arm))
            if cached is not None:
                self._note(cached)

    def jobs(self, name: str = "", study: int = 0) -> list[ArmsJob]:
        """Return the jobs of the missing arms."""
        by_arms: dict[tuple[Any, ...], list[Batch]] = {}
        # Which arms train together is planned for all of a budget, so bits do not depend on what is cached; controls by
        # player are planned apart, so bits of the others do not depend on whether players are known.
        together: dict[tuple[Budget, bool], list[Arm]] = {}
        for arm in self._arms:
            together.setdefault((arm.budget, arm.selection in PLAYER_SELECTIONS), []).append(arm)
        for planned in together.values():
            for batch in self._plan(planned) if any(arm not in self.results for arm in planned) else ():
                by_arms.setdefault(batch.keys, []).append(batch)
        shared = self.demonstrations.shared()
        return [
            ArmsJob(
                f"{name}{arms[0]}" + (f" and {len(arms) - 1} more" if len(arms) > 1 else ""),
                shared, tuple(batches), self._protocol, study,
            )
            for arms, batches in by_arms.items()
        ]  # fmt: skip

    def take(self, done: ArmsDone) -> None:
        """Cache the results of a job, and note its failures."""
        for results in done.results:
            if self._folder is not None:
                _save(self._folder / f"{results.arm}.npz", results, self._recipe(results.arm))
            self._note(results)
        self._failed.diverged.extend(done.diverged)
        self._failed.not_finite.extend(done.not_finite)

    def finish(self) -> dict[Arm, ArmResults]:
        """Return the results of all arms, in their order."""
        if self._failed.diverged:
            raise DivergedError(self._failed.diverged)
        if arms := self._failed.not_finite:
            more = f"; and of {len(arms) - 3} more" if len(arms) > 3 else ""
            raise NotFiniteError(f"of the study's arms {'; '.join(arms[:3])}{more}; all other arms are done", [])
        return {arm: self.results[arm] for arm in self._arms}

    def _plan(self, arms: Sequence[Arm]) -> list[Batch]:
        """Divide the training of the missing ones of some arms of one budget into batches."""
        missing = [(arm, seed) for arm in arms if arm not in self.results for seed in self._protocol.seeds]
        training = selection_settings_of(arms[0], self._protocol).training(self._protocol.training, self.demonstrations)
        selections = _select(self.demonstrations, arms, self._protocol)
        family = family_of(self.demonstrations.environment)
        return family.plan(selections, self._protocol.seeds, training, missing, stacked=True)

    def _note(self, results: ArmResults) -> None:
        self.results[results.arm] = results
        self._on_arm(results)

    def _recipe(self, arm: Arm) -> Recipe:
        return _recipe(arm, self._protocol, self.demonstrations.fingerprint)


def train_and_test(job: ArmsJob, send: Send) -> ArmsDone:
    """Train and test the arms of a job, in whatever process."""
    demonstrations, protocol, alive = job.demonstrations.value, job.protocol, StillAlive(send)
    arms = dict.fromkeys(arm for batch in job.batches for arm in batch.keys)
    selections = _select(demonstrations, list(arms), protocol)
    finished: dict[Arm, dict[int, TrainedPolicy]] = {arm: {} for arm in arms}
    done = ArmsDone()
    try:
        for policy in train(job.batches, Shared(selections), alive):
            arm: Arm = policy.key
            finished[arm][policy.seed] = policy
            if len(finished[arm]) == len(protocol.seeds):
                try:
                    policies = finished.pop(arm)
                    results = _test(demonstrations, selections[arm], policies, arm, protocol, alive)
                    doubt = learned_nothing(list(policies.values()), selections[arm])
                    done.results.append(replace(results, doubt=doubt))
                except NotFiniteError as error:
                    done.not_finite.append(f"{arm}: {error}")
    except DivergedError as error:
        done.diverged.extend(error.policies)
    return done


class StillAlive(SilentMonitor):
    """A monitor that sends empty messages now and then, because jobs in threads are stopped when they send."""

    def __init__(self, send: Send) -> None:
        self._send = SendNowAndThen(send)

    def advance(self, number: int, text: str = "") -> None:
        """Send a message, unless the last was sent just now."""
        self._send(None)


def _select(demonstrations: Demonstrations, arms: Sequence[Arm], protocol: Protocol) -> dict[Arm, Selection]:
    return {arm: selection_settings_of(arm, protocol).choose(demonstrations, arm.quantile) for arm in arms}


def _test(
    demonstrations: Demonstrations,
    selection: Selection,
    policies: Mapping[int, TrainedPolicy],
    arm: Arm,
    protocol: Protocol,
    alive: StillAlive,
) -> ArmResults:
    environment = demonstrations.environment

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        return family_of(environment).stack(environment, [policies[seed] for _, seed in wanted], protocol.acting)

    measured = measure_policies(
        environment, stack, [arm.quantile], protocol.seeds, protocol.episodes, protocol.max_steps, protocol.options,
        on_step=alive.advance,
    )  # fmt: skip
    return ArmResults(
        arm=arm,
        true_returns=np.concatenate([of_seed.true_returns for of_seed in measured]),
        proxy_returns=np.concatenate([of_seed.proxy_returns for of_seed in measured]),
        lengths=np.concatenate([of_seed.lengths for of_seed in measured]),
        kept_true=selection.true_returns,
        kept_proxy=selection.proxy_returns,
        kept_lengths=selection.lengths,
        kept_weights=None if arm.rule.is_quantile and protocol.within == "all" else selection.weights,
    )


def arm_differences(arms: Sequence[Arm], protocol: Protocol, folder: Path, data: str) -> Iterator[tuple[Path, str]]:
    """Yield each arm's cached file and how its recipe differs, an empty string if it does not."""
    for arm in arms:
        path = folder / f"{arm}.npz"
        yield path, cached_difference(path, _recipe(arm, protocol, data))


def _recipe(arm: Arm, protocol: Protocol, data: str) -> Recipe:
    """Return the recipe of an arm's results."""
    # Files of earlier versions note no definition, scaling or groups, which shipped environments do not have.
    conditions = asdict(protocol)
    for name, nothing in (("definition", {}), ("scaling", "none"), ("within", "all"), ("groups", "")):
        if conditions[name] == nothing:
            del conditions[name]
    entries = {"arm": asdict(arm), "protocol": conditions, "data": data}
    sentences = {"data": "of other demonstrations", "groups": "with other groups of episodes", **SENTENCES}
    return Recipe(entries, sentences)


def _save(path: Path, results: ArmResults, recipe: Recipe) -> None:
    arrays = {name: np.asarray(getattr(results, name)) for name in _ARRAYS[:-1]}
    # An empty array stands for None.
    arrays["kept_weights"] = np.empty(0) if results.kept_weights is None else results.kept_weights
    save_cached(path, arrays, recipe)


def _load(path: Path, arm: Arm, recipe: Recipe) -> ArmResults | None:
    """Return the cached results of an arm; None if there are none of this recipe."""
    arrays = load_cached(path, _ARRAYS, recipe)
    if arrays is None:
        return None
    weights = arrays["kept_weights"] if arrays["kept_weights"].size else None
    loaded: dict[str, Any] = {name: arrays[name] for name in _ARRAYS[:-1]}
    return ArmResults(arm, **loaded, kept_weights=weights)
