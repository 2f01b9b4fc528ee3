from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from scipy import stats

from quantilizers.evaluation.comparisons import paired_difference, probability_of_improvement, smallest_detectable
from quantilizers.evaluation.verdicts import Claim, holm, judge


def claim_of(differences: list[float], **others: object) -> Claim:
    first, second = np.array(differences)[:, None], np.zeros((len(differences), 1))
    return Claim("policies at q = 0.1", "imitation", paired_difference(first, second), **others)


CLEAR, OPPOSITE, NOISE = [9.0, 10.0, 11.0, 10.5, 9.5], [-9.0, -10.0, -11.0, -10.5, -9.5], [1.0, -2.0, 3.0, -1.0, 0.5]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


def test_holm_rejects_what_its_sequence_of_tests_rejects() -> None:
    """Holm's own words: test the smallest at α/m, the next at α/(m − 1), …, until one is not rejected."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        p = generator.random(6) ** 4
        rejected = np.zeros(6, dtype=bool)
        for step, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (6 - step):
                break
            rejected[index] = True
        assert (holm(list(p)) <= 0.05).tolist() == rejected.tolist()


def test_tests_that_could_not_be_done_do_not_count() -> None:
    adjusted = holm([0.02, math.nan, 0.04])
    assert adjusted[[0, 2]].tolist() == [0.04, 0.04]
    assert math.isnan(adjusted[1])


def test_numbers_that_are_not_p_values_are_refused() -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm([0.5, 1.5])


def test_verdicts_follow_the_adjusted_p_and_the_sign() -> None:
    supported, contradicted, undecided = judge([claim_of(CLEAR), claim_of(OPPOSITE), claim_of(NOISE)])
    assert [verdict.decision for verdict in (supported, contradicted, undecided)] == [
        "supported", "contradicted", "undecided",
    ]  # fmt: skip
    assert supported.adjusted_p == pytest.approx(3 * supported.p)
    assert supported.tests == 3
    assert (supported.estimate, contradicted.estimate) == (10.0, -10.0)
    assert supported.interval.low > 0 > contradicted.interval.high
    with pytest.raises(FrozenInstanceError):
        supported.decision = "undecided"


def test_a_claim_that_holds_alone_may_not_hold_among_many() -> None:
    weak = claim_of([1.0, 4.0, 2.0, 5.0, 3.0])
    assert 0.01 < weak.difference.p < 0.05
    assert judge([weak])[0].decision == "supported"
    assert judge([weak] + [claim_of(NOISE)] * 9)[0].decision == "undecided"


def test_nothing_is_found_in_95_percent_of_families_without_differences() -> None:
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        verdicts = judge([claim_of(list(generator.normal(size=5))) for _ in range(5)])
        found += any(verdict.decision != "undecided" for verdict in verdicts)
    assert found / 300 < 0.08


def test_the_smallest_detectable_difference_is_that_of_the_strictest_step() -> None:
    claim = claim_of(NOISE)
    alone, among = judge([claim])[0], judge([claim] * 4)[0]
    error = claim.difference.standard_error
    assert alone.smallest_detectable == pytest.approx(smallest_detectable(error, 4))
    assert among.smallest_detectable == pytest.approx(smallest_detectable(error, 4, 0.05 / 4))


def test_sentences() -> None:
    first, second = np.array(CLEAR)[:, None], np.zeros((5, 1))
    probable = claim_of(CLEAR, probability=probability_of_improvement(first, second))
    supported, contradicted, undecided = (
        verdict.sentence()
        for verdict in judge([probable, claim_of(OPPOSITE, quantity="proxy return"), claim_of(NOISE)])
    )
    assert supported == (
        "Supported: the true return of policies at q = 0.1 is higher than that of imitation, by 10.00 [9.02, 10.98] "
        "(p < 0.001 after Holm's correction over 3 tests, paired t test; 5 pairs of seeds). A run of policies at "
        "q = 0.1 beats a run of imitation with probability 1.00 [0.64, 1.00]. A true difference of 1.81 would have "
        "been found with 80 % power."
    )
    assert contradicted.startswith(
        "Contradicted: the proxy return of policies at q = 0.1 is lower than that of imitation, by 10.00 [9.02, 10.98]"
    )
    assert undecided.startswith(
        "Undecided: whether the true return of policies at q = 0.1 is higher than that of imitation; the difference "
        "is 0.300 ["
    )
    p = stats.ttest_1samp(NOISE, 0.0).pvalue  # the largest of three is not multiplied
    assert f"(p = {p:.3f} after Holm's correction over 3 tests" in undecided
    assert "would have been found with 80 % power." in undecided


def test_one_test_needs_no_correction_in_words() -> None:
    assert "(p < 0.001, paired t test; 5 pairs of seeds)" in judge([claim_of(CLEAR)])[0].sentence()


def test_one_seed_decides_nothing() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(100, 1, (1, 50)), generator.normal(0, 1, (1, 50))
    verdict = judge([Claim("one", "another", paired_difference(first, second)), claim_of(CLEAR)])[0]
    assert verdict.decision == "undecided"
    assert verdict.tests == 1
    assert "no test is possible" in verdict.sentence()
    assert "says nothing of other seeds" in verdict.sentence()
    assert "power" not in verdict.sentence()
