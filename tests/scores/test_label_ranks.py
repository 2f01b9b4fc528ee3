"""True scores that are known for some ranks of the proxy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantilizers import UserError, choose, curve
from quantilizers.rewards import FloatArray
from quantilizers.scores.curves import labels_sentence

Known = Callable[[np.ndarray], np.ndarray]


def table(groups: int, known: Known) -> tuple[FloatArray, FloatArray, FloatArray, np.ndarray]:
    """Return proxy, all true scores, the known ones, and groups of 8; `known` is of ranks from 1, the highest proxy."""
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(groups, 8))
    ranks = (-proxy).argsort(axis=1).argsort(axis=1) + 1
    true = (8 - ranks) / 4 + 0.3 * rng.normal(size=proxy.shape)
    labels = np.where(known(ranks), true, np.nan)
    return proxy.ravel(), true.ravel(), labels.ravel(), np.repeat(np.arange(groups), 8)


def test_selections_of_ranks_without_labels_are_unknown() -> None:
    proxy, true, labels, group = table(40, lambda ranks: (ranks >= 3) & (ranks <= 6))
    found, whole = curve(proxy, labels, group), curve(proxy, true, group)
    assert [np.isfinite(one.estimate) for one in found.true] == [True, True, False, False]
    assert whole.true[2].estimate > 1.5
    assert "rises as far as it is known, to" in found.sentence()
    assert found.sentence().endswith("; it is unknown at best of 4, best of 8")
    told = labels_sentence(found.table)
    assert "labels depend on the proxy's rank" in told
    assert "unknown where they are labelled less than half as often" in told
    assert found.remarks() == found.as_numbers()["remarks"] == [told]
    with pytest.raises(UserError, match=r"rows of best of 4 are labelled 0\.43 times as often as all rows"):
        choose(proxy, labels, group)
    assert np.isnan(curve(proxy, labels, group, pooled=True, strengths=[1.0, 0.01]).true[-1].estimate)


@pytest.mark.parametrize("groups", [15, 40])
def test_labels_of_both_ends_are_told(groups: int) -> None:
    proxy, _, labels, group = table(groups, lambda ranks: (ranks <= 2) | (ranks >= 7))
    told = labels_sentence(curve(proxy, labels, group).table)
    times = "2" if groups == 40 else "1.6"
    assert (
        f"labels depend on the proxy's rank: rows of one of the selections are labelled {times} times as often" in told
    )
    assert "which may differ" in told
    if groups == 40:
        choice = choose(proxy, labels, group)
        assert choice.remarks()[0] == choice.as_numbers()["remarks"][0] == told


def test_labels_at_random_depend_on_no_rank() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups, samples = ((30, 16), (1, 300), (100, 4))[seed % 3]
        proxy = rng.normal(size=(groups, samples))
        labels = np.where(rng.random(proxy.shape) < (0.05, 0.1, 0.3, 0.7)[seed % 4], proxy, np.nan)
        found = curve(proxy.ravel(), labels.ravel(), np.repeat(np.arange(groups), samples))
        assert (found.table.label_ratios == 1).all()


def test_labels_of_whole_groups_that_are_pooled_depend_on_no_rank() -> None:
    """Of 40 easy and hard groups, twelve have all labels; few of the top quarter's rows may be theirs."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        level = 5 * rng.normal(size=(40, 1))
        proxy = level + rng.normal(size=(40, 16))
        order = (-level[:, 0]).argsort()
        known = np.isin(np.arange(40), order[[1, *range(12, 20), 30, 35, 39]])
        labels = np.where(known[:, None], proxy, np.nan)
        group = np.repeat(np.arange(40), 16)
        found = curve(proxy.ravel(), labels.ravel(), group, pooled=True, strengths=[1.0, 0.25])
        assert (found.table.label_ratios == 1).all()
        assert np.isfinite(found.true[-1].estimate)
