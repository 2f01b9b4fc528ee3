"""The stage `study`: whether the choice of episodes makes the difference, with controls and verdicts."""

from __future__ import annotations

import json

from tqdm import tqdm

from quantilizers.datasets.finding import dataset_title
from quantilizers.errors import MissingError
from quantilizers.figures.tables import format_table
from quantilizers.files import atomic_write
from quantilizers.numbers_in_words import counted, short
from quantilizers.optimisers.measurements import load_measurement
from quantilizers.stages import players_anew
from quantilizers.stages.bounding import bounds_text
from quantilizers.stages.loading import find_demonstrations
from quantilizers.stages.settings import Settings
from quantilizers.studies.bound_checks import check_bounds
from quantilizers.studies.bounds import why_no_guarantee
from quantilizers.studies.controls import ArmResults, Protocol, arms_of, run_arms
from quantilizers.studies.report import QUESTIONS, Row, StudyReport, report
from quantilizers.versions import versions


def run(settings: Settings) -> None:
    """Train and test policies of the top, of the bottom and of random episodes, and print what follows.

    Stopped, it goes on with the arms that are missing.

    Raises:
        UserError: the demonstrations are missing or unusable.
    """
    environment, layout = settings.environment, settings.layout
    demonstrations = find_demonstrations(settings).with_observations()
    arms = arms_of(settings.quantiles, settings.subsets)
    protocol = Protocol(
        seeds=tuple(settings.seeds),
        training=settings.training,
        acting=settings.acting,
        episodes=settings.number_trajectories,
        max_steps=settings.max_steps,
        options=dict(settings.options),
    )
    draw = players_anew.draw_of(settings, demonstrations) if settings.resample == "players" else None
    with tqdm(total=len(arms), desc="studying", unit="arm", dynamic_ncols=True) as bar:

        def told(results: ArmResults) -> None:
            bar.set_postfix_str(str(results.arm), refresh=False)
            bar.update()

        results = run_arms(demonstrations, arms, protocol, layout.study.with_suffix(""), told)
    try:
        measured = load_measurement(layout, settings.seeds, settings.optimiser_variant)
    except MissingError:
        measured = None
    same_seeds = measured is not None and list(measured.seeds) == list(settings.seeds)
    optimiser = None if measured is None else measured.true_returns
    found = report(results, demonstrations.proxy_returns, optimiser, same_seeds)
    print(f"{environment.name}, {dataset_title(layout)}, {counted(len(settings.seeds), 'seed')}; mean [95 % interval]")
    print(study_tables(found))
    checks = check_bounds(
        demonstrations.true_returns,
        demonstrations.proxy_returns,
        {row.quantile: row.top.true_returns for row in found.rows_of(found.rows[0].budget)},
        why_no_guarantee(*environment.rewards(settings.options)),
        settings.implicit_loss,
        demonstrations.players,
    )
    print(bounds_text(checks, demonstrations.number))
    record = settings.record()
    record["settings"] |= {"quantiles": list(settings.quantiles), "seeds": list(settings.seeds)}
    record["settings"] |= {"subsets": settings.subsets}
    with atomic_write(layout.study) as temporary:
        content = {**record, "versions": versions(), **found.as_numbers(), "bounds": checks.as_numbers()}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {layout.study}")
    if draw is not None:
        players_anew.run(settings, demonstrations, draw, protocol, found)


def study_tables(found: StudyReport) -> str:
    """Return a table for each budget, and under it the verdicts."""
    head = [
        "q", "keeps", "steps", "true return kept", "proxy percentile", "top", "random subsets", "bottom", "cloning gap",
    ]  # fmt: skip
    parts = []
    for budget in dict.fromkeys(row.budget for row in found.rows):
        parts += [
            f"\nbudget {budget}: true returns of policies",
            format_table(head, [*map(_row, found.rows_of(budget))]),
        ]
        for (of_budget, question), verdicts in found.verdicts.items():
            if of_budget == budget:
                parts += [f"\n{QUESTIONS[question]}:", *(f"- {verdict.sentence()}" for verdict in verdicts)]
    return "\n".join(parts)


def _row(row: Row) -> list[str]:
    name = f"{row.quantile:g}" + (" (imitation)" if row.quantile == 1 else "")
    spread = "–"
    if row.random:
        means = row.random_true_returns.mean(axis=(1, 2))
        spread = f"{short(means.mean())} ({short(means.min())} to {short(means.max())})"
    return [
        name,
        f"{len(row.top.kept_true):,}",
        f"{int(row.top.kept_lengths.sum()):,}",
        short(float(row.top.kept_true.mean())),
        f"{row.proxy_percentile:.0f} %",
        _mean(row.top),
        spread,
        _mean(row.bottom),
        short(row.top.cloning_gap),
    ]


def _mean(results: ArmResults | None) -> str:
    return "–" if results is None else str(results.true_interval)
