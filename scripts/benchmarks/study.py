"""A study with its controls: trained as stacks of equal members, against one quantile at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from benchmarks.measuring import PeerMissingError, Plan, seconds_of, two_cores, work
from benchmarks.results import Comparison

SEEDS = 5


def study(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Run the arms of one budget in stacks on two cores and on one, and each alone on two; compiling included."""
    pair = two_cores()
    size: dict[str, Any] = {"quantiles": [0.02], "subsets": 2, "epochs": 1} if plan.quick else {}
    together, on_one, one_at_a_time = [], [], []
    for _ in range(plan.repeats(2)):
        together.append(work("study:run_study", pair, together=True, processes=2, **size))
        one_at_a_time.append(work("study:run_study", pair, together=False, **size))
        on_one.append(work("study:run_study", pair[:1], together=True, **size))
    number = int(together[0]["policies"])
    name = f"training and testing the {number} policies of a study with its controls, on two cores"
    ours, theirs, alone = (tuple(one["seconds"] for one in found) for found in (together, one_at_a_time, on_one))
    yield Comparison("study", name, "the same, one quantile at a time", ours, theirs, "s", "peer / here", "faster")
    yield Comparison("study", name, "on one core", ours, alone, "s", "peer / here", "1.8 times")


def run_study(
    together: bool,
    processes: int = 0,
    quantiles: tuple[float, ...] = (0.5, 0.25, 0.1, 0.02),
    subsets: int = 10,
    epochs: int = 40,
) -> dict[str, float]:
    """Train and test the policies of a study's arms under one budget.

    Args:
        together: whether arms of equal size train as one network, or each alone, one after the other.
        processes: that do the work; 0 is this one.
        quantiles: beside imitation.
        subsets: random ones for each.
        epochs: of each policy at most.

    Returns:
        How many `policies`, and the `seconds`, importing TensorFlow included.
    """
    from quantilizers.datasets.demonstrations import Demonstrations
    from quantilizers.execution.processes import LocalProcesses
    from quantilizers.policies.hyper_parameters import PerceptronTraining
    from quantilizers.policies.policy import acting_of
    from quantilizers.studies.controls import Protocol, arms_of, run_arms

    demonstrations = Demonstrations.load("demo", "MountainCar-v0").with_observations()
    environment = demonstrations.environment
    protocol = Protocol(
        seeds=tuple(range(SEEDS)),
        training=PerceptronTraining(max_epochs=epochs),
        acting=acting_of(environment),
        episodes=environment.experiment.number_trajectories,
        max_steps=environment.max_steps,
        options=dict(environment.options),
    )
    arms = arms_of(quantiles, subsets, ["epochs"])

    def run() -> None:
        with LocalProcesses(processes) if processes else nullcontext() as executor:
            for some in [arms] if together else [[arm] for arm in arms]:
                run_arms(demonstrations, some, protocol, executor=executor)

    return {"policies": len(arms) * SEEDS, "seconds": seconds_of(run)}
