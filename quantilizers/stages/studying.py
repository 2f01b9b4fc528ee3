"""The stage `study`: whether the choice of episodes makes the difference, with controls and verdicts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantilizers.arrays import digest_of
from quantilizers.choices import PLAYER_SELECTIONS, SelectionName
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title
from quantilizers.errors import MissingError, UnreadableError, UserError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.figures.against_lambda import AgentReturns, draw_penalties
from quantilizers.figures.study import bounds_text, draw_study, groups_of, losses_tables, study_tables, verdict_tables
from quantilizers.figures.style import save_figure
from quantilizers.gates.json_files import read_json
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.policies.policy import scaling_of
from quantilizers.policies.selection_settings import REFERENCE
from quantilizers.progress import ProgressBar
from quantilizers.rewards import FloatArray
from quantilizers.stages import resampling
from quantilizers.stages.finished import delete, record_difference, refuse_loss, refuse_other, write_record
from quantilizers.stages.plotting import optimiser_arms
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.studies.bounds import check_bounds, why_no_guarantee
from quantilizers.studies.controls import Arm, ArmResults, Protocol, arm_differences, arms_of, run_arms, seconds_of
from quantilizers.studies.penalties import Losses, losses_of
from quantilizers.studies.report import report
from quantilizers.terminal import wrapped


def check(run: Run) -> None:
    """Refuse unusable demonstrations, a single selection, and to replace results of other settings or data."""
    settings = run.settings
    selecting, layout = settings.selecting, settings.layout
    if replace(selecting, match=REFERENCE.match, weight=REFERENCE.weight, within=REFERENCE.within) != REFERENCE:
        raise UserError(
            "study compares selections, budgets and methods itself; leave --select, --subset, --budget and --method "
            "out, and name further methods by --methods"
        )
    demonstrations = run.demonstrations
    _controls(run)
    if settings.force:
        refuse_loss(layout.study, *_measured_in(layout.study), settings)
        return
    refuse_other(layout.study, "made", record_difference(layout.study, settings))
    if not layout.study.exists():  # the study was stopped, or has not begun
        folder, data = layout.study.with_suffix(""), demonstrations.fingerprint
        protocol = _protocol(settings, demonstrations)
        for path, difference in arm_differences(_arms(run), protocol, folder, data):
            refuse_other(path, "made", difference)
    if settings.resample == "players":
        resampling.check(settings)


def _measured_in(path: Path) -> tuple[list[float], list[int]]:
    """Return the quantiles and seeds of a study's file; none if it is missing or damaged."""
    try:
        settings = read_json(path)["settings"]
        return [float(one) for one in settings["quantiles"]], [int(one) for one in settings["seeds"]]
    except UnreadableError:
        raise
    except (UserError, ValueError, LookupError, TypeError, OverflowError):
        return [], []


def forget(run: Run) -> None:
    """Delete the cache of the arms, and the results."""
    settings, layout = run.settings, run.settings.layout
    delete("arms", [layout.study.with_suffix("") / f"{arm}.npz" for arm in _arms(run)])
    delete("results", [layout.study])
    if settings.resample == "players":
        resampling.forget(settings)


def _controls(run: Run) -> tuple[SelectionName, ...]:
    """Return the controls by player; refuse those that were asked for and need players that are not known."""
    wanted, obstacle = run.settings.controls, ""
    if run.settings.selecting.within != "all":
        obstacle = f"--within {run.settings.selecting.within} ranks within groups"
    elif run.demonstrations.players is None:
        obstacle = "the demonstrations do not name two players or more, one for each episode"
    if wanted and obstacle:
        raise UserError(f"--controls {' '.join(wanted)} chooses among players, but {obstacle}; leave --controls out")
    if obstacle:
        return ()
    return PLAYER_SELECTIONS if wanted is None else tuple(one for one in PLAYER_SELECTIONS if one in wanted)


def _arms(run: Run) -> list[Arm]:
    settings = run.settings
    return arms_of(settings.quantiles, settings.subsets, settings.budgets, settings.methods, _controls(run))


def _protocol(settings: Settings, demonstrations: Demonstrations) -> Protocol:
    groups = demonstrations.groups_within(settings.selecting.within)
    return Protocol(
        seeds=tuple(settings.seeds),
        training=settings.training,
        acting=settings.acting,
        episodes=settings.number_trajectories,
        max_steps=settings.max_steps,
        options=dict(settings.options),
        weight=settings.selecting.weight,
        match=settings.selecting.match,
        definition=settings.definition,
        scaling=scaling_of(settings.environment),
        within=settings.selecting.within,
        groups="" if groups is None else digest_of([("", groups)]),
    )


def run(run: Run) -> None:
    """Train and test policies of top, bottom and random episodes, and print the verdicts.

    A stopped study resumes with the missing arms.
    """
    check(run)
    settings, environment, layout = run.settings, run.settings.environment, run.settings.layout
    demonstrations = run.demonstrations.with_observations()
    arms, protocol = _arms(run), _protocol(settings, demonstrations)
    draw = resampling.draw_of(settings, demonstrations) if settings.resample == "players" else None
    if draw is not None and not settings.force:
        draw = resampling.check_kept(settings, draw, protocol)
    with (
        run.executor(seconds_of(demonstrations, arms, protocol)) as executor,
        ProgressBar(total=len(arms), doing="studying", unit="arms") as bar,
    ):

        def note(results: ArmResults) -> None:
            bar.set_postfix_str(str(results.arm), refresh=False)
            bar.update()
            run.manifest.done(layout.study.with_suffix("") / f"{results.arm}.npz", arm=str(results.arm))

        results = run_arms(demonstrations, arms, protocol, layout.study.with_suffix(""), note, executor)
    if doubtful := [one.doubt for one in results.values() if one.doubt]:
        others = f"; likewise in {len(doubtful) - 1:,} of the {len(arms) - 1:,} other arms" if len(doubtful) > 1 else ""
        print(f"warning: {doubtful[0]}{others}", file=sys.stderr)
    try:
        measured = load_measurement(layout, settings.seeds, settings.optimiser_variant)
    except MissingError:
        measured = None
    same_seeds = measured is not None and list(measured.seeds) == list(settings.seeds)
    optimiser = None if measured is None else measured.true_returns
    possible = environment.true_range(settings.max_steps)
    found = report(results, demonstrations.proxy_returns, optimiser, same_seeds, possible)
    title = f"{environment.name}, {dataset_title(layout)}, {counted(len(settings.seeds), 'seed')}"
    print(wrapped(f"{title}; mean [95 % interval]; q = 1 is imitation"))
    print(study_tables(found, settings.wide))
    bounds = None
    if protocol.within == "all":
        checks = check_bounds(
            demonstrations.true_returns,
            demonstrations.proxy_returns,
            {row.quantile: row.top.true_returns for row in found.rows_of(found.rows[0].budget)},
            why_no_guarantee(*environment.rewards(settings.options)),
            settings.implicit_loss,
            demonstrations.players,
        )
        bounds = checks.as_numbers()
        print(bounds_text(checks, demonstrations.number, settings.wide))
    else:
        print(wrapped("The bounds are left out: they are for a ranking of all episodes together, not within groups."))
    record = settings.record()
    record["settings"] |= {"quantiles": list(settings.quantiles), "seeds": list(settings.seeds)}
    record["settings"] |= {"subsets": settings.subsets, "methods": list(settings.methods)}
    record["settings"] |= {"budgets": list(settings.budgets), "controls": list(_controls(run))}
    losses = None
    if settings.has_lambda and settings.options["lamb"]:
        losses = _losses(settings, demonstrations, results, measured, same_seeds)
        print(losses_tables(losses, settings.wide))
    more = {} if losses is None else {"losses": losses.as_numbers()}
    write_record(layout.study, record, {**found.as_numbers(), "bounds": bounds, **more})
    figure, numbers = draw_study(
        {f"budget {budget}": groups_of(found, budget) for budget in dict.fromkeys(r.budget for r in found.rows)},
        f"{title}; bars: 95 % intervals",
        environment.figures.true_label,
        None if optimiser is None else mean_interval(optimiser).within(*possible),
    )
    path = layout.figure("study")
    save_figure(figure, path, record, numbers)
    print(f"drew {path}")
    if losses is not None:
        _draw_against_lambda(settings, losses, title, record)
    if draw is not None:
        resampling.run(run, demonstrations, draw, protocol, found)
    print(verdict_tables(found, settings.wide))
    print(f"\nsentences, p values and power are in\n{layout.study}\nfor the page, run:")
    print(settings.command_for("report"))


def _losses(
    settings: Settings,
    demonstrations: Demonstrations,
    results: Mapping[Arm, ArmResults],
    measured: Measurement | None,
    same_seeds: bool,
) -> Losses:
    """Return the implicit losses of the arms, beside the optimiser's."""
    figures, second = settings.environment.figures, settings.environment.second_quantity
    assert second is not None

    def loss_of(true: FloatArray, proxy: FloatArray) -> FloatArray:
        return second(true, proxy, settings.options)

    of_optimiser = None if measured is None else loss_of(measured.true_returns, measured.proxy_returns)
    quantity = figures.second_label or "implicit loss"
    return losses_of(results, loss_of, quantity, demonstrations.proxy_returns, of_optimiser, same_seeds)


def _draw_against_lambda(settings: Settings, losses: Losses, title: str, record: Mapping[str, Any]) -> None:
    """Draw the true returns of the top arms, under the study's first budget, and of optimisers as functions of λ."""
    found = losses.found
    budget = found.rows[0].budget
    arms = [
        AgentReturns(
            "imitation" if row.quantile == 1 else f"q = {row.quantile:g}",
            row.top.proxy_returns,
            row.top.true_returns,
            row.top.kept_proxy_return,
            row.top.kept_true_return,
        )
        for row in found.rows_of(budget)
    ]
    arms += optimiser_arms(settings, settings.max_steps, settings.options, {})
    figure, numbers = draw_penalties(
        arms, settings.options["lamb"], f"{title}; budget {budget}", settings.environment.figures.true_label
    )
    path = settings.layout.figure("study_lambda")
    save_figure(figure, path, record, numbers)
    print(f"drew {path}")
