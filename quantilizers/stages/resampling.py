"""The second half of the stage `study`, with `--resample players`: how far it carries beyond its demonstrations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title
from quantilizers.errors import MissingError
from quantilizers.evaluation.intervals import Interval
from quantilizers.figures.tables import format_table
from quantilizers.files import atomic_write, load_json, sha256_of
from quantilizers.numbers_in_words import counted
from quantilizers.policies.policy import fingerprint
from quantilizers.stages.executing import executor_of
from quantilizers.stages.finished import record_difference, refuse_other
from quantilizers.stages.settings import Settings
from quantilizers.studies.controls import Protocol, arm_differences, seconds_of
from quantilizers.studies.players import (
    BUDGET,
    Draw,
    Effect,
    arms_of_runs,
    drawing_players,
    drawn_already,
    effects,
    rerun,
)
from quantilizers.studies.report import StudyReport
from quantilizers.versions import versions

#: A file that says that it is of more is damaged.
_MOST_RUNS = 10**9
_QUESTIONS = {
    "imitation": "policies: top − imitation",
    "selection": "policies: top − random",
    "kept": "episodes: kept − all",
}


def check(settings: Settings) -> None:
    """Refuse to replace what was found with other players, or with more runs.

    Raises:
        OtherSettingsError: it was; or its runs were kept of other players.
    """
    path, number = _path(settings), settings.resamples
    players = _players(settings)
    others = f"of other players than data set {players['players_from'] or settings.layout.dataset} holds now"
    difference = record_difference(path, settings, players, {"players_sha256": others})
    if not difference and (there := _runs_in(path)) > number:
        difference = f"with {counted(there, 'run')}, of which {number} are asked for"
    refuse_other(path, "made", difference)


def check_kept(settings: Settings, draw: Draw, protocol: Protocol) -> Draw:
    """Refuse to do anew what a run that was stopped kept of other players.

    That takes its first run's demonstrations, which are not drawn again. While they are held the study has little to
    do, for it comes before its runs.

    Args:
        settings: of the study.
        draw: of `draw_of`.
        protocol: of the study.

    Returns:
        What draws the runs from now on.

    Raises:
        OtherSettingsError: the first of its runs is of others.
    """
    folder = _folder(settings) / "run0"
    if _path(settings).exists() or not folder.exists():
        return draw
    first = draw(0)
    arms, data = arms_of_runs(settings.quantiles), fingerprint(first)
    for path, difference in arm_differences(arms, replace(protocol, seeds=(0,)), folder, data):
        refuse_other(path, "made", difference)
    return drawn_already(draw, {0: first})


def _players(settings: Settings) -> dict[str, Any]:
    """Return whom the runs draw from, as the file notes it."""
    pool = settings.players_from
    if pool is None:
        return {"players_from": None, "players_sha256": None}
    data = replace(settings.layout, dataset=pool).found_data
    return {"players_from": pool, "players_sha256": sha256_of(data) if data.is_file() else None}


def _runs_in(path: Path) -> int:
    """Return the number of runs that a file notes; 0 if it is missing or damaged."""
    try:
        number = load_json(path)["settings"]["resamples"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return number if type(number) is int and number <= _MOST_RUNS else 0


def draw_of(settings: Settings, demonstrations: Demonstrations) -> Draw:
    """Return what draws players anew, so that what is impossible is known before the study.

    Raises:
        UserError: a data set does not say who played, or that of more players is missing.
    """
    if settings.players_from is None:
        return drawing_players(demonstrations)
    layout = replace(settings.layout, dataset=settings.players_from)
    try:
        larger = Demonstrations.find(layout, settings.environment).with_observations()
    except MissingError as error:
        raise MissingError(f"{error}; --players_from names the data set that players are drawn from") from None
    return drawing_players(demonstrations, larger)


def run(settings: Settings, demonstrations: Demonstrations, draw: Draw, protocol: Protocol, found: StudyReport) -> None:
    """Draw players anew, rerun the pipeline each time, and print both intervals side by side.

    Stopped, it goes on with the runs that are missing.

    Args:
        settings: of the study.
        demonstrations: that it is of.
        draw: of `draw_of`.
        protocol: of the study.
        found: what it says of these demonstrations.
    """
    layout, number = settings.layout, settings.resamples
    path, folder, arms = _path(settings), _folder(settings), arms_of_runs(settings.quantiles)
    seconds = number * seconds_of(demonstrations, arms, replace(protocol, seeds=protocol.seeds[:1]))
    with (
        executor_of(settings, seconds=seconds) as executor,
        tqdm(total=number, desc="drawing players anew", unit="run", dynamic_ncols=True) as bar,
    ):
        runs = rerun(draw, number, arms, protocol, folder, lambda _: bar.update(), executor)
    compared = effects(runs, settings.quantiles, these_demonstrations(found, demonstrations))
    pool = settings.players_from
    drawn = f"players drawn anew, with replacement, from {'these' if pool is None else f'data set {pool}'}"
    print(f"\n{settings.environment.name}, {dataset_title(layout)}: {counted(number, 'run')} with {drawn}")
    print(table_of(compared, pool is not None))
    record = settings.record()
    record["settings"] |= {"quantiles": list(settings.quantiles), "resamples": number, **_players(settings)}
    with atomic_write(path) as temporary:
        content = {**record, "versions": versions(), "effects": [effect.as_numbers() for effect in compared]}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def forget(settings: Settings) -> None:
    """Delete what was kept of the runs, and what was found."""
    for arms in _folder(settings).glob("run*"):
        for arm in arms.glob("*.npz"):
            arm.unlink()
    _path(settings).unlink(missing_ok=True)


def _path(settings: Settings) -> Path:
    study = settings.layout.study
    return study.with_stem(f"{study.stem}_players")


def _folder(settings: Settings) -> Path:
    """Return the folder of the runs."""
    folder = _path(settings).with_suffix("")
    return folder if settings.players_from is None else folder / settings.players_from


def these_demonstrations(found: StudyReport, demonstrations: Demonstrations) -> dict[tuple[float, str], Interval]:
    """Return the study's differences under the same budget, over its seeds, by q and question."""
    these: dict[tuple[float, str], Interval] = {}
    rows = [row for row in found.rows_of(BUDGET) if row.quantile < 1]
    for question in ("imitation", "selection"):
        for row, verdict in zip(rows, found.verdicts[BUDGET, question], strict=True):
            these[row.quantile, question] = verdict.interval
    for row in rows:
        # These are the episodes that there are: nothing was drawn.
        difference = float(row.top.kept_true.mean() - demonstrations.true_returns.mean())
        these[row.quantile, "kept"] = Interval(difference, np.nan, np.nan)
    return these


def table_of(compared: Sequence[Effect], simulated_anew: bool) -> str:
    """Return both intervals side by side.

    Args:
        compared: of `effects`.
        simulated_anew: whether players came from a larger data set, so that the mean over runs is worth a column.
    """
    head = ["q", "true return", "these demonstrations", "one study of other players", "runs above 0"]
    if simulated_anew:
        head.append("mean over the runs")
    rows = []
    for effect in compared:
        these = "–" if effect.these is None else str(effect.these).replace(" [no interval]", "")
        row = [
            f"{effect.quantile:g}",
            _QUESTIONS[effect.question],
            these,
            str(effect.others),
            f"{100 * effect.positive:.0f} %",
        ]
        rows.append([*row, str(effect.mean.interval)] if simulated_anew else row)
    return format_table(head, rows)
