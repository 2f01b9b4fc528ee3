"""The stage `efforts`: both returns of a planner against its effort, and whether the true return turns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quantilizers.errors import UserError
from quantilizers.figures.learning import turn_of
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.kl_control import divergences_of
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.optimisers.paths import OptimisationPath, PathPoint, effort_text
from quantilizers.recipe import Recipe
from quantilizers.stages import optimising
from quantilizers.stages.finished import delete
from quantilizers.stages.optimising import optimise, save_path
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.terminal import terminal_table, wrapped

#: The unit of KL control's effort, as an axis label.
BETA_LABEL = "beta, 1/weight of the KL penalty"
#: Folder below the run's, with the agents of each effort.
EFFORTS = "efforts"


def run(run: Run) -> None:
    """Plan and measure at each of the environment's efforts, save and draw the path, and print a table."""
    settings = run.settings
    environment, layout, algorithm = settings.environment, settings.layout, settings.algorithm
    check(run)
    optimising.check_imitators(run)
    if ALGORITHMS[algorithm].plans and settings.wanted_optimiser_steps is not None:
        efforts = ", ".join(map(effort_text, environment.planning.efforts))
        print(f"warning: --effort is for --do optimize; --do efforts measures at {efforts}", file=sys.stderr)
    points, imitators = [], tuple[str, ...]()
    for effort in _efforts(settings):
        measured, divergences = _measured_already(settings, effort), None
        if measured is None:
            measured, jobs, _ = optimise(run, _layout(settings, effort), effort)
            if ALGORITHMS[algorithm].penalised:
                divergences = np.stack([divergences_of(job) for job in jobs])
                imitators = tuple(job.imitator_hash for job in jobs)
        points.append(PathPoint(effort, measured.true_returns, measured.proxy_returns, divergences))
    path = OptimisationPath(
        algorithm=algorithm,
        environment=environment.name,
        max_steps=settings.max_steps,
        options=settings.options,
        effort_label=BETA_LABEL if ALGORITHMS[algorithm].penalised else environment.planning.effort_label,
        seeds=tuple(settings.seeds),
        points=tuple(points),
        imitators=imitators,
    )
    drawn = save_path(path, settings, settings.record())
    possible = environment.true_range(settings.max_steps)
    rows = [
        [
            f"{point.effort:g}",
            str(point.true.within(*possible)),
            str(point.proxy),
            *([] if point.divergence is None else [str(point.divergence)]),
            f"{point.true_returns.size:,}",
        ]
        for point in path.points
    ]
    of_kl = ["KL, nats"] if path.points[0].divergence is not None else []
    head = [path.effort_label, "true return", "proxy return", *of_kl, "episodes"]
    print(wrapped(f"{environment.name}, {path.label}; mean [95 % interval over {path.points[0].true.over}]"))
    print(terminal_table(head, rows, settings.wide))
    print(wrapped(turn_of(path)))
    print(f"drew {drawn}; the numbers are in {layout.optimiser_path(algorithm)}")


def _efforts(settings: Settings) -> Sequence[float]:
    """Return the efforts of the environment at which the algorithm is measured."""
    planning = settings.environment.planning
    return planning.betas if ALGORITHMS[settings.algorithm].penalised else planning.efforts


def _measured_already(settings: Settings, effort: float) -> Measurement | None:
    """Return the measurement of `--do optimize` with the same effort, if there is one; it may have more episodes."""
    if ALGORITHMS[settings.algorithm].penalised:
        return None  # its file does not have the KL
    measured = load_measurement(settings.layout, settings.seeds, settings.optimiser_variant)
    if measured is None:
        return None
    wanted = {
        "environment": settings.environment.name,
        "algorithm": settings.algorithm,
        "steps": effort,
        "max_steps": settings.max_steps,
        "number_trajectories": max(settings.number_trajectories, measured.results[0].lengths.shape[1]),
        "options": settings.options,
        "seeds": list(settings.seeds),
    }
    return None if measured.recipe.difference(Recipe(wanted)) else measured


def check(run: Run) -> None:
    """Check everything that can fail before planning starts."""
    settings = run.settings
    optimising.check_possible(settings)
    if not (ALGORITHMS[settings.algorithm].plans or ALGORITHMS[settings.algorithm].penalised):
        planners = " or ".join(name for name, one in ALGORITHMS.items() if one.plans or one.penalised)
        does = "is traced by --do optimize" if ALGORITHMS[settings.algorithm].imitates else "learns"
        raise UserError(f"--do efforts is for planners, and {settings.algorithm} {does}; choose --algorithm {planners}")
    if not _efforts(settings):
        raise UserError(f"{settings.environment.name} declares no betas in its planning, at which to measure")
    if not settings.force:
        for effort in _efforts(settings):
            optimising.check_jobs(optimising.jobs_of(settings, _layout(settings, effort), effort))


def forget(run: Run) -> None:
    """Delete the plans and measurements of each effort, and the path."""
    settings = run.settings
    delete("the path", [settings.layout.optimiser_path(settings.algorithm)])
    for effort in _efforts(settings):
        optimising.forget_jobs(optimising.jobs_of(settings, _layout(settings, effort), effort))


def _layout(settings: Settings, effort: float) -> Layout:
    """Return the layout of an effort, in a folder below the run's."""
    path = "/".join(part for part in (settings.layout.path.rstrip("/"), EFFORTS, f"{effort:g}") if part)
    return replace(settings.layout, path=path)
