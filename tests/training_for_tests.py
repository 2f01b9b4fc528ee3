"""Training as tests want it: plan and fit in one call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.execution.executor import Shared
from quantilizers.policies import multilayer_perceptron
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.policy import SILENT, Batch, Monitor, TrainedPolicy
from quantilizers.policies.selection_settings import Selection
from quantilizers.policies.training_jobs import train
from quantilizers.rewards import FloatArray


def selections_of(
    splits: Mapping[Any, Demonstrations], weights: Mapping[Any, FloatArray] | None = None
) -> dict[Any, Selection]:
    """Return selections of all of some demonstrations, whose steps may have weights."""
    selections = {key: Selection.of_all(split) for key, split in splits.items()}
    for key, of_key in {key: of_key for key, of_key in (weights or {}).items() if key in selections}.items():
        vars(selections[key])["step_weights"] = of_key
    return selections


def plan(
    splits: Mapping[Any, Demonstrations],
    seeds: Sequence[int],
    training: AnyTraining,
    missing: Collection[tuple[Any, int]] | None = None,
    stacked: bool = False,
    family: ModuleType = multilayer_perceptron,
) -> list[Batch]:
    """Return the batches that a family plans."""
    batches: list[Batch] = family.plan(selections_of(splits), seeds, training, missing, stacked)
    return batches


def fit(
    splits: Mapping[Any, Demonstrations],
    seeds: Sequence[int],
    training: AnyTraining,
    monitor: Monitor = SILENT,
    checkpoint: Callable[[Any, int], Path] | None = None,
    weights: Mapping[Any, FloatArray] | None = None,
    missing: Collection[tuple[Any, int]] | None = None,
    stacked: bool = False,
    family: ModuleType = multilayer_perceptron,
) -> Iterator[TrainedPolicy]:
    """Train policies of a family, batches side by side."""
    selections = selections_of(splits, weights)
    batches = family.plan(selections, seeds, training, missing, stacked)
    yield from train(batches, Shared(selections), monitor, checkpoint=checkpoint)
