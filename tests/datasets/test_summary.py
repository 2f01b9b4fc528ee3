from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import Correlation, Summary, dataset_title, summarise
from quantilizers.layout import Layout


def summary_of(true: list[float], proxy: list[float]) -> Summary:
    return Summary(np.full(len(true), 3), np.array(true), np.array(proxy))


def test_returns_are_those_of_the_demonstrations(car_demonstrations: Demonstrations) -> None:
    summary = summarise(car_demonstrations)
    assert summary.true_returns.tolist() == (-car_demonstrations.lengths).tolist()
    # Independently: the sum of positions after each step is that before each step, without the first, and with
    # the last one, which lies at the flag or where the episode was cut.
    positions = car_demonstrations.episodes.observations[..., 0].sum(axis=1, dtype=np.float64)
    difference = summary.proxy_returns - (positions - car_demonstrations.episodes.observations[:, 0, 0])
    finished = car_demonstrations.lengths < 160
    assert finished.any()
    assert (difference[finished] >= 0.5).all()
    assert (np.abs(difference) <= 1.2).all()


def test_what_is_kept_is_what_training_keeps(car_demonstrations: Demonstrations) -> None:
    summary = summarise(car_demonstrations)
    for quantile in (1.0, 0.5, 0.25, 0.01):
        kept, split = summary.selection(quantile), car_demonstrations.top(quantile)
        assert kept.number == split.number
        assert kept.true_return == pytest.approx(split.true_returns.mean())


def test_the_cut_and_its_ties() -> None:
    kept = summary_of([1, 2, 3, 4, 5], [7.0, 9.0, 7.0, 7.0, 1.0]).selection(0.4)
    # Of the three 7s, the file's first is kept.
    assert (kept.number, kept.true_return, kept.proxy_return) == (2, 1.5, 8.0)
    assert (kept.cut, kept.tied_left_out) == (7.0, 2)
    assert summary_of([1, 2], [3.0, 4.0]).selection(0.5).tied_left_out == 0


def test_correlation_of_known_numbers() -> None:
    # Monotone, so Spearman is 1; Pearson by hand: Σxy = 20.5, Σx² = 5, Σy² = 106.75 about the means.
    found = summary_of([1, 2, 4, 14], [1, 2, 3, 4]).correlation()
    assert found.spearman == pytest.approx(1.0)
    assert found.pearson == pytest.approx(20.5 / np.sqrt(5 * 106.75))
    assert summary_of([1, 1], [1, 2]).correlation() == Correlation(None, None)
    assert summary_of([1], [2]).correlation() == Correlation(None, None)


@pytest.mark.parametrize(
    ("names", "players"),
    [
        (["Ada", "Ada", "Grace"], "2 named"),
        (["simulated player 0", "simulated player 1", "simulated player 1"], "2 simulated"),
        (["simulated player 0", "Ada", ""], "1 simulated, 1 named, others unknown"),
        (["", "", ""], "unknown"),
    ],
)
def test_who_played(car_demonstrations: Demonstrations, names: list[str], players: str) -> None:
    three = car_demonstrations.select(np.arange(3))
    named = replace(three, episodes=replace(three.episodes, extras={"player": np.array(names)}))
    assert summarise(named).players == players
    assert summarise(car_demonstrations).players == "unknown"


def test_the_title_says_when_all_players_were_simulated(tmp_path: Path, car_demonstrations: Demonstrations) -> None:
    assert dataset_title(Layout(tmp_path, "MountainCar-v0", "demo")) == "data set demo (simulated players)"
    layout = Layout(tmp_path, "MountainCar-v0", "people")
    assert dataset_title(layout) == "data set people"
    car_demonstrations.episodes.save(layout.data)
    assert dataset_title(layout) == "data set people"
