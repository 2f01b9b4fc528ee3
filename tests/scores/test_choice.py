from __future__ import annotations

import numpy as np
import pytest

from quantilizers import UserError, choose, curve
from quantilizers.quantilize import RULES
from quantilizers.rewards import FloatArray
from quantilizers.scores.hedge_tuning import hedge_tune, rewards_by_level
from quantilizers.scores.samples import Samples


def partly_labelled(groups: int, samples: int, share: float | None) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Return a proxy, the same as true score in a share of rows, or in one row of each group, and groups."""
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(groups, samples))
    known = rng.random(proxy.shape) < (share or 0)
    if share is None:
        known[np.arange(groups), rng.integers(samples, size=groups)] = True
    return proxy.ravel(), np.where(known, proxy, np.nan).ravel(), np.repeat(np.arange(groups), samples)


@pytest.mark.parametrize("share", [1.0, 0.3, 0.1, None])
def test_labels_in_some_rows_give_the_estimates_of_a_curve(share: float | None) -> None:
    """The best of 8 normal scores is 1.4236 in the mean."""
    table = partly_labelled(400, 16, share)
    found = choose(*table, n=8)
    base, best = found.earned["base"], found.earned["best of 8"]
    assert (found.chosen.label, found.groups) == ("best of 8", (~np.isnan(table[1])).reshape(400, 16).any(1).sum())
    assert base.low <= 0 <= base.high
    assert best.low <= 1.4236 <= best.high
    for k, estimate in ((8, base), (1, best), (2, found.earned["top 2 of 8"])):
        expected = curve(*table, rule="top_k_of_n", strengths=[8], k=k).true[-1].as_numbers()
        assert estimate.as_numbers() == pytest.approx(expected, abs=1e-12)
    for name in ("best of 8", "HedgeTune"):
        assert found.gains[name].as_numbers() == (0, 0, 0)
    assert found.earned["chosen"].estimate == pytest.approx(best.estimate)
    assert found.gains["base"].estimate == pytest.approx(best.estimate - base.estimate)


@pytest.mark.parametrize(("samples", "n"), [(4, 4), (16, 4), (64, 32), (70, 70)])
def test_hedge_tune_is_judged_as_best_of_n_is(samples: int, n: int) -> None:
    """Where the true score is the proxy, HedgeTune takes all draws, as the choice does."""
    table = partly_labelled(60, samples, 1.0)
    found = choose(*table, n=n)
    assert found.earned["HedgeTune"].estimate == pytest.approx(found.earned[f"best of {n}"].estimate)
    assert found.gains["HedgeTune"].as_numbers() == (0, 0, 0)


def test_hedge_tune_finds_the_maximum_of_best_of_n() -> None:
    levels = (np.arange(2000) + 0.5) / 2000
    rewards = (np.where(levels > 0.9, -1.0, 1.0) * levels)[::-1]
    numbers = np.linspace(1, 64, 4000)
    edges = np.arange(2000, -1, -1) / 2000
    means = [rewards @ (edges[:-1] ** n - edges[1:] ** n) for n in numbers]
    assert hedge_tune(rewards, 64) == pytest.approx(numbers[int(np.argmax(means))], abs=0.05)
    assert hedge_tune(levels[::-1], 64) == 64
    assert hedge_tune(levels, 64) == hedge_tune(np.full(2000, 0.7), 64) == 1


def test_levels_without_labels_are_between_their_neighbours() -> None:
    rewards = rewards_by_level(np.array([[0.0, 2.0, 0.0, 8.0], np.zeros(4)]), np.array([[0, 1, 0, 2], np.zeros(4)]))
    assert rewards.tolist() == [[2, 2, 3, 4], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("groups", "labelled", "message"),
    [
        (200, 19, "labelled rows, spread like these, would do"),
        (12, 12, "20 groups with labelled rows would do"),
    ],
)
def test_too_few_labels_for_a_choice_are_refused(groups: int, labelled: int, message: str) -> None:
    proxy, true, group = partly_labelled(groups, 8, 1.0)
    true = np.where(group < labelled, true, np.nan)
    with pytest.raises(UserError, match=message):
        choose(proxy, true, group, n=8)


def test_a_label_counts_by_its_weight_in_the_selection() -> None:
    """A label of rank 64 has the weight 0 in the best of 32 of 64: it is no group's truth."""
    rng = np.random.default_rng(0)
    proxy = np.sort(rng.normal(size=(100, 64)), axis=1)
    true = np.where(rng.random((100, 64)) < 0.02, proxy, np.nan)
    with pytest.raises(UserError, match=r"tell as much as \d+\.\d labelled groups in the strongest selection"):
        choose(proxy.ravel(), true.ravel(), np.repeat(np.arange(100), 64), n=64)


def test_a_loss_as_large_as_the_tolerance_is_not_more_than_it() -> None:
    proxy, group = np.tile([1.0, 0.0], 40), np.repeat(np.arange(40), 2)
    costly = choose(proxy, np.tile([0.5, 1.1], 40), group, n=2)  # 0.8 for the base
    assert not costly.costs_more_than(0.3)
    assert costly.costs_more_than(0.2999)
    same = choose(np.tile(np.arange(7.0), 40), np.full(280, 0.7), np.repeat(np.arange(40), 7), n=7)
    assert same.cost.estimate == 0
    assert not same.costs_more_than(0)


def test_choosing_is_judged_on_other_groups() -> None:
    """With a truth that is noise, the best estimate of many is above 0; chosen on other groups it earns nothing."""
    earned, best, held = [], [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(40), 16)
        found = choose(rng.normal(size=640), rng.normal(size=640), group, n=16)
        earned.append(found.earned["chosen"].estimate)
        best.append(max(one.estimate for one in found.estimates))
        held += [one.low <= 0 <= one.high for one in (found.gains["base"], found.gains["top 4 of 16"])]
    assert np.mean(best) > np.mean(earned) + 0.03
    assert abs(np.mean(earned)) < 0.09
    assert np.mean(held) >= 0.9


def simulated(rng: np.random.Generator, kind: str, groups: int, samples: int) -> tuple[FloatArray, FloatArray]:
    proxy = rng.normal(size=(groups, samples))
    signal = 0.3 * proxy - 0.35 * np.maximum(proxy - 0.8, 0) ** 2 if kind == "turns" else 0 * proxy
    return proxy, signal + rng.normal(size=proxy.shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "groups", "samples", "n", "share"),
    [
        ("noise", 40, 16, 16, 1.0),
        ("noise", 100, 16, 16, 1.0),
        ("noise", 300, 8, None, 1.0),
        ("turns", 100, 16, 16, 1.0),
        ("turns", 200, 16, 16, 0.3),
    ],
)
def test_intervals_of_choosing_hold_what_it_earns(
    kind: str, groups: int, samples: int, n: int | None, share: float
) -> None:
    """What it earns in fresh groups, in the mean over tables of four fifths of the groups; 95 % are promised."""
    rng = np.random.default_rng(groups)
    most = n or samples
    if n is None:
        strengths = [RULES["best_of_n"].at(2**power) for power in range(4)]
    else:
        strengths = [RULES["top_k_of_n"].at(n, k=k) for k in (16, 8, 4, 2, 1)]

    def sums(number: int, labels: float) -> FloatArray:
        proxy, true = simulated(rng, kind, number, samples)
        true = np.where(rng.random(true.shape) < labels, true, np.nan)
        of = Samples.of(proxy.ravel(), true.ravel(), np.repeat(np.arange(number), samples))
        return of.weighted(of.columns[1:], strengths).sum(axis=2)

    large = np.sum([sums(20_000, 1.0) for _ in range(4)], axis=0)
    means = large[0] / large[1] if kind == "turns" else np.zeros(len(strengths))
    drawn = [np.divide(*sums(groups * 4 // 5, share)) for _ in range(500)]
    earned = np.bincount([int(one.argmax()) for one in drawn], minlength=len(means)) / 500 @ means
    held = []
    for _ in range(100):
        proxy, true = simulated(rng, kind, groups, samples)
        true = np.where(rng.random(true.shape) < share, true, np.nan)
        found = choose(proxy.ravel(), true.ravel(), np.repeat(np.arange(groups), samples), n=n)
        expected = {"base": earned - means[0], f"best of {most}": earned - means[-1]}
        held += [[found.gains[name].low <= value <= found.gains[name].high for name, value in expected.items()]]
    assert np.mean(held, axis=0).min() >= 0.9


def test_the_fixed_rule_and_hedge_tune_are_named_with_their_strengths() -> None:
    """A truth that turns far below the best of 16, of which the best of the top 4 of 16 are nearest."""
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(200, 16))
    true = proxy - 3 * np.maximum(proxy - 1, 0) ** 2 + 0.1 * rng.normal(size=proxy.shape)
    group = np.repeat(np.arange(200), 16)
    found = choose(proxy.ravel(), true.ravel(), group)
    names = [row[0] for row in found.rows()[1:]]
    assert names[:4] == [f"chosen ({found.chosen.label})", "base", "best of 16", "fixed rule (top 4 of 16)"]
    assert names[4] == f"HedgeTune (best of {found.hedged:.3g})"
    levels = [curve(proxy.ravel(), true.ravel(), group, strengths=[n]).true[-1].estimate for n in range(1, 9)]
    assert abs(found.hedged - (1 + int(np.argmax(levels)))) < 1
    (remark,) = found.remarks()
    gain = -found.gains["top 4 of 16"]
    assert gain.low > 0
    assert remark.startswith(
        f"fixed rule (top 4 of 16) earns {gain.estimate:.3f} [{gain.low:.3f}, {gain.high:.3f}] more;"
    )
    assert "choose k for n = 16 (--n 16)" in remark
    assert choose(proxy.ravel(), true.ravel(), group, n=16).remarks() == []
    assert (found.as_numbers()["fixed_rule"], found.as_numbers()["hedge_tune_n"]) == ("top 4 of 16", found.hedged)
    assert str(found).startswith("| selection")
    assert found.sentence() in repr(found)
    noise = choose(proxy.ravel(), rng.normal(size=3200), group)
    assert all("may be chance" in one for one in noise.remarks())


def test_one_sample_a_group_is_refused_as_by_a_curve() -> None:
    for function in (choose, curve):
        with pytest.raises(UserError, match="30 groups of 30 have one sample"):
            function(np.arange(30.0), np.arange(30.0), np.arange(30))


def test_a_share_is_between_0_and_1() -> None:
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(30, 8))
    true = (proxy + 0.3 * rng.normal(size=proxy.shape) > 0).astype(float)
    found = choose(proxy.ravel(), true.ravel(), np.repeat(np.arange(30), 8))
    assert found.earned["chosen"].high == found.earned["HedgeTune"].high == 1
