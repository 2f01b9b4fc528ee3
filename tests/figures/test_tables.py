from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import Figures
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.tables import results_cells, results_title
from quantilizers.numbers_in_words import short
from quantilizers.policies.selection_settings import REFERENCE
from quantilizers.terminal import divided_table, format_table, terminal_table, wrapped


def test_a_table_is_markdown_and_aligned() -> None:
    table = format_table(["q", "return"], [["1 (imitation)", "2.0"], ["0.5", "-13.25"]])
    assert table.splitlines() == [
        "| q             | return |",
        "|---------------|-------:|",
        "| 1 (imitation) |    2.0 |",
        "| 0.5           | -13.25 |",
    ]


def test_a_table_leaves_columns_out_that_do_not_fit_and_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # the least is 80
    head, rows = ["q", *(f"a column of some length, {number}" for number in range(4))], [["1", *"abcd"]]
    shown, *_, note = terminal_table(head, rows).splitlines()
    assert len(shown) == 63
    assert note == "more columns with --wide: a column of some length, 2, a column of some length, 3"
    assert terminal_table(head, rows, wide=True) == format_table(head, rows)
    monkeypatch.setenv("COLUMNS", "100")
    assert len(terminal_table(head, rows).splitlines()[0]) == 92
    assert terminal_table(["a" * 200], [["b"]]) == format_table(["a" * 200], [["b"]]), "one column is always shown"


def test_a_table_is_divided_where_no_column_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head, rows = ["q", *(f"a column of some length, {number}" for number in range(4))], [["1", *"abcd"]]
    halves = [
        format_table([head[0], *head[part]], [[rows[0][0], *rows[0][part]]]) for part in (slice(1, 3), slice(3, 5))
    ]
    assert divided_table(head, rows) == "\n\n".join(halves)
    assert divided_table(head[:3], [rows[0][:3]]) == halves[0]
    assert divided_table(["a", "b" * 99, "c"], [["1", "2", "3"]]).count("\n\n") == 1, "no column is lost"


def test_prose_is_divided_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = wrapped("- " + "half-open " * 20, "  ")
    assert {len(line) <= 80 for line in text.splitlines()} == {True}
    assert text.split() == ["-", *["half-open"] * 20]
    assert text.splitlines()[1].startswith("  half-open")


def loss(true: np.ndarray, proxy: np.ndarray, options: Mapping[str, float]) -> np.ndarray:
    if options["lamb"] == 0:
        raise UserError("not known")
    return (proxy - true) / options["lamb"]


CAR = load_environment("MountainCar-v0")
PRICED = replace(CAR, options={"lamb": 2.0}, figures=Figures(second_axis=loss, second_label="loss (of something)"))


def test_results_have_a_row_for_each_quantile_over_all_seeds(car_demonstrations: Demonstrations) -> None:
    returns = np.random.default_rng(0).normal(-100, 10, size=(3, 2, 4))
    rewards, lengths = np.zeros((2, 4, 1), dtype=np.float32), np.ones((2, 4), dtype=int)
    results = [
        SeedResults("MountainCar-v0", 200, {}, np.array([1.0, 0.5]), true, true / 2, lengths, rewards, rewards)
        for true in returns
    ]
    kept = list(REFERENCE.choose_all(car_demonstrations, [1.0, 0.5], observations=False).values())
    cloning = compare_with_demonstrations(kept, results, car_demonstrations.proxy_returns)
    assert "95 % interval over 3 seeds" in results_title("MountainCar-v0", "data set demo", results).replace("\n", " ")
    head, rows = results_cells(results, cloning, CAR)
    assert {len(row) for row in rows} == {len(head)}
    for index, row in enumerate(rows):
        of_quantile = kept[index]
        assert dict(zip(head, row, strict=True)) == {
            "q": ("1", "0.5")[index],
            "kept: true": short(of_quantile.true_returns.mean()),
            "policies: true": str(mean_interval(returns[:, index])),
            "policies: proxy": str(mean_interval(returns[:, index] / 2)),
            "keeps": ("12", "6")[index],
            "kept: proxy": short(of_quantile.proxy_returns.mean()),
            "cloning gap": short(returns[:, index].mean() - of_quantile.true_returns.mean()),
            "proxy percentile": f"{cloning[index].proxy_percentile:.0f} %",
            "steps": f"{of_quantile.lengths.sum():,}",
        }


def test_what_figures_show_beside_the_true_return_has_columns(car_demonstrations: Demonstrations) -> None:
    proxy = np.random.default_rng(0).normal(100, 10, size=(3, 1, 4))
    losses = np.random.default_rng(1).uniform(size=(3, 1, 4))
    rewards, lengths = np.zeros((1, 4, 1), dtype=np.float32), np.ones((1, 4), dtype=int)
    priced = replace(car_demonstrations, environment=PRICED)
    kept = list(REFERENCE.choose_all(priced, [1.0], observations=False).values())
    for lamb in (8.0, 0.0):
        results = [
            SeedResults(
                "MountainCar-v0",
                200,
                {"lamb": lamb},
                np.array([1.0]),
                proxy_return - lamb * lost,
                proxy_return,
                lengths,
                rewards,
                rewards,
            )
            for proxy_return, lost in zip(proxy, losses, strict=True)
        ]
        cloning = compare_with_demonstrations(kept, results, car_demonstrations.proxy_returns)
        head, (row,) = results_cells(results, cloning, PRICED)
        assert head[-2:] == ["kept: loss", "policies: loss"]
        mean = kept[0].proxy_returns.mean() - kept[0].true_returns.mean()
        policies = str(mean_interval(losses[:, 0])) if lamb else "–"
        assert row[-2:] == [short(mean / 2), policies]


def test_a_bar_in_a_cell_is_no_end_of_it() -> None:
    table = format_table(["a|b", "c"], [["1", "2"]])
    assert table.splitlines()[0] == r"| a\|b | c |"
    assert len({len(line) for line in table.splitlines()}) == 1
