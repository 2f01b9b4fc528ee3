from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.selection_effects import probability_of_selection, selection_effect
from quantilizers.rewards import FloatArray


def study(
    generator: np.random.Generator,
    subsets: int = 10,
    seeds: int = 5,
    *,
    effect: float = 0.0,
    of_subsets: float = 1.0,
    own: float = 1.0,
    luck: bool = True,
) -> tuple[FloatArray, FloatArray]:
    """Top (S, 20) and random returns (K, S, 20); what seeds do to all is large, and cancels."""
    of_seeds = 5 * generator.normal(size=seeds)
    random = of_seeds + of_subsets * generator.normal(size=(subsets, 1)) + generator.normal(size=(subsets, seeds))
    top = of_seeds + effect + own * generator.normal(size=seeds)
    if luck:
        top = top + of_subsets * generator.normal()
    of_top = top[:, None] + 0.1 * generator.normal(size=(seeds, 20))
    return of_top, random[..., None] + 0.1 * generator.normal(size=(subsets, seeds, 20))


def coverage(studies: int, seed: int, given_top: bool, **model: float) -> float:
    generator = np.random.default_rng(seed)
    held = 0
    for _ in range(studies):
        found = selection_effect(*study(generator, luck=not given_top, effect=3.0, **model), given_top=given_top)
        held += found.low <= 3.0 <= found.high
    return held / studies


MODELS = [(of_subsets, own) for of_subsets in (0.0, 0.5, 1.0, 2.0) for own in (0.5, 1.0, 3.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("of_subsets", "own"), MODELS)
@pytest.mark.parametrize("given_top", [False, True])
def test_the_interval_covers_in_95_percent_of_2000_studies(of_subsets: float, own: float, given_top: bool) -> None:
    assert 0.93 <= coverage(2000, 1, given_top, of_subsets=of_subsets, own=own) <= 0.985


@pytest.mark.parametrize("given_top", [False, True])
def test_the_interval_covers(given_top: bool) -> None:
    assert 0.91 <= coverage(300, 2, given_top) <= 0.99


def test_pairs_of_seeds_alone_would_find_effects_that_are_not_there() -> None:
    """The luck of the top episodes is the same for every seed, so more seeds would not show it."""
    generator = np.random.default_rng(0)
    by_pairs = by_layout = 0
    for _ in range(300):
        top, random = study(generator, of_subsets=2.0)
        by_pairs += stats.ttest_rel(top.mean(axis=1), random.mean(axis=(0, 2))).pvalue < 0.05
        by_layout += selection_effect(top, random).p < 0.05
    assert by_pairs / 300 > 0.5
    assert by_layout / 300 < 0.09


def test_a_layout_by_hand() -> None:
    """Rows [0, 2] and [4, 2], mean 2; top [5, 9]; differences [3, 6], of which the mean is 4.5.

    The rows' means are 1 and 3: variance 2; what is left is ±1 in each of four cells: mean square 4 / 1, over two
    seeds 2, so that the subsets' own variance is estimated at 0. SE² = variance of the differences 4.5 / 2.
    """
    random = np.array([[[0.0], [2.0]], [[4.0], [2.0]]])
    found = selection_effect(np.array([[5.0], [9.0]]), random)
    assert found.estimate == 4.5 + 0.5
    assert found.standard_error**2 == pytest.approx(((9 - 2) - (5 - 2)) ** 2 / 2 / 2)


def test_a_layout_with_subsets_that_differ_by_hand() -> None:
    """Rows that are 0 and 4 for both seeds have variance 8 and nothing left; the differences vary by 2 / 2 seeds."""
    random = np.array([[[0.0], [0.0]], [[4.0], [4.0]]])
    top = np.array([[5.0], [7.0]])
    found = selection_effect(top, random)
    assert found.estimate == 4.0
    assert found.standard_error**2 == pytest.approx(1 + 1.5 * 8)
    assert found.degrees_of_freedom == 2.0
    given = selection_effect(top, random, given_top=True)
    assert given.standard_error**2 == pytest.approx(1 + 0.5 * 8)
    assert given.over == "2 random subsets, 2 seeds each"


def test_a_large_effect_is_found_and_its_size_is_right() -> None:
    top, random = study(np.random.default_rng(0), effect=20.0)
    found = selection_effect(top, random)
    assert found.p < 0.001
    assert found.low < 20 < found.high
    assert found.p == pytest.approx(2 * stats.t.sf(found.estimate / found.standard_error, found.degrees_of_freedom))
    assert 0 < found.smallest_detectable() < 20


def test_the_top_may_be_given() -> None:
    top, random = study(np.random.default_rng(0), of_subsets=3.0)
    wide, narrow = selection_effect(top, random), selection_effect(top, random, given_top=True)
    assert wide.estimate == narrow.estimate
    assert narrow.high - narrow.low < 0.7 * (wide.high - wide.low)


def test_returns_that_do_not_vary_have_the_p_of_a_rank() -> None:
    random = np.full((10, 5, 3), -200.0)
    assert selection_effect(np.full((5, 3), -200.0), random).p == 1.0
    found = selection_effect(np.full((5, 3), -150.0), random)
    assert (found.estimate, found.low, found.p) == (50.0, 50.0, pytest.approx(2 / 11))


def test_one_seed_or_one_subset_gives_no_test() -> None:
    top, random = study(np.random.default_rng(0))
    one_seed = selection_effect(top[:1], random[:, :1])
    assert one_seed.interval.known
    assert one_seed.one_seed_only
    assert math.isnan(one_seed.p)
    one_subset = selection_effect(top, random[:1])
    assert not one_subset.interval.known
    assert math.isnan(one_subset.p)


def test_shapes_that_do_not_fit_are_refused() -> None:
    top, random = study(np.random.default_rng(0))
    for of_top, of_random, problem in (
        (top[:4], random, "4 and 5 seeds"),
        (top, random[0], "subsets"),
        (top[0], random, "shape"),
    ):
        for compare in (selection_effect, probability_of_selection):
            with pytest.raises(ValueError, match=problem):
                compare(of_top, of_random)


def test_the_probability_counts_all_pairs_and_as_many_runs_as_subsets() -> None:
    top, random = study(np.random.default_rng(0), effect=1.0)
    found = probability_of_selection(top, random)
    pairs = top.mean(axis=1)[:, None, None] > random.mean(axis=2)[None]
    assert found.estimate == pytest.approx(pairs.mean())
    fewer = probability_of_selection(top, random[:5])
    assert fewer.high - fewer.low > found.high - found.low - 0.1
    assert found.over == "5 seeds and 10 random subsets"
