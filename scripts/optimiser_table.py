#!/usr/bin/env python3
"""Print what the optimisers were measured to earn, beside what the reference implementation published.

A second table shows where each stands by its proxy return among the quantilizers and the best demonstration.

    python quantilizer.py --do optimize --env_name Hopper-v2
    python scripts/optimiser_table.py

Every optimiser of every environment has a row once `--do optimize` has measured a seed of it; `--env_name` shows
environments of your own. Intervals are of 95 %, over seeds; of a single seed, over its episodes. SARSA and Q-learning
are measured in their last training episodes, as in the reference; the greedy ones are the same agents in test episodes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np

from quantilizers.arrays import load_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.finding import dataset_title
from quantilizers.envs.definition import EnvironmentDefinition, FloatArray
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults, load_all_results, load_results
from quantilizers.figures.tables import format_table
from quantilizers.layout import Layout, log_directory
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.optimisers.standing import share_of_the_way, standings_of, verdict

HEAD = (
    "environment", "published", "its true return", "its proxy return", "measured", "steps", "seeds × episodes",
    "true return", "proxy return",
)  # fmt: skip
STANDING_HEAD = (
    "agent", "proxy return", "from random to the highest", "true return", "seeds × episodes", "does it optimise?",
)  # fmt: skip
UNKNOWN = "–"


def measured_seeds(layout: Layout, variant: str) -> list[int]:
    """Return the seeds of an optimiser that were measured, in order."""
    return _seeds(layout.optimiser_rewards(0, variant))


def _seeds(of_seed_0: Path) -> list[int]:
    """Return the seeds of which there are files, given the place of that of seed 0."""
    pattern = re.compile(re.escape(of_seed_0.name.removesuffix("0.npz")) + r"(\d+)\.npz")
    return sorted(int(match[1]) for path in of_seed_0.parent.glob("*.npz") if (match := pattern.fullmatch(path.name)))


def row_of(environment: EnvironmentDefinition, measured: Measurement, steps: str) -> list[str]:
    """Return the table's row of one optimiser; its last cell is what the environment's figures show as second axis.

    Args:
        environment: where.
        measured: what it earned.
        steps: how long it was trained, in words.
    """
    published = environment.published_optimiser
    true, proxy = measured.true_returns, measured.proxy_returns
    return [
        environment.name,
        published.algorithm if published else UNKNOWN,
        f"{published.true_return:g}" if published else UNKNOWN,
        f"{round(published.proxy_return, 3):g}" if published else UNKNOWN,
        ALGORITHMS[measured.algorithm].label,
        steps,
        f"{true.shape[0]} × {true.shape[1]}",
        str(mean_interval(true)),
        str(mean_interval(proxy)),
        second_axis_of(environment, measured),
    ]


def second_axis_of(environment: EnvironmentDefinition, measured: Measurement) -> str:
    """Return what an environment's figures show beside the true return, where that is not the proxy return."""
    second, published = environment.second_axis, environment.published_optimiser
    if second is None:
        return UNKNOWN
    options = measured.results[0].options
    here = str(mean_interval(second(measured.true_returns, measured.proxy_returns, options)))
    if published is None:
        return here
    of_published = np.array(published.true_return), np.array(published.proxy_return)
    return f"{float(second(*of_published, environment.options)):.3f} published, {here}"


def steps_of(layout: Layout, measured: Measurement) -> str:
    """Return how long an optimiser was trained; where its proxy return stood still before, how long that took.

    Raises:
        UserError: an agent's file cannot be read.
    """
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
    """Return what every optimiser of an environment was measured to earn.

    Raises:
        UserError: a file cannot be read.
    """
    found = []
    for algorithm in ALGORITHMS:
        variant = variant_of(algorithm, environment.optimisers)
        measured = load_measurement(layout, measured_seeds(layout, variant), variant)
        if measured is not None:
            found.append(measured)
    return found


def table(log: Path, path: str, addresses: Sequence[str]) -> str:
    """Return the table of everything that was measured, beside what was published.

    Args:
        log: the folder with all results.
        path: folder of the run.
        addresses: of the environments, as `quantilizers.envs.registry.load_environment` takes them.

    Raises:
        MissingError: nothing was measured.
        UserError: a file cannot be read.
    """
    rows, labels = [], []
    for environment in map(load_environment, addresses):
        layout = Layout(log, environment.name, "demo", path)
        for measured in measurements_of(environment, layout):
            rows.append(row_of(environment, measured, steps_of(layout, measured)))
            if environment.second_axis is not None:
                labels.append((environment.second_label or "second axis").partition(" (")[0])
    if not rows:
        raise MissingError(f"no optimiser was measured yet: none is in {log / 'rewards' / path}")
    if not labels:
        return format_table(HEAD, [row[:-1] for row in rows])
    return format_table([*HEAD, ", ".join(dict.fromkeys(labels))], rows)


def tested_quantilizers(environment: EnvironmentDefinition, layout: Layout) -> list[SeedResults]:
    """Return what the quantilizers of a data set earned: every seed that was tested, and the quantiles that all have.

    Raises:
        UserError: a file cannot be read, or seeds were not tested alike.
    """
    paths = [layout.rewards(seed) for seed in _seeds(layout.rewards(0))]
    if not paths:
        return []
    of_seeds = [load_results(path).quantiles.tolist() for path in paths]
    common = [quantile for quantile in of_seeds[0] if all(quantile in quantiles for quantiles in of_seeds)]
    return load_all_results(paths, environment.name, common) if common else []


def demonstrated_returns(environment: EnvironmentDefinition, layout: Layout) -> tuple[FloatArray, FloatArray] | None:
    """Return proxy and true returns of the demonstrations; None where there are none."""
    try:
        demonstrations = Demonstrations.find(layout, environment)
    except MissingError:
        return None
    return demonstrations.proxy_returns, demonstrations.true_returns


def standing_table(environment: EnvironmentDefinition, layout: Layout) -> str:
    """Return the table of where everybody stands by proxy return, the highest known first; nothing without optimisers.

    Raises:
        UserError: a file cannot be read.
    """
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
