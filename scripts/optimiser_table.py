#!/usr/bin/env python3
"""Print a table of what the optimisers were measured to earn, beside what the reference implementation published.

    python quantilizer.py --do optimize --env_name Hopper-v2
    python scripts/optimiser_table.py

Every optimiser of every environment has a row once `--do optimize` has measured a seed of it. Intervals are of 95 %,
over seeds and episodes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from quantilizers.envs import environment_names, load_environment
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import LOG_DIRECTORY, Layout
from quantilizers.optimisers import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.programs import Parser, run_program
from quantilizers.statistics import mean_interval
from quantilizers.tables import format_table

HEAD = (
    "environment", "published", "its true return", "its proxy return", "measured", "steps", "seeds × episodes",
    "true return", "proxy return", "implicit loss −I/λ",
)  # fmt: skip


def measured_seeds(layout: Layout, variant: str) -> list[int]:
    """Return the seeds of an optimiser that were measured, in order."""
    sought = layout.optimiser_rewards(0, variant)
    pattern = re.compile(re.escape(sought.name.removesuffix("0.npz")) + r"(\d+)\.npz")
    return sorted(int(match[1]) for path in sought.parent.glob("*.npz") if (match := pattern.fullmatch(path.name)))


def row_of(environment: EnvironmentDefinition, measured: Measurement) -> list[str]:
    """Return the table's row of one optimiser."""
    published = environment.published_optimiser
    true, proxy = measured.true_returns, measured.proxy_returns
    implicit = "–"
    if environment.second_axis is not None:
        options = measured.results[0].options
        of_published = np.array(published.true_return), np.array(published.proxy_return)
        once = float(environment.second_axis(*of_published, environment.options))
        here = mean_interval(environment.second_axis(true, proxy, options))
        implicit = f"{once:.3f} published, {here}"
    return [
        environment.name,
        published.algorithm,
        f"{published.true_return:g}",
        f"{round(published.proxy_return, 3):g}",
        ALGORITHMS[measured.algorithm].label,
        f"{measured.steps:,}",
        f"{true.shape[0]} × {true.shape[1]}",
        str(mean_interval(true)),
        str(mean_interval(proxy)),
        implicit,
    ]


def table(log: Path, path: str) -> str:
    """Return the table of everything that was measured.

    Args:
        log: the folder with all results.
        path: `--path` of the run.

    Raises:
        UserError: nothing was measured, or a file cannot be read.
    """
    rows = []
    for name in environment_names():
        environment = load_environment(name)
        layout = Layout(log, name, "demo", path)
        for algorithm in ALGORITHMS:
            variant = "" if algorithm == environment.optimisers[0] else algorithm
            command = f"python quantilizer.py --do optimize --env_name {name} --algorithm {algorithm}"
            measured = load_measurement(layout, measured_seeds(layout, variant), variant, command)
            if measured is not None:
                rows.append(row_of(environment, measured))
    if not rows:
        raise UserError("no optimiser was measured yet; run: python quantilizer.py --do optimize")
    return format_table(HEAD, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/optimiser_table.py", description=__doc__)
        parser.add_argument("--path", default="", help="folder of the run, as for quantilizer.py")
        options = parser.parse_args(arguments)
        print(table(LOG_DIRECTORY, options.path))

    return run_program("scripts/optimiser_table.py", work)


if __name__ == "__main__":
    sys.exit(main())
