from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import make_scores
from quantilizers import UserError, choose, curve, select
from quantilizers.evaluation.intervals import Interval
from quantilizers.quantilize import RULES, quantilize, quantilize_scores
from quantilizers.scores import samples as samples_of
from quantilizers.scores.comparison import ProxyComparison
from quantilizers.scores.curves import GroupSums, effective_groups, few_labels, labels_sentence, short_score
from quantilizers.scores.samples import Samples, best_first_of_rows

POOLED = [
    "samples of all groups are ranked together: selection then also prefers easy groups, so this does not say what "
    "selecting within a group earns"
]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "scores"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="other people's tables are not beside the clone")


def judge() -> tuple[list[float], list[float], list[str]]:
    rows = [json.loads(line) for line in (SHARED / "judge_pilot.jsonl").read_text(encoding="utf-8").splitlines()]
    return (
        [row["judge_score"] for row in rows],
        [float(row["correct"]) for row in rows],
        [row["task_id"] for row in rows],
    )


def tomato(name: str) -> tuple[list[float], list[float]]:
    with (SHARED / f"tomato_{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [float(row["misspecified_reward"]) for row in rows], [float(row["true_utility"]) for row in rows]


@needs_shared
def test_a_judge_within_prompts() -> None:
    """Enumerated with ties shared; pooled, the best 2 % are right in 95 %."""
    proxy, true, group = judge()
    of_quantiles = curve(proxy, true, group, rule="quantile", strengths=(1.0, 0.5, 0.25, 0.125))
    assert [round(one.estimate, 4) for one in of_quantiles.true] == [0.6684, 0.7304, 0.8055, 0.8239]
    best = curve(proxy, true, group, strengths=(1, 2, 4, 8, 16))
    assert [round(one.estimate, 4) for one in best.true] == [0.6684, 0.7147, 0.7667, 0.8098, 0.8286]
    top = curve(proxy, true, group, rule="top_k_of_n", strengths=(16,), k=4)
    assert round(top.true[-1].estimate, 4) == 0.7967
    assert curve(proxy, true, group, pooled=True, strengths=(1.0, 0.02)).true[-1].estimate == pytest.approx(
        0.95, abs=0.01
    )
    assert "cannot tell" in curve(proxy, true, group).sentence()


@needs_shared
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        (
            "100_steps_random_prior_wait_if_invalid",
            "turns",
            {1: 5.4903, 0.5: 5.9936, 0.25: 6.2262, 0.05: 6.4273, 0.02: 6.2932},
        ),
        ("1000_steps_random_prior_random_move_if_invalid", "rises", {1: 5.3789, 0.001: 6.3126}),
        ("100_steps_simplicity_prior_random_move_if_invalid", "unknown", {}),
    ],
)
def test_other_people_s_gridworlds(name: str, kind: str, expected: dict[float, float]) -> None:
    proxy, true = tomato(name)
    found = curve(proxy, true)
    assert found.turn is not None
    assert found.turn.kind == kind
    if kind == "turns":
        assert found.strengths[found.turn.best].label == "q = 0.05"
    means = curve(proxy, true, strengths=sorted({1.0, *expected}, reverse=True))
    by_label = {one.label: mean.estimate for one, mean in zip(means.strengths, means.true, strict=True)}
    for q, mean in expected.items():
        assert round(by_label[f"q = {q:g}"], 4) == mean


def test_top_k_of_n_is_the_mean_over_all_subsets() -> None:
    for m in range(1, 9):
        for n in range(1, m + 1):
            subsets = list(itertools.combinations(range(m), n))
            for k in range(1, n + 1):
                expected = np.zeros(m)
                for subset in subsets:
                    expected[list(subset[:k])] += 1 / (k * len(subsets))
                found = RULES["top_k_of_n"].at(n, k=k).weights(-np.arange(m))
                np.testing.assert_allclose(found, expected, atol=1e-14)


def test_top_k_of_n_of_many_samples_sums_to_1() -> None:
    for n, k in ((5000, 100), (100_000, 1), (2, 1)):
        assert RULES["top_k_of_n"].at(n, k=k).of_ranks(100_000).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_soft_best_of_n_is_the_mean_over_all_draws(n: int, temperature: float) -> None:
    scores = np.random.default_rng(0).normal(size=5)
    a = np.exp((scores - scores.max()) / temperature)
    expected = np.zeros(5)
    for drawn in itertools.product(range(5), repeat=n):
        for one in drawn:
            expected[one] += a[one] / a[list(drawn)].sum() / 5**n
    found = RULES["soft_best_of_n"].at(n, temperature=temperature).weights(scores)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("temperature", [1e-300, 1e-3, 1e-2])
def test_soft_best_of_n_at_low_temperatures_is_best_of_n(temperature: float) -> None:
    """Draws are with replacement: rank i of m is the best of n with chance ((m − i)/m)^n − ((m − i − 1)/m)^n."""
    strength = RULES["soft_best_of_n"].at(3, temperature=temperature)
    expected = np.diff(np.linspace(0, 1, 5) ** 3)
    np.testing.assert_allclose(strength.weights(np.array([0.0, 0.3, 1.2, 2.0])), expected, atol=1e-12)
    tied = strength.weights(np.array([0.0, 2.0, 1.2, 2.0]))
    np.testing.assert_allclose(tied, [1 / 64, 28 / 64, 7 / 64, 28 / 64], atol=1e-12)
    many = np.random.default_rng(0).permutation(np.arange(5000.0))
    np.testing.assert_allclose(np.sort(strength.weights(many)), np.diff(np.linspace(0, 1, 5001) ** 3), atol=1e-12)
    found = curve([0.0, 0.3, 1.2, 2.0], rule="soft_best_of_n", strengths=[3], temperature=temperature)
    assert found.ratios[-1] == pytest.approx(4 * 37 / 64)
    assert found.divergences[-1] == pytest.approx(float(expected @ np.log(4 * expected)))


@pytest.mark.parametrize("rule", ["quantile", "best_of_n", "top_k_of_n", "best_of_poisson", "trimmed"])
def test_ties_share_as_in_the_mean_over_all_orders(rule: str) -> None:
    scores = np.array([1.0, 1.0, 0.0, 2.0, 1.0])
    strength = {
        "quantile": RULES["quantile"].at(0.3), "best_of_n": RULES["best_of_n"].at(3),
        "top_k_of_n": RULES["top_k_of_n"].at(4, k=2), "best_of_poisson": RULES["best_of_poisson"].at(1.0),
        "trimmed": RULES["trimmed"].at(0.3, cut=0.15),
    }[rule]  # fmt: skip
    expected = np.zeros(5)
    for tied in itertools.permutations([0, 1, 4]):
        order = [3, *tied, 2]
        expected[order] += strength.of_ranks(5) / 6
    np.testing.assert_allclose(strength.weights(scores), expected, atol=1e-14)


def test_the_exact_quantilizer_takes_a_part_of_the_sample_at_the_edge() -> None:
    np.testing.assert_allclose(
        RULES["quantile"].at(0.375).weights(np.array([1.0, 4.0, 3.0, 2.0])), [0, 2 / 3, 1 / 3, 0]
    )


def test_best_of_poisson_mixes_the_best_of_subsets() -> None:
    """Of m samples, the best of 1 + Poisson(0.8) drawn without replacement, and of all m where these are fewer."""
    shares = [math.exp(-0.8) * 0.8**more / math.factorial(more) for more in range(40)]
    for number in (5, 8):
        expected = np.zeros(number)
        for more, share in enumerate(shares):
            subsets = list(itertools.combinations(range(number), min(more + 1, number)))
            for subset in subsets:
                expected[min(subset)] += share / len(subsets)
        np.testing.assert_allclose(RULES["best_of_poisson"].at(0.8).of_ranks(number), expected, atol=1e-14)


@pytest.mark.parametrize("samples", [8, 16, 32])
def test_best_of_poisson_within_groups_has_no_bias(samples: int) -> None:
    """The best of n uniform scores is n/(n + 1) in the mean."""
    proxy = np.random.default_rng(samples).random((20_000, samples))
    found = curve(proxy.ravel(), proxy.ravel(), np.repeat(np.arange(20_000), samples), rule="best_of_poisson")
    assert [one.value for one in found.strengths] == [0, 0.25, 0.5, 1, 2, 4, 8, 16][: {8: 5, 16: 7, 32: 8}[samples]]
    for strength, one in zip(found.strengths[1:], found.true[1:], strict=True):
        exact = 1 - (1 - (1 - math.exp(-strength.value)) / strength.value) / strength.value
        assert one.estimate == pytest.approx(exact, abs=0.0015), strength.label


@pytest.mark.parametrize(
    ("rule", "allowed", "beyond", "message"),
    [
        ("quantile", 1 / 12, 0.08, "q = 0.08 needs 13 samples"),
        ("trimmed", 1 / 12, 0.08, "q = 0.08, cut 0.01 needs 13 samples"),
        ("best_of_n", 12, 13, "13 draws need 13 samples"),
        ("top_k_of_n", 12, 13, "13 draws need 13 samples"),
        ("soft_best_of_n", 12, 13, "13 draws need 13 samples"),
        ("best_of_poisson", 5, 6, "mu = 6 needs 13 samples"),
    ],
)
def test_strengths_beyond_the_samples_are_refused(rule: str, allowed: float, beyond: float, message: str) -> None:
    rng = np.random.default_rng(0)
    for group, where in (
        (np.repeat([0, 1, 2], [20, 12, 20]), " in each group, and group 1 has fewer"),
        (None, ", and there are 12"),
    ):
        proxy = rng.normal(size=12 if group is None else 52)
        assert len(curve(proxy, group=group, rule=rule, strengths=[allowed]).strengths) == 2
        with pytest.raises(UserError, match=message + where):
            curve(proxy, group=group, rule=rule, strengths=[beyond])


def test_the_quantile_within_groups_is_the_top_k_of_m_and_says_so() -> None:
    """Of 8 uniform scores the best 2 are 8/9 and 7/9 in the mean, and the best quarter of all is 7/8."""
    proxy = np.random.default_rng(0).random((20_000, 8))
    group = np.repeat(np.arange(20_000), 8)
    found = curve(proxy.ravel(), proxy.ravel(), group, rule="quantile", strengths=[0.25])
    assert found.true[-1].estimate == pytest.approx((8 / 9 + 7 / 9) / 2, abs=0.001)
    (remark,) = found.remarks()
    assert "of the selection among the 8 samples of a group; those of fresh samples, whose KL" in remark
    assert "differ by an order of 1/8, a bias that best_of_n, top_k_of_n and best_of_poisson do not have" in remark
    assert found.as_numbers()["remarks"] == [remark]
    assert curve(proxy[:50].ravel(), group=group[:400], rule="top_k_of_n", k=2).remarks() == []
    assert curve(proxy[:50].ravel(), group=group[:400], rule="quantile", pooled=True).remarks() == POOLED


def test_the_smallest_group_is_named_where_it_limits_the_strengths() -> None:
    group = np.repeat([7, 8, 9], [8, 8, 3])
    found = curve(np.random.default_rng(0).normal(size=19), group=group)
    assert [one.value for one in found.strengths] == [1, 2, 3]
    assert found.remarks() == ["strengths end where the smallest group does: 1 group of 3 has 3 samples, such as 9"]
    assert curve(np.arange(19.0), group=group, pooled=True).remarks() == POOLED


def test_ties_are_counted_where_they_make_divergences_bounds() -> None:
    tied = curve([1.0, 1.0, 2.0, 3.0] * 10, group=np.repeat(np.arange(10), 4))
    assert tied.remarks() == ["20 samples tie with others, so KL and ratio are upper bounds"]
    assert curve([1.0, 1.0, 2.0, 3.0] * 10, group=np.repeat(np.arange(10), 4), rule="exponential").table.tied == 20
    assert curve([1.0, 4.0, 2.0, 3.0] * 10, group=np.repeat(np.arange(10), 4)).remarks() == []


def test_a_large_mean_of_best_of_poisson_is_that_of_its_density() -> None:
    found = RULES["best_of_poisson"].at(3000.0).of_ranks(100_000)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    levels = np.arange(1, 100_001) / 100_001  # mean share of scores above each rank
    assert float(found @ levels) == pytest.approx((3000 - 1) / 3000**2, rel=1e-9)


@pytest.mark.parametrize(
    ("strength", "density"),
    [
        (
            RULES["top_k_of_n"].at(8, k=3),
            lambda u: 8 / 3 * ((1 - u) ** 7 + 7 * u * (1 - u) ** 6 + 21 * u**2 * (1 - u) ** 5),
        ),
        (RULES["best_of_poisson"].at(4.0), lambda u: np.exp(-4 * u) * (1 + 4 * (1 - u))),
        (RULES["best_of_n"].at(8), lambda u: 8 * (1 - u) ** 7),
    ],
)
def test_divergences_are_integrals_of_the_density(strength: object, density: object) -> None:
    levels = (np.arange(1_000_000) + 0.5) / 1_000_000
    found = density(levels)  # type: ignore[operator]
    assert found.mean() == pytest.approx(1)
    assert strength.divergence == pytest.approx(float(np.mean(found * np.log(found))), abs=1e-6)  # type: ignore[attr-defined]
    assert strength.ratio == pytest.approx(found[0], rel=1e-3)  # type: ignore[attr-defined]


def test_running_quantilizers_play_by_the_weights() -> None:
    scores = np.array([0.0, 3.0, 1.0, 2.0, 3.0])
    rng = np.random.default_rng(0)
    drawn = [quantilize_scores(scores, n=4, k=2, rng=rng) for _ in range(20_000)]
    np.testing.assert_allclose(
        np.bincount(drawn, minlength=5) / 20_000, RULES["top_k_of_n"].at(4, k=2).weights(scores), atol=0.015
    )
    fresh = [quantilize(lambda: float(rng.normal()), lambda x: x, n=8, k=2, rng=rng) for _ in range(5000)]
    assert np.mean(fresh) == pytest.approx((1.4236 + 0.8522) / 2, abs=0.04)  # expected order statistics of 8 normals
    for wrong in ({"q": 0.5, "n": 2}, {"n": 9}, {"n": 2, "k": 3}, {"q": 0.0}):
        with pytest.raises(UserError):
            quantilize_scores(scores, **wrong)  # type: ignore[arg-type]


def test_the_simulated_table_turns_where_the_simulation_does() -> None:
    """The simulated reward model's truth is largest at n = 4 and 8, and lower than the base's at 32."""
    means = make_scores.true_means(make_scores.SAMPLES)
    assert sorted(means, key=lambda n: -means[n])[:2] == [4, 8]
    rows = list(csv.DictReader((make_scores.FOLDER / "simulated_reward_model.csv").open(encoding="utf-8")))
    proxy, true = ([float(row[name]) for row in rows] for name in ("proxy", "true"))
    found = curve(proxy, true, [row["prompt"] for row in rows])
    assert found.turn is not None
    assert found.turn.kind == "turns"
    assert found.strengths[found.turn.best].value in (4, 8)
    for one, mean in zip(found.strengths, found.true, strict=True):
        assert mean.low <= means[int(one.value)] <= mean.high


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "falls rises": lambda p: np.where(p < 1, -p, 3 * p - 4),
    "rises falls": lambda p: np.where(p < 1, p, 4 - 3 * p),
    "falls rises falls": lambda p: np.where(p < 0.5, -p, np.where(p < 1.6, 3 * p - 2, 8.4 - 3.5 * p)) * 2,
    "rises": lambda p: p,
    "falls": lambda p: -p,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [200, 2500])
def test_the_sentence_is_that_of_the_whole_curve(shape: str, groups: int) -> None:
    """The truth is known without noise, so the shape is that of the printed means."""
    proxy = np.random.default_rng(1).normal(size=(groups, 64))
    found = curve(proxy.ravel(), SHAPES[shape](proxy).ravel(), np.repeat(np.arange(groups), 64))
    assert found.turn is not None
    assert [direction for direction, _ in found.turn.moves] == shape.split()
    means = [one.estimate for one in found.true]
    ends = [0, *(end for _, end in found.turn.moves)]
    for left, (direction, right) in zip(ends, found.turn.moves, strict=False):
        steps = np.diff(means[left : right + 1]) * (1 if direction == "rises" else -1)
        assert (steps > 0).all()
    kinds = {"rises falls": "turns", "rises": "rises", "falls": "falls"}
    assert found.turn.kind == kinds.get(shape, "changes")
    if found.turn.kind == "changes":
        for direction, end in found.turn.moves:
            assert f"{direction} to {short_score(means[end])} at {found.strengths[end].label}" in found.sentence()
        assert "throughout" not in found.sentence()
        assert f"it is largest at {found.strengths[int(np.argmax(means))].label}" in found.sentence()
    json.dumps(found.as_numbers(), allow_nan=False)


@pytest.mark.parametrize(("top", "reached"), [(25, "best of 8"), (17, "best of 16"), (1, "best of 32")])
def test_a_score_that_stays_at_its_maximum_does_not_turn(top: int, reached: str) -> None:
    """Of 32 samples the best of n is among the best 33 − n, whose truth is 1."""
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(60, 32))
    true = np.where((-proxy).argsort(axis=1).argsort(axis=1) < top, 1.0, 0.5 * rng.random(proxy.shape))
    found = curve(proxy.ravel(), true.ravel(), np.repeat(np.arange(60), 32))
    assert found.turn is not None
    assert found.turn.kind == "rises"
    stays = f"rises to 1.000 at {reached}, and stays there"
    assert found.sentence() == f"the true score {stays if top > 1 else 'rises throughout, to 1.000 at best of 32'}"


def test_one_problem_and_ranks_over_all_groups_have_a_shape_too() -> None:
    proxy = np.random.default_rng(2).normal(size=6000)
    true = SHAPES["falls rises"](proxy)
    for pooled in (False, True):
        found = curve(proxy, true, np.repeat(np.arange(200), 30) if pooled else None, pooled=pooled)
        assert found.turn is not None
        assert found.turn.kind == "changes"
        assert found.sentence().startswith("the true score, from ")


@pytest.mark.parametrize("shape", ["linear", "saturated", "late"])
def test_a_curve_that_rises_is_seldom_said_to_fall(shape: str) -> None:
    """Of 150 tables, in which a fall between two of six strengths would be said by chance in 5 % if intervals held."""
    said = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        proxy = rng.normal(size=(40, 32))
        truth = {"linear": proxy, "saturated": np.minimum(proxy, 0), "late": np.maximum(proxy - 1.5, 0) * 8}[shape]
        found = curve(proxy.ravel(), (truth + rng.normal(size=proxy.shape)).ravel(), np.repeat(np.arange(40), 32))
        assert found.turn is not None
        said += "falls" in dict(found.turn.moves)
    assert said <= 150 * 0.05 + 5


def test_a_fall_that_may_be_chance_is_told() -> None:
    """The truth of the square of a normal score is the same for one draw and for the best of two."""
    proxy = np.random.default_rng(0).normal(size=(50, 16))
    for seed in range(20):
        true = proxy**2 + 0.3 * np.random.default_rng(seed).normal(size=proxy.shape)
        found = curve(proxy.ravel(), true.ravel(), np.repeat(np.arange(50), 16))
        means = [one.estimate for one in found.true]
        assert found.turn is not None
        if found.turn.kind == "rises":
            assert ("but for falls that may be chance" in found.sentence()) == bool((np.diff(means) < 0).any())


def test_the_shipped_tables_are_those_of_the_script() -> None:
    for name, made in (
        ("simulated_reward_model.csv", make_scores.reward_model),
        ("mountain_car_starts.csv", make_scores.mountain_car),
    ):
        assert (make_scores.FOLDER / name).read_text(encoding="utf-8") == made()


def test_the_page_s_means_are_those_of_the_simulation() -> None:
    page = (make_scores.FOLDER.parents[1] / "docs" / "scores.md").read_text(encoding="utf-8")
    means = make_scores.true_means(make_scores.SAMPLES)
    for number in (f"is {means[4]:.2f} at n = 4", f"and {means[8]:.2f} at n = 8"):
        assert number in page


def test_pooled_intervals_are_over_groups() -> None:
    """Samples of a group resemble each other; as if independent, they gave intervals of a quarter of the width."""
    rng = np.random.default_rng(0)
    level = rng.normal(size=(60, 1))
    proxy, true = level + rng.normal(size=(60, 24)), 3 * level + rng.normal(size=(60, 24))
    group = np.repeat(np.arange(60), 24)
    pooled, within, alone = (
        curve(proxy.ravel(), true.ravel(), of, strengths=(1.0, 0.25), rule="quantile", pooled=together)
        for of, together in ((group, True), (group, False), (None, True))
    )
    widths = [one.true[0].high - one.true[0].low for one in (pooled, within, alone)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    assert widths[2] < widths[0] / 3
    assert (pooled.pooled, within.pooled, alone.pooled) == (True, False, False)
    for one, other in zip(pooled.true, alone.true, strict=True):
        assert one.estimate == pytest.approx(other.estimate)


@pytest.mark.parametrize("size", [1, 2, 7, 300])
def test_rows_are_ranked_as_by_a_stable_sort(size: int) -> None:
    """Also scores that differ in their last bits, ties, both zeros and both signs."""
    rng = np.random.default_rng(size)
    near = 1.0 + rng.integers(0, 40, size=(20, size)) * np.finfo(float).eps
    kinds = [
        rng.normal(size=(20, size)), near, -near, rng.integers(-3, 3, size=(20, size)).astype(float),
        rng.choice([0.0, -0.0, 5e-324, -5e-324], size=(20, size)), rng.choice([1e150, -1e150, 1.0], size=(20, size)),
    ]  # fmt: skip
    for scores in kinds:
        expected = np.argsort(-scores, axis=1, kind="stable")
        order, ranked = best_first_of_rows(scores)
        np.testing.assert_array_equal(order, expected)
        np.testing.assert_array_equal(ranked, np.take_along_axis(scores, expected, axis=1))


def test_threads_rank_as_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """In groups of several sizes whose rows are in any order."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(90), 10 + np.arange(90) % 3))
    proxy, true = rng.integers(0, 9, size=len(group)) / 4, rng.normal(size=len(group))
    expected = np.lexsort((np.arange(len(group)), -proxy, group))
    for in_cache in (samples_of.IN_CACHE, 40, 2):
        monkeypatch.setattr(samples_of, "IN_CACHE", in_cache)
        found = Samples.of(proxy, true, group)
        np.testing.assert_array_equal(found.order, expected)
        np.testing.assert_array_equal(found.proxy, proxy[expected])
        np.testing.assert_array_equal(found.true, true[expected])


def test_groups_count_alike_and_rows_may_be_in_any_order() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), rng.integers(4, 9, size=40))
    proxy, true = rng.normal(size=len(group)), rng.normal(size=len(group))
    found = curve(proxy, true, group, strengths=(1, 4))
    assert found.true[0].estimate == pytest.approx(np.mean([true[group == one].mean() for one in range(40)]))
    order = rng.permutation(len(group))
    again = curve(proxy[order], true[order], group[order], strengths=(1, 4))
    assert [one.estimate for one in again.true] == pytest.approx([one.estimate for one in found.true])


def test_labels_at_random_keep_the_mean_and_labels_at_the_top_are_refused() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(300), 16)
    proxy = rng.normal(size=len(group))
    true = proxy + rng.normal(size=len(group))
    full = curve(proxy, true, group)
    partly = curve(proxy, np.where(rng.random(len(group)) < 0.4, true, np.nan), group)
    for whole, part in zip(full.true, partly.true, strict=True):
        assert part.low <= whole.estimate <= part.high
        assert part.high - part.low > whole.high - whole.low
    with pytest.raises(UserError, match="highest proxy alone"):
        curve(proxy, np.where(proxy > 1, true, np.nan), group)


def labelled_table(groups: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the proxy, ranks within groups from 0, the best, the truth, and the group of 800 samples."""
    rng = np.random.default_rng(5)
    proxy = rng.normal(size=(groups or 1, 800 // (groups or 1)))
    ranks = (-proxy).argsort(axis=1).argsort(axis=1)
    true = proxy + rng.normal(size=proxy.shape)
    group = None if groups is None else np.repeat(np.arange(groups), proxy.shape[1])
    return proxy.ravel(), ranks.ravel(), true.ravel(), group


@pytest.mark.parametrize("groups", [None, 50])
@pytest.mark.parametrize("missing", [1, 3])
@pytest.mark.parametrize("end", ["top", "bottom"])
def test_a_few_missing_labels_are_a_line_wherever_they_are(groups: int | None, missing: int, end: str) -> None:
    proxy, ranks, true, group = labelled_table(groups)
    size = 800 // (groups or 1)
    at = ranks if end == "top" else size - 1 - ranks
    rows = np.flatnonzero(at < (missing if groups is None else 1))[:missing]
    part = true.copy()
    part[rows] = np.nan
    whole, found = curve(proxy, true, group), curve(proxy, part, group)
    assert f"true scores are known for {800 - missing} of 800 rows" in labels_sentence(found.table)
    assert ("may differ" in labels_sentence(found.table)) == (missing == 3)
    for one, other in zip(whole.true, found.true, strict=True):
        assert other.low <= one.estimate <= other.high


@pytest.mark.parametrize("groups", [None, 50])
@pytest.mark.parametrize(
    ("known", "message"),
    [
        (lambda ranks, size: ranks < size // 8, "highest proxy alone"),
        (lambda ranks, size: ranks < size * 4 // 5, "highest proxy alone"),
        (lambda ranks, size: ranks >= size // 2, "lowest proxy alone"),
        (lambda ranks, size: ranks >= size // 16, "lowest proxy alone"),
    ],
    ids=["top eighth", "top four fifths", "lower half", "all but the top"],
)
def test_labels_of_a_side_are_refused(
    known: Callable[[np.ndarray, int], np.ndarray], message: str, groups: int | None
) -> None:
    proxy, ranks, true, group = labelled_table(groups)
    labels = np.where(known(ranks, 800 // (groups or 1)), true, np.nan)
    with pytest.raises(UserError, match=message):
        curve(proxy, labels, group)
    if groups is not None:
        with pytest.raises(UserError, match=message):
            choose(proxy, labels, group)


@pytest.mark.parametrize("groups", [None, 50])
def test_labels_that_prefer_a_side_are_a_line(groups: int | None) -> None:
    """A tenth of the lower half is labelled, too, so the rows with a label are not those of the top alone."""
    proxy, ranks, true, group = labelled_table(groups)
    lower = ranks >= 400 // (groups or 1)
    found = curve(proxy, np.where(~lower | (np.random.default_rng(0).random(800) < 0.1), true, np.nan), group)
    told = labels_sentence(found.table)
    assert "which have the higher proxy in 9" in told
    assert "which may differ" in told


def test_labels_at_random_are_seldom_said_to_differ() -> None:
    proxy, _, true, group = labelled_table(50)
    differ = 0
    for seed in range(200):
        share = 0.02 + 0.01 * (seed % 4)
        labels = np.where(np.random.default_rng(seed).random(800) < share, true, np.nan)
        table = GroupSums.of(Samples.of(proxy, labels, group), [RULES["quantile"].at(1.0)])
        differ += table.labels.differ
        assert ("may differ" in labels_sentence(table)) <= table.labels.differ
    assert differ <= 200 * 0.05 + 8


def test_selected_rows_are_the_best_of_each_group() -> None:
    proxy = [1.0, 5.0, 3.0, 2.0, 9.0, 8.0]
    assert select(proxy, list("aaabbb"), q=0.5).tolist() == [1, 4]
    assert select(proxy, q=0.5).tolist() == [1, 4, 5]
    chosen = [tuple(select([1.0, 1.0, 1.0, 1.0], n=4, k=1, seed=seed)) for seed in range(40)]
    assert len(set(chosen)) == 4  # ties are drawn at random
    with pytest.raises(UserError, match="4 draws need 4 rows in each group, and groups a, b have fewer"):
        select(proxy, list("aaabbb"), n=4)


def test_a_binary_truth_has_intervals_between_0_and_1() -> None:
    rng = np.random.default_rng(0)
    found = curve(rng.normal(size=120), (rng.random(120) < 0.98).astype(float), np.repeat(np.arange(30), 4))
    assert all(0 <= one.low <= one.high <= 1 for one in found.true)


def test_samples_refuse_what_is_no_column() -> None:
    for proxy, message in (
        ([[1.0]], "shape"),
        (["a"], "numbers"),
        ([], "no samples"),
        ([math.nan, 1.0], "NaN or infinite"),
    ):
        with pytest.raises(UserError, match=message):
            Samples.of(proxy)
    with pytest.raises(UserError, match="shape"):
        Samples.of([1.0, 2.0], [1.0])


@pytest.mark.slow
@pytest.mark.parametrize("groups", [30, 100])
def test_pooled_intervals_hold_the_mean_as_often_as_they_say(groups: int) -> None:
    rng = np.random.default_rng(groups)
    quantiles = (1.0, 0.5, 0.25, 0.125)

    def drawn(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        level = rng.normal(size=(number, 1))
        proxy = level + rng.normal(size=(number, 16))
        true = proxy - 0.3 * proxy**2 + rng.normal(size=proxy.shape)
        return proxy.ravel(), true.ravel(), np.repeat(np.arange(number), 16)

    samples = Samples.of(*drawn(200_000)[:2])
    assert samples.true is not None
    truth = samples.weighted(samples.true, [RULES["quantile"].at(q) for q in quantiles])[:, 0]
    held = [
        [
            one.low <= mean <= one.high
            for one, mean in zip(curve(*drawn(groups), pooled=True, strengths=quantiles).true, truth, strict=True)
        ]
        for _ in range(300)
    ]
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("groups", [30, 100, 1000])
@pytest.mark.parametrize(
    ("samples", "kind", "rule"),
    [
        (4, "plain", "best_of_n"), (16, "tied", "best_of_n"), (64, "binary", "best_of_n"), (16, "binary", "best_of_n"),
        (16, "plain", "top_k_of_n"), (16, "plain", "best_of_poisson"), (16, "plain", "quantile"),
        (16, "plain", "trimmed"), (16, "plain", "exponential"), (16, "plain", "soft_best_of_n"),
    ],
)  # fmt: skip
def test_intervals_hold_the_mean_as_often_as_they_say(groups: int, samples: int, kind: str, rule: str) -> None:
    """Of a rule that is not estimated without bias, the mean of the selection among as many samples."""
    rng = np.random.default_rng(groups + samples)
    strengths = {"exponential": (0.0, 0.5, 2.0), "soft_best_of_n": (1, 2, 8)}.get(rule)
    extra = {"top_k_of_n": {"k": 2}, "soft_best_of_n": {"temperature": 0.5}}.get(rule, {})

    def drawn(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        level = rng.normal(size=(number, 1))
        proxy = level + rng.normal(size=(number, samples))
        true = proxy - 0.3 * proxy**2 + rng.normal(size=proxy.shape)
        proxy = np.round(proxy) if kind == "tied" else proxy
        true = (true > 0).astype(float) if kind == "binary" else true
        return proxy.ravel(), true.ravel(), np.repeat(np.arange(number), samples)

    def traced(number: int) -> Sequence[Interval]:
        return curve(*drawn(number), rule=rule, strengths=strengths, **extra).true

    truth = np.mean([[one.estimate for one in traced(20_000)] for _ in range(10)], axis=0)
    held = [[one.low <= mean <= one.high for one, mean in zip(traced(groups), truth, strict=True)] for _ in range(600)]
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["groups", "some labels", "one group", "pooled"])
def test_intervals_of_differences_hold_the_difference_as_often_as_they_say(kind: str) -> None:
    rng = np.random.default_rng(3)
    strengths = (1.0, 0.25)

    def drawn(number: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray | None]:
        level = rng.normal(size=(number, 1)) * (kind != "one group")
        quality = level + rng.normal(size=(number, 16))
        true = quality - 0.2 * quality**2 + 0.5 * rng.normal(size=quality.shape)
        if kind == "some labels" and number < 1000:
            true = np.where(rng.random(true.shape) < 0.5, true, np.nan)
        proxies = {"near": quality + 0.5 * rng.normal(size=true.shape), "far": quality + rng.normal(size=true.shape)}
        group = None if kind == "one group" else np.repeat(np.arange(number), 16)
        return {name: proxy.ravel() for name, proxy in proxies.items()}, true.ravel(), group

    def compared(number: int) -> ProxyComparison:
        proxies, true, group = drawn(number)
        pooled = kind == "pooled"
        return ProxyComparison.of(
            {
                name: curve(proxy, true, group, rule="quantile", strengths=strengths, pooled=pooled)
                for name, proxy in proxies.items()
            }
        )

    def difference(number: int) -> float:
        proxies, true, group = drawn(number)
        means = []
        for proxy in proxies.values():
            samples = Samples.of(proxy, true, None if kind == "pooled" else group)
            assert samples.true is not None
            means.append(samples.weighted(samples.true, [RULES["quantile"].at(0.25)]).mean())
        return float(means[1] - means[0])

    truth = np.mean([difference(5000) for _ in range(12)])
    groups, repetitions = (60, 400) if kind in ("groups", "some labels") else (30, 150)  # resampling takes longer
    found = [compared(groups).differences["far"] for _ in range(repetitions)]
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert abs(held - 0.95) <= 2.6 * np.sqrt(0.95 * 0.05 / repetitions) + 0.005


def test_groups_with_few_labels_count_by_their_weight() -> None:
    """With weights 1, 1 and two that are nearly 0, two groups tell what four would with equal ones."""
    for weights, effective in (([1, 1, 1, 1], 4), ([1, 1, 1e-19, 1e-19], 2), ([1, 1e-19, 0, 0], 1), ([0, 0, 0, 0], 0)):
        assert effective_groups(np.array([weights])) == pytest.approx([effective])
    freedom, larger = few_labels(np.array([[1.0, 1, 1, 1], [1, 1, 1e-19, 1e-19], [1, 1e-19, 0, 0]]))
    assert freedom.tolist() == [3, 1, 0]
    np.testing.assert_allclose(larger[:2] ** 2, [1, 1.5])
    # Two groups alone have the interval of a table of two.
    proxy, true = np.tile([1.0, 0.0], 4), np.array([1.0, 2, 3, 5] + [np.nan] * 4)
    found = curve(proxy, true, np.repeat(np.arange(4), 2)).true[0]
    alone = curve(proxy[:4], true[:4], np.repeat(np.arange(2), 2)).true[0]
    assert found.as_numbers() == pytest.approx(alone.as_numbers())


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "share"), [(30, 0.1), (30, 0.2), (100, 0.03)])
def test_intervals_with_few_labels_hold_the_mean_as_often_as_they_say(groups: int, share: float) -> None:
    """Gains of weak selections do so less often, and are called approximate."""
    rng = np.random.default_rng(groups)

    def drawn(number: int, labels: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        level = rng.normal(size=(number, 1))
        proxy = level + rng.normal(size=(number, 16))
        true = proxy - 0.3 * proxy**2 + rng.normal(size=proxy.shape)
        known = rng.random(true.shape) < labels
        return proxy.ravel(), np.where(known, true, np.nan).ravel(), np.repeat(np.arange(number), 16)

    strengths = (1, 2, 4, 8)
    truth = np.mean([[one.estimate for one in curve(*drawn(20_000, 1), strengths=strengths).true] for _ in range(5)], 0)
    held = []
    for _ in range(600):
        found = curve(*drawn(groups, share), strengths=strengths)
        means = [one.low <= mean <= one.high for one, mean in zip(found.true, truth, strict=True)]
        held.append(
            [*means, *(one.low <= d <= one.high for one, d in zip(found.gains[1:], truth[1:] - truth[0], strict=True))]
        )
    assert np.mean(held, axis=0)[:4].min() >= 0.93 - 0.015
    assert np.mean(held, axis=0)[4:].min() >= 0.9
    assert 0.93 <= np.mean(held) <= 0.97
