"""The stage `optimize`: train agents on the proxy reward, and measure both returns."""

from __future__ import annotations

import numpy as np

from quantilizers.errors import UserError
from quantilizers.optimisers import ALGORITHMS, learner_of
from quantilizers.optimisers.jobs import jobs_of
from quantilizers.optimisers.learning_figure import draw_learning
from quantilizers.optimisers.measurements import load_measurement
from quantilizers.optimisers.reports import training_report
from quantilizers.settings import Settings
from quantilizers.statistics import mean_interval
from quantilizers.tables import counted, format_table


def run(settings: Settings) -> None:
    """Train the optimiser's seeds as far as they are not, measure them, draw their learning and print a table.

    Raises:
        UserError: a library is missing, or the algorithm does not fit the environment.
    """
    environment = settings.environment
    if environment.second_axis is not None:
        # What cannot be drawn in the end is to be known before an hour of training.
        environment.second_axis(np.zeros(1), np.zeros(1), settings.options)
    jobs = jobs_of(settings)
    with training_report(settings) as report:
        curves = learner_of(settings.algorithm).optimise(jobs, report)
    draw_learning(settings, curves)
    command = settings.command_for("optimize")
    measured = load_measurement(settings.layout, settings.seeds, settings.optimiser_variant, command)
    if measured is None:
        raise UserError(f"{jobs[0].rewards} is gone, though it was just written; is something deleting files?")
    label = ALGORITHMS[settings.algorithm].label
    seeds = counted(len(jobs), "seed")
    print(f"{environment.name}, {label} of {settings.optimiser_steps:,} steps, {seeds}; mean [95 % interval]")
    row = [label, str(mean_interval(measured.true_returns)), str(mean_interval(measured.proxy_returns))]
    row.append(f"{measured.true_returns.size:,}")
    print(format_table(["optimiser", "true return", "proxy return", "episodes"], [row]))
    print(f"agents are in {jobs[0].agent.parent}, measured rewards in {jobs[0].rewards.parent}")
