"""Paths of agents at equal KL, of made-up paths whose differences are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.pressure import Pressures
from quantilizers.optimisers.paths import OptimisationPath, PathPoint
from quantilizers.studies.equal_kl import KLPath, compare_at_equal_kl, who_leads

SEEDS = (0, 1, 2, 3, 4)
#: Each seed's imitator is as good as it is; it moves both paths alike.
IMITATION = {seed: -190.0 - 3 * seed for seed in SEEDS}


def quick(kl: np.ndarray) -> np.ndarray:
    """6 a nat up to 2 nats, and no more."""
    return np.minimum(6 * kl, 12)


def steady(kl: np.ndarray) -> np.ndarray:
    """4 a nat, which is as much at 3 nats."""
    return 4 * kl


def path(
    label: str,
    gain: Callable[[np.ndarray], np.ndarray],
    kl: list[float],
    spread: float = 0.0,
    seeds: tuple[int, ...] = SEEDS,
) -> KLPath:
    """A path that gains as much over imitation for every seed, but for a spread, at KLs that differ between them."""
    own = np.array(kl) * np.array([1 + 0.02 * seed for seed in seeds])[:, None]
    noise = spread * np.random.default_rng(ord(label[0])).normal(size=own.shape)
    return KLPath(label, seeds, own, np.array([IMITATION[seed] for seed in seeds])[:, None] + gain(own) + noise)


def test_the_gain_at_equal_kl_is_found_between_the_points_of_each_seed() -> None:
    first, second = path("first", quick, [1, 2, 8]), path("second", steady, [0.5, 4, 6])
    (found,) = compare_at_equal_kl([first, second], IMITATION)
    assert [one.level for one in found.levels] == [0.5, 1.0, 2.0, 3.0, 4.0, 6.0]
    # At 2 nats the corner of the first path is cut between its points.
    gains = np.array([one.difference.estimate for one in found.levels])
    np.testing.assert_allclose(gains[[0, 1, 3, 4, 5]], [1.0, 2.0, 0.0, -4.0, -12.0], atol=1e-9)
    assert 3.5 < gains[2] < 4
    assert found.at(8.0) is None, "the second does not reach it"
    assert found.levels[0].first == pytest.approx(np.mean(list(IMITATION.values())) + 3)
    assert found.at(1.0) is found.levels[1]


def test_it_says_who_earns_more_and_where() -> None:
    first = path("quantilizer", quick, [1, 2, 8], spread=0.3)
    second = path("control", steady, [0.5, 4, 6], spread=0.3)
    (found,) = compare_at_equal_kl([first, second], IMITATION)
    assert [one.decision for one in found.levels] == ["more", "more", "more", "undecided", "less", "less"]
    assert found.sentence() == (
        "quantilizer earns, beside control, more at 0.5 to 2, undecided at 3, less at 4 to 6 nats"
    )
    (back,) = compare_at_equal_kl([second, first], IMITATION)
    assert [one.decision for one in back.levels] == ["less", "less", "less", "undecided", "more", "more"]
    assert who_leads([found]) == "quantilizer at 0.5 to 2 nats; control at 4 to 6 nats"
    numbers = found.as_numbers()["levels"]
    assert [one["nats"] for one in numbers] == [0.5, 1.0, 2.0, 3.0, 4.0, 6.0]
    assert numbers[1]["difference"][1] < numbers[1]["difference"][0] < numbers[1]["difference"][2]


def test_intervals_are_those_of_pairs_of_seeds() -> None:
    first, second = path("a", quick, [1, 4], spread=1.0), path("b", steady, [1, 4])
    (found,) = compare_at_equal_kl([first, second], IMITATION, [1.0, 2.0])
    seeds = list(SEEDS)
    one, other = first.from_imitation(IMITATION).at(1.0, seeds), second.from_imitation(IMITATION).at(1.0, seeds)
    assert one is not None
    assert other is not None
    theirs = stats.ttest_rel(one[:, 0], other[:, 0])
    difference = found.levels[0].difference
    assert difference.p == pytest.approx(theirs.pvalue)
    np.testing.assert_allclose((difference.low, difference.high), theirs.confidence_interval(0.95))
    assert found.levels[0].p >= difference.p, "Holm's correction over both levels"


def test_equal_paths_are_called_different_in_few_studies() -> None:
    generator, decided = np.random.default_rng(1), 0
    for _ in range(300):
        paths = [
            KLPath(name, SEEDS, np.tile([0.5, 1, 2, 4], (5, 1)), generator.normal(size=(5, 4))) for name in ("a", "b")
        ]
        (found,) = compare_at_equal_kl(paths, {}, [0.5, 1.0, 2.0, 4.0])
        decided += any(one.decision != "undecided" for one in found.levels)
    assert decided <= 27, "5 % of 300, and three standard errors"


def test_who_leads_is_ahead_of_all_that_reach_so_far() -> None:
    first, second = path("a", quick, [1, 2, 8], spread=0.3), path("b", steady, [0.5, 1.9])
    worst = path("c", lambda kl: kl, [1, 4, 5], spread=0.3)
    compared = compare_at_equal_kl([first, second, worst], IMITATION, [0.5, 1.0, 4.0, 6.0])
    assert len(compared) == 3
    assert who_leads(compared) == "a at 0.5 to 4 nats", "only one path reaches 6 nats"
    assert who_leads(compare_at_equal_kl([first, second], IMITATION, [])) == ""


def test_seeds_are_paired_and_one_of_them_decides_nothing() -> None:
    first, second = path("a", quick, [1, 4], 0.1), path("b", steady, [1, 4], 0.1, seeds=(3, 1))
    (found,) = compare_at_equal_kl([first, second], IMITATION, [1.0])
    assert found.levels[0].difference.over == "2 pairs of seeds"
    (single,) = compare_at_equal_kl([first, path("b", steady, [1, 4], seeds=(2,))], IMITATION, [1.0])
    assert single.levels[0].decision == "undecided"
    assert not single.levels[0].difference.interval.known
    (none,) = compare_at_equal_kl([first, path("b", steady, [40, 41])], {}, [1.0])
    assert none.sentence() == "a and b have no KL in common"


def test_paths_of_unknown_kl_are_none_and_pressures_are_paths() -> None:
    returns, divergences = np.full((2, 3), -190.0), np.full((2, 3), 1.5)
    known, unknown = PathPoint(1.0, returns, returns, divergences), PathPoint(2.0, returns, returns)
    settings = ("kl_control", "MountainCar-v0", 200, {}, "beta", (0, 1))
    assert KLPath.of_optimiser(OptimisationPath(*settings, (known, unknown))) is None
    found = KLPath.of_optimiser(OptimisationPath(*settings, (known,)))
    assert found is not None
    np.testing.assert_array_equal(
        found.from_imitation({0: -195.0, 1: -196.0}).true_returns, [[-195, -190], [-196, -190]]
    )
    rows = [
        Pressures(q, "", seeds, ("a",) * len(seeds), ("b",) * len(seeds), *np.full((3, len(seeds), 4), 2 - 2 * q))
        for q, seeds in ((1.0, (0, 1, 2)), (0.5, (2, 0)))
    ]
    cloned = KLPath.of_pressures("cloned", rows)
    assert cloned.seeds == (0, 2)
    np.testing.assert_array_equal(cloned.divergences, [[0, 1], [0, 1]])
    assert cloned.from_imitation({0: 1.0, 2: 1.0}) is cloned
