from __future__ import annotations

import numpy as np

from quantilizers.evaluation.results import SeedResults
from quantilizers.evaluation.statistics import mean_interval
from quantilizers.figures.tables import format_table, results_table


def test_a_table_is_markdown_and_aligned() -> None:
    table = format_table(["q", "return"], [["1 (imitation)", "2.0"], ["0.5", "-13.25"]])
    assert table.splitlines() == [
        "| q             | return |",
        "|---------------|-------:|",
        "| 1 (imitation) |    2.0 |",
        "| 0.5           | -13.25 |",
    ]


def test_results_have_a_row_for_each_quantile_over_all_seeds() -> None:
    returns = np.random.default_rng(0).normal(size=(3, 2, 4))
    rewards, lengths = np.zeros((2, 4, 1), dtype=np.float32), np.ones((2, 4), dtype=int)
    results = [
        SeedResults("MountainCar-v0", 200, {}, np.array([1.0, 0.5]), true, 2 * true, lengths, rewards, rewards)
        for true in returns
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in results_table(results).splitlines()[2:]]
    assert [row[0] for row in rows] == ["1 (imitation)", "0.5"]
    for index, row in enumerate(rows):
        assert row[1:] == [str(mean_interval(returns[:, index])), str(mean_interval(2 * returns[:, index])), "12"]
