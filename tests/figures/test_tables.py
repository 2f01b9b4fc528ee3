from __future__ import annotations

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.evaluation.cloning import compare_with_demonstrations, kept_episodes
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.tables import format_table, results_table
from quantilizers.numbers_in_words import short


def test_a_table_is_markdown_and_aligned() -> None:
    table = format_table(["q", "return"], [["1 (imitation)", "2.0"], ["0.5", "-13.25"]])
    assert table.splitlines() == [
        "| q             | return |",
        "|---------------|-------:|",
        "| 1 (imitation) |    2.0 |",
        "| 0.5           | -13.25 |",
    ]


def test_results_have_a_row_for_each_quantile_over_all_seeds(car_demonstrations: Demonstrations) -> None:
    returns = np.random.default_rng(0).normal(-100, 10, size=(3, 2, 4))
    rewards, lengths = np.zeros((2, 4, 1), dtype=np.float32), np.ones((2, 4), dtype=int)
    results = [
        SeedResults("MountainCar-v0", 200, {}, np.array([1.0, 0.5]), true, true / 2, lengths, rewards, rewards)
        for true in returns
    ]
    kept = kept_episodes(car_demonstrations, [1.0, 0.5])
    cloning = compare_with_demonstrations(kept, results, car_demonstrations.proxy_returns)
    head, _, *lines = results_table(results, cloning).splitlines()
    assert "policies' true return, over 3 seeds" in head
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert [row[0] for row in rows] == ["1 (imitation)", "0.5"]
    assert [row[1] for row in rows] == ["12", "6"]
    for index, row in enumerate(rows):
        of_quantile = kept[index]
        assert row[2] == f"{of_quantile.lengths.sum():,}"
        assert row[3:5] == [short(of_quantile.true_returns.mean()), short(of_quantile.proxy_returns.mean())]
        assert row[5:7] == [str(mean_interval(returns[:, index])), str(mean_interval(returns[:, index] / 2))]
        assert row[7] == short(returns[:, index].mean() - of_quantile.true_returns.mean())
        assert row[8] == f"{cloning[index].proxy_percentile:.0f} %"
