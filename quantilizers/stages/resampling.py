"""The stage `study` with `--resample players`: do its effects generalise to other players?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title
from quantilizers.errors import MissingError, UnreadableError, UserError
from quantilizers.evaluation.intervals import Interval
from quantilizers.files import sha256_of
from quantilizers.gates.json_files import read_json
from quantilizers.numbers_in_words import counted
from quantilizers.progress import ProgressBar
from quantilizers.stages.finished import delete, record_difference, refuse_other, write_record
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.studies.controls import Protocol, arm_differences, seconds_of
from quantilizers.studies.players import (
    BUDGET,
    Effect,
    PlayersDraw,
    arms_of_runs,
    drawing_players,
    drawn_already,
    effects,
    rerun,
)
from quantilizers.studies.report import StudyReport
from quantilizers.terminal import terminal_table

#: A file of more runs is damaged.
_MOST_RUNS = 10**9
_QUESTIONS = {
    "imitation": "policies: top − imitation",
    "selection": "policies: top − random",
    "kept": "episodes: kept − all",
}


def check(settings: Settings) -> None:
    """Raise an `OtherSettingsError` if there are results of other players, or of more runs."""
    path, number = _path(settings), settings.resamples
    players = _players(settings)
    others = f"of other players than data set {players['players_from'] or settings.layout.dataset} holds now"
    difference = record_difference(path, settings, players, {"players_sha256": others})
    if not difference and (there := _runs_in(path)) > number:
        difference = f"with {counted(there, 'run')}, of which {number} are asked for"
    refuse_other(path, "made", difference)


def check_kept(settings: Settings, draw: PlayersDraw, protocol: Protocol) -> PlayersDraw:
    """Refuse to replace a stopped study's cached runs of other players.

    Returns:
        The function that draws from now on. It returns the first run's demonstrations, which are drawn here, again.

    Raises:
        OtherSettingsError: the first cached run is of other players.
    """
    folder = _folder(settings) / "run0"
    if _path(settings).exists() or not folder.exists():
        return draw
    first = draw(0)
    arms = arms_of_runs(settings.quantiles)
    for path, difference in arm_differences(arms, replace(protocol, seeds=(0,)), folder, first.fingerprint):
        refuse_other(path, "made", difference)
    return drawn_already(draw, {0: first})


def _players(settings: Settings) -> dict[str, Any]:
    """Return the data set that players are drawn from, as the file notes it."""
    pool = settings.players_from
    if pool is None:
        return {"players_from": None, "players_sha256": None}
    data = replace(settings.layout, dataset=pool, file=None).found_data
    return {"players_from": pool, "players_sha256": sha256_of(data) if data.is_file() else None}


def _runs_in(path: Path) -> int:
    """Return the number of runs that a file notes; 0 if it is missing or damaged."""
    try:
        number = read_json(path)["settings"]["resamples"]
    except UnreadableError:
        raise
    except (UserError, ValueError, LookupError, TypeError):
        return 0
    return number if type(number) is int and number <= _MOST_RUNS else 0


def draw_of(settings: Settings, demonstrations: Demonstrations) -> PlayersDraw:
    """Return the function that draws players; called before the study, because it may raise.

    Raises:
        UserError: a data set does not name the players, or that of more players is missing.
    """
    if settings.players_from is None:
        return drawing_players(demonstrations)
    layout = replace(settings.layout, dataset=settings.players_from, file=None)
    try:
        larger = Demonstrations.find(layout, settings.environment, settings.options).with_observations()
    except MissingError as error:
        raise MissingError(f"{error}; --players_from names the data set that players are drawn from") from None
    return drawing_players(demonstrations, larger)


def run(run: Run, demonstrations: Demonstrations, draw: PlayersDraw, protocol: Protocol, found: StudyReport) -> None:
    """Rerun the pipeline on drawn players, and print its interval beside that of these demonstrations.

    A stopped stage resumes with the missing runs.
    """
    settings, layout, number = run.settings, run.settings.layout, run.settings.resamples
    path, folder, arms = _path(settings), _folder(settings), arms_of_runs(settings.quantiles)
    seconds = number * seconds_of(demonstrations, arms, replace(protocol, seeds=protocol.seeds[:1]))
    with (
        run.executor(seconds) as executor,
        ProgressBar(total=number, doing="studying other players", unit="runs") as bar,
    ):
        runs = rerun(draw, number, arms, protocol, executor, folder, lambda _: bar.update())
    compared = effects(runs, settings.quantiles, these_demonstrations(found, demonstrations))
    pool = settings.players_from
    drawn = f"players drawn with replacement from {'these' if pool is None else f'data set {pool}'}"
    print(f"\n{settings.environment.name}, {dataset_title(layout)}: {counted(number, 'run')} with {drawn}")
    print(table_of(compared, pool is not None, settings.wide))
    record = settings.record()
    record["settings"] |= {"quantiles": list(settings.quantiles), "resamples": number, **_players(settings)}
    write_record(path, record, {"effects": [effect.as_numbers() for effect in compared]})


def forget(settings: Settings) -> None:
    """Delete the runs' cache and the results."""
    delete("runs", sorted(_folder(settings).glob("run*/*.npz")))
    delete("results", [_path(settings)])


def _path(settings: Settings) -> Path:
    study = settings.layout.study
    return study.with_stem(f"{study.stem}_players")


def _folder(settings: Settings) -> Path:
    """Return the folder of the runs' cache."""
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
        # A point estimate on the original episodes, hence no interval.
        difference = float(row.top.kept_true.mean() - demonstrations.true_returns.mean())
        these[row.quantile, "kept"] = Interval(difference, np.nan, np.nan)
    return these


def table_of(compared: Sequence[Effect], larger: bool, wide: bool = False) -> str:
    """Return both intervals side by side, and if players came from a larger data set, the mean over runs."""
    head = ["q", "true return", "these demonstrations", "one run on other players", "runs above 0"]
    if larger:
        head.append("mean over the runs")
    rows = []
    for effect in compared:
        these = "–" if effect.these is None else str(effect.these).replace(" [no interval]", "")
        row = [f"{effect.quantile:g}", _QUESTIONS[effect.question], these]
        row += [str(effect.others), f"{100 * effect.positive:.0f} %"]
        rows.append([*row, str(effect.mean.interval)] if larger else row)
    return terminal_table(head, rows, wide)
