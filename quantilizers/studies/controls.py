"""Controls: what policies of the top episodes earn beside those of as many random ones, and of the bottom ones.

A quantile keeps fewer episodes than imitation does, and so trains its policies for fewer gradient steps. What it earns
more than imitation can therefore come from the choice of episodes, from there being fewer, or from less training.
Each arm of the study changes one of these: the selection (`top`, `random`, `bottom`) or the budget (`epochs`, the
reference implementation's passes over the data, or `updates`, the same number of gradient steps whatever q).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_kept, save_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.selecting import Selection, select_episodes
from quantilizers.envs.definition import Acting, EnvironmentDefinition
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.measuring import measure_policies
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining
from quantilizers.policies.policy import Policies, TrainedPolicy, family_of, fingerprint
from quantilizers.rewards import FloatArray

Budget = Literal["epochs", "updates"]
BUDGETS: tuple[Budget, ...] = ("epochs", "updates")
_ARRAYS = ("true_returns", "proxy_returns", "lengths", "kept_true", "kept_proxy", "kept_lengths")


@dataclass(frozen=True)
class Arm:
    """One way to choose episodes and to train on them.

    Attributes:
        quantile: q, how many episodes are kept.
        selection: which ones.
        subset: number of the random subset, from 0 on; 0 elsewhere.
        budget: how long policies are trained.
    """

    quantile: float
    selection: Selection
    subset: int
    budget: Budget

    def __str__(self) -> str:
        """Return a name for files and progress."""
        which = f"random{self.subset}" if self.selection == "random" else self.selection
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
    """

    arm: Arm
    true_returns: FloatArray
    proxy_returns: FloatArray
    lengths: npt.NDArray[np.int64]
    kept_true: FloatArray
    kept_proxy: FloatArray
    kept_lengths: npt.NDArray[np.int64]

    @property
    def true_interval(self) -> Interval:
        """Mean true return of the policies, with its interval over seeds."""
        return mean_interval(self.true_returns)

    @property
    def cloning_gap(self) -> float:
        """Mean true return of the policies less that of the episodes that they imitate."""
        return float(self.true_returns.mean() - self.kept_true.mean())


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
    """

    seeds: tuple[int, ...]
    training: AnyTraining
    acting: Acting
    episodes: int
    max_steps: int
    options: Mapping[str, Any]


def arms_of(quantiles: Sequence[float], subsets: int, budgets: Sequence[Budget] = BUDGETS) -> list[Arm]:
    """Return the arms of a study: for each q the top, the bottom and random subsets, under each budget; and imitation.

    >>> [str(arm) for arm in arms_of([1.0, 0.5], subsets=2, budgets=["epochs"])]
    ['q1_top_epochs', 'q0.5_top_epochs', 'q0.5_bottom_epochs', 'q0.5_random0_epochs', 'q0.5_random1_epochs']

    Args:
        quantiles: q of each; 1, which is imitation, is added where it is missing.
        subsets: random ones for each q.
        budgets: which.
    """
    arms = []
    for budget in budgets:
        arms.append(Arm(1.0, "top", 0, budget))
        for quantile in quantiles:
            if quantile < 1:
                arms += [Arm(quantile, "top", 0, budget), Arm(quantile, "bottom", 0, budget)]
                arms += [Arm(quantile, "random", subset, budget) for subset in range(subsets)]
    return arms


def training_for(budget: Budget, training: AnyTraining, demonstrations: Demonstrations) -> AnyTraining:
    """Return the hyper-parameters under a budget.

    `updates` gives every arm as many minibatches as imitation of all demonstrations takes in `max_epochs` passes, and
    no early stop. The convolutional network learns from a fixed number of minibatches anyway.

    Args:
        budget: which.
        training: hyper-parameters under the budget `epochs`.
        demonstrations: all of them.
    """
    if budget == "epochs" or not isinstance(training, PerceptronTraining):
        return training
    rows = int(demonstrations.lengths.sum())
    return replace(training, updates=training.max_epochs * -(-rows // min(training.batch_size, rows)))


def run_arms(
    demonstrations: Demonstrations,
    arms: Sequence[Arm],
    protocol: Protocol,
    folder: Path | None = None,
    on_arm: Callable[[ArmResults], object] | None = None,
) -> dict[Arm, ArmResults]:
    """Train and test the policies of every arm.

    Args:
        demonstrations: all of them.
        arms: of `arms_of`.
        protocol: how they are trained and tested.
        folder: where the results of each arm are kept, so that a stopped study goes on and nothing is done twice;
            None keeps nothing. What was kept of other data or settings is done anew.
        on_arm: called with each arm's results.

    Raises:
        UserError: the demonstrations cannot be ranked or learned from, or a file cannot be read or written.
    """
    data = fingerprint(demonstrations)
    results: dict[Arm, ArmResults] = {}
    for arm in arms:
        found = None if folder is None else _load(folder / f"{arm}.npz", arm, _identity(arm, protocol, data))
        if found is not None:
            results[arm] = found
            _tell(on_arm, found)
    for budget in dict.fromkeys(arm.budget for arm in arms):
        missing = [arm for arm in arms if arm.budget == budget and arm not in results]
        training = training_for(budget, protocol.training, demonstrations)
        for trained in _train(demonstrations, missing, protocol, training):
            done = _measure(demonstrations, trained, protocol)
            if folder is not None:
                _save(folder / f"{done.arm}.npz", done, _identity(done.arm, protocol, data))
            results[done.arm] = done
            _tell(on_arm, done)
    return {arm: results[arm] for arm in arms}


@dataclass(frozen=True, eq=False)
class _Trained:
    arm: Arm
    kept: Demonstrations
    policies: tuple[TrainedPolicy, ...]


def _train(
    demonstrations: Demonstrations, arms: Sequence[Arm], protocol: Protocol, training: AnyTraining
) -> Iterator[_Trained]:
    """Train all arms of one budget, which share a program, and give each when its seeds are finished."""
    if not arms:
        return
    kept = {arm: demonstrations.select(kept_by(arm, demonstrations)) for arm in arms}
    family = family_of(demonstrations.environment)
    finished: dict[Any, list[TrainedPolicy]] = {arm: [] for arm in arms}
    splits: Mapping[Any, Demonstrations] = kept
    for policy in family.fit(splits, protocol.seeds, training):
        arm: Any = policy.quantile  # what a split is called, which here is an arm
        finished[arm].append(policy)
        if len(finished[arm]) == len(protocol.seeds):
            by_seed = {of_seed.seed: of_seed for of_seed in finished.pop(arm)}
            yield _Trained(arm, kept[arm], tuple(by_seed[seed] for seed in protocol.seeds))


def kept_by(arm: Arm, demonstrations: Demonstrations) -> npt.NDArray[np.intp]:
    """Return the indices of the episodes that an arm keeps."""
    return select_episodes(demonstrations.proxy_returns, arm.quantile, arm.selection, arm.subset)


def _measure(demonstrations: Demonstrations, trained: _Trained, protocol: Protocol) -> ArmResults:
    environment: EnvironmentDefinition = demonstrations.environment
    by_seed = {policy.seed: policy for policy in trained.policies}

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        policies = [by_seed[seed] for _, seed in wanted]
        return family_of(environment).stack(environment, policies, protocol.acting)

    measured = measure_policies(
        environment,
        stack,
        [trained.arm.quantile],
        protocol.seeds,
        protocol.episodes,
        protocol.max_steps,
        protocol.options,
    )
    return ArmResults(
        arm=trained.arm,
        true_returns=np.concatenate([of_seed.true_returns for of_seed in measured]),
        proxy_returns=np.concatenate([of_seed.proxy_returns for of_seed in measured]),
        lengths=np.concatenate([of_seed.lengths for of_seed in measured]),
        kept_true=trained.kept.true_returns,
        kept_proxy=trained.kept.proxy_returns,
        kept_lengths=trained.kept.lengths,
    )


def _tell(on_arm: Callable[[ArmResults], object] | None, results: ArmResults) -> None:
    if on_arm is not None:
        on_arm(results)


def _identity(arm: Arm, protocol: Protocol, data: str) -> str:
    """Return what an arm's results depend on, as a hash."""
    said = {"arm": asdict(arm), "protocol": asdict(protocol), "data": data}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _save(path: Path, results: ArmResults, identity: str) -> None:
    arrays = {name: np.asarray(getattr(results, name)) for name in _ARRAYS}
    save_arrays(path, {"identity": np.array(identity), **arrays})


def _load(path: Path, arm: Arm, identity: str) -> ArmResults | None:
    """Return an arm's kept results; None where there are none, or others."""
    arrays = load_kept(path, _ARRAYS, identity)
    return None if arrays is None else ArmResults(arm, **{name: arrays[name] for name in _ARRAYS})
