from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.perceptron_training import Fitted, MemberData, fit_regressors, fit_stack

#: Fits of three members to two features and three classes share a compiled program where they have this capacity.
CAPACITY = 3200
#: Compiles in half the time; for tests that do not depend on hidden layers.
LINEAR = PerceptronTraining(())


def fit_with_scikit_learn(observations: np.ndarray, labels: np.ndarray, seed: int, **settings: object) -> MLPClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier((20, 20), random_state=seed, **settings).fit(observations, labels)


def generators(seeds: int) -> list[np.random.RandomState]:
    return [np.random.RandomState(seed) for seed in range(seeds)]


def rows_of(demonstrations: Demonstrations) -> tuple[np.ndarray, np.ndarray]:
    observations, actions = demonstrations.episodes.transitions()
    return observations.astype(np.float32), actions[:, 0].astype(np.int64)


def assert_losses_agree(observations: np.ndarray, labels: np.ndarray, seeds: int = 3) -> None:
    """Each seed's final training loss is scikit-learn's within 2 %, and so is the mean."""
    fitted = fit_stack(observations, np.tile(labels, (seeds, 1)), 3, generators(seeds), capacity=CAPACITY)
    expected = [fit_with_scikit_learn(observations, labels, seed) for seed in range(seeds)]
    final = np.array([curve[-1] for curve in fitted.loss_curves])
    of_scikit_learn = np.array([one.loss_ for one in expected])
    np.testing.assert_allclose(final, of_scikit_learn, rtol=0.02)
    assert final.mean() == pytest.approx(of_scikit_learn.mean(), rel=0.02)


def test_people_s_play_trains_as_with_scikit_learn(human: Demonstrations) -> None:
    """Two of the three actions occur, which scikit-learn fits with one logistic unit."""
    observations, labels = rows_of(human)
    assert set(labels) == {0, 2}
    assert_losses_agree(observations, labels)


def test_three_actions_train_as_with_scikit_learn(car_demonstrations: Demonstrations) -> None:
    observations, labels = rows_of(car_demonstrations)
    assert set(labels) == {0, 1, 2}
    assert_losses_agree(observations, labels)


def test_the_first_epochs_are_scikit_learns_step_by_step(car_demonstrations: Demonstrations) -> None:
    """Before rounding has time to grow: same initialisation, same minibatches, same updates, last one short."""
    observations, labels = rows_of(car_demonstrations)
    assert len(labels) % 200
    short = PerceptronTraining(max_epochs=5)
    fitted = fit_stack(observations, np.tile(labels, (3, 1)), 3, generators(3), short, CAPACITY)
    for seed in range(3):
        expected = fit_with_scikit_learn(observations, labels, seed, max_iter=5)
        np.testing.assert_allclose(fitted.loss_curves[seed], expected.loss_curve_, rtol=1e-4)
        for ours, theirs in zip(fitted.weights, expected.coefs_, strict=True):
            np.testing.assert_allclose(ours[seed], theirs, atol=2e-4)


def test_a_member_stops_early_where_scikit_learn_does_and_keeps_its_weights() -> None:
    generator = np.random.default_rng(0)
    observations = generator.normal(size=(300, 2)).astype(np.float32)
    labels = generator.integers(3, size=300)
    tolerant = PerceptronTraining(tolerance=3e-3)
    fitted = fit_stack(observations, np.tile(labels, (3, 1)), 3, generators(3), tolerant, CAPACITY)
    for seed, curve in enumerate(fitted.loss_curves):
        expected = fit_with_scikit_learn(observations, labels, seed, tol=3e-3)
        assert len(curve) == expected.n_iter_ < 200
        np.testing.assert_allclose(fitted.weights[0][seed], expected.coefs_[0], atol=2e-3)


def test_a_member_does_not_depend_on_the_others_or_on_the_padding(car_demonstrations: Demonstrations) -> None:
    observations, labels = rows_of(car_demonstrations)
    short = PerceptronTraining(max_epochs=3)
    together = fit_stack(observations, np.tile(labels, (3, 1)), 3, generators(3), short, CAPACITY)
    assert len(labels) + 200 < CAPACITY
    alone = fit_stack(observations, labels[None], 3, generators(3)[2:3], short)
    np.testing.assert_allclose(together.weights[1][2], alone.weights[1][0], atol=1e-5)


def probabilities(fitted: Fitted, member: int, rows: np.ndarray) -> np.ndarray:
    units = rows
    for layer, (weights, biases) in enumerate(zip(fitted.weights, fitted.biases, strict=True)):
        units = units @ weights[member] + biases[member]
        if layer < len(fitted.weights) - 1:
            units = np.maximum(units, 0)
    exponentials = np.exp(units - units.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("present", [(0, 2), (1,), (0, 1, 3)])
def test_a_class_that_the_data_do_not_hold_has_probability_zero(present: tuple[int, ...]) -> None:
    generator = np.random.default_rng(1)
    observations = generator.normal(size=(150, 2)).astype(np.float32)
    labels = generator.choice(present, size=150)
    fitted = fit_stack(observations, labels[None], 4, generators(1), PerceptronTraining(max_epochs=20))
    result = probabilities(fitted, 0, 100 * observations)
    absent = [one for one in range(4) if one not in present]
    assert not result[:, absent].any()
    np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-5)
    if len(present) > 1:
        expected = fit_with_scikit_learn(observations, labels, 0, max_iter=20).predict_proba(observations)
        np.testing.assert_allclose(probabilities(fitted, 0, observations)[:, list(present)], expected, atol=1e-3)


def test_members_may_have_labels_of_their_own() -> None:
    generator = np.random.default_rng(2)
    observations = generator.normal(size=(400, 2)).astype(np.float32)
    labels = np.stack([observations[:, 0] > 0, observations[:, 1] > 0, observations[:, 0] < 0]).astype(np.int64)
    fitted = fit_stack(observations, labels, 3, generators(3), capacity=CAPACITY)
    for member in range(3):
        right = probabilities(fitted, member, observations).argmax(axis=1) == labels[member]
        assert right.mean() > 0.97


def regression_rows(rows: int = 470, targets: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Noisy targets of unlike sizes; the last minibatch is a short one."""
    generator = np.random.default_rng(3)
    observations = generator.normal(size=(rows, 3)).astype(np.float32)
    curves = [np.sin(2 * observations[:, 0]), 2.0 * observations[:, 1] * observations[:, 2], observations[:, 0]]
    noise = generator.normal(scale=0.05, size=(rows, targets))
    return observations, (np.stack(curves[:targets], axis=1) + noise).astype(np.float32)


def regress_with_scikit_learn(
    observations: np.ndarray, targets: np.ndarray, seed: int, **settings: object
) -> MLPRegressor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        answers = targets[:, 0] if targets.shape[1] == 1 else targets
        return MLPRegressor(hidden_layer_sizes=(20, 20), random_state=seed, **settings).fit(observations, answers)


@pytest.mark.parametrize("targets", [1, 2])
def test_the_first_epochs_of_a_regression_are_scikit_learns_step_by_step(targets: int) -> None:
    observations, answers = regression_rows(targets=targets)
    fitted = fit_regressors(observations, answers, generators(2), PerceptronTraining(max_epochs=8), capacity=1000)
    for seed in range(2):
        expected = regress_with_scikit_learn(observations, answers, seed, max_iter=8)
        np.testing.assert_allclose(fitted.loss_curves[seed], expected.loss_curve_, rtol=1e-4)
        for ours, theirs in zip(fitted.weights, expected.coefs_, strict=True):
            np.testing.assert_allclose(ours[seed], theirs, atol=2e-4)
        for ours, theirs in zip(fitted.biases, expected.intercepts_, strict=True):
            np.testing.assert_allclose(ours[seed], theirs, atol=2e-4)


def test_a_regression_trains_as_with_scikit_learn_to_the_end() -> None:
    observations, answers = regression_rows()
    fitted = fit_regressors(observations, answers, generators(2), capacity=1000)
    expected = [regress_with_scikit_learn(observations, answers, seed) for seed in range(2)]
    final = np.array([curve[-1] for curve in fitted.loss_curves])
    np.testing.assert_allclose(final, [network.loss_ for network in expected], rtol=0.02)
    assert final.max() < 0.1


def test_a_regression_stops_early_where_scikit_learn_does() -> None:
    observations, answers = regression_rows()
    settings = PerceptronTraining(tolerance=2e-2, patience=3)
    fitted = fit_regressors(observations, answers, generators(2), settings, capacity=1000)
    for seed, curve in enumerate(fitted.loss_curves):
        expected = regress_with_scikit_learn(observations, answers, seed, tol=2e-2, n_iter_no_change=3)
        assert len(curve) == expected.n_iter_ < 200


def test_other_layers_train_as_with_scikit_learn() -> None:
    observations, answers = regression_rows()
    for layers in ((), (5, 6, 7)):
        fitted = fit_regressors(observations, answers, generators(1), PerceptronTraining(layers, max_epochs=3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            expected = MLPRegressor(hidden_layer_sizes=layers, random_state=0, max_iter=3).fit(observations, answers)
        np.testing.assert_allclose(fitted.loss_curves[0], expected.loss_curve_, rtol=1e-4)


def test_misfits_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        fit_regressors(np.zeros((3, 2)), np.zeros((4, 1)), generators(1))
    with pytest.raises(ValueError, match="do not fit"):
        fit_regressors(np.zeros((0, 2)), np.zeros((0, 1)), generators(1))
    with pytest.raises(ValueError, match="do not fit"):
        fit_stack(np.zeros((3, 2)), np.zeros((1, 4), dtype=np.int64), 3, generators(1))
    with pytest.raises(ValueError, match="do not fit"):
        fit_stack(np.zeros((4, 2)), np.zeros((2, 4), dtype=np.int64), 3, generators(1))


def assert_same(one: Fitted, member: int, other: Fitted, other_member: int, atol: float = 0.0) -> None:
    for ours, theirs in zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True):
        np.testing.assert_allclose(ours[member], theirs[other_member], rtol=0, atol=atol)


def test_members_with_rows_of_their_own_learn_what_they_would_alone() -> None:
    """To the bit where all have as many rows, but for rounding where not; the last minibatches are short."""
    generator = np.random.default_rng(5)
    observations, labels = generator.normal(size=(900, 2)).astype(np.float32), generator.integers(3, size=900)
    short = PerceptronTraining(max_epochs=3)
    rows = [generator.permutation(900)[:number] for number in (450, 450, 310)]

    def fit_rows(members: list[int]) -> Fitted:
        member_data = [MemberData(rows[member]) for member in members]
        random = [np.random.RandomState(member) for member in members]
        return fit_stack(observations, np.tile(labels, (len(members), 1)), 3, random, short, member_data=member_data)

    # Twice each, as a stack of one is another program.
    alone = [
        fit_stack(
            observations[own],
            np.tile(labels[own], (2, 1)),
            3,
            [np.random.RandomState(member) for _ in range(2)],
            short,
            capacity=450,
        )
        for member, own in enumerate(rows)
    ]
    alike, unlike = fit_rows([0, 1]), fit_rows([0, 1, 2])
    for member in range(2):
        assert_same(alike, member, alone[member], 0)
    for member in range(3):
        assert_same(unlike, member, alone[member], 0, atol=1e-6)
        np.testing.assert_allclose(unlike.loss_curves[member], alone[member].loss_curves[0], rtol=1e-5)


def test_a_member_learns_the_same_bits_in_stacks_of_all_sizes() -> None:
    generator = np.random.default_rng(7)
    observations, labels = generator.normal(size=(450, 2)).astype(np.float32), generator.integers(3, size=450)
    short = PerceptronTraining(max_epochs=2)
    of_two, of_twelve = (
        fit_stack(observations, np.tile(labels, (members, 1)), 3, generators(members), short) for members in (2, 12)
    )
    for member in range(2):
        assert_same(of_two, member, of_twelve, member)
        assert of_two.loss_curves[member] == of_twelve.loss_curves[member]


def test_members_with_unequal_rows_end_after_as_many_updates_each() -> None:
    observations, answers = regression_rows()
    member_data = [MemberData(np.arange(470)), MemberData(np.arange(100))]
    equal = PerceptronTraining(updates=12, batch_size=50)
    fitted = fit_regressors(observations, answers, generators(2), equal, member_data=member_data)
    assert [len(curve) for curve in fitted.loss_curves] == [1, 6]
    alone = fit_regressors(observations[:100], answers[:100], generators(2)[1:], equal)
    assert_same(fitted, 1, alone, 0, atol=1e-6)


def test_weights_of_one_change_nothing() -> None:
    observations, answers = regression_rows()
    short = replace(LINEAR, max_epochs=2)
    plain = fit_regressors(observations, answers, generators(1), short)
    member_data = [MemberData(np.arange(len(observations)), np.ones(len(observations)))]
    assert_same(fit_regressors(observations, answers, generators(1), short, member_data=member_data), 0, plain, 0)


def weighted_rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Observations, labels, whole numbers of repeats and these divided by their mean."""
    generator = np.random.default_rng(6)
    repeats = generator.integers(4, size=240)
    labels = generator.integers(3, size=240)
    return generator.normal(size=(240, 3)).astype(np.float32), labels, repeats, repeats / repeats.mean()


def test_weighted_rows_are_learned_as_by_scikit_learn() -> None:
    """All rows are one minibatch: there both divide by the same."""
    observations, labels, _, weights = weighted_rows()
    whole = PerceptronTraining(max_epochs=8, batch_size=240)
    member_data, settings = [MemberData(np.arange(240), weights)], {"random_state": 0, "max_iter": 8, "batch_size": 240}
    fitted = fit_stack(observations, labels[None], 3, generators(1), whole, member_data=member_data)
    regressed = fit_regressors(observations, observations[:, :2] ** 2, generators(1), whole, member_data=member_data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = MLPClassifier((20, 20), **settings).fit(observations, labels, sample_weight=weights)
        of_targets = MLPRegressor(hidden_layer_sizes=(20, 20), **settings).fit(
            observations, observations[:, :2] ** 2, sample_weight=weights
        )
    for ours, theirs in ((fitted, expected), (regressed, of_targets)):
        np.testing.assert_allclose(ours.loss_curves[0], theirs.loss_curve_, rtol=1e-4)
        for weights_of_ours, weights_of_theirs in zip(ours.weights, theirs.coefs_, strict=True):
            np.testing.assert_allclose(weights_of_ours[0], weights_of_theirs, atol=2e-4)


def test_whole_weights_are_repeated_rows() -> None:
    """But for L2, which is divided by the number of rows; and what has no weight is as if it were not there."""
    observations, labels, repeats, weights = weighted_rows()
    whole = PerceptronTraining(max_epochs=6, batch_size=10_000, l2=0.0)
    member_data = [MemberData(np.arange(240), weights)]
    weighted = fit_stack(observations, labels[None], 3, generators(1), whole, member_data=member_data)
    repeated = fit_stack(np.repeat(observations, repeats, axis=0), np.repeat(labels, repeats)[None], 3, generators(1),
                         whole)  # fmt: skip
    assert_same(weighted, 0, repeated, 0, atol=1e-5)
    unweighted = fit_stack(observations, labels[None], 3, generators(1), whole)
    with pytest.raises(AssertionError):
        assert_same(weighted, 0, unweighted, 0, atol=1e-3)


def test_a_member_whose_loss_is_not_finite_stops_alone() -> None:
    observations, labels, _, _ = weighted_rows()
    observations = np.concatenate([observations, np.full((1, 3), np.inf, dtype=np.float32)])
    labels = np.append(labels, 0)
    member_data = [MemberData(np.arange(240)), MemberData(np.arange(241))]
    short = replace(LINEAR, max_epochs=4)
    fitted = fit_stack(observations, np.tile(labels, (2, 1)), 3, generators(2), short, member_data=member_data)
    alone = fit_stack(observations[:240], labels[None, :240], 3, generators(1), short)
    assert_same(fitted, 0, alone, 0, atol=1e-6)
    assert len(fitted.loss_curves[0]) == 4
    assert len(fitted.loss_curves[1]) == 1
    assert not np.isfinite(fitted.loss_curves[1]).any()


@pytest.mark.parametrize(
    "data",
    [
        MemberData(np.arange(0)),
        MemberData(np.array([241])),
        MemberData(np.array([-1])),
        MemberData(np.arange(3), np.ones(2)),
        MemberData(np.arange(2), np.array([1.0, -1.0])),
        MemberData(np.arange(2), np.array([1.0, np.nan])),
    ],
)
def test_impossible_data_of_a_member_are_refused(data: MemberData) -> None:
    observations, labels, _, _ = weighted_rows()
    with pytest.raises(ValueError, match=r"member|weights"):
        fit_stack(observations, labels[None], 3, generators(1), member_data=[data])
    with pytest.raises(ValueError, match="do not fit 1 members"):
        fit_stack(observations, labels[None], 3, generators(1), member_data=[MemberData(np.arange(2))] * 2)


def test_data_of_many_sizes_are_learned_from_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    short = PerceptronTraining((), max_epochs=1, batch_size=10)
    for rows in range(10, 70, 10):
        observations = np.zeros((rows, 1), dtype=np.float32)
        fit_regressors(observations, observations, generators(1), short)
    assert "retracing" not in caplog.text
