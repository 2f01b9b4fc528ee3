"""Quantilize a table of scores: a curve, a choice, a selection or a report of samples that were scored.

    python quantilizer.py scores curve  TABLE --proxy judge_score --true correct --group task_id
    python quantilizer.py scores choose TABLE --proxy judge_score --true correct --group task_id --n 16
    python quantilizer.py scores select TABLE --proxy judge_score --group task_id --n 16 --k 4
    python quantilizer.py scores report TABLE --proxy judge_score --true correct --group task_id --out report

Samples are ranked within their group: the answers to one prompt, the episodes from one start. Tables are CSV, JSONL or
Parquet files, folders of them, or - for standard input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantilizers.choices import check_choice
from quantilizers.commands.arguments import number, positive_count, whole_number
from quantilizers.errors import ExistsError, UserError, check_name, shown
from quantilizers.files import atomic_write, sha256_of
from quantilizers.numbers_in_words import counted
from quantilizers.process import write_bytes
from quantilizers.programs import Parser, call_of, run_program
from quantilizers.quantilize import RULES, implied_rule
from quantilizers.terminal import divided_table, wrapped
from quantilizers.versions import __version__

if TYPE_CHECKING:
    from quantilizers.scores.choice import StrengthChoice
    from quantilizers.scores.curves import GroupSums, ScoreCurve
    from quantilizers.scores.guarantee import ScoreGuarantee
    from quantilizers.scores.tables import ScoreTable

PROGRAM = "quantilizer.py scores"
VERBS: Mapping[str, str] = {
    "curve": "proxy and true score as selection gets harder, and where the true score turns",
    "choose": "which k for n draws, or which n: chosen on some groups, judged on the others",
    "select": "the rows that a quantilizer selects within each group",
    "report": "curve and choice as one HTML page",
}
_OUT: Mapping[str, str] = {
    "curve": "folder for JSON, CSV and figure",
    "choose": "folder for choice.json",
    "select": "file of the rows (standard output)",
    "report": "folder for the page, JSON, CSV and figure",
}
#: Libraries that results depend on.
_LIBRARIES = ("numpy", "scipy", "polars", "matplotlib")
#: Bytes of the longest name in a folder.
_LONGEST = 255
#: Files that a curve is written to.
_CURVE_FILES = ("curve.json", "curve.csv", "curve.png")


def main(arguments: Sequence[str] | None = None, *, at_once: bool = False) -> int:
    """Run the command line; return the exit code. `at_once` is that of `run_program`.

    It is 1 only if `--gate` finds that selecting costs more than the tolerance. That verdict does not depend on whether
    anyone reads the output, and an error of the program has exit code 2, after its traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    verdicts: list[bool | None] = []
    try:
        code = run_program(PROGRAM, lambda: verdicts.append(_run(words)), at_once=at_once or arguments is None)
    except Exception:
        traceback.print_exc()
        return 2
    fails = verdicts[0] if verdicts else None
    return code if fails is None else int(fails)


def _run(words: list[str]) -> bool | None:
    """Run a verb; return whether its gate fails, None if it has none."""
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), end="")
        return None
    verb, *rest = words
    for word in words:
        check_name(word)
    if verb == "--version":
        print(f"{PROGRAM} {__version__}")
        return None
    check_choice("the word after scores", verb, VERBS)
    parser = build_parser(verb)
    _check_flags(verb, parser, rest)
    arguments = parser.parse_args(rest)
    if arguments.seed < 0:
        raise UserError(f"--seed is {arguments.seed}; it must not be negative")
    _check_columns(arguments)
    return _WORK[verb](arguments, words)


def _check_flags(verb: str, parser: Parser, words: list[str]) -> None:
    """Refuse a flag of other verbs, and a second value of a flag that takes one, which would replace the first."""
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    actions = {flag: action for action in parser._actions for flag in action.option_strings}
    for flag in given:
        if flag not in actions:
            owners = [other for other in VERBS if flag in build_parser(other)._option_string_actions]
            if owners:
                raise UserError(f"{flag} belongs to {', '.join(owners)}; {verb} does not take it")
        elif given.count(flag) > 1 and actions[flag].nargs != 0 and not (flag == "--proxy" and verb == "curve"):
            way = ": call it for each, or compare several by scores curve" if flag == "--proxy" else ""
            raise UserError(f"{flag} is given {given.count(flag)} times, and {verb} takes one{way}")


def _check_columns(arguments: argparse.Namespace) -> None:
    """Refuse a column in two parts."""
    proxies = arguments.proxy if isinstance(arguments.proxy, list) else [arguments.proxy]
    parts = [*(("--proxy", one) for one in proxies), ("--true", getattr(arguments, "true", None))]
    named: dict[str, str] = {}
    for flag, column in [*parts, ("--group", arguments.group)]:
        if column is None:
            continue
        if column in named and named[column] == flag:
            raise UserError(f"{flag} names {column!r} twice; name two columns")
        if column in named:
            raise UserError(f"{column!r} is both {named[column]} and {flag}; name two columns")
        named[column] = flag


def _overview() -> str:
    lines = ["usage: python quantilizer.py scores VERB FILE... --proxy COLUMN ...", ""]
    lines += ["Quantilize anything that was sampled and scored, from a table of scores.", ""]
    lines += [wrapped(f"  {verb:8}{about}", " " * 10) for verb, about in VERBS.items()]
    lines += ["", "The flags of each: python quantilizer.py scores VERB --help"]
    return "\n".join(lines) + "\n"


def build_parser(verb: str) -> Parser:
    """Return the parser of a verb."""
    parser = Parser(f"{PROGRAM} {verb}", description=f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.")
    parser.set_defaults(verb=verb, workers=None, scheduler=None)
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="CSV, JSONL or Parquet file, a folder, or - for standard input")
    about = "score by which samples are selected"
    if verb == "curve":
        add("--proxy", required=True, metavar="COLUMN", action="append", help=f"{about}; repeat it to compare several")
    else:
        add("--proxy", required=True, metavar="COLUMN", help=about)
    add("--group", metavar="COLUMN", help="decision problem of each sample, such as the prompt (all are of one)")
    if verb != "select":
        needed = verb == "choose"
        add("--true", metavar="COLUMN", required=needed, help="score that matters; may be missing in some rows")
    if verb in ("curve", "report"):
        add(
            "--rule",
            metavar="RULE",
            choices=[*RULES],
            help=f"{', '.join(RULES)} (best_of_n, or quantile without groups)",
        )
        add("--strengths", nargs="+", type=number, metavar="X", help="strengths of the rule, such as q or n")
        for rule in RULES.values():
            if rule.extra:
                add(f"--{rule.extra}", type=number, metavar="X", help=f"{rule.extra} of the rule {rule.name}")
        add("--pooled", action="store_true", help="rank the samples of all groups together")
    if verb == "curve":
        add("--cost", metavar="COLUMN", help="a cost from 0 on: print its bound at each strength")
        add("--same_unit", action="store_true", help="proxy and true score have one unit: print the true score's bound")
        from quantilizers.commands.command_line import add_settings  # no other verb has workers

        add_settings(parser, "workers", "scheduler")
        add("--penalty", type=number, metavar="C", help="weight of the variance of several proxies (default: 1)")
    if verb == "select":
        add("--q", type=number, metavar="X", help="fraction of each group")
    if verb in ("choose", "select", "report"):
        add("--n", type=positive_count, metavar="N", help="number of draws from each group")
    if verb == "select":
        add("--k", type=positive_count, default=1, metavar="N", help="number of the best of those (default: 1)")
        add("--random", action="store_true", help="select as many at random: the matched control")
    if verb in ("choose", "report"):
        add("--tolerance", type=number, default=0.0, metavar="X", help="true score that may be given up (default: 0)")
    if verb == "choose":
        add("--gate", action="store_true", help="exit code 1 if best of n costs more true score than the tolerance")
    add("--drop", action="store_true", help="leave out rows whose scores are missing, NaN or infinite")
    add("--seed", type=whole_number, default=0, metavar="N", help="seed of all random draws (default: 0)")
    add("--out", required=verb == "report", metavar="PATH", help=_OUT[verb])
    add("--force", action="store_true", help="replace files that are there")
    return parser


def _curve(arguments: argparse.Namespace, words: list[str]) -> bool | None:
    from quantilizers.scores.parts import trace_files, worth_parts
    from quantilizers.scores.tables import find_files
    from quantilizers.stages.settings import check_workers

    several = len(arguments.proxy) > 1
    if arguments.penalty is not None and not several:
        raise UserError("--penalty belongs to several proxies; repeat --proxy")
    check_workers(arguments.workers, arguments.scheduler)
    files = find_files(arguments.files)
    _check_folder(arguments, files, ("comparison.json",) if several else _CURVE_FILES)
    asked = arguments.workers is not None or arguments.scheduler is not None
    simple = not (several or arguments.pooled or arguments.cost or arguments.same_unit)
    if asked and not (simple and arguments.group and len(files) > 1):
        raise UserError(
            "--workers and --scheduler share out files: they need several files, --group, and one --proxy without "
            "--pooled, --cost or --same_unit"
        )
    guarantees: dict[str, ScoreGuarantee] = {}
    if simple and arguments.group and (asked or worth_parts(files)):
        rule, extra = _rule_of(arguments)
        found, dropped = trace_files(
            files, arguments.proxy[0], arguments.true, arguments.group, rule=rule, strengths=arguments.strengths,
            extra=extra, drop=arguments.drop, seed=arguments.seed, workers=arguments.workers,
            scheduler=arguments.scheduler,
        )  # fmt: skip
        curve = replace(found, dropped=dropped)
    else:
        table = _table(arguments, arguments.proxy, arguments.cost)
        if several:
            _compare(arguments, table, words)
            return None
        curve = _traced(arguments, table, table.numbers[arguments.proxy[0]])
        guarantees = _guarantees(arguments, table, curve)
    head, *rows = curve.rows()
    closing = _prose(curve.sentence(), curve.gain_sentence())
    heading = _prose(*_heading(curve.table, curve.remarks(), pooled=curve.pooled))
    _print(heading, divided_table(head, rows), closing, *_guarantee_texts(guarantees, curve))
    if arguments.out:
        _write_curve(arguments, curve, arguments.proxy[0], words, guarantees)
        _print_written(arguments, _CURVE_FILES)
    return None


def _choose(arguments: argparse.Namespace, words: list[str]) -> bool | None:
    from quantilizers.scores.choice import choose
    from quantilizers.scores.tables import find_files

    _check_folder(arguments, find_files(arguments.files), ("choice.json",))
    table = _table(arguments, [arguments.proxy])
    choice = choose(
        table.numbers[arguments.proxy], table.numbers[arguments.true], table.group, n=arguments.n,
        tolerance=arguments.tolerance, seed=arguments.seed,
    )  # fmt: skip
    choice = replace(choice, dropped=table.dropped)
    fails = choice.costs_more_than(arguments.tolerance) if arguments.gate else None
    gate = _prose(_gate_sentence(choice, arguments.tolerance)) if arguments.gate else ""
    about = f" of one decision problem, in {choice.table.groups} random parts" if choice.parts else ""
    about += "; if they are of several, name their column with --group" if choice.parts and not arguments.group else ""
    heading = _heading(choice.table, choice.table_remarks(), about=about)
    unit = "parts" if choice.parts else "groups" if choice.groups == choice.table.groups else "groups with a true score"
    heading.append(f"chosen on four fifths of {choice.groups:,} {unit}, and judged on the rest, 20 times")
    head, *rows = choice.rows()
    _print(_prose(*heading), divided_table(head, rows), _prose(choice.sentence(), *choice.alternatives()), gate)
    if arguments.out:
        record = {**_record(arguments, words), **choice.as_numbers()}
        _write(arguments.out / "choice.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
        _print_written(arguments, ["choice.json"])
    return fails


def _gate_sentence(choice: StrengthChoice, tolerance: float) -> str:
    """Return what best of n costs, the tolerance, and the verdict, which is by the estimate."""
    from quantilizers.scores.curves import short_interval

    hardest = next(name for name in choice.earned if name.startswith("best of"))
    fails = choice.costs_more_than(tolerance)
    text = (
        f"gate {'failed' if fails else 'passed'}: {hardest} costs {short_interval(choice.cost)} of true score, and the "
        f"tolerance is {tolerance:g}"
    )
    if not choice.cost.known:
        text += "; the verdict is the estimate's, and true scores that do not vary give no interval"
    elif choice.cost.low <= tolerance <= choice.cost.high and choice.cost.low < choice.cost.high:
        text += "; the verdict is the estimate's, and the interval holds the tolerance: it may be chance"
    return text


def _select(arguments: argparse.Namespace, words: list[str]) -> bool | None:
    import numpy as np

    from quantilizers.scores.selection import select
    from quantilizers.scores.tables import find_files, read_scores
    from quantilizers.table_files import shown_name

    if (arguments.q is None) == (arguments.n is None):
        raise UserError("select takes either --q, or --n and --k")
    if arguments.q is not None and arguments.k != 1:
        raise UserError("--k belongs to --n; --q alone says how many rows are selected")
    files = find_files(arguments.files)
    out, beside = _rows_file(arguments.out)
    if out and beside:
        _check_targets(arguments, files, (out, beside))
        _check_format(files[0], out)
    table = read_scores(files, [arguments.proxy], None, arguments.group, drop=arguments.drop)
    lists = (np.diff(table.files) == 0) & (np.diff(table.rows) == 0)
    if lists.any():
        file = shown_name(files[table.files[lists.argmax()]])
        raise UserError(
            f"{file} holds lists, and rows are selected whole; write one sample a row, as polars' explode does"
        )
    chosen = select(
        table.numbers[arguments.proxy], table.group, q=arguments.q, n=arguments.n, k=arguments.k,
        random=arguments.random, seed=arguments.seed,
    )  # fmt: skip
    rows = table.rows[chosen]
    content = rows_of({file: rows[table.files[chosen] == place] for place, file in enumerate(files)})
    if out is None or beside is None:
        write_bytes(content)
        return None
    with atomic_write(out) as temporary:
        temporary.write_bytes(content)
    provenance = {
        **_record(arguments, words), "rows_selected": len(rows), "rows": table.number, "rows_dropped": table.dropped,
        "groups": 1 if table.group is None else len(np.unique(table.group)),
        "mean_proxy": float(table.numbers[arguments.proxy].mean()),
        "mean_proxy_selected": float(table.numbers[arguments.proxy][chosen].mean()),
    }  # fmt: skip
    _write(beside, json.dumps(provenance, indent=1) + "\n")
    print(wrapped(f"{counted(len(rows), 'row')} of {table.number:,} written to {out}; provenance: {beside}"))
    return None


def _check_format(file: str, out: Path) -> None:
    """Refuse a name that promises another format than the table's, which its rows keep."""
    from quantilizers.table_files import FORMATS, content_of, shown_name, suffix_of

    kind, _ = content_of(file)
    promised = FORMATS.get(suffix_of(out), kind)
    if promised != kind:
        raise UserError(
            f"rows keep the format of {shown_name(file)}, {kind.upper()}, and {out} is named as {promised.upper()}"
        )
    if suffix_of(out) != out.suffix.lower():
        raise UserError(f"rows are written uncompressed, and {out} is named as compressed; leave out {out.suffix}")


def rows_of(chosen: Mapping[str, Any]) -> bytes:
    """Return rows of files of one format, in it; those of JSONL, CSV and TSV byte for byte.

    Args:
        chosen: numbers of rows, by file.

    Raises:
        UserError: the files have several formats, or different columns.
    """
    import io

    from quantilizers.table_files import CsvRecords, content_of, frame_of, polars, shown_name

    parts: list[Any] = []
    first, kind = next(iter(chosen)), ""
    for file, rows in chosen.items():
        of_file, content = content_of(file)
        kind = kind or of_file
        if of_file != kind:
            raise UserError(
                f"rows keep their format, and {first} is {kind.upper()}, {shown_name(file)} {of_file.upper()}"
            )
        if kind == "jsonl":
            lines = [line for line in (content or Path(file).read_bytes()).split(b"\n") if line.strip()]
            parts += [lines[row] + b"\n" for row in rows]
        elif kind in ("csv", "tsv"):
            records = CsvRecords.of(file, kind, content)
            parts = parts or [records[0]]
            if records[0].strip() != parts[0].strip():
                raise UserError(f"{shown_name(file)} has another header than {first}; rows of both are no table")
            parts += [one if one.endswith(b"\n") else one + b"\n" for one in (records[row + 1] for row in rows)]
        else:
            parts.append(frame_of(file)[rows])
    if kind not in ("parquet", "arrow"):
        return b"".join(parts)
    try:
        frame = polars().concat(parts)
    except polars().exceptions.PolarsError:
        raise UserError(f"{', '.join(chosen)} have different columns or types; rows of all are no table") from None
    buffer = io.BytesIO()
    frame.write_ipc(buffer) if kind == "arrow" else frame.write_parquet(buffer)
    return buffer.getvalue()


def _report(arguments: argparse.Namespace, words: list[str]) -> bool | None:
    from quantilizers.figures.page import Drawing, Page, Table, as_svg, render_page
    from quantilizers.scores.choice import check_tolerance, choose
    from quantilizers.scores.figure import draw_curve
    from quantilizers.scores.tables import find_files
    from quantilizers.versions import versions

    _check_folder(arguments, find_files(arguments.files), ("report.html", *_CURVE_FILES))
    check_tolerance(arguments.tolerance)
    table = _table(arguments, [arguments.proxy])
    curve = _traced(arguments, table, table.numbers[arguments.proxy])
    tables, notes = [], [_sentence(text) for text in (curve.sentence(), curve.gain_sentence()) if text]
    if arguments.true:
        try:
            choice = choose(
                table.numbers[arguments.proxy], table.numbers[arguments.true], table.group, n=arguments.n,
                tolerance=arguments.tolerance, seed=arguments.seed,
            )  # fmt: skip
            notes += [_sentence(text) for text in (choice.sentence(), *choice.alternatives())]
            columns, *earned = choice.rows()
            tables.append(Table("Chosen on other groups than it is judged on", columns, earned))
        except UserError as error:
            if arguments.n is not None:
                raise
            notes.append(_sentence(f"no choice: {error}"))
    head, *rows = curve.rows()
    scores, asked = ("True and proxy score", "the true score") if curve.true else ("Proxy score", "that score")
    figure, _ = draw_curve(curve, arguments.true or "true score", arguments.proxy)
    page = Page(
        title=f"How hard should one select by {arguments.proxy}?",
        question=f"Samples are selected by a proxy score. How does {asked} change as selection gets harder?",
        data=" ".join(map(_sentence, _heading(curve.table, curve.remarks(), pooled=curve.pooled))),
        verdicts=tables,
        notes=notes,
        results=Table(f"{scores} as selection gets harder", head, rows),
        episodes="",
        figures=[Drawing(f"{scores} against the KL divergence", as_svg(figure, "curve"))],
        films_note="",
        films=[],
        command=shlex.join([*call_of("python quantilizer.py", "quantilizer").split(), "scores", *words]),
        settings=Table(
            "Settings", ("setting", "value"), [(key, _shown(value)) for key, value in _flags(arguments).items()]
        ),
        versions=Table("Versions", ("library", "version"), list(versions(_LIBRARIES).items())),
        results_heading="Scores",
    )
    _write_curve(arguments, curve, arguments.proxy, words)
    _write(arguments.out / "report.html", render_page(page))
    _print_written(arguments, ["report.html", *_CURVE_FILES])
    return None


_WORK: Mapping[str, Callable[[argparse.Namespace, list[str]], bool | None]] = {
    "curve": _curve, "choose": _choose, "select": _select, "report": _report,
}  # fmt: skip


def _table(arguments: argparse.Namespace, proxies: Sequence[str], cost: str | None = None) -> ScoreTable:
    from quantilizers.scores.tables import find_files, read_scores

    return read_scores(find_files(arguments.files), proxies, arguments.true, arguments.group, cost, drop=arguments.drop)


def _traced(arguments: argparse.Namespace, table: ScoreTable, proxy: Any) -> ScoreCurve:
    from quantilizers.scores.curves import curve

    true = table.numbers[arguments.true] if arguments.true else None
    rule, extra = _rule_of(arguments)
    found = curve(
        proxy, true, table.group, rule=rule, strengths=arguments.strengths, pooled=arguments.pooled,
        seed=arguments.seed, **extra,
    )  # fmt: skip
    return replace(found, dropped=table.dropped)


def _rule_of(arguments: argparse.Namespace) -> tuple[str | None, dict[str, float]]:
    """Return the rule's name and its second number, by name."""
    extra = {
        rule.extra: getattr(arguments, rule.extra)
        for rule in RULES.values()
        if rule.extra and getattr(arguments, rule.extra) is not None
    }
    rule = implied_rule(arguments.rule, extra)
    wanted = RULES[rule].extra if rule is not None else None
    for name in extra:
        if name != wanted:
            owners = " or ".join(one.name for one in RULES.values() if one.extra == name)
            raise UserError(f"--{name} belongs to --rule {owners}{f', and the rule is {rule}' if rule else ''}")
    return rule, extra


def _heading(samples: GroupSums, remarks: Sequence[str], *, pooled: bool = False, about: str = "") -> list[str]:
    """Return sentences on a table; `about` completes "6,400 samples", which else is by the groups."""
    number = counted(samples.number, "sample")
    if about or pooled:
        text = f"{number}{about or ' of all groups'}"
    elif samples.groups == 1:
        named = samples.names != [""]
        way = f", {str(samples.names[0])[:60]}" if named else "; if they are of several, name their column with --group"
        text = f"{number} of one decision problem{way}"
    else:
        sizes = samples.sizes
        each = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
        text = f"{number} in {counted(samples.groups, 'group')} of {each}"
    return [text, *remarks]


def _guarantees(arguments: argparse.Namespace, table: ScoreTable, curve: ScoreCurve) -> dict[str, ScoreGuarantee]:
    """Return the bounds that are asked for, by the name of what is bounded."""
    from quantilizers.scores.guarantee import cost_guarantee, score_guarantee

    guarantees: dict[str, ScoreGuarantee] = {}
    if arguments.cost:
        guarantees[f"mean {arguments.cost}"] = cost_guarantee(curve, table.numbers[arguments.cost])
    if arguments.same_unit:
        if not arguments.true:
            raise UserError("--same_unit compares the proxy with a true score; name its column with --true")
        guarantees["proxy minus true"] = score_guarantee(curve)
    return guarantees


def _guarantee_texts(guarantees: Mapping[str, ScoreGuarantee], curve: ScoreCurve) -> list[str]:
    """Return tables of bounds, each with its conditions."""
    parts = list[str]()
    for cost, guarantee in guarantees.items():
        of_true = len(guarantee.true_bounds) > 0
        head = ("selection", cost, "at most", *(("true score at least",) if of_true else ()))
        rows = []
        for place, strength in enumerate(curve.strengths):
            numbers = [guarantee.bounds[place], *([guarantee.true_bounds[place]] if of_true else [])]
            shown = ["unknown" if number != number else f"{number:z.4g}" for number in numbers]
            rows.append((strength.label, f"{guarantee.costs[place]:.4g}", *shown))
        parts += [divided_table(head, rows), _prose(guarantee.conditions())]
    return parts


def _compare(arguments: argparse.Namespace, table: ScoreTable, words: list[str]) -> None:
    """Print which of several proxies, alone or together, tolerates the most pressure."""
    from quantilizers.scores.comparison import ProxyComparison, with_combinations

    if arguments.cost or arguments.same_unit:
        raise UserError("--cost and --same_unit take one --proxy")
    if not arguments.true:
        raise UserError("several proxies are compared by the true score; name its column with --true")
    penalty = 1.0 if arguments.penalty is None else arguments.penalty
    proxies = with_combinations({name: table.numbers[name] for name in arguments.proxy}, penalty)
    curves = {name: _traced(arguments, table, proxy) for name, proxy in proxies.items()}
    comparison = ProxyComparison.of(curves)
    about = "proxies are standardised and combined (Coste et al. 2023); the end is the strongest selection"
    first = curves[arguments.proxy[0]]
    heading = _prose(*_heading(first.table, comparison.remarks(), pooled=first.pooled), about)
    head, *rows = comparison.rows()
    _print(heading, divided_table(head, rows), _prose(comparison.sentence()))
    if arguments.out:
        record = {**_record(arguments, words), **comparison.as_numbers()}
        _write(arguments.out / "comparison.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
        _print_written(arguments, ["comparison.json"])


def _write_curve(
    arguments: argparse.Namespace,
    curve: ScoreCurve,
    proxy: str,
    words: list[str],
    guarantees: Mapping[str, ScoreGuarantee] | None = None,
) -> None:
    import csv
    import io

    from quantilizers.figures.style import save_figure
    from quantilizers.scores.figure import draw_curve

    written = io.StringIO()
    out = csv.writer(written, lineterminator="\n")
    head = ["selection", "kl_divergence", "density_ratio", "proxy", "proxy_low", "proxy_high"]
    out.writerow([*head, *(("true", "true_low", "true_high", "gain", "gain_low", "gain_high") if curve.true else ())])
    for place, strength in enumerate(curve.strengths):
        intervals = [curve.proxy[place], *((curve.true[place], curve.gains[place]) if curve.true else ())]
        values = [value for interval in intervals for value in interval.as_numbers()]
        out.writerow([strength.label, float(curve.divergences[place]), float(curve.ratios[place]), *values])
    _write(arguments.out / "curve.csv", written.getvalue())
    figure, numbers = draw_curve(curve, arguments.true or "true score", proxy)
    if guarantees:
        numbers["guarantees"] = {name: guarantee.as_numbers() for name, guarantee in guarantees.items()}
    save_figure(figure, arguments.out / "curve.png", _record(arguments, words), numbers)


def _record(arguments: argparse.Namespace, words: list[str]) -> dict[str, Any]:
    from quantilizers.scores.tables import find_files
    from quantilizers.table_files import standard_input
    from quantilizers.versions import versions

    files = {
        name: hashlib.sha256(standard_input()).hexdigest() if name == "-" else sha256_of(Path(name))
        for name in find_files(arguments.files)
    }
    return {
        "command": shlex.join(["scores", *words]), "version": __version__, "flags": _flags(arguments),
        "versions": versions(_LIBRARIES), "sha256": files, "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        name: value
        for name, value in vars(arguments).items()
        if value is not None and value is not False and value != [] and name != "verb"
    }
    return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_folder(arguments: argparse.Namespace, files: Sequence[str], names: Sequence[str]) -> None:
    """Refuse an `--out` in which these files cannot be written, before any work; make a path of it."""
    if arguments.out is None:
        return
    if arguments.out == "-":
        raise UserError("--out takes a folder, and - is standard output, which the table is printed to without --out")
    arguments.out = Path(arguments.out)
    _check_targets(arguments, files, [arguments.out / name for name in names])


def _rows_file(name: str | None) -> tuple[Path | None, Path | None]:
    """Return the file of selected rows and that of its provenance; None, None for standard output."""
    if name in (None, "-"):
        return None, None
    path = Path(name)
    if re.search(r"(^|/)\.{0,2}$", name):
        raise UserError(f"{name} is a folder; --out takes the file of the rows")
    return path, path.with_name(f"{path.name}.provenance.json")


def _check_targets(arguments: argparse.Namespace, files: Sequence[str], targets: Sequence[Path]) -> None:
    """Refuse to write files that cannot be written, are read, would be read next time, or exist, before any work.

    Args:
        arguments: of the command; `--force` replaces existing files.
        files: those that are read.
        targets: those that would be written, all in one folder.
    """
    try:
        _check_places(arguments, files, targets)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{shown(targets[0], 60)} cannot be written: {reason}; choose another --out") from None
    existing = [path for path in targets if path.exists() or path.is_symlink()]
    if existing and not arguments.force and arguments.verb == "select":
        raise ExistsError(f"{existing[0]} exists; replace it with --force")
    if existing and not arguments.force:
        named = ", ".join(path.name for path in existing)
        raise ExistsError(f"{targets[0].parent} has {named}; replace with --force, or choose another --out")


def _check_places(arguments: argparse.Namespace, files: Sequence[str], targets: Sequence[Path]) -> None:
    """Refuse places where these files cannot be written, or are or would be read."""
    folder, of_rows = targets[0].parent, arguments.verb == "select"
    for path in targets:
        # A file is written under a longer name first.
        if any(len(os.fsencode(part)) > _LONGEST for part in (*path.parts[:-1], f".{path.name}.{'x' * 8}")):
            raise UserError(f"{shown(path, 60)}: the name is too long for a file; choose a shorter --out")
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise UserError(
                f"{path} is a file; --out takes {'the file of the rows in a folder' if of_rows else 'a folder'}"
            )
    for path in targets:
        if path.is_dir():
            way = (
                "--out takes the file of the rows" if of_rows else "a file would be written there; choose another --out"
            )
            raise UserError(f"{path} is a folder; {way}")
        if path.exists() and any(path.samefile(file) for file in files if file != "-"):
            raise UserError(f"{path} is the table itself; choose another --out")
        if any(Path(name).is_dir() and folder.resolve() == Path(name).resolve() for name in arguments.files):
            raise UserError(f"{path} is in the folder that is read; choose another --out")


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _print_written(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    print(f"written: {arguments.out}/{', '.join(names)}")


def _print(*parts: str) -> None:
    """Print parts, with an empty line between two."""
    print("\n\n".join(part for part in parts if part))


def _prose(*texts: str) -> str:
    """Return sentences, each on lines of its own."""
    return "\n".join(wrapped(_sentence(text)) for text in texts if text)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


if __name__ == "__main__":
    sys.exit(main())
