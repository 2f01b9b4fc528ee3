"""The stage `efforts`: both returns of a planner against its effort, and whether the true return turns."""

from __future__ import annotations

from dataclasses import replace

from quantilizers.errors import UserError
from quantilizers.figures.learning import draw_efforts, turn_of
from quantilizers.figures.style import save_figure
from quantilizers.figures.tables import terminal_table, wrapped
from quantilizers.layout import Layout
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.optimisers.paths import OptimisationPath, PathPoint
from quantilizers.recipe import Recipe
from quantilizers.stages import optimising
from quantilizers.stages.optimising import optimise
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings

#: Folder below the run's, with the agents of each effort.
EFFORTS = "efforts"


def run(run: Run) -> None:
    """Plan and measure at each of the environment's efforts, save and draw the path, and print a table."""
    settings = run.settings
    environment, layout, algorithm = settings.environment, settings.layout, settings.algorithm
    check(run)
    points = []
    for effort in environment.planning.efforts:
        measured = _measured_already(settings, effort)
        if measured is None:
            measured, _, _ = optimise(run, _layout(settings, effort), effort)
        points.append(PathPoint(effort, measured.true_returns, measured.proxy_returns))
    path = OptimisationPath(
        algorithm=algorithm,
        environment=environment.name,
        max_steps=settings.max_steps,
        options=settings.options,
        effort_label=environment.planning.effort_label,
        seeds=tuple(settings.seeds),
        points=tuple(points),
    )
    record = settings.record()
    path.save(layout.optimiser_path(algorithm), record)
    figure, numbers = draw_efforts([path], environment.figures.true_label, environment.figures.proxy_label)
    drawn = layout.optimiser_effort_figure(algorithm)
    save_figure(figure, drawn, record, numbers)
    rows = [
        [f"{point.effort:g}", str(point.true), str(point.proxy), f"{point.true_returns.size:,}"]
        for point in path.points
    ]
    print(wrapped(f"{environment.name}, {path.label}; mean [95 % interval over {path.points[0].true.over}]"))
    print(terminal_table([path.effort_label, "true return", "proxy return", "episodes"], rows, settings.wide))
    print(wrapped(turn_of(path)))
    print(f"drew {drawn}; the numbers are in {layout.optimiser_path(algorithm)}")


def _measured_already(settings: Settings, effort: int) -> Measurement | None:
    """Return the measurement of `--do optimize` with the same effort, if there is one; it may have more episodes."""
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
    if not ALGORITHMS[settings.algorithm].plans:
        planners = " or ".join(name for name, algorithm in ALGORITHMS.items() if algorithm.plans)
        does = "is traced by --do optimize" if ALGORITHMS[settings.algorithm].imitates else "learns"
        raise UserError(f"--do efforts is for planners, and {settings.algorithm} {does}; choose --algorithm {planners}")
    if not settings.force:
        for effort in settings.environment.planning.efforts:
            optimising.check_jobs(optimising.jobs_of(settings, _layout(settings, effort), effort))


def forget(run: Run) -> None:
    """Delete the plans and measurements of each effort."""
    settings = run.settings
    for effort in settings.environment.planning.efforts:
        optimising.forget_jobs(optimising.jobs_of(settings, _layout(settings, effort), effort))


def _layout(settings: Settings, effort: int) -> Layout:
    """Return the layout of an effort, in a folder below the run's."""
    path = "/".join(part for part in (settings.layout.path.rstrip("/"), EFFORTS, str(effort)) if part)
    return replace(settings.layout, path=path)
