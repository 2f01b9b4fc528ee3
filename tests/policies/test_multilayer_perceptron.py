from __future__ import annotations

import pickle
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from quantilizers.choices import Acting
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.policies import multilayer_perceptron
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.multilayer_perceptron import (
    build_model,
    classification_data,
    stack,
    weight_shapes,
)
from quantilizers.policies.policy import DivergedError, TrainedPolicy
from quantilizers.rewards import own
from training_for_tests import fit, plan, selections_of

CAR = load_environment("MountainCar-v0")
TWO_FEATURES = Box(-np.inf, np.inf, (2,))
#: Three components of two features each: shaped like an environment with joints.
JOINTS = EnvironmentDefinition("Joints-v0", own, 10, spaces=(TWO_FEATURES, Box(-1.0, 1.0, (3,))), classes=3)
#: The same with unequal numbers of classes, one of them not symmetric.
UNEQUAL = EnvironmentDefinition("Unequal-v0", own, 10, spaces=(TWO_FEATURES, MultiDiscrete([2, 5, 3])))
#: Actions that are predicted by regression; the second is bounded tightly.
STEERED = EnvironmentDefinition(
    "Steered-v0",
    own,
    10,
    spaces=(TWO_FEATURES, Box(np.array([-2.0, -0.1], dtype=np.float32), np.array([2.0, 0.1], dtype=np.float32))),
)
ALL = np.array(True)
SHORT = PerceptronTraining(max_epochs=4, batch_size=50)
#: The same without hidden layers, which compiles in half the time.
LINEAR = replace(SHORT, hidden_units=())


def demonstrations_in(environment: EnvironmentDefinition, number: int = 6, steps: int = 50) -> Demonstrations:
    """Actions that observations determine: each component by the sign or size of a feature."""
    generator = np.random.default_rng(4)
    observations = generator.normal(size=(number, steps, *environment.observation_shape)).astype(np.float32)
    flat = observations.reshape(number, steps, -1)
    if environment.action_classes is None:
        actions = np.stack([np.tanh(flat[..., 0]), np.clip(0.2 * flat[..., 1], -0.1, 0.1)], axis=-1)
    else:
        actions = np.stack(
            [
                np.asarray(classes)[
                    np.clip(flat[..., component % 2] + len(classes) / 2, 0, len(classes) - 1).astype(int)
                ]
                for component, classes in enumerate(environment.action_classes)
            ],
            axis=-1,
        )
    done = np.arange(steps) >= generator.integers(steps // 2, steps + 1, size=number)[:, None]
    observations[done] = actions[done] = 0
    return Demonstrations(Episodes(observations, actions, np.where(done, 0.0, 1.0), done), environment)


def models_and_policies(
    environment: EnvironmentDefinition, number: int, hidden_units: Sequence[int] = (20, 20)
) -> tuple[list[keras.Model], list[TrainedPolicy]]:
    """Untrained networks, as Keras models and as policies."""
    models, policies = [], []
    training = PerceptronTraining(tuple(hidden_units))
    for seed in range(number):
        keras.utils.set_random_seed(seed)
        models.append(build_model(environment, training))
        policies.append(TrainedPolicy(1.0, seed, models[-1].get_weights(), training))
    return models, policies


def keras_outputs(model: keras.Model, observations: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    outputs = model(observations)
    return [np.asarray(head) for head in (outputs if isinstance(outputs, list) else [outputs])]


class Listening:
    """A monitor that records its calls."""

    def __init__(self) -> None:
        self.curves: dict[tuple[float, int, str], list[tuple[int, float]]] = defaultdict(list)
        self.advanced = 0
        self.texts: list[str] = []
        self._lock = threading.Lock()

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        self.curves[quantile, seed, name].append((step, value))

    def advance(self, number: int, text: str = "") -> None:
        with self._lock:
            self.advanced += number
            self.texts.append(text)


def test_it_learns_what_a_driver_does(car_demonstrations: Demonstrations) -> None:
    policies = list(fit({1.0: car_demonstrations}, range(3, 5), PerceptronTraining()))
    assert [(policy.quantile, policy.seed) for policy in policies] == [(1.0, 3), (1.0, 4)]
    for policy in policies:
        assert policy.data == car_demonstrations.fingerprint
        assert [array.shape for array in policy.weights] == weight_shapes(CAR, PerceptronTraining())
        assert policy.loss_curves[0][-1] < policy.loss_curves[0][0]
    actions = stack(CAR, policies, "most_probable").act(np.tile([[[-0.5, 0.03]]], (2, 1, 1)), [], ALL)
    assert actions.tolist() == [[[2.0]], [[2.0]]], "moving right, this driver pushes right"


def test_the_seconds_it_takes_grow_with_what_is_learned_from(car_demonstrations: Demonstrations) -> None:
    splits = {1.0: car_demonstrations, 0.5: car_demonstrations.top(0.5)}

    def seconds(wanted: list[tuple[float, int]] | None = None, **training: int) -> float:
        return sum(batch.seconds for batch in plan(splits, [0, 1], PerceptronTraining(**training), wanted))

    whole = seconds([(1.0, 0)])
    share = float(splits[0.5].lengths.sum() / splits[1.0].lengths.sum())
    assert seconds() == pytest.approx(2 * (1 + share) * whole)
    assert seconds([(1.0, 0)], max_epochs=400) == pytest.approx(2 * whole)
    passes = PerceptronTraining(updates=50).epochs_for(int(splits[1.0].lengths.sum()))
    assert seconds([(1.0, 0)], updates=50) == pytest.approx(whole * passes / 200)


@pytest.mark.parametrize("environment", [CAR, JOINTS, UNEQUAL, STEERED], ids=lambda environment: environment.name)
@pytest.mark.parametrize("hidden_units", [(20, 20), (3,), (), (4, 5, 6)])
def test_weights_stand_in_the_order_of_the_keras_model(
    environment: EnvironmentDefinition, hidden_units: tuple[int, ...]
) -> None:
    model = build_model(environment, PerceptronTraining(hidden_units))
    assert weight_shapes(environment, PerceptronTraining(hidden_units)) == [w.shape for w in model.get_weights()]
    (model,), policies = models_and_policies(environment, 1, hidden_units)
    observations = np.random.default_rng(0).normal(size=(1, 20, 2)).astype(np.float32)
    stacked = stack(environment, policies, "most_probable")
    if environment.action_classes is not None:
        expected = keras_outputs(model, observations[0])
        for component, probabilities in enumerate(stacked.probabilities(observations)):
            np.testing.assert_allclose(probabilities[0], expected[component], atol=1e-5)


def test_the_networks_of_the_paper_s_environments_have_their_layers_names() -> None:
    """The names of networks are those in the files of trained policies; initial weights depend on their order."""
    names = [layer.name for layer in build_model(CAR, PerceptronTraining()).layers]
    assert names == ["observation", *(f"component_0_layer_{layer}" for layer in range(3))]
    hopper = build_model(load_environment("Hopper-v2"), PerceptronTraining())
    assert [layer.name for layer in hopper.layers if layer.weights] == [
        f"component_{component}_layer_{layer}" for layer in range(3) for component in range(3)
    ]


@pytest.mark.parametrize("acting", ["most_probable", "expected_value"])
def test_stacked_policies_act_as_their_keras_models_do(acting: Acting) -> None:
    models, policies = models_and_policies(JOINTS, 4)
    observations = np.random.default_rng(0).normal(size=(4, 30, 2)).astype(np.float32)
    actions = stack(JOINTS, policies, acting).act(observations, [], ALL)
    assert actions.shape == (4, 30, 3)
    values = np.array([-1.0, 0.0, 1.0])
    for model, of_policy, seen in zip(models, actions, observations, strict=True):
        for component, probabilities in enumerate(keras_outputs(model, seen)):
            expected = (
                probabilities @ values if acting == "expected_value" else values[np.argmax(probabilities, axis=1)]
            )
            np.testing.assert_allclose(of_policy[:, component], expected, atol=1e-5)


def test_sampled_actions_have_the_model_s_probabilities() -> None:
    models, policies = models_and_policies(CAR, 2)
    observations = np.tile(np.array([[[-0.5, 0.03]], [[0.3, -0.01]]], dtype=np.float32), (1, 20_000, 1))
    generators = [np.random.default_rng(seed) for seed in (0, 1)]
    actions = stack(CAR, policies, "sample").act(observations, generators, ALL)
    for policy in range(2):
        expected = keras_outputs(models[policy], observations[policy, :1])[0][0]
        observed = np.bincount(actions[policy, :, 0].astype(int), minlength=3) / 20_000
        np.testing.assert_allclose(observed, expected, atol=0.015)


def test_what_one_policy_does_does_not_depend_on_the_others() -> None:
    _, policies = models_and_policies(JOINTS, 5)
    observations = np.random.default_rng(1).normal(size=(5, 100, 2)).astype(np.float32)
    together = stack(JOINTS, policies, "expected_value").act(observations, [], ALL)
    alone = stack(JOINTS, policies[3:4], "expected_value").act(observations[3:4], [], ALL)
    np.testing.assert_array_equal(together[3], alone[0])


def test_classes_are_indices_into_the_environment_s_actions() -> None:
    actions = np.array([[[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]])
    episodes = Episodes(np.zeros((1, 2, 2)), actions, np.zeros((1, 2)), np.zeros((1, 2), dtype=bool))
    observations, labels = classification_data(Demonstrations(episodes, JOINTS))
    assert observations.dtype == np.float32
    assert labels.tolist() == [[0, 2], [1, 2], [2, 1]]


@pytest.mark.parametrize(
    "actions", [Discrete(2), Discrete(4, start=-1), MultiDiscrete([2, 5, 3]), MultiBinary(3), Box(-1.0, 1.0, (2,))]
)
def test_any_classes_are_learned(actions: object) -> None:
    classes = 4 if isinstance(actions, Box) else None
    environment = EnvironmentDefinition("Any-v0", own, 10, spaces=(TWO_FEATURES, actions), classes=classes)  # type: ignore[arg-type]
    data = demonstrations_in(environment)
    training = PerceptronTraining((30,), learning_rate=1e-2, batch_size=25)
    policies = list(fit({1.0: data}, (0, 1), training))
    for policy in policies:
        assert [array.shape for array in policy.weights] == weight_shapes(environment, training, "standard")
        assert len(policy.loss_curves) == environment.action_components
        build_model(environment, training, "standard").set_weights(policy.weights)
    seen, wanted = data.episodes.transitions()
    chosen = stack(environment, policies, "most_probable").act(np.stack([seen, seen]), [], ALL)
    assert (chosen == wanted).mean() > 0.9


def test_actions_are_predicted_by_regression_where_there_are_no_classes() -> None:
    data = demonstrations_in(STEERED)
    training = PerceptronTraining((30,), learning_rate=1e-2, batch_size=25)
    policies = list(fit({1.0: data}, (0, 1), training))
    seen, wanted = data.episodes.transitions()
    stacked = stack(STEERED, policies, "expected_value")
    predicted = stacked.act(np.stack([seen, seen]), [], ALL)
    assert np.abs(predicted[..., 0] - wanted[:, 0]).mean() < 0.1
    assert (np.abs(predicted[..., 1]) <= np.float32(0.1)).all(), "predictions stay within the action's bounds"
    assert stacked.probabilities(seen[None]) == []
    for policy, actions in zip(policies, predicted, strict=True):
        assert len(policy.loss_curves) == 1
        model = build_model(STEERED, training, "standard")
        model.set_weights(policy.weights)
        unbounded = keras_outputs(model, seen)[0]
        assert (np.abs(unbounded[..., 1]) > 0.1).any()
        expected = np.clip(unbounded, [-2.0, -0.1], [2.0, 0.1])
        np.testing.assert_allclose(actions, expected, atol=1e-5)


def test_observations_of_any_shape_are_flattened() -> None:
    for shape in ((), (2, 3), (2, 1, 2)):
        space = Box(-np.inf, np.inf, shape)
        environment = EnvironmentDefinition("Shaped-v0", own, 10, spaces=(space, Discrete(2)))
        data = demonstrations_in(environment) if shape else None
        model, policies = models_and_policies(environment, 1, LINEAR.hidden_units)
        if data is not None:
            policies = list(fit({1.0: data}, (0,), LINEAR))
            model = [build_model(environment, LINEAR, "standard")]
            model[0].set_weights(policies[0].weights)
        seen = np.random.default_rng(0).normal(size=(1, 9, *shape)).astype(np.float32)
        stacked = stack(environment, policies, "most_probable").probabilities(seen)[0]
        np.testing.assert_allclose(stacked[0], keras_outputs(model[0], seen[0])[0], atol=1e-5)


def test_monitors_hear_the_curves_and_every_step() -> None:
    whole = demonstrations_in(JOINTS)
    splits = {1.0: whole, 0.5: whole.select(slice(3))}
    monitor = Listening()
    training = replace(LINEAR, tolerance=10.0, patience=1)
    policies = list(fit(splits, (7, 8), training, monitor))
    assert {(policy.quantile, policy.seed) for policy in policies} == {(q, s) for q in splits for s in (7, 8)}
    assert monitor.advanced == sum(batch.steps for batch in plan(splits, (7, 8), training)) == 16
    assert training.unit == "epoch"
    for policy in policies:
        for component, curve in enumerate(policy.loss_curves):
            heard = monitor.curves[policy.quantile, policy.seed, f"loss/component_{component}"]
            assert heard == list(enumerate(curve))
            assert len(curve) == 3, "stopped early"
    assert any(text.startswith("q = 0.5, loss ") for text in monitor.texts)
    monitor = Listening()
    list(fit({1.0: demonstrations_in(STEERED)}, (7,), LINEAR, monitor))
    assert set(monitor.curves) == {(1.0, 7, "loss")}


def test_seeds_are_divided_where_there_are_many_and_learn_what_they_would_among_others() -> None:
    splits = {1.0: demonstrations_in(CAR)}
    assert [batch.seeds for batch in plan(splits, (3, 1, 2, 9), SHORT)] == [(3, 1, 2, 9)]
    assert [len(batch.seeds) for batch in plan(splits, range(23), SHORT)] == [6, 6, 6, 5]
    # The paper's Hopper has three networks a policy.
    assert [len(batch.seeds) for batch in plan({1.0: demonstrations_in(JOINTS)}, range(5), SHORT)] == [3, 2]
    monitor = Listening()
    divided = {policy.seed: policy for policy in fit(splits, range(10), SHORT, monitor)}
    assert sorted(divided) == list(range(10))
    assert monitor.advanced == 10 * 4
    for policy in fit(splits, (8, 2), SHORT):
        assert policy.loss_curves == divided[policy.seed].loss_curves
        for array, expected in zip(policy.weights, divided[policy.seed].weights, strict=True):
            np.testing.assert_array_equal(array, expected)
    monitor = Listening()
    assert [policy.seed for policy in fit(splits, range(10), SHORT, monitor, missing=[(1.0, 7)])] == [7]
    assert monitor.advanced == 4
    assert {seed for _, seed, _ in monitor.curves} == set(range(5, 10))


def test_who_takes_no_more_policies_stops_the_training() -> None:
    whole = demonstrations_in(CAR, number=40)
    splits, training = {1.0: whole, 0.5: whole.select(slice(1))}, PerceptronTraining(max_epochs=300, patience=300)
    monitor = Listening()
    policies = fit(splits, (0, 1), training, monitor)
    assert next(policies).loss_curves
    policies.close()  # type: ignore[attr-defined]
    assert 2 * 300 <= monitor.advanced < 4 * 300


def test_an_error_in_one_thread_ends_the_training(
    car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of paper")

    monkeypatch.setattr("quantilizers.policies.perceptron_training.fit_stack", fail)
    with pytest.raises(RuntimeError, match="out of paper"):
        list(fit({1.0: car_demonstrations, 0.5: car_demonstrations}, range(2), PerceptronTraining()))


def test_an_error_of_the_monitor_ends_all_threads() -> None:
    """Left alone, the other quantile would train for hours."""
    whole = demonstrations_in(CAR)

    class Impatient(Listening):
        epochs = 0

        def advance(self, number: int, text: str = "") -> None:
            self.epochs += text.startswith("q = 1.0, loss ")
            if self.epochs >= 20:
                raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        endless = replace(LINEAR, max_epochs=10**6, patience=10**6)
        list(fit({1.0: whole, 0.5: whole.select(slice(3))}, (0,), endless, Impatient()))


@pytest.mark.parametrize(
    ("environment", "training"), [(JOINTS, SHORT), (STEERED, LINEAR)], ids=[JOINTS.name, f"{STEERED.name} linear"]
)
def test_splits_of_as_many_episodes_share_a_stack_and_learn_what_they_would_alone(
    environment: EnvironmentDefinition, training: PerceptronTraining
) -> None:
    whole = demonstrations_in(environment)
    order = np.argsort(whole.lengths)
    splits = {0.5: whole.select(order[[0, 2, 4]]), 0.4: whole.select(order[[1, 2, 3]]), 1.0: whole}
    weights = {0.4: np.linspace(0.5, 1.5, int(splits[0.4].lengths.sum()))}
    planned = plan(splits, (0, 1), training, stacked=True)
    assert sorted(sorted(batch.keys) for batch in planned) == [[0.4, 0.5], [1.0]]
    monitor = Listening()
    together = {(p.quantile, p.seed): p for p in fit(splits, (0, 1), training, monitor, weights=weights, stacked=True)}
    assert monitor.advanced == sum(batch.steps for batch in planned) == 24
    assert len(together) == 6
    for quantile, split in splits.items():
        for alone in fit({quantile: split}, (0, 1), training, weights=weights):
            policy = together[quantile, alone.seed]
            assert policy.data == alone.data == split.fingerprint
            for ours, theirs in zip(policy.weights, alone.weights, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-6)
    unweighted = {p.seed: p for p in fit({0.4: splits[0.4]}, (0, 1), training)}
    assert np.abs(unweighted[0].weights[0] - together[0.4, 0].weights[0]).max() > 1e-5


@pytest.mark.parametrize("stacked", [True, False])
def test_a_batch_that_was_pickled_and_trains_alone_gives_the_bits_that_it_gives_among_all(
    car_demonstrations: Demonstrations, stacked: bool
) -> None:
    splits = {1.0: car_demonstrations, 0.5: car_demonstrations.top(0.5), 0.25: car_demonstrations.top(0.25)}
    batches = plan(splits, (0, 1), SHORT, stacked=stacked)
    whole = {(policy.key, policy.seed): policy for policy in fit(splits, (0, 1), SHORT, stacked=stacked)}
    (alone,) = (batch for batch in batches if batch.keys == (0.25,))
    padded_further = alone != plan({0.25: splits[0.25]}, (0, 1), SHORT, stacked=stacked)[0]
    assert padded_further is not stacked, "without stacks all data have one padded length"
    assert plan(splits, (0, 1), SHORT, [(0.25, 0), (0.25, 1)], stacked) == [alone], "whatever is finished"
    selections = selections_of({0.25: splits[0.25]})
    for policy in multilayer_perceptron.fit(pickle.loads(pickle.dumps(alone)), selections):  # noqa: S301
        for mine, theirs in zip(policy.weights, whole[0.25, policy.seed].weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def stacks(splits: dict[float, Demonstrations], seeds: Sequence[int]) -> list[list[float]]:
    """Which selections share a batch, in the order in which they are planned."""
    batches = plan(splits, seeds, SHORT, stacked=True)
    return [list(keys) for keys in dict.fromkeys(batch.keys for batch in batches)]


def test_large_stacks_are_cut() -> None:
    whole = demonstrations_in(JOINTS)
    splits = dict.fromkeys(np.arange(7, dtype=float).tolist(), whole.select(slice(2)))
    assert stacks(splits, range(5)) == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0]]
    assert stacks(splits, range(40)) == [[quantile] for quantile in splits]


def test_long_and_short_splits_do_not_wait_for_each_other() -> None:
    whole = demonstrations_in(JOINTS, number=10)
    by_length = np.argsort(whole.lengths)
    short, long = (whole.select(chosen) for chosen in (by_length[:2], by_length[-2:]))
    assert long.lengths.sum() > 1.1 * short.lengths.sum()
    assert stacks({0.1: long, 0.2: short, 0.3: short, 1.0: whole}, (0,)) == [[1.0], [0.2, 0.3], [0.1]]


def test_a_policy_that_diverges_is_named_after_the_others_are_given() -> None:
    whole = demonstrations_in(CAR)
    splits = {1.0: whole.select(slice(5)), 0.5: whole}
    huge = {0.5: np.full(int(whole.lengths.sum()), 1e38)}
    given = []
    with pytest.raises(DivergedError, match=r"q = 0.5 seed 3, q = 0.5 seed 4 became NaN or infinite") as raised:
        for policy in fit(splits, (3, 4), SHORT, weights=huge):
            given.append((policy.quantile, policy.seed))
    assert raised.value.policies == ((0.5, 3), (0.5, 4))
    assert sorted(given) == [(1.0, 3), (1.0, 4)]
