"""The stage `optimize`: train agents on the proxy reward, and measure both returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.envs.registry import address_of
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.figures.learning import draw_efforts, learning_figure, turn_of
from quantilizers.figures.study import rollout_bounds_text
from quantilizers.figures.style import save_figure
from quantilizers.layout import Layout
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers import learner
from quantilizers.optimisers.agents import AgentJob, LearningCurve, agent_difference, make_jobs
from quantilizers.optimisers.algorithms import ALGORITHMS, algorithm_in
from quantilizers.optimisers.kl_control import divergences_of
from quantilizers.optimisers.learner import check_libraries, check_suitable
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.optimisers.paths import OptimisationPath, path_of_training
from quantilizers.optimisers.sampling_quantilizer import path_of_rollouts, rollout_returns
from quantilizers.stages.finished import WAYS_OUT, OtherSettingsError, delete
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.stages.testing import check_policy
from quantilizers.studies.bounds import bounds_of_rollouts
from quantilizers.terminal import terminal_table, wrapped


def run(run: Run) -> None:
    """Train and measure the seeds that are not finished, draw their learning curves and print a table."""
    check(run)
    check_imitators(run)
    for one in runs_of(run):
        _run(one)


def runs_of(run: Run) -> Iterator[Run]:
    """Return a run for `--algorithm`, and for each other algorithm of `--optimisers`, which has its own defaults."""
    settings = run.settings
    yield run
    for name in settings.wanted_optimisers or ():
        if name != settings.algorithm:
            yield run.under(settings.with_algorithm(name))


def _run(run: Run) -> None:
    settings = run.settings
    environment, layout, algorithm = settings.environment, settings.layout, settings.algorithm
    seeds, steps = settings.seeds, settings.optimiser_steps
    measured, jobs, curves = optimise(run, layout, settings.effort)
    bounds = ""
    if ALGORITHMS[algorithm].imitates:
        bounds = _trace_rollouts(run, jobs, measured)
    elif not ALGORITHMS[algorithm].plans and any(curve.steps for curve in curves):
        record = settings.record()
        record["settings"] |= {"algorithm": algorithm, "optimiser_steps": steps}
        figure, numbers = learning_figure(curves, seeds, algorithm, environment, settings.options)
        path = layout.optimiser_figure(algorithm)
        save_figure(figure, path, record, numbers)
        print(f"drew {path}")
        along = path_of_training(curves, seeds, algorithm, environment.name, settings.max_steps, settings.options)
        # That of KL control is along beta.
        if along is not None and not ALGORITHMS[algorithm].penalised:
            print(f"drew {save_path(along, settings, record)}")
            print(wrapped(f"in training, whose episodes explore, {turn_of(along)}"))
    label, amount = ALGORITHMS[algorithm].label, ALGORITHMS[algorithm].amount(steps)
    true, proxy = mean_interval(measured.true_returns), mean_interval(measured.proxy_returns)
    true = true.within(*environment.true_range(settings.max_steps))
    of_amount = f" of {amount}" if amount else ""
    of_amount += f", one of the best {settings.top_k:,} played" if settings.top_k else ""
    if settings.beta:
        divergence = mean_interval(np.stack([divergences_of(job) for job in jobs])).within(0.0, np.inf)
        of_amount = f"{of_amount}, beta {settings.beta:g}, KL {divergence} nats an episode"
    print(
        wrapped(
            f"{environment.name}, {label}{of_amount}, {counted(len(jobs), 'seed')}; mean [95 % interval over "
            f"{true.over}]"
        )
    )
    row = [label, str(true), str(proxy), f"{measured.true_returns.size:,}"]
    print(terminal_table(["optimiser", "true return", "proxy return", "episodes"], [row], settings.wide))
    if bounds:
        print(bounds)
    print(f"agents are in {jobs[0].agent.parent}\nmeasured rewards are in {jobs[0].rewards.parent}")


def optimise(run: Run, layout: Layout, effort: float) -> tuple[Measurement, list[AgentJob], list[LearningCurve]]:
    """Train and measure the unfinished seeds, and return the measurement, jobs and learning curves of all.

    `layout` locates the files, which for `efforts` are not those of the run; `effort` is as `Settings.effort`. Errors
    are those of `quantilizers.optimisers.learner.optimise`.
    """
    settings = run.settings
    environment, algorithm, seeds = settings.environment, settings.algorithm, settings.seeds
    jobs = jobs_of(settings, layout, effort)
    folders = [layout.optimiser_events(algorithm, seed) for seed in seeds]
    with run.executor(fresh=True) as executor:
        curves = learner.optimise(jobs, environment, folders, executor)
    if settings.scheduler is not None and not all(job.rewards.exists() for job in jobs):
        raise UserError(
            f"files of the workers, such as {jobs[0].rewards}, are not visible here; optimisers need a file system "
            "that all machines share"
        )
    for job in jobs:
        run.manifest.done(job.rewards, algorithm=algorithm, effort=effort, seed=job.seed)
    measured = load_measurement(layout, seeds, settings.optimiser_variant)
    if measured is None:
        raise UserError(f"{jobs[0].rewards} is gone, though it was just written; is another process deleting files?")
    return measured, jobs, curves


def jobs_of(settings: Settings, layout: Layout, effort: float) -> list[AgentJob]:
    """Return one job for each seed of the optimiser."""
    environment, models = settings.environment, settings.layout
    penalised = ALGORITHMS[settings.algorithm].penalised
    steps, beta = (settings.optimiser_steps, float(effort)) if penalised else (int(effort), 0.0)
    if settings.scheduler is not None and environment.address:
        # Workers have other working directories and share the file system, so paths are absolute.
        environment = replace(environment, address=address_of(environment).text)
        layout, models = (replace(one, log=one.log.resolve()) for one in (layout, models))
    return make_jobs(
        environment,
        settings.algorithm,
        settings.seeds,
        steps,
        settings.max_steps,
        settings.options,
        settings.number_trajectories,
        layout,
        settings.top_k,
        beta,
        models,
    )


def forget(run: Run) -> None:
    """Delete the optimisers' agents and measurements, and the paths that this stage writes."""
    for settings in (one.settings for one in runs_of(run)):
        forget_jobs(jobs_of(settings, settings.layout, settings.effort))
        about = ALGORITHMS[settings.algorithm]
        if not (about.plans or about.penalised):  # their paths are those of `efforts`
            delete("the path", [settings.layout.optimiser_path(settings.algorithm)])


def forget_jobs(jobs: Sequence[AgentJob]) -> None:
    """Delete agents and measurements."""
    delete("agents", [file for job in jobs for file in (job.agent, job.exported)])
    delete("rewards", [job.rewards for job in jobs])


def check(run: Run) -> None:
    """Check everything that can fail before training starts."""
    for one in runs_of(run):
        settings = one.settings
        check_possible(settings)
        if not settings.force:
            check_jobs(jobs_of(settings, settings.layout, settings.effort))


def check_imitators(run: Run) -> None:
    """Raise a `UserError` with the way out if the imitator of an algorithm that needs one is missing or another."""
    settings = run.settings
    needing = [one.settings for one in runs_of(run) if ALGORITHMS[one.settings.algorithm].from_imitator]
    for one in needing:  # no imitator helps an algorithm that is impossible
        check_possible(one)
    if needing:
        imitation = replace(settings, quantiles=(1.0,))
        for seed in settings.seeds:
            check_policy(run, run.selection(1.0), seed, imitation)


def save_path(
    path: OptimisationPath, settings: Settings, record: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> Path:
    """Write a path and its figure, and return the figure's file.

    Args:
        path: of the optimiser of the settings.
        settings: of the run.
        record: `Settings.record` and what the path was made with, for both files.
        more: further entries of the path's file.
    """
    layout, environment = settings.layout, settings.environment
    path.save(layout.optimiser_path(path.algorithm), {**record, **(more or {})})
    labels = environment.figures.true_label, environment.figures.proxy_label
    figure, numbers = draw_efforts([path], *labels, environment.true_range(path.max_steps))
    drawn = layout.optimiser_effort_figure(path.algorithm)
    save_figure(figure, drawn, record, numbers)
    return drawn


def _trace_rollouts(run: Run, jobs: Sequence[AgentJob], measured: Measurement) -> str:
    """Save and draw what one of the best k earns for each k; return a table of costs beside their bounds."""
    settings, layout, environment = run.settings, run.settings.layout, run.settings.environment
    path = path_of_rollouts(jobs, environment)
    record = settings.record()
    record["settings"] |= {"algorithm": settings.algorithm, "rollouts": jobs[0].steps, "top_k": jobs[0].top_k}
    rollouts = np.stack([rollout_returns(job, environment)[0] for job in jobs])
    checks = bounds_of_rollouts(
        rollouts, measured.true_returns, jobs[0].steps / jobs[0].top_k, run.demonstrations.true_returns
    )
    drawn = save_path(path, settings, record, {"bounds": checks.as_numbers()})
    print(f"drew {drawn}; the numbers are in {layout.optimiser_path(settings.algorithm)}")
    print(wrapped(turn_of(path)))
    return rollout_bounds_text(checks)


def check_jobs(jobs: Sequence[AgentJob]) -> None:
    """Raise `OtherSettingsError` if an agent of other settings would be replaced."""
    for job in jobs:
        if different := agent_difference(job):
            raise OtherSettingsError(f"{job.agent} was trained {different}; {WAYS_OUT}")


def check_possible(settings: Settings) -> None:
    """Raise `UserError` if the algorithm does not suit the environment, or its results could not be drawn."""
    environment = settings.environment
    if (second := environment.second_quantity) is not None:
        second(np.zeros(1), np.zeros(1), settings.options)
    check_libraries(algorithm_in(settings.algorithm, environment))
    try:
        check_suitable(settings.algorithm, environment)
    except UserError as error:
        raise UserError(f"{error}; choose another --algorithm") from None
    if ALGORITHMS[settings.algorithm].penalised and not settings.beta:
        raise UserError(
            f"{environment.name} declares no betas in its planning; give --beta, in one over the proxy's unit"
        )
