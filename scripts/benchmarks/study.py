"""Training the policies of a study with its controls: as stacks of equal members, against one quantile at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import PeerMissingError, Plan, seconds_of, two_cores, work
from benchmarks.results import Comparison

SEEDS = 5


def study(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Train the arms of one budget in stacks on two cores and on one, and each alone on two; compiling included."""
    pair = two_cores()
    size: dict[str, Any] = {"quantiles": [0.02], "subsets": 2, "epochs": 1} if plan.quick else {}
    stacked, on_one, one_at_a_time = [], [], []
    for _ in range(plan.repeats(2)):
        stacked.append(work("study:train_arms", pair, stacked=True, **size))
        one_at_a_time.append(work("study:train_arms", pair, stacked=False, **size))
        on_one.append(work("study:train_arms", pair[:1], stacked=True, **size))
    number = int(stacked[0]["policies"])
    name = f"training the {number} policies of a study with its controls, on two cores"
    ours, theirs, alone = (tuple(one["seconds"] for one in found) for found in (stacked, one_at_a_time, on_one))
    yield Comparison("study", name, "the same, one quantile at a time", ours, theirs, "s", "peer / here", "faster")
    yield Comparison("study", name, "on one core", ours, alone, "s", "peer / here", "1.8 times")


def train_arms(
    stacked: bool, quantiles: tuple[float, ...] = (0.5, 0.25, 0.1, 0.02), subsets: int = 10, epochs: int = 40
) -> dict[str, float]:
    """Train the policies of a study's arms under one budget.

    Args:
        stacked: whether arms of equal size train as one network, or each alone, one after the other.
        quantiles: beside imitation.
        subsets: random ones for each.
        epochs: of each policy at most.

    Returns:
        How many `policies`, and the `seconds`.
    """
    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.policies.hyper_parameters import PerceptronTraining
    from quantilizers.policies.multilayer_perceptron import fit, stacks
    from quantilizers.policies.treatment import Treatment
    from quantilizers.studies.controls import arms_of

    demonstrations = Demonstrations.load("demo", "MountainCar-v0").with_observations()
    training, seeds = PerceptronTraining(max_epochs=epochs), range(SEEDS)
    splits: dict[Any, Any] = {
        arm: Treatment(arm.selection, arm.subset).choose(demonstrations, arm.quantile).demonstrations
        for arm in arms_of(quantiles, subsets, ["epochs"])
    }
    trained = 0

    def train(some: dict[Any, Any]) -> None:
        nonlocal trained
        for _ in fit(some, seeds, training, together=stacks(some, seeds)):
            trained += 1

    def one_at_a_time() -> None:
        for arm, split in splits.items():
            train({arm: split})

    seconds = seconds_of((lambda: train(splits)) if stacked else one_at_a_time)
    return {"policies": trained, "seconds": seconds}
