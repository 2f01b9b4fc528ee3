from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import Figures
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.tables import format_table, results_table
from quantilizers.numbers_in_words import short
from quantilizers.policies.selection_settings import REFERENCE


def test_a_table_is_markdown_and_aligned() -> None:
    table = format_table(["q", "return"], [["1 (imitation)", "2.0"], ["0.5", "-13.25"]])
    assert table.splitlines() == [
        "| q             | return |",
        "|---------------|-------:|",
        "| 1 (imitation) |    2.0 |",
        "| 0.5           | -13.25 |",
    ]


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
    head, _, *lines = results_table(results, cloning, CAR).splitlines()
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
        assert row[8:] == [f"{cloning[index].proxy_percentile:.0f} %"]


def test_what_figures_show_beside_the_true_return_has_columns(car_demonstrations: Demonstrations) -> None:
    proxy = np.random.default_rng(0).normal(100, 10, size=(3, 1, 4))
    losses = np.random.default_rng(1).uniform(size=(3, 1, 4))
    rewards, lengths = np.zeros((1, 4, 1), dtype=np.float32), np.ones((1, 4), dtype=int)
    kept = list(REFERENCE.choose_all(car_demonstrations, [1.0], observations=False).values())
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
        head, _, line = results_table(results, cloning, PRICED).splitlines()
        assert [cell.strip() for cell in head.split("|")[-3:-1]] == ["loss kept", "policies' loss"]
        mean = kept[0].proxy_returns.mean() - kept[0].true_returns.mean()
        policies = str(mean_interval(losses[:, 0])) if lamb else "–"
        assert [cell.strip() for cell in line.split("|")[-3:-1]] == [short(mean / 2), policies]
