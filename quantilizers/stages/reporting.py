"""The stage `report`: one page with the results, their uncertainty, and how they were made."""

from __future__ import annotations

import csv
import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.summary import dataset_title, summarise
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.comparisons import paired_difference, probability_of_improvement, unpaired_difference
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.verdicts import Claim, judge
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.figures.page import Drawing, Film, Page, Table, as_svg, render_page
from quantilizers.figures.tables import POLICIES_PROXY, POLICIES_TRUE, results_cells
from quantilizers.files import atomic_write
from quantilizers.numbers_in_words import counted, short
from quantilizers.optimisers.algorithms import ALGORITHMS
from quantilizers.optimisers.measurements import Measurement
from quantilizers.progress import ProgressBar
from quantilizers.stages.plotting import draw_style, frontier_is_possible, load_optimisers
from quantilizers.stages.run import Run, Tested
from quantilizers.stages.settings import Settings
from quantilizers.stages.study_files import interval_in, number_in, reading_study, study_difference, text_in
from quantilizers.stages.testing import first_test_episode
from quantilizers.versions import versions

#: The figures of the page, in order, with their captions.
FIGURES = {
    "mean_seeds": "True and proxy return of the policies of each quantile, beside the episodes that they imitate.",
    "distribution": "The distributions of both returns, over test episodes and over the episodes kept.",
    "frontier": "Both returns as optimisation pressure grows, and the true against the proxy return.",
}
#: Length at which animations are cut.
FILM_STEPS = 300
#: The quantilizer nearest to this q is shown. It is fixed, because the best one would flatter.
SHOWN_QUANTILE = 0.25


def run(run: Run) -> None:
    """Write the page, and a file with every episode."""
    settings, tested = run.settings, run.tested
    measured = load_optimisers(settings, tested.results, every=True)
    path = settings.layout.report
    page = _page(settings, tested, measured, path.with_suffix(".csv").name)
    text = render_page(page)
    _write_episodes(path.with_suffix(".csv"), settings, tested, measured)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"wrote {path}")


#: Under the tables of verdicts.
EXPLANATION = (
    "p is corrected by Holm's method. A run is one seed's policies; the chance is that of a better one. The smallest "
    "detectable difference would have been found with a probability of 80 %."
)


def _page(settings: Settings, tested: Tested, measured: Sequence[Measurement], episodes: str) -> Page:
    environment, layout, demonstrations = settings.environment, settings.layout, tested.demonstrations
    name = dataset_title(layout)
    summary = summarise(demonstrations, settings.selecting.within)
    correlation = summary.correlation().spearman
    together = "one of the two does not vary" if correlation is None else f"Spearman's correlation is {correlation:.2f}"
    cloning = compare_with_demonstrations(tested.selections, tested.results, demonstrations.proxy_returns)
    head, rows = results_cells(tested.results, cloning, settings.environment)
    record = settings.record()
    words = [*record["command"]] if settings.command else shlex.split(settings.command_for("report"))
    answers, verdicts = _verdicts(settings, tested, measured)
    study, notes, next_command = study_tables_of(settings)
    films, films_note = _films(settings, measured)
    return Page(
        title=f"Does quantilizing help in {environment.name}?",
        question=f"A quantilizer imitates the top fraction q of demonstrations, ranked by a proxy reward. Does it earn "
        f"more true return than imitation of all of them (q = 1), and than an agent that optimises the proxy? Here the "
        f"true return is “{environment.figures.true_label}”, and the proxy return “{environment.figures.proxy_label}”.",
        data=f"Demonstrations: {name}; {counted(summary.number, 'episode')}, "
        f"{counted(int(summary.lengths.sum()), 'step')}, players: {summary.players}. "
        f"Mean true return {short(summary.true_returns.mean())}, mean proxy return "
        f"{' '.join([f'{short(summary.proxy_returns.mean())}; {together}.', *summary.remarks])}",
        verdicts=[*verdicts, *study],
        notes=[*([EXPLANATION] if verdicts else []), *notes],
        results=Table(
            "Means, with 95 % intervals in brackets; q = 1 is imitation, “kept” are the imitated episodes. The "
            "cloning gap is the policies' true return less theirs, and the proxy percentile the share of all "
            "demonstrations with a lower proxy return than the policies'",
            head,
            [*rows, *_optimiser_rows(measured, head, environment.true_range(tested.results[0].max_steps))],
        ),
        episodes=episodes,
        figures=[
            Drawing(caption, as_svg(draw_style(settings, tested, style)[0], style))
            for style, caption in ProgressBar(FIGURES.items(), doing="drawing figures", unit="figures")
            if style != "frontier" or frontier_is_possible(settings, tested.demonstrations)
        ],
        films_note=films_note,
        films=films,
        command=shlex.join(words),
        settings=Table("Settings", ("setting", "value"), _settings_rows(record, tested)),
        versions=Table("Versions", ("library", "version"), list(versions().items())),
        answers=answers,
        next_command=next_command,
    )


def _verdicts(settings: Settings, tested: Tested, measured: Sequence[Measurement]) -> tuple[list[str], list[Table]]:
    """Return whether policies of each quantile earn more than imitation and than optimisers: sentences, and tables.

    Holm's correction is over all of a page's tests.
    """
    returns = {quantile: tested.returns(index)[0] for index, quantile in enumerate(settings.quantiles)}
    quantiles = [quantile for quantile in settings.quantiles if quantile < 1]

    def claims_against(second: str, other: npt.NDArray[Any], paired: bool) -> list[Claim]:
        compare = paired_difference if paired else unpaired_difference
        return [
            Claim(
                f"policies of the top {quantile:g}", second, compare(returns[quantile], other),
                probability_of_improvement(returns[quantile], other),
            )
            for quantile in quantiles
        ]  # fmt: skip

    claims: dict[str, list[Claim]] = {}
    if 1.0 in returns:
        claims["imitation"] = claims_against("imitation", returns[1.0], paired=True)
    for one in measured:
        label = ALGORITHMS[one.algorithm].label
        second = "random play" if label == "random" else f"the {label}" if label.islower() else label
        claims[second] = claims_against(second, one.true_returns, paired=one.seeds == list(settings.seeds))
    head = ("policies of", "more true return?", "difference [95 %]", "p, Holm", "chance that a run is better",
            "smallest detectable difference")  # fmt: skip
    tables, answers = [], []
    judged = iter(judge([claim for of_question in claims.values() for claim in of_question]))
    for second in claims:
        rows, decided = [], dict[str, list[str]]()
        for quantile, verdict in zip(quantiles, itertools.islice(judged, len(quantiles)), strict=True):
            decided.setdefault(verdict.decision, []).append(f"{quantile:g}")
            chance = verdict.probability_of_improvement
            p, smallest = verdict.adjusted_p, verdict.smallest_detectable
            rows.append([
                f"q = {quantile:g}",
                verdict.decision,
                str(verdict.interval),
                "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}",
                "–" if chance is None else f"{chance.estimate:.2f}",
                short(smallest) if smallest > 0 else "–",
            ])  # fmt: skip
        if rows:
            tables.append(Table(f"Against {second}", head, rows))
            found = "; ".join(f"{decision} at q = {', '.join(at)}" for decision, at in decided.items())
            answers.append(f"More true return than {second}? {found[0].upper()}{found[1:]}.")
    return answers, tables


def study_tables_of(settings: Settings) -> tuple[list[Table], list[str], str]:
    """Return the study's verdicts by question, what they mean, and if there is no study the command that makes it."""
    path, command = settings.layout.study, settings.command_for("study")
    ask = "Whether the choice of episodes helps, or only their smaller number, is not answered here; for that, run:"
    try:
        with reading_study(path) as found:
            if difference := study_difference(settings, found):
                return [], [f"There is a study with controls, but it was made {difference}. {ask}"], command
            rows: dict[str, list[list[str]]] = {}
            for verdict in found["verdicts"]:
                # Files of earlier versions name no family; each question was one.
                family = f", {text_in(verdict['family'])} question" if "family" in verdict else ""
                title = f"Study{family}: {text_in(verdict['question'])}"
                rows.setdefault(title, []).append(_verdict_row(verdict))
    except MissingError:
        return [], [ask], command
    head = ("budget", "claim", "decision", "difference [95 %]", "p, Holm", "smallest detectable difference")
    return (
        [Table(title, head, of_question) for title, of_question in rows.items()],
        [
            "The selection effect tells quantilizing from imitating fewer episodes: it compares policies of the top "
            "episodes with those of as many random ones, at equal passes (epochs) or equal gradient steps (updates)."
        ],
        "",
    )


def _verdict_row(verdict: Mapping[str, Any]) -> list[str]:
    interval, p = interval_in(verdict["estimate"], verdict["interval_95"]), verdict["adjusted_p"]
    smallest = verdict.get("smallest_detectable")
    low, high = ("–" if np.isnan(bound) else short(bound) for bound in (interval.low, interval.high))
    return [
        *(text_in(verdict[name]) for name in ("budget", "claim", "decision")),
        f"{short(interval.estimate)} [{low}, {high}]",
        "–" if p is None else short(number_in(p)),
        "–" if smallest is None else short(number_in(smallest)),
    ]


def _optimiser_rows(
    measured: Sequence[Measurement], head: Sequence[str], possible: tuple[float, float]
) -> list[list[str]]:
    rows = []
    for one in measured:
        row = ["–"] * len(head)
        row[0] = ALGORITHMS[one.algorithm].label
        row[head.index(POLICIES_TRUE)] = str(mean_interval(one.true_returns).within(*possible))
        row[head.index(POLICIES_PROXY)] = str(mean_interval(one.proxy_returns))
        rows.append(row)
    return rows


def _films(settings: Settings, measured: Sequence[Measurement]) -> tuple[list[Film], str]:
    """Return films of one start played by imitation, a quantilizer and the optimisers, and a note on missing ones."""
    from quantilizers.play.watch import draw, episode_of  # only films need pygame

    quantiles = sorted(settings.quantiles, reverse=True)
    smaller = [quantile for quantile in quantiles if quantile < 1]
    chosen: list[float] = [quantile for quantile in quantiles if quantile == 1]
    if smaller:
        chosen.append(min(smaller, key=lambda quantile: abs(quantile - SHOWN_QUANTILE)))
    agents: list[tuple[str, float | None, str | None]] = [
        ("Imitation, q = 1" if quantile == 1 else f"Quantilizer, q = {quantile:g}", quantile, None)
        for quantile in chosen
    ]
    agents += [(_capitalised(ALGORITHMS[one.algorithm].label), None, one.algorithm) for one in measured]
    seed, films, missing = settings.seeds[0], [], []
    steps = min(settings.max_steps, FILM_STEPS)
    with TemporaryDirectory() as folder, WorkerProcesses(1) as drawing:
        for number, (label, quantile, algorithm) in enumerate(ProgressBar(agents, doing="drawing films", unit="films")):
            output = Path(folder) / f"{number}.gif"
            showing = replace(
                first_test_episode(settings, quantile, seed), max_steps=steps, algorithm=algorithm, output=output
            )
            try:
                # TensorFlow, which may be in this process, and OpenGL crash in the same one.
                description = drawing.call(f"drawing {label}", draw, showing, episode_of(showing))
            except UserError as error:
                missing.append(f"{label}: {error}.")
                continue
            films.append(Film(label, description.partition(": ")[2].partition(";")[0] + ".", output.read_bytes()))
    note = f"The first test episode of seed {seed}, the same start for each, for at most {steps} steps."
    return films, " ".join([note, *missing])


def _capitalised(label: str) -> str:
    return label[0].upper() + label[1:]


def _settings_rows(record: dict[str, Any], tested: Tested) -> list[tuple[str, str]]:
    first = tested.results[0]
    rows = [("environment", record["environment"]), ("data set", record["dataset"])]
    rows += [("SHA-256 of the data set", str(record["data_sha256"]) if tested.known else "not known")]
    rows += [("test episodes of each policy", str(first.lengths.shape[1])), ("at most steps", str(first.max_steps))]
    rows += [("seeds", str(len(tested.results)))]
    rows += [(f"option {name}", str(value)) for name, value in first.options.items()]
    if first.provenance is not None:
        rows += [("policies", first.provenance.family), ("acting", first.provenance.acting)]
        rows += [(name, str(value)) for name, value in first.provenance.training.items()]
    return rows


def _write_episodes(path: Path, settings: Settings, tested: Tested, measured: Sequence[Measurement]) -> None:
    """Write a line for each demonstration and each test episode."""
    columns = ("agent", "quantile", "seed", "episode", "true_return", "proxy_return", "steps")
    demonstrations = tested.demonstrations
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for episode, row in enumerate(
            zip(demonstrations.true_returns, demonstrations.proxy_returns, demonstrations.lengths, strict=True)
        ):
            writer.writerow(("demonstration", "", "", episode, *row))
        agents: list[tuple[str, Sequence[int], Sequence[SeedResults]]] = [("policy", settings.seeds, tested.results)]
        agents += [(one.algorithm, one.seeds, one.results) for one in measured]
        for agent, seeds, results in agents:
            for seed, of_seed in zip(seeds, results, strict=True):
                for index, quantile in enumerate(of_seed.quantiles.tolist()):
                    returns = of_seed.true_returns[index], of_seed.proxy_returns[index], of_seed.lengths[index]
                    for episode, row in enumerate(zip(*returns, strict=True)):
                        writer.writerow((agent, quantile if agent == "policy" else "", seed, episode, *row))
