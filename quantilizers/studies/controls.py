"""Controls: what policies of the top episodes earn beside those of as many random ones, and of the bottom ones.

A quantile keeps fewer episodes than imitation does, and so trains its policies for fewer gradient steps. What it earns
more than imitation can therefore come from the choice of episodes, from there being fewer, or from less training.
Each arm of the study changes one of these: the selection (`top`, `random`, `bottom`) or the budget (`epochs`, the
reference implementation's passes over the data, or `updates`, the same number of gradient steps whatever q). Further
arms weigh all episodes by another method, as strongly as the quantile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import cached_difference, load_cached, save_cached
from quantilizers.choices import BUDGETS, Acting, Budget, Match, SelectionName, Unit
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.measuring import NotFiniteError, measure_policies
from quantilizers.execution.units import Executor, Send, Shared, WorkUnit
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.policy import Batch, DivergedError, Policies, TrainedPolicy, family_of, fingerprint
from quantilizers.policies.training_jobs import train
from quantilizers.policies.treatment import Selection, Treatment
from quantilizers.quantilize import effective_sample_size
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

_ARRAYS = ("true_returns", "proxy_returns", "lengths", "kept_true", "kept_proxy", "kept_lengths", "kept_weights")


@dataclass(frozen=True)
class Arm:
    """One way to choose episodes and to train on them.

    Attributes:
        quantile: q, how many episodes are kept.
        selection: which ones.
        subset: number of the random subset, from 0 on; 0 elsewhere.
        budget: how long policies are trained.
        method: how episodes are weighted; other ones than `quantile` go with the selection `top`.
    """

    quantile: float
    selection: SelectionName
    subset: int
    budget: Budget
    method: str = "quantile"

    def __str__(self) -> str:
        """Return a name for files and progress."""
        which = f"random{self.subset}" if self.selection == "random" else self.selection
        which = which if self.method == "quantile" else self.method
        return f"q{self.quantile:g}_{which}_{self.budget}"


@dataclass(frozen=True, eq=False)
class ArmResults:
    """What one arm's policies earn, S seeds of E episodes each, beside the k episodes that they imitate.

    Attributes:
        arm: which.
        true_returns: (S, E).
        proxy_returns: (S, E).
        lengths: (S, E) steps.
        kept_true: (k,) true returns of the kept episodes.
        kept_proxy: (k,).
        kept_lengths: (k,) steps.
        kept_weights: (k,) of the episodes, which sum to 1; None where all weigh alike.
    """

    arm: Arm
    true_returns: FloatArray
    proxy_returns: FloatArray
    lengths: npt.NDArray[np.int64]
    kept_true: FloatArray
    kept_proxy: FloatArray
    kept_lengths: npt.NDArray[np.int64]
    kept_weights: FloatArray | None = None

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
        """Mean true return of the episodes that they imitate, by their weights."""
        return float(self.kept_true.mean() if self.kept_weights is None else self.kept_weights @ self.kept_true)

    @property
    def kept_proxy_return(self) -> float:
        """Mean proxy return of the episodes that they imitate, by their weights."""
        return float(self.kept_proxy.mean() if self.kept_weights is None else self.kept_weights @ self.kept_proxy)

    @property
    def effective_number(self) -> float:
        """How many equally weighted episodes vary as little as those that they imitate (Kish 1965)."""
        return float(len(self.kept_true)) if self.kept_weights is None else effective_sample_size(self.kept_weights)


@dataclass(frozen=True)
class Protocol:
    """How every arm is trained and tested.

    Attributes:
        seeds: of the policies.
        training: hyper-parameters.
        acting: how policies act.
        episodes: of each policy.
        max_steps: test episodes are cut after so many steps.
        options: the environment's own.
        weight: what counts alike in cloning.
        match: by what other methods are as strong as a quantile.
    """

    seeds: tuple[int, ...]
    training: AnyTraining
    acting: Acting
    episodes: int
    max_steps: int
    options: Mapping[str, Any]
    weight: Unit = "steps"
    match: Match = "kl"


def treatment_of(arm: Arm, protocol: Protocol) -> Treatment:
    """Return how an arm treats the demonstrations."""
    return Treatment(arm.selection, arm.subset, arm.budget, arm.method, protocol.match, protocol.weight)


def arms_of(
    quantiles: Sequence[float],
    subsets: int,
    budgets: Sequence[Budget] = BUDGETS,
    methods: Sequence[str] = ("quantile",),
) -> list[Arm]:
    """Return the arms of a study: for each q the top, the bottom and random subsets, under each budget; and imitation.

    >>> [str(arm) for arm in arms_of([1.0, 0.5], subsets=2, budgets=["epochs"])]
    ['q1_top_epochs', 'q0.5_top_epochs', 'q0.5_bottom_epochs', 'q0.5_random0_epochs', 'q0.5_random1_epochs']

    Args:
        quantiles: q of each; 1, which is imitation, is added where it is missing.
        subsets: random ones for each q.
        budgets: which.
        methods: further ones by which all episodes are weighted, as strongly as each q; `quantile` is always there.
    """
    arms = []
    for budget in budgets:
        arms.append(Arm(1.0, "top", 0, budget))
        for quantile in quantiles:
            if quantile < 1:
                arms += [Arm(quantile, "top", 0, budget), Arm(quantile, "bottom", 0, budget)]
                arms += [Arm(quantile, "random", subset, budget) for subset in range(subsets)]
                arms += [Arm(quantile, "top", 0, budget, method) for method in methods if method != "quantile"]
    return arms


def seconds_of(demonstrations: Demonstrations, arms: Sequence[Arm], protocol: Protocol) -> float:
    """Return about how many seconds of one processor training the policies of arms takes.

    See `quantilizers.policies.policy.Batch`.
    """
    whole = {1.0: Selection.of_all(demonstrations)}
    batches = family_of(demonstrations.environment).plan(whole, protocol.seeds, protocol.training)
    return sum(batch.seconds for batch in batches) * sum(
        arm.quantile if arm.budget == "epochs" and arm.method == "quantile" else 1.0 for arm in arms
    )


def run_arms(
    demonstrations: Demonstrations,
    arms: Sequence[Arm],
    protocol: Protocol,
    folder: Path | None = None,
    on_arm: Callable[[ArmResults], object] | None = None,
    executor: Executor | None = None,
) -> dict[Arm, ArmResults]:
    """Train and test the policies of every arm.

    Args:
        demonstrations: all of them.
        arms: of `arms_of`.
        protocol: how they are trained and tested.
        folder: where the results of each arm are kept, so that a stopped study goes on and nothing is done twice;
            None keeps nothing. What was kept of other data or settings is done anew.
        on_arm: called with each arm's results.
        executor: which does the work, some arms at a time; None is this process. The results are the same bits.

    Raises:
        UserError: the demonstrations cannot be ranked or learned from, or a file cannot be read or written.
        DivergedError: the loss of a policy became NaN or infinite; all other arms are done.
        NotFiniteError: the environment paid a policy NaN or infinity; all other arms are done.
        UnfinishedError: some arms failed in their workers; all other arms are done.
    """
    run = ArmsRun(demonstrations, arms, protocol, folder, on_arm)
    if executor is None:
        run.do_here()
    else:
        for _, found in executor.run(run.units()):
            run.take(found)
    return run.finish()


@dataclass(frozen=True, eq=False)
class Found:
    """What came of some arms.

    Attributes:
        results: of those that are done.
        diverged: (arm, seed) whose loss became NaN or infinite.
        unpaid: in words, whom the environment paid NaN or infinity.
    """

    results: list[ArmResults] = field(default_factory=list)
    diverged: list[tuple[Any, int]] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)

    def add(self, more: Found) -> None:
        """Take what came of others, too."""
        self.results.extend(more.results)
        self.diverged.extend(more.diverged)
        self.unpaid.extend(more.unpaid)


class ArmsRun:
    """Arms of one set of demonstrations that are trained and tested, here or elsewhere, and kept.

    Args:
        demonstrations: see `run_arms`, as for the others.
        arms: which.
        protocol: how.
        folder: where results are kept.
        on_arm: called with each arm's results.

    Attributes:
        demonstrations: as given.
        results: what is done, by arm.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        arms: Sequence[Arm],
        protocol: Protocol,
        folder: Path | None = None,
        on_arm: Callable[[ArmResults], object] | None = None,
    ) -> None:
        self.demonstrations, self._arms, self._protocol = demonstrations, arms, protocol
        self._folder, self._on_arm = folder, on_arm
        self._data = fingerprint(demonstrations)
        self._failed = Found()
        self.results: dict[Arm, ArmResults] = {}
        for arm in arms:
            found = None if folder is None else _load(folder / f"{arm}.npz", arm, self._recipe(arm))
            if found is not None:
                self._note(found)

    def do_here(self) -> None:
        """Do what is missing in this process, the batches of a budget side by side."""
        for batches in self._missing():
            for found in found_of(self.demonstrations, batches, self._protocol):
                self.take(found)

    def units(self, name: str = "") -> list[WorkUnit]:
        """Return what is missing as units of work; each trains all seeds of some arms, and gives what `take` takes.

        Args:
            name: what the units' names begin with.
        """
        by_arms: dict[tuple[Arm, ...], list[Batch]] = {}
        for batches in self._missing():
            for batch in batches:
                by_arms.setdefault(batch.keys, []).append(batch)
        if not by_arms:
            return []
        shared = self.demonstrations.shared()
        units = []
        for arms, of_arms in by_arms.items():
            more = f" and {len(arms) - 1} more" if len(arms) > 1 else ""
            units.append(WorkUnit(f"{name}{arms[0]}{more}", do_batches, (shared, of_arms, self._protocol)))
        return units

    def take(self, found: Found) -> None:
        """Keep what was found of some arms."""
        for done in found.results:
            if self._folder is not None:
                _save(self._folder / f"{done.arm}.npz", done, self._recipe(done.arm))
            self._note(done)
        self._failed.add(Found([], found.diverged, found.unpaid))

    def finish(self) -> dict[Arm, ArmResults]:
        """Return the results of all arms, in their order.

        Raises:
            DivergedError: the loss of a policy became NaN or infinite.
            NotFiniteError: the environment paid a policy NaN or infinity.
        """
        if self._failed.diverged:
            raise DivergedError(self._failed.diverged)
        if unpaid := self._failed.unpaid:
            more = f"; and of {len(unpaid) - 3} more" if len(unpaid) > 3 else ""
            raise NotFiniteError(f"of the study's arms {'; '.join(unpaid[:3])}{more}; all other arms are done", [])
        return {arm: self.results[arm] for arm in self._arms}

    def _missing(self) -> Iterator[list[Batch]]:
        """Give the batches of each budget in which something is missing."""
        for budget in dict.fromkeys(arm.budget for arm in self._arms):
            of_budget = [arm for arm in self._arms if arm.budget == budget]
            if any(arm not in self.results for arm in of_budget):
                yield batches_of(self.demonstrations, of_budget, self._protocol, self.results.keys())

    def _note(self, results: ArmResults) -> None:
        self.results[results.arm] = results
        if self._on_arm is not None:
            self._on_arm(results)

    def _recipe(self, arm: Arm) -> Recipe:
        return _recipe(arm, self._protocol, self._data)


def batches_of(
    demonstrations: Demonstrations, arms: Sequence[Arm], protocol: Protocol, known: Collection[Arm] = ()
) -> list[Batch]:
    """Divide the training of arms of one budget into batches.

    Args:
        demonstrations: all of them.
        arms: all of one budget, so that bits do not depend on what is known.
        protocol: how.
        known: arms whose results are there.
    """
    missing = [(arm, seed) for arm in arms if arm not in known for seed in protocol.seeds]
    family, training = family_of(demonstrations.environment), _training(demonstrations, arms[0], protocol)
    return family.plan(_choose(demonstrations, arms, protocol), protocol.seeds, training, missing, stacked=True)


def _training(demonstrations: Demonstrations, arm: Arm, protocol: Protocol) -> AnyTraining:
    """Return the hyper-parameters under an arm's budget."""
    return treatment_of(arm, protocol).training(protocol.training, demonstrations)


def found_of(demonstrations: Demonstrations, batches: Sequence[Batch], protocol: Protocol) -> Iterator[Found]:
    """Train and test the arms of batches in this process, and give what comes of each when its seeds are done.

    Args:
        demonstrations: all of them.
        batches: some or all of `batches_of`.
        protocol: how.
    """
    arms = [arm for batch in batches for arm in batch.keys]
    chosen = _choose(demonstrations, arms, protocol)
    finished: dict[Arm, list[TrainedPolicy]] = {arm: [] for arm in arms}
    try:
        for policy in train(batches, Shared(chosen)):
            arm = policy.key
            finished[arm].append(policy)
            if len(finished[arm]) < len(protocol.seeds):
                continue
            by_seed = {of_seed.seed: of_seed for of_seed in finished.pop(arm)}
            try:
                found = Found([_measure(demonstrations, _Trained(arm, chosen[arm], by_seed), protocol)])
            except NotFiniteError as error:
                found = Found(unpaid=[f"{arm}: {error}"])
            yield found
    except DivergedError as error:
        yield Found(diverged=list(error.policies))


def do_batches(
    demonstrations: Shared[Demonstrations], batches: Sequence[Batch], protocol: Protocol, send: Send
) -> Found:
    """Do a unit of work: train and test some arms, in whatever process.

    Args:
        demonstrations: all of them.
        batches: of `batches_of`, with all seeds of these arms.
        protocol: how.
        send: is told nothing.
    """
    together = Found()
    for found in found_of(demonstrations.value, batches, protocol):
        together.add(found)
    return together


def _choose(demonstrations: Demonstrations, arms: Sequence[Arm], protocol: Protocol) -> dict[Any, Selection]:
    return {arm: treatment_of(arm, protocol).choose(demonstrations, arm.quantile) for arm in arms}


@dataclass(frozen=True, eq=False)
class _Trained:
    arm: Arm
    chosen: Selection
    policies: Mapping[int, TrainedPolicy]


def _measure(demonstrations: Demonstrations, trained: _Trained, protocol: Protocol) -> ArmResults:
    environment, arm = demonstrations.environment, trained.arm

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        policies = [trained.policies[seed] for _, seed in wanted]
        return family_of(environment).stack(environment, policies, protocol.acting)

    measured = measure_policies(
        environment,
        stack,
        [arm.quantile],
        protocol.seeds,
        protocol.episodes,
        protocol.max_steps,
        protocol.options,
    )
    return ArmResults(
        arm=arm,
        true_returns=np.concatenate([of_seed.true_returns for of_seed in measured]),
        proxy_returns=np.concatenate([of_seed.proxy_returns for of_seed in measured]),
        lengths=np.concatenate([of_seed.lengths for of_seed in measured]),
        kept_true=trained.chosen.demonstrations.true_returns,
        kept_proxy=trained.chosen.demonstrations.proxy_returns,
        kept_lengths=trained.chosen.demonstrations.lengths,
        kept_weights=None if arm.method == "quantile" else trained.chosen.weights,
    )


def arm_differences(arms: Sequence[Arm], protocol: Protocol, folder: Path, data: str) -> Iterator[tuple[Path, str]]:
    """Give the files of arms, and how each was made otherwise than it would be now; an empty string is not at all.

    Args:
        arms: of `arms_of`.
        protocol: how they are to be trained and tested.
        folder: of the files.
        data: the `fingerprint` of the demonstrations.
    """
    for arm in arms:
        path = folder / f"{arm}.npz"
        yield path, cached_difference(path, _recipe(arm, protocol, data))


def _recipe(arm: Arm, protocol: Protocol, data: str) -> Recipe:
    """Return what an arm's results depend on."""
    return Recipe({"arm": asdict(arm), "protocol": asdict(protocol), "data": data}, {"data": "of other demonstrations"})


def _save(path: Path, results: ArmResults, recipe: Recipe) -> None:
    arrays = {name: np.asarray(getattr(results, name)) for name in _ARRAYS[:-1]}
    # None is an empty array, for files hold nothing else.
    arrays["kept_weights"] = np.empty(0) if results.kept_weights is None else results.kept_weights
    save_cached(path, arrays, recipe)


def _load(path: Path, arm: Arm, recipe: Recipe) -> ArmResults | None:
    """Return an arm's kept results; None where there are none, or others."""
    arrays = load_cached(path, _ARRAYS, recipe)
    if arrays is None:
        return None
    weights = arrays["kept_weights"] if arrays["kept_weights"].size else None
    return ArmResults(arm, **{name: arrays[name] for name in _ARRAYS[:-1]}, kept_weights=weights)
