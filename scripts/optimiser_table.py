#!/usr/bin/env python3
"""Print the measured returns of the optimisers beside those in the reference's code.

    python quantilizer.py --do optimize --env_name Hopper-v2
    python scripts/optimiser_table.py

Every optimiser that `--do optimize` has measured has a row; `--env_name` adds environments of your own. Intervals are
95 % intervals over seeds, or over episodes where there is one seed. SARSA and Q-learning are measured in their last
training episodes, as in the reference; the greedy ones are the same agents in test episodes.

A second table ranks optimisers, quantilizers and the best demonstration by proxy return, and says whether each
optimiser optimises: one that earns less proxy reward than agents that imitate people does not, and comparing true
returns with it says nothing about optimisation. An optimiser's 95 % interval is compared with that of each quantilizer.
Two intervals that do not overlap differ by more than a test at 5 % requires; of two that overlap nothing is said.
Nothing is corrected for the number of comparisons.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np

from quantilizers.arrays import load_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.results import SeedResults, load_all_results, load_results
from quantilizers.layout import Layout, log_directory
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.rewards import FloatArray
from quantilizers.terminal import format_table

HEAD = (
    "environment", "reference's code", "its true return", "its proxy return", "measured", "steps", "seeds × episodes",
    "true return", "proxy return",
)  # fmt: skip
STANDING_HEAD = (
    "agent", "proxy return", "from random to the highest", "true return", "seeds × episodes", "does it optimise?",
)  # fmt: skip
UNKNOWN = "–"
NOT_OPTIMISED, UNDECIDED = "did not optimise", "undecided"


@dataclass(frozen=True, eq=False)
class Standing:
    """One row of the ranking by proxy return."""

    label: str  # name of the agent
    proxy_returns: FloatArray  # (seeds, episodes); (1, 1) for the best demonstration
    true_returns: FloatArray  # (seeds, episodes)
    conditions: Mapping[str, Any] | None = None  # horizon and options of the environment; None for a demonstration
    optimises: bool = False  # tries to earn proxy reward
    quantile: float | None = None  # of a quantilizer

    @property
    def proxy(self) -> Interval:
        """Mean proxy return with its interval."""
        return mean_interval(self.proxy_returns)

    @property
    def true(self) -> Interval:
        """Mean true return with its interval."""
        return mean_interval(self.true_returns)


def standings_of(
    measurements: Sequence[Measurement],
    tested: Sequence[SeedResults],
    demonstrated: tuple[FloatArray, FloatArray] | None,
) -> list[Standing]:
    """Return all agents and the best demonstration, ranked by proxy return, the highest first.

    Quantilizers were tested with the same quantiles for each seed; `demonstrated` are proxy and true returns (N,).
    """
    found = []
    for measured in measurements:
        algorithm, conditions = ALGORITHMS[measured.algorithm], _conditions(measured.results[0])
        found.append(
            Standing(algorithm.label, measured.proxy_returns, measured.true_returns, conditions, algorithm.optimises)
        )
    for index, quantile in enumerate(tested[0].quantiles.tolist() if tested else []):
        label = "imitation, q = 1" if quantile == 1 else f"quantilizer, q = {quantile:g}"
        proxy = np.stack([one.proxy_returns[index] for one in tested])
        true = np.stack([one.true_returns[index] for one in tested])
        found.append(Standing(label, proxy, true, _conditions(tested[0]), quantile=quantile))
    if demonstrated is not None:
        best = int(demonstrated[0].argmax())
        proxy, true = (returns[None, [best]] for returns in demonstrated)
        found.append(Standing("best demonstration", proxy, true))
    return sorted(found, key=lambda standing: -standing.proxy.estimate)


def verdict(standing: Standing, others: Sequence[Standing]) -> str:
    """Return whether an optimiser optimised; an empty string for other agents.

    It did not if its interval is below that of some quantilizer, and did if it is above all of them; otherwise this is
    undecided.
    """
    if not standing.optimises:
        return ""
    quantilizers = [other for other in others if other.quantile is not None]
    if not quantilizers:
        return "no quantilizer was tested"
    alike = [other for other in quantilizers if other.conditions == standing.conditions]
    if not alike:
        return "quantilizers were tested with another horizon or other options"
    # An unknown bound is NaN, for which comparisons are false.
    above = [other for other in alike if other.proxy.low > standing.proxy.high]
    if above:
        highest = max(above, key=lambda other: other.proxy.estimate)
        return f"{NOT_OPTIMISED}: below q = {highest.quantile:g}"
    if all(standing.proxy.low > other.proxy.high for other in alike):
        return "above every quantilizer"
    overlapping = [other for other in alike if not standing.proxy.low > other.proxy.high]
    names = ", ".join(f"{other.quantile:g}" for other in sorted(overlapping, key=lambda other: -(other.quantile or 0)))
    return f"{UNDECIDED}: overlaps q = {names}"


def share_of_the_way(standing: Standing, others: Sequence[Standing]) -> float | None:
    """Return an agent's proxy return on a scale from random play (0) to the highest among all (1).

    Return None where random play was not measured with the same horizon and options, or is itself the highest.
    """
    # A demonstration has no conditions and is compared with every agent.
    alike = [
        other
        for other in others
        if None in (other.conditions, standing.conditions) or other.conditions == standing.conditions
    ]
    random = [other.proxy.estimate for other in alike if other.label == ALGORITHMS["random"].label]
    highest = max(other.proxy.estimate for other in alike)
    if not random or highest <= random[0]:
        return None
    return (standing.proxy.estimate - random[0]) / (highest - random[0])


def _conditions(results: SeedResults) -> dict[str, Any]:
    return {"max_steps": results.max_steps, "options": dict(results.options)}


def measured_seeds(layout: Layout, variant: str) -> list[int]:
    """Return the measured seeds of an optimiser in ascending order."""
    return _seeds(layout.optimiser_rewards(0, variant))


def _seeds(of_seed_0: Path) -> list[int]:
    """Return the seeds that have a file, given the path for seed 0."""
    pattern = re.compile(re.escape(of_seed_0.name.removesuffix("0.npz")) + r"(\d+)\.npz")
    return sorted(int(match[1]) for path in of_seed_0.parent.glob("*.npz") if (match := pattern.fullmatch(path.name)))


def row_of(environment: EnvironmentDefinition, measured: Measurement, steps: str) -> list[str]:
    """Return an optimiser's row; the last cell is the second axis of the environment's figures."""
    published = environment.experiment.published_optimiser
    true, proxy = measured.true_returns, measured.proxy_returns
    return [
        environment.name,
        published.algorithm if published else UNKNOWN,
        f"{published.true_return:g}" if published else UNKNOWN,
        f"{round(published.proxy_return, 3):g}" if published else UNKNOWN,
        ALGORITHMS[measured.algorithm].label,
        steps,
        f"{true.shape[0]} × {true.shape[1]}",
        str(mean_interval(true).within(*environment.true_range(measured.results[0].max_steps))),
        str(mean_interval(proxy)),
        second_axis_of(environment, measured),
    ]


def second_axis_of(environment: EnvironmentDefinition, measured: Measurement) -> str:
    """Return the published and measured values of the figures' second axis where it is not the proxy return."""
    second, published = environment.second_quantity, environment.experiment.published_optimiser
    if second is None:
        return UNKNOWN
    options = measured.results[0].options
    here = str(mean_interval(second(measured.true_returns, measured.proxy_returns, options)))
    if published is None:
        return here
    of_published = np.array(published.true_return), np.array(published.proxy_return)
    return f"{float(second(*of_published, environment.options)):.3f} in the reference's code, {here}"


def steps_of(layout: Layout, measured: Measurement) -> str:
    """Return the training budget, and the steps taken where training ended early."""
    algorithm = ALGORITHMS[measured.algorithm]
    budget, taken = algorithm.amount(measured.steps).removesuffix(" steps").removeprefix("≤ ") or UNKNOWN, []
    for seed in measured.seeds if algorithm.ends_early else []:
        agent = layout.optimiser_agent(measured.algorithm, seed)
        if agent.exists():
            taken.append(int(load_arrays(agent, ("trained_steps",))["trained_steps"]))
    if not taken or min(taken) >= measured.steps:
        return budget
    return f"{min(taken):,} to {max(taken):,} of {budget}"


def measurements_of(environment: EnvironmentDefinition, layout: Layout) -> list[Measurement]:
    """Return the measurements of every optimiser of an environment."""
    found = []
    for algorithm in ALGORITHMS:
        variant = variant_of(algorithm, environment.experiment.optimisers)
        measured = load_measurement(layout, measured_seeds(layout, variant), variant)
        if measured is not None:
            found.append(measured)
    return found


def table(log: Path, path: str, addresses: Sequence[str]) -> str:
    """Return the table of measured and published returns; raise `MissingError` if nothing was measured."""
    rows, labels = [], []
    for environment in map(load_environment, addresses):
        layout = Layout(log, environment.name, "demo", path)
        for measured in measurements_of(environment, layout):
            rows.append(row_of(environment, measured, steps_of(layout, measured)))
            if environment.figures.second_axis is not None:
                labels.append((environment.figures.second_label or "second axis").partition(" (")[0])
    if not rows:
        raise MissingError(f"no optimiser was measured yet: none is in {log / 'rewards' / path}")
    if not labels:
        return format_table(HEAD, [row[:-1] for row in rows])
    return format_table([*HEAD, ", ".join(dict.fromkeys(labels))], rows)


def tested_quantilizers(environment: EnvironmentDefinition, layout: Layout) -> list[SeedResults]:
    """Return the test results of all seeds of a data set's quantilizers, with the quantiles that all seeds have."""
    paths = [layout.rewards(seed) for seed in _seeds(layout.rewards(0))]
    if not paths:
        return []
    of_seeds = [load_results(path).quantiles.tolist() for path in paths]
    common = [quantile for quantile in of_seeds[0] if all(quantile in quantiles for quantiles in of_seeds)]
    return load_all_results(paths, environment.name, common) if common else []


def demonstrated_returns(environment: EnvironmentDefinition, layout: Layout) -> tuple[FloatArray, FloatArray] | None:
    """Return proxy and true returns of the demonstrations, or None if there are none."""
    try:
        demonstrations = Demonstrations.find(layout, environment)
    except MissingError:
        return None
    return demonstrations.proxy_returns, demonstrations.true_returns


def standing_table(environment: EnvironmentDefinition, layout: Layout) -> str:
    """Return the ranking by proxy return; an empty string where no optimiser was measured."""
    measurements = measurements_of(environment, layout)
    if not measurements:
        return ""
    everybody = standings_of(
        measurements, tested_quantilizers(environment, layout), demonstrated_returns(environment, layout)
    )
    rows = []
    for standing in everybody:
        share, alone = share_of_the_way(standing, everybody), standing.proxy_returns.size == 1
        seeds, episodes = standing.proxy_returns.shape
        rows.append(
            [
                standing.label,
                f"{standing.proxy.estimate:.4g}" if alone else str(standing.proxy),
                UNKNOWN if share is None else f"{share:.0%}",
                f"{standing.true.estimate:.4g}" if alone else str(standing.true),
                "1 episode" if alone else f"{seeds} × {episodes}",
                verdict(standing, everybody) or UNKNOWN,
            ]
        )
    title = f"{environment.name}: where each stands by its proxy return (quantilizers of {dataset_title(layout)})"
    return f"{title}\n\n{format_table(STANDING_HEAD, rows)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/optimiser_table.py", description=__doc__)
        parser.add_argument("--path", default="", help="folder of the run, as for quantilizer.py")
        parser.add_argument("--log_dir", type=Path, default=log_directory(), help="folder of all results (%(default)s)")
        parser.add_argument(
            "--env_name", "--env_id", nargs="+", default=environment_names(), metavar="ENVIRONMENT",
            help="names, or addresses such as my_env.py:ENVIRONMENT (those that ship)",
        )  # fmt: skip
        parser.add_argument(
            "--dataset_name", default="demo", help="whose quantilizers and best demonstration to compare with (demo)"
        )
        options = parser.parse_args(arguments)
        try:
            print(table(options.log_dir, options.path, options.env_name))
            for environment in map(load_environment, options.env_name):
                layout = Layout(options.log_dir, environment.name, options.dataset_name, options.path)
                standing = standing_table(environment, layout)
                if standing:
                    print(f"\n{standing}")
        except MissingError as error:
            raise UserError(f"{error}; run: python quantilizer.py --do optimize") from None

    return run_program("scripts/optimiser_table.py", work)


if __name__ == "__main__":
    sys.exit(main())
