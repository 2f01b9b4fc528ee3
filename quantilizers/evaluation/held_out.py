"""Prediction of the actions of held-out players, on whose play policies were not trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Within
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.execution.executor import Shared
from quantilizers.policies.encoding import recorded_classes
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.policy import TrainedPolicy, family_of
from quantilizers.policies.selection_settings import REFERENCE
from quantilizers.policies.training_jobs import train

#: One in this number of players, or episodes, is held out.
HELD_OUT = 5


@dataclass(frozen=True, eq=False)
class Confusion:
    """The confusion matrices of one quantile's policies, on held-out steps.

    Attributes:
        quantile: q of the policies.
        counts: for each component of the action (classes recorded, classes predicted), over all seeds.
        held_out: description of the held-out part.
    """

    quantile: float
    counts: tuple[npt.NDArray[np.int64], ...]
    held_out: str

    def accuracy(self, component: int) -> float:
        """Return the share of steps on which the recorded class was predicted."""
        of_component = self.counts[component]
        return float(np.trace(of_component) / of_component.sum())

    def most_frequent(self, component: int) -> float:
        """Return the accuracy of always predicting the class recorded most often: the baseline."""
        of_component = self.counts[component]
        return float(of_component.sum(axis=1).max() / of_component.sum())


def held_out_confusions(
    demonstrations: Demonstrations,
    quantiles: Sequence[float],
    seeds: Sequence[int],
    training: AnyTraining,
    within: Within = "all",
) -> list[Confusion]:
    """Train policies without a fifth of the players, and predict the actions of those.

    Both parts are reduced to their top q. Where the file does not name the players, or there are fewer than five, a
    fifth of the episodes is held out instead, and the policies have seen their players.

    Raises:
        UserError: actions have no classes, or there are too few demonstrations to hold some out.
    """
    environment = demonstrations.environment
    if environment.action_classes is None:
        raise UserError(f"the actions of {environment.name} are predicted by regression and have no classes to confuse")
    if demonstrations.number < HELD_OUT:
        raise UserError(f"{demonstrations.number} demonstrations are too few to hold some out; record {HELD_OUT}")
    groups, held_out_words = _groups(demonstrations)
    held_out = groups % HELD_OUT == HELD_OUT - 1
    seen = demonstrations.select(np.flatnonzero(~held_out)).with_observations()
    unseen = demonstrations.select(np.flatnonzero(held_out)).with_observations()
    fitted: dict[float, list[TrainedPolicy]] = {quantile: [] for quantile in quantiles}
    selections = replace(REFERENCE, within=within).choose_all(seen, quantiles)
    for policy in train(family_of(environment).plan(selections, seeds, training), Shared(selections)):
        fitted[policy.quantile].append(policy)
    return [
        Confusion(quantile, _counts(unseen.top(quantile, within), policies), held_out_words)
        for quantile, policies in fitted.items()
    ]


def _counts(tested: Demonstrations, policies: Sequence[TrainedPolicy]) -> tuple[npt.NDArray[np.int64], ...]:
    environment = tested.environment
    stack = family_of(environment).stack(environment, policies, "most_probable")
    observations = tested.episodes.transitions()[0]
    stack.recall(tested.episodes)
    probabilities = stack.probabilities(np.broadcast_to(observations, (len(policies), *observations.shape)))
    counts = []
    for recorded, of_component in zip(
        recorded_classes(tested.episodes, environment.action_classes or ()), probabilities, strict=True
    ):
        number, predicted = of_component.shape[-1], of_component.argmax(axis=-1)
        pairs = np.bincount((recorded * number + predicted).ravel(), minlength=number**2)
        counts.append(pairs.reshape(number, number))
    return tuple(counts)


def _groups(demonstrations: Demonstrations) -> tuple[npt.NDArray[np.intp], str]:
    """Return the number of each episode's group (N,), and a description of the held-out part."""
    players = demonstrations.episodes.extras.get("player")
    if players is not None and players.ndim == 1:
        names, groups = np.unique(players, return_inverse=True)
        if len(names) >= HELD_OUT and "" not in names.tolist():
            return groups, f"one in {HELD_OUT} of {len(names):,} players"
    return np.arange(demonstrations.number), f"one in {HELD_OUT} of {demonstrations.number:,} episodes"
