#!/usr/bin/env python3
"""Print a table of what the optimisers were measured to earn, beside what the reference implementation published.

    python quantilizer.py --do optimize --env_name Hopper-v2
    python scripts/optimiser_table.py

Every optimiser of every environment has a row once `--do optimize` has measured a seed of it; `--env_name` shows
environments of your own. Intervals are of 95 %, over seeds; of a single seed, over its episodes.
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

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import environment_names, load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.figures.tables import format_table
from quantilizers.layout import Layout, log_directory
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of
from quantilizers.optimisers.measurements import Measurement, load_measurement

HEAD = (
    "environment", "published", "its true return", "its proxy return", "measured", "steps", "seeds × episodes",
    "true return", "proxy return",
)  # fmt: skip
UNKNOWN = "–"


def measured_seeds(layout: Layout, variant: str) -> list[int]:
    """Return the seeds of an optimiser that were measured, in order."""
    sought = layout.optimiser_rewards(0, variant)
    pattern = re.compile(re.escape(sought.name.removesuffix("0.npz")) + r"(\d+)\.npz")
    return sorted(int(match[1]) for path in sought.parent.glob("*.npz") if (match := pattern.fullmatch(path.name)))


def row_of(environment: EnvironmentDefinition, measured: Measurement) -> list[str]:
    """Return the table's row of one optimiser; its last cell is what the environment's figures show as second axis."""
    published = environment.published_optimiser
    true, proxy = measured.true_returns, measured.proxy_returns
    return [
        environment.name,
        published.algorithm if published else UNKNOWN,
        f"{published.true_return:g}" if published else UNKNOWN,
        f"{round(published.proxy_return, 3):g}" if published else UNKNOWN,
        ALGORITHMS[measured.algorithm].label,
        ALGORITHMS[measured.algorithm].amount(measured.steps).removesuffix(" steps") or UNKNOWN,
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


def table(log: Path, path: str, addresses: Sequence[str]) -> str:
    """Return the table of everything that was measured.

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
        for algorithm in ALGORITHMS:
            variant = variant_of(algorithm, environment.optimisers)
            measured = load_measurement(layout, measured_seeds(layout, variant), variant)
            if measured is not None:
                rows.append(row_of(environment, measured))
                if environment.second_axis is not None:
                    labels.append((environment.second_label or "second axis").partition(" (")[0])
    if not rows:
        raise MissingError(f"no optimiser was measured yet: none is in {log / 'rewards' / path}")
    if not labels:
        return format_table(HEAD, [row[:-1] for row in rows])
    return format_table([*HEAD, ", ".join(dict.fromkeys(labels))], rows)


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
        options = parser.parse_args(arguments)
        try:
            print(table(options.log_dir, options.path, options.env_name))
        except MissingError as error:
            raise UserError(f"{error}; run: python quantilizer.py --do optimize") from None

    return run_program("scripts/optimiser_table.py", work)


if __name__ == "__main__":
    sys.exit(main())
