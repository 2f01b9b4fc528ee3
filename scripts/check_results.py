#!/usr/bin/env python3
"""Compare the numbers in the tables of README.md and of two pages with the files that they come from.

    python scripts/check_results.py             exit code 2 if a number differs
    python scripts/check_results.py --collect   first copies summaries of log/study/*.json and of frontiers in log/fig/
                                                to docs/results.json

Numbers of episodes are recomputed from the data that ship, the demonstrations and the larger samples of their players,
and from Mountain Car's other populations, which are played again.
Numbers of policies and optimisers need results that take hours to measure; docs/results.json has summaries of some,
which are compared. A number whose result file is not there is printed with the name of the file.

A number that is printed with n decimals must be the result, rounded to n decimals.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np

from make_demo import demonstrate
from quantilizers.choices import SelectionName
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError, reason_of
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.pressure import load_pressures
from quantilizers.evaluation.weighted_means import top_means
from quantilizers.files import atomic_write
from quantilizers.gates.json_files import read_json
from quantilizers.layout import log_directory
from quantilizers.optimisers.paths import load_path_of
from quantilizers.quantilize import best_first, number_kept, selected
from quantilizers.studies.base_distribution import BaseDistribution
from quantilizers.studies.exact import trace_frontier
from quantilizers.studies.imitators import controls
from quantilizers.studies.report import QUESTIONS
from quantilizers.studies.within_starts import trace_within_starts
from study_populations import DATA_SETS as DATA_SETS_STUDIED

ROOT = Path(__file__).resolve().parent.parent
RESULTS = "docs/results.json"
PAGES = ("README.md", "docs/results.md", "docs/video_pinball.md")
#: Data sets by words that tables use for them; the first that a row has.
DATA_SETS = {
    "one person": ("MountainCar-v0", "lets-do-irl"),
    "Mountain Car": ("MountainCar-v0", "demo"),
    "Hopper": ("Hopper-v2", "demo"),
    "Video Pinball": ("VideoPinballNoFrameskip-v4", "demo"),
}
#: Further draws of Mountain Car's players.
DRAWS = ("draw_1", "draw_2", "draw_3")
#: A number. Digits within a word, such as a library's version, are none.
NUMBER = re.compile(r"(?<![\w.])[−-]?\d[\d,]*(?:\.\d+)?(?!\w)")
#: Key under which a row has its latest first cell that is neither empty nor "the same …".
SUBJECT = ""

#: Columns of a row, by name.
Row = Mapping[str, str]
#: Returns the numbers of a cell, of a row and a column's name.
Find = Callable[[Row, str], Sequence[float]]


class NotShippedError(Exception):
    """A number cannot be recomputed, because the named file is not there."""


class WrongWordError(Exception):
    """A decision is another than the named one."""


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    page: str
    heading: str  # the nearest above it
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]  # number of the line, and the cells


@dataclass(frozen=True)
class Rule:
    """How the numbers of one table are found: a column is found by the first pattern that matches its name."""

    page: str
    heading: str
    keys: tuple[str, ...]  # columns that name a row
    columns: Mapping[str, Find]

    def fits(self, table: Table) -> bool:
        """Return whether it is for a table."""
        if (self.page, self.heading) != (table.page, table.heading) or not set(self.keys) <= set(table.columns):
            return False
        return all(name in self.keys or self.find(name) is not None for name in table.columns)

    def find(self, column: str) -> Find | None:
        """Return what finds the numbers of a column; None if nothing does."""
        return next((find for pattern, find in self.columns.items() if re.fullmatch(pattern, column)), None)


@dataclass(frozen=True)
class Outcome:
    """The comparison of all tables."""

    checked: int  # numbers that agree
    differences: tuple[str, ...]
    unchecked: tuple[str, ...]


def tables_of(page: str, text: str) -> Iterator[Table]:
    """Yield the tables of a page in Markdown, also those in blocks of a terminal's output."""
    heading, lines = "", list(enumerate([*text.splitlines(), ""], start=1))
    rows: list[tuple[int, list[str]]] = []
    for number, line in lines:
        if line.startswith("|"):
            rows.append((number, [cell.strip() for cell in line.strip().strip("|").split("|")]))
            continue
        if len(rows) > 2:
            columns = tuple(rows[0][1])
            found: list[tuple[int, Row]] = []
            subject = first = ""
            for place, cells in rows[2:]:
                if len(cells) != len(columns):
                    raise UserError(f"{page}:{place}: a row of {len(cells)} cells in a table of {len(columns)} columns")
                first = cells[0] or first
                subject = subject if first.startswith("the same") else first
                row = dict(zip(columns, cells, strict=True))
                found.append((place, {**row, columns[0]: first, SUBJECT: subject}))
            yield Table(page, heading, columns, tuple(found))
        rows = []
        if line.startswith("#"):
            heading = line.lstrip("#").strip()


def printed(cell: str) -> list[str]:
    """Return the numbers of a cell as Python writes them.

    >>> printed("−15.8 [−21.0, 1,010] **contradicted**")
    ['-15.8', '-21.0', '1010']
    """
    return [found.replace("−", "-").replace(",", "") for found in NUMBER.findall(cell.replace(", ", " ; "))]


def agree(text: str, value: float) -> bool:
    """Return whether a printed number is a value, rounded to its decimals."""
    half = 0.5 * 10.0 ** -len(text.partition(".")[2])
    return abs(float(text) - value) <= half * (1 + 1e-6)


class Shipped:
    """The data that ship, and what follows from them."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @cache  # noqa: B019, one object a run
    def demonstrations(self, env_name: str, dataset: str) -> Demonstrations:
        """Return a data set."""
        return Demonstrations.load(self._log / env_name / f"{dataset}.npz", env_name)

    def kept(self, env_name: str, dataset: str, quantile: float) -> float:
        """Return the mean true return of the top q of the demonstrations."""
        data = self.demonstrations(env_name, dataset)
        top = best_first(data.proxy_returns)[: number_kept(quantile, data.number)]
        return float(data.true_returns[top].mean())

    @cache  # noqa: B019
    def population(self, name: str) -> Demonstrations:
        """Return the demonstrations of `study_populations.py`."""
        kind, seed = DATA_SETS_STUDIED[name]
        return demonstrate("MountainCar-v0", seed, population=kind)

    def gain(self, name: str, quantile: float, selection: SelectionName) -> float:
        """Return by how much the mean true return of a selection of such demonstrations is above that of all."""
        data = self.population(name)
        kept = selected(data.proxy_returns, quantile, selection, players=data.players)
        return float(data.true_returns[kept].mean() - data.true_returns.mean())

    def kept_games(self, env_name: str, dataset: str, quantile: float) -> tuple[float, float]:
        """Return the mean proxy return, and the mean of the second quantity, of the top q of the demonstrations."""
        data = self.demonstrations(env_name, dataset)
        top, second = best_first(data.proxy_returns)[: number_kept(quantile, data.number)], data.second_quantities
        assert second is not None, "this environment has one"
        return float(data.proxy_returns[top].mean()), float(second[top].mean())

    def best(self, env_name: str, dataset: str) -> tuple[float, float]:
        """Return true and proxy return of the demonstration with the highest proxy return."""
        data = self.demonstrations(env_name, dataset)
        place = best_first(data.proxy_returns)[0]
        return float(data.true_returns[place]), float(data.proxy_returns[place])

    def base(self, env_name: str) -> BaseDistribution:
        """Return the larger sample of a data set's players."""
        return BaseDistribution.load(self._log / "base" / f"demo_{env_name}.npz")

    @cache  # noqa: B019
    def exact(self, env_name: str, quantiles: tuple[float, ...], pooled: bool) -> dict[float, list[float]]:
        """Return the exact quantilizer's true return at each q, with its interval unless several starts are pooled."""
        base = self.base(env_name)
        if pooled and base.start is not None:
            means = top_means(base.true_returns, base.proxy_returns, quantiles).means
            return {quantile: [float(mean)] for quantile, mean in zip(quantiles, means, strict=True)}
        if base.start is not None:
            traced = trace_within_starts(
                base.true_returns, base.proxy_returns, base.start, base.player, quantiles, ("quantile",)
            )
        else:
            traced = trace_frontier(
                base.true_returns, base.proxy_returns, quantiles, ("quantile",), players=base.several_players
            )
        true = traced.curve("quantile").true
        rows = np.stack([true.means, true.lows, true.highs], axis=1)
        return {quantile: row.tolist() for quantile, row in zip(quantiles, rows, strict=True)}

    @cache  # noqa: B019
    def likelihoods(self, env_name: str, dataset: str) -> dict[str, float]:
        """Return the mean log-likelihood of held-out steps under each control, in nats."""
        found = controls(self.demonstrations(env_name, dataset))
        return {name: one.mean.estimate for name, one in found.items()}


class Collected:
    """The summaries of results in docs/results.json, by their file relative to log/."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def content(self) -> dict[str, Any]:
        """Everything."""
        try:
            return dict(read_json(self._path)) if self._path.exists() else {}
        except (TypeError, ValueError) as error:
            raise UserError(f"{self._path} is damaged ({reason_of(error)}); write it again with --collect") from None

    def of(self, name: str) -> Any:
        """Return a summary; raise `NotShippedError` without it."""
        if name not in self.content:
            raise NotShippedError(f"log/{name}")
        return self.content[name]

    def one(self, name: str, kind: str, **wanted: Any) -> Any:
        """Return the entry of a summary's list that has some values; raise `NotShippedError` without it."""
        for entry in self.of(name)[kind]:
            if all(entry.get(key) == value for key, value in wanted.items()):
                return entry
        values = ", ".join(f"{key} = {value}" for key, value in wanted.items())
        raise NotShippedError(f"{values} of log/{name}")


def summary_of(path: Path) -> dict[str, Any] | None:
    """Return the summary of a file of log/study/, or of a figure; None without a record of how it was measured."""
    content = read_json(path)
    record = {name: content.get(name) for name in ("command", "data_sha256", "settings", "versions")}
    if not all(record.values()):
        return None
    command = record["command"]
    if "--log_dir" in command:  # the place on the disk is no part of a result
        place = command.index("--log_dir")
        record["command"] = command[:place] + command[place + 2 :]
    if "agents" in content:
        rows = [
            {
                "quantile": one.quantile,
                "algorithm": one.algorithm,
                "seeds": len(one.seeds),
                "nats_per_episode": list(one.divergence.as_numbers()),
            }
            for one in load_pressures(path)
        ]
        return {**record, "agents": rows}
    if "imitation" in content:
        return {**record, **{name: content[name] for name in ("quantities", "imitation", "probability_of_pushes")}}
    if "controls" in content:  # paths of optimisers have imitators, too
        about = ("history", "hidden_units", "max_epochs")
        imitators = [
            {**{name: one[name] for name in about}, "log_likelihood": _interval_of(one["log_likelihood"])}
            for one in content["imitators"]
        ]
        known = {name: _interval_of(one["log_likelihood"]) for name, one in content["controls"].items()}
        chosen = {name: content["chosen"][name] for name in about}
        return {**record, "imitators": imitators, "controls": known, "chosen": chosen}
    if "points" in content:
        traced = load_path_of(path)
        assert traced is not None
        possible = load_environment(traced.environment).true_range(traced.max_steps)
        points = [
            {
                "effort": one.effort,
                "nats_per_episode": None if one.divergence is None else list(one.divergence.as_numbers()),
                "true_return": list(one.true.within(*possible).as_numbers()),
                "proxy_return": list(one.proxy.as_numbers()),
            }
            for one in traced.points
        ]
        return {**record, "seeds": len(traced.seeds), "points": points}
    if "equal_kl" in content.get("numbers", ()):
        return {**record, **content["numbers"]["equal_kl"]}
    if "verdicts" not in content:
        return None
    summary = {**record, "rows": [_study_row(row) for row in content["rows"]], "verdicts": _verdicts(content)}
    if "losses" in content:
        losses = content["losses"]
        summary["losses"] = {**losses, "verdicts": _verdicts(losses)}
    return summary


def _interval_of(measured: Mapping[str, Any]) -> list[float]:
    return [measured["estimate"], *measured["interval_95"]]


def _study_row(row: Mapping[str, Any]) -> dict[str, Any]:
    random = [one["true_return"] for one in row["random"]]
    return {
        "quantile": row["quantile"],
        "budget": row["budget"],
        "top": [row["top"]["true_return"], *row["top"]["true_interval_95"]],
        "random": [float(np.mean(random)), min(random), max(random)] if random else None,
        "bottom": [row["bottom"]["true_return"]] if "bottom" in row else None,
        "players": {
            name: [one["true_return"], *one["true_interval_95"]] for name, one in row.get("players", {}).items()
        },
        "random_higher_than_imitation": row.get("random_higher_than_imitation"),
        "subsets": len(random),
    }


def _verdicts(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the verdicts with their q: those of a question are of each q below 1, the largest first."""
    found = []
    for budget in dict.fromkeys(row["budget"] for row in content["rows"]):
        below = sorted({row["quantile"] for row in content["rows"] if row["budget"] == budget}, reverse=True)[1:]
        for name, question in QUESTIONS.items():
            several = [one for one in content["verdicts"] if (one["budget"], one["question"]) == (budget, question)]
            for quantile, one in zip(below, several, strict=bool(several)):
                difference = [one["estimate"], *one["interval_95"]]
                about = {"budget": budget, "quantile": quantile, "question": name, "decision": one["decision"]}
                found.append({**about, "difference": difference})
    return found


def collect(log: Path, path: Path) -> list[str]:
    """Copy summaries of log/study/ and of frontiers to a file, beside those that it has; return their names."""
    found = {}
    for file in sorted([*(log / "study").rglob("*.json"), *(log / "fig").rglob("*_frontier.json")]):
        try:
            summary = summary_of(file)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{file} is damaged ({reason_of(error)}); delete it and measure again") from None
        if summary is not None:
            found[file.relative_to(log).as_posix()] = summary
    if not found:
        raise MissingError(f"{log / 'study'} has no results; run a study first: python quantilizer.py --do study")
    content = {**Collected(path).content, **found}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(dict(sorted(content.items())), indent=1) + "\n", encoding="utf-8")
    return list(found)


def data_set_of(row: Row) -> tuple[str, str]:
    """Return environment and data set that a row is about."""
    for words, found in DATA_SETS.items():
        if words in row[SUBJECT]:
            return found
    raise UserError(f"{row[SUBJECT]!r} is no data set; these are {', '.join(DATA_SETS)}")


def rules(shipped: Shipped, collected: Collected) -> list[Rule]:
    """Return how the numbers of each table are found."""

    def kept(env_name: str, dataset: str) -> Find:
        return lambda row, _: [shipped.kept(env_name, dataset, float(row["q"]))]

    def absent(file: str) -> Find:
        def find(row: Row, column: str) -> Sequence[float]:
            raise NotShippedError(file)

        return find

    def study(heading: str, env_name: str, dataset: str) -> Rule:
        name = f"study/{dataset}_{env_name}.json"

        def arm(kind: str) -> Find:
            def find(row: Row, _: str) -> Sequence[float]:
                entry = collected.one(name, "rows", budget=row["budget"], quantile=float(row["q"]))
                return list(entry[kind] or [])

            return find

        def difference(question: str) -> Find:
            def find(row: Row, _: str) -> Sequence[float]:
                wanted = {"budget": row["budget"], "quantile": float(row["q"]), "question": question}
                return list(collected.one(name, "verdicts", **wanted)["difference"])

            return find

        columns = {
            "kept episodes": kept(env_name, dataset),
            "policies of the top": arm("top"),
            r"of random episodes \(range\)": arm("random"),
            "of the bottom": arm("bottom"),
            "top − imitation": difference("imitation"),
            "top − random": difference("selection"),
        }
        return Rule("docs/results.md", heading, ("budget", "q"), columns)

    def exact(heading: str, env_name: str) -> Rule:
        def find(row: Row, column: str) -> Sequence[float]:
            quantiles = tuple(float(name) for name in row if re.fullmatch(r"[\d.]+", name))
            return shipped.exact(env_name, quantiles, "pooled" in row["q"])[float(column)]

        return Rule("docs/results.md", heading, ("q",), {r"[\d.]+": find})

    def resampled(heading: str, env_name: str) -> Rule:
        absent_study = absent(f"log/study/players/demo_{env_name}.json")

        def these(row: Row, column: str) -> Sequence[float]:
            quantile = re.match(r"q = ([\d.]+), kept episodes − all", row[SUBJECT])
            if quantile is None:
                return absent_study(row, column)
            return [shipped.kept(env_name, "demo", float(quantile[1])) - shipped.kept(env_name, "demo", 1.0)]

        columns = {"these demonstrations": these, ".*": absent_study}
        return Rule("docs/results.md", heading, ("",), columns)

    def number(row: Row, _: str) -> Sequence[float]:
        return [shipped.demonstrations(*data_set_of(row)).number]

    def likelihood(name: str) -> Find:
        return lambda row, _: [shipped.likelihoods(*data_set_of(row))[name]]

    def study_of(folder: str = "", ending: str = "") -> Find:
        def find(row: Row, _: str) -> Sequence[float]:
            env_name, dataset = data_set_of(row)
            raise NotShippedError(f"log/study/{folder}{dataset}_{env_name}{ending}.json")

        return find

    def best(place: int) -> Find:
        def find(row: Row, _: str) -> Sequence[float]:
            env_name, dataset = data_set_of(row)
            if row["agent"] != "best demonstration":
                raise NotShippedError(f"log/rewards/ of {env_name}, {row['agent']}")
            return [shipped.best(env_name, dataset)[place]]

        return find

    def settings(row: Row, column: str) -> Sequence[float]:
        if row["agent"] == "best demonstration":
            return [1]
        raise NotShippedError(f"log/rewards/ of {data_set_of(row)[0]}, {row['agent']}")

    def pressure(kind: str, env_name: str) -> Find:
        name = f"study/demo_{env_name}_pressure.json"
        return lambda row, _: collected.one(name, "agents", quantile=float(row["q"]), algorithm="")[kind]

    def named(row: Row) -> Sequence[str]:
        name = row["data set"].strip("`")
        return DRAWS if name == "mean of the draws" else (name,)

    def gain(selection: SelectionName) -> Find:
        return lambda row, _: [float(np.mean([shipped.gain(name, float(row["q"]), selection) for name in named(row)]))]

    def of_populations(row: Row, kind: str, **wanted: str) -> list[Any]:
        """Return the entry of each population's study under equal passes."""
        by = {"quantile": float(row["q"]), "budget": "epochs", **wanted}
        return [collected.one(f"study/populations/{name}_MountainCar-v0.json", kind, **by) for name in named(row)]

    def against(question: str) -> Find:
        """Find a difference with its decision, or the mean over draws with Student's interval over them."""

        def find(row: Row, column: str) -> Sequence[float]:
            found = of_populations(row, "verdicts", question=question)
            if len(found) > 1:
                mean = mean_interval(np.array([[one["difference"][0]] for one in found]))
                return [mean.estimate, mean.low, mean.high]
            if found[0]["decision"] not in row[column]:
                raise UserError(f"{column} of {row['data set']} at q = {row['q']} is {found[0]['decision']}")
            return list(found[0]["difference"])

        return find

    def higher(row: Row, _: str) -> Sequence[float]:
        rows = of_populations(row, "rows")
        return [sum(one[name] for one in rows) for name in ("random_higher_than_imitation", "subsets")]

    def at_equal_kl(env_name: str) -> Find:
        """Find the difference of two paths, which a column names, at the KL of a row."""

        def find(row: Row, column: str) -> Sequence[float]:
            first, second = column.split(" − ")
            pair = collected.one(f"fig/demo_{env_name}_frontier.json", "pairs", first=first, second=second)
            level = next((one for one in pair["levels"] if one["nats"] == float(row["KL, nats"])), None)
            if level is None:
                return []
            if level["decision"] not in row[column]:
                raise WrongWordError(level["decision"])
            return list(level["difference"])

        return find

    pinball, pinball_page = "VideoPinballNoFrameskip-v4", "docs/video_pinball.md"
    memory = "study/demo_VideoPinballNoFrameskip-ram-v4"

    def games(row: Row, _: str) -> Sequence[float]:
        return [number_kept(_quantile(row), shipped.demonstrations(pinball, "demo").number)]

    def kept_score(row: Row, _: str) -> Sequence[float]:
        return [shipped.kept_games(pinball, "demo", _quantile(row))[0]]

    def kept_cheats(row: Row, _: str) -> Sequence[float]:
        return [100 * shipped.kept_games(pinball, "demo", _quantile(row))[1]]

    def imitator(row: Row, column: str) -> Sequence[float]:
        if row["imitator"].startswith("control"):
            return [shipped.likelihoods(pinball, "demo")[row["imitator"].partition(": ")[2]]]
        history, units, epochs = (int(one) for one in re.findall(r"\d+", row["imitator"]))
        wanted = {"history": history, "hidden_units": [units, units], "max_epochs": epochs}
        return list(collected.one(f"{memory}_imitators.json", "imitators", **wanted)["log_likelihood"])

    def imitation(row: Row, column: str) -> Sequence[float]:
        found = collected.of(f"study/imitation/{memory.rpartition('/')[2]}_imitation.json")
        place = found["quantities"].index(row[SUBJECT])
        factor = 1 if row[SUBJECT] == "score" else 100
        return [factor * one for one in found["imitation"][column][place]]

    def score(kind: str) -> Find:
        def find(row: Row, _: str) -> Sequence[float]:
            entry = collected.one(f"{memory}.json", "rows", budget="epochs", quantile=_quantile(row))
            return list(entry["players"].get("top_players", []) if kind == "players" else entry[kind] or [])

        return find

    def cheats(kind: str) -> Find:
        def find(row: Row, _: str) -> Sequence[float]:
            rows = collected.of(f"{memory}.json")["losses"]["rows"]
            (entry,) = [one for one in rows if one["quantile"] == _quantile(row)]
            found = [float(np.mean(entry["random"]))] if kind == "random" and entry["random"] else entry[kind]
            return [100 * one for one in found or []]

        return find

    rewards = absent("log/rewards/demo_MountainCar-v0")
    page, of_hopper = "docs/results.md", "Pressure, and who earns more at equal pressure"
    better_columns = {
        "kept": lambda row, _: [shipped.kept(*data_set_of(row), float(row["q"]))],
        ".*": study_of("better/"),
    }
    imitators = {
        "control: all players' frequencies": likelihood("frequencies"),
        "control: frequencies after the last action": likelihood("frequencies after the last action"),
        ".*": study_of(ending="_imitators"),
    }
    return [
        Rule("README.md", "Start", ("q",), {"kept: true": kept("MountainCar-v0", "demo"), "policies: .*": rewards}),
        Rule(page, "Results", (), {"demonstrations": number, ".*: better than .*": study_of()}),
        study("Mountain Car, simulated players", "MountainCar-v0", "demo"),
        study("Mountain Car, one person", "MountainCar-v0", "lets-do-irl"),
        study("Hopper, simulated players", "Hopper-v2", "demo"),
        exact("The exact quantilizer, and how far cloning falls behind", "MountainCar-v0"),
        exact("The exact quantilizer", "Hopper-v2"),
        Rule(page, "Who or what is selected, and in which population?", ("data set", "q"), {
            "episodes: top − all": gain("top"),
            "of the top players − all": gain("top_players"),
            "within players − all": gain("within_players"),
            "policies: top − random": against("selection"),
            "of the top players − random": against("top_players"),
            "within players − random": against("within_players"),
            "top − imitation": against("imitation"),
            "random subsets above imitation": higher,
        }),
        *(
            Rule(page, heading, ("q",), {
                r"log\(1/q\)": lambda row, _: [-np.log(float(row["q"])) + 0.0],
                "measured KL": pressure("nats_per_episode", env_name),
            })
            for heading, env_name in (("The pressure of cloned policies", "MountainCar-v0"), (of_hopper, "Hopper-v2"))
        ),
        Rule(page, of_hopper, ("KL, nats",), {".* − .*": at_equal_kl("Hopper-v2")}),
        resampled("Other players", "MountainCar-v0"),
        resampled("Other players", "Hopper-v2"),
        Rule(page, "A better imitator", ("demonstrations",), imitators),
        Rule(page, "A better imitator", ("", "q"), better_columns),
        Rule(page, "Who earns more at equal pressure?", ("KL, nats",), {".* − .*": at_equal_kl("MountainCar-v0")}),
        Rule(page, "The optimisers", ("environment", "agent"), {
            "true return": best(0),
            "proxy return": best(1),
            ".*": settings,
        }),
        Rule(pinball_page, "Farming pays", ("200 games of 20 simulated players",), {
            ".*": absent("scripts/measure_farming.py of commit 4545d75"),
        }),
        Rule(pinball_page, "The demonstrations", ("q",), {
            "games": games,
            "score": kept_score,
            "cheat rate": kept_cheats,
            ".*": absent("scripts/measure_farming.py of commit 4545d75"),
        }),
        Rule(pinball_page, "An imitator from memory", ("imitator",), {"log-likelihood": imitator}),
        Rule(pinball_page, "What imitation loses", ("",), {"demonstrations|policies, .*": imitation}),
        Rule(pinball_page, "The study", ("q",), {
            "top: score": score("top"),
            "random: score": score("random"),
            "bottom: score": score("bottom"),
            "top players: score": score("players"),
            "top: cheat rate": cheats("top"),
            "random: cheat rate": cheats("random"),
            "bottom: cheat rate": cheats("bottom"),
        }),
        Rule(pinball_page, "From pictures", ("q",), {".*": absent("log/rewards/demo_VideoPinballNoFrameskip-v4")}),
    ]  # fmt: skip


def _quantile(row: Row) -> float:
    return float(printed(row["q"])[0])


def check(root: Path, shipped: Shipped) -> Outcome:
    """Compare all tables of the pages below a folder with their files.

    Raises:
        UserError: a table is of no rule, or a file cannot be read.
    """
    unused = rules(shipped, Collected(root / RESULTS))
    checked, differences, unchecked = 0, list[str](), list[str]()
    for page in PAGES:
        for table in tables_of(page, (root / page).read_text(encoding="utf-8")):
            # Two tables of one heading have rules in their order.
            rule = next((one for one in unused if one.fits(table)), None)
            if rule is None:
                place = f"{page}:{table.rows[0][0]}"
                raise UserError(
                    f"{place}: no rule finds the numbers of this table; add one to scripts/check_results.py"
                )
            unused.remove(rule)
            for line, row in table.rows:
                absent: dict[str, list[str]] = {}
                for column in table.columns:
                    numbers = [] if column in rule.keys else printed(row[column])
                    if not numbers:
                        continue
                    find = rule.find(column)
                    assert find is not None
                    try:
                        found = list(find(row, column))
                    except NotShippedError as error:
                        absent.setdefault(str(error), []).extend(numbers)
                        continue
                    except WrongWordError as error:
                        differences.append(f"{page}:{line}: {column}: {row[column]} is {error}")
                        continue
                    # An interval of nothing but one value may be left out.
                    same = len(found) > len(numbers) == 1 and len(set(found)) == 1
                    if (same or len(numbers) == len(found)) and all(map(agree, numbers, found)):
                        checked += len(numbers)
                    else:
                        right = ", ".join(f"{one:.6g}" for one in found)
                        differences.append(f"{page}:{line}: {column}: {row[column]} is {right}")
                for file, several in absent.items():
                    unchecked.append(f"{page}:{line}: {' '.join(several)}: {file} is not shipped")
    if unused:
        raise UserError(f"{unused[0].page} has no table below {unused[0].heading!r} any more; remove its rule")
    return Outcome(checked, tuple(differences), tuple(unchecked))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/check_results.py", description=__doc__)
        parser.add_argument("--collect", action="store_true", help=f"first copy summaries of log/ to {RESULTS}")
        options = parser.parse_args(arguments)
        if options.collect:
            for name in collect(log_directory(), ROOT / RESULTS):
                print(f"collected {name}")
        outcome = check(ROOT, Shipped(ROOT / "log"))
        for line in outcome.unchecked:
            print(f"not checked: {line}")
        for line in outcome.differences:
            print(f"differs: {line}")
        print(f"{outcome.checked} numbers agree, {len(outcome.differences)} cells differ")
        if outcome.differences:
            raise UserError(f"{len(outcome.differences)} cells of the tables differ from their files; see above")

    return run_program("scripts/check_results.py", work)


if __name__ == "__main__":
    sys.exit(main())
