from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.rollouts import roll_out
from quantilizers.play import acting
from quantilizers.play.acting import played_by_policy
from quantilizers.policies.encoding import (
    Past,
    choose,
    class_indices,
    marginal_score,
    number_of_features,
    recorded_features,
    rounded,
    within,
)
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.keras_files import load_policy, save_policy
from quantilizers.policies.multilayer_perceptron import build_model, stack, weight_shapes
from quantilizers.policies.policy import TrainedPolicy
from quantilizers.policies.quantilizer import Quantilizer
from quantilizers.rewards import own
from training_for_tests import fit

CAR = load_environment("MountainCar-v0")
ONE = Box(-np.inf, np.inf, (1,))
#: One component of three classes, not in order, and one of two.
LEVERS = EnvironmentDefinition("Levers-v0", own, 9, spaces=(ONE, Box(-1, 1, (2,))), classes=((0.0, 1.0, -1.0), (-1, 1)))
STEERED = EnvironmentDefinition("Steered-v0", own, 9, spaces=(ONE, Box(-1.0, 1.0, (1,))))
SHORT = PerceptronTraining(hidden_units=(8,), max_epochs=3, batch_size=50, history=2)


def two_episodes(actions: list[list[list[float]]], dtype: type = np.float64) -> Episodes:
    """One of three steps that sees 1, 2, 3, and one of two that sees 4, 5."""
    observations = np.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [0.0]]])
    done = np.array([[False, False, False], [False, False, True]])
    return Episodes(observations, np.array(actions, dtype=dtype), np.zeros((2, 3)), done)


def untrained(environment: EnvironmentDefinition, training: PerceptronTraining) -> tuple[keras.Model, TrainedPolicy]:
    keras.utils.set_random_seed(1)
    model = build_model(environment, training)
    return model, TrainedPolicy(1.0, 3, model.get_weights(), training)


def test_what_is_seen_of_recorded_steps_by_hand() -> None:
    episodes = two_episodes([[[0, 1], [1, -1], [-1, -1]], [[-1, 1], [1, 1], [0, 0]]])
    nothing, idle, up, down = [0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]
    off, on = [1, 0], [0, 1]
    expected = [
        [1, 1, 1, *nothing, 0, 0, *nothing, 0, 0],
        [2, 1, 1, *idle, *on, *nothing, 0, 0],
        [3, 2, 1, *up, *off, *idle, *on],
        [4, 4, 4, *nothing, 0, 0, *nothing, 0, 0],
        [5, 4, 4, *down, *on, *nothing, 0, 0],
    ]
    found = recorded_features(episodes, LEVERS, 2)
    assert found.tolist() == expected
    assert found.dtype == np.float32
    assert number_of_features(LEVERS, 2) == len(expected[0])
    assert recorded_features(episodes, LEVERS, 0).tolist() == [[1], [2], [3], [4], [5]]


def test_an_action_that_is_a_number_is_told_from_none() -> None:
    episodes = two_episodes([[[0.0], [0.5], [0.1]], [[-1.0], [0.0], [0.0]]])
    assert recorded_features(episodes, STEERED, 1).tolist() == [
        [1, 1, 0, 0], [2, 1, 0, 1], [3, 2, 0.5, 1], [4, 4, 0, 0], [5, 4, -1, 1],
    ]  # fmt: skip


def test_an_action_between_two_classes_is_divided_between_them() -> None:
    past = Past.none(LEVERS, 1, 1, 1).then(np.zeros((1, 1, 1), dtype=np.float32), np.array([[[0.25, 0.5]]]))
    np.testing.assert_allclose(past.actions[0, 0, 0], [0, 0.75, 0.25, 0.25, 0.75])


@pytest.mark.parametrize("environment", [LEVERS, STEERED], ids=lambda environment: environment.name)
def test_the_past_in_acting_is_the_recorded_one(environment: EnvironmentDefinition) -> None:
    """While acting, a policy sees the features that training on the same episodes would give."""
    actions = np.random.default_rng(0).choice([-1.0, 1.0], size=(1, 7, environment.action_components))
    seen = np.random.default_rng(1).normal(size=(1, 7, 1)).astype(np.float32)
    episodes = Episodes(seen, actions, np.zeros((1, 7)), np.zeros((1, 7), dtype=bool))
    past, found = Past.none(environment, 3, 1, 1), []
    for step in range(7):
        now = seen[None, :, step]
        found.append(past.features(now)[0, 0])
        past = past.then(now, actions[None, :, step])
    np.testing.assert_array_equal(found, recorded_features(episodes, environment, 3))


def test_a_forgotten_past_is_none() -> None:
    now, later = np.array([[[1.0], [2.0]]], dtype=np.float32), np.array([[[5.0], [6.0]]], dtype=np.float32)
    past = Past.none(LEVERS, 1, 1, 2).then(now, np.ones((1, 2, 2)))
    (first, second) = past.without(np.array([[True, False]])).features(later)[0]
    assert first.tolist() == [5, 5, 0, 0, 0, 0, 0]
    assert second.tolist() == [6, 2, 0, 0, 1, 0, 1]


def test_policies_act_as_their_keras_model_on_the_features() -> None:
    training = PerceptronTraining((6,), history=2)
    model, policy = untrained(CAR, training)
    assert model.input_shape == (None, number_of_features(CAR, 2)) == (None, 12)
    assert weight_shapes(CAR, training) == [array.shape for array in model.get_weights()]
    policies, generators = stack(CAR, [policy, policy], "sample"), [np.random.default_rng(seed) for seed in (0, 1)]
    policies.begin(4)
    observations = np.random.default_rng(2).normal(size=(5, 2, 4, 2)).astype(np.float32)
    past = Past.none(CAR, 2, 2, 4)
    for seen in observations:
        expected = np.asarray(model(past.features(seen).reshape(8, -1))).reshape(2, 4, 3)
        np.testing.assert_allclose(policies.probabilities(seen)[0], expected, atol=1e-6)
        past = past.then(seen, policies.act(seen, generators, np.ones((2, 4), dtype=bool)))
    policies.begin(4)
    seen = observations[0]
    assert policies.past is not None
    assert not policies.past.begun.any(), "new episodes know nothing of the old ones"
    np.testing.assert_allclose(
        policies.probabilities(seen)[0],
        np.asarray(model(Past.none(CAR, 2, 2, 4).features(seen).reshape(8, -1))).reshape(2, 4, 3),
        atol=1e-6,
    )


def test_policies_recall_what_was_recorded_before_each_step(car_demonstrations: Demonstrations) -> None:
    model, policy = untrained(CAR, PerceptronTraining((6,), history=2))
    episodes = car_demonstrations.episodes
    policies = stack(CAR, [policy, policy], "most_probable")
    policies.recall(episodes)
    seen = np.broadcast_to(episodes.transitions()[0], (2, int(episodes.lengths.sum()), 2))
    expected = np.asarray(model(recorded_features(episodes, CAR, 2)))
    for _ in range(2):
        (probabilities,) = policies.probabilities(seen)
        np.testing.assert_allclose(probabilities, np.stack([expected, expected]), atol=1e-6)
    chosen = policies.act(seen, [], np.ones(seen.shape[:2], dtype=bool))
    np.testing.assert_array_equal(chosen[0, :, 0], expected.argmax(axis=1))


def test_episodes_that_were_not_begun_are_refused() -> None:
    policies = stack(CAR, [untrained(CAR, SHORT)[1]], "most_probable")
    seen = np.zeros((1, 3, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="no episodes"):
        policies.act(seen, [], np.ones((1, 3), dtype=bool))
    policies.begin(2)
    with pytest.raises(ValueError, match="no episodes"):
        policies.act(seen, [], np.ones((1, 3), dtype=bool))


def test_who_holds_keys_is_imitated_by_whoever_remembers_them() -> None:
    """Players who repeat their last key, whatever they observe: only a history shows it."""
    generator = np.random.default_rng(0)
    held = np.repeat(generator.choice([0.0, 2.0], size=(40, 1)), 20, axis=1)[..., None]
    seen = generator.normal(size=(40, 20, 2)).astype(np.float32)
    data = Demonstrations(Episodes(seen, held, np.zeros((40, 20)), np.zeros((40, 20), dtype=bool)), CAR)
    confident = {}
    for history in (0, 1):
        training = PerceptronTraining((8,), learning_rate=1e-2, batch_size=50, max_epochs=60, history=history)
        policies = stack(CAR, list(fit({1.0: data}, [0], training)), "sample")
        policies.recall(data.episodes)
        (probabilities,) = policies.probabilities(data.episodes.transitions()[0][None])
        right = np.take_along_axis(probabilities[0], held.reshape(-1, 1).astype(int), axis=1)
        confident[history] = float(right.mean())
    assert confident[1] > 0.9 > 0.7 > confident[0]


def test_one_episode_in_play_is_the_one_in_testing(car_demonstrations: Demonstrations, tmp_path: Path) -> None:
    (policy,) = fit({1.0: car_demonstrations}, [0], SHORT)
    path = tmp_path / "policy.keras"
    save_policy(path, CAR, policy)
    loaded = load_policy(path, CAR)
    assert loaded.training == SHORT
    rollouts = roll_out(
        CAR, stack(CAR, [loaded], "sample"), np.array([[5]]), [np.random.default_rng([0, 7])], 60, CAR.options
    )
    played = played_by_policy(CAR, path, 5, [0, 7], 60, "sample")
    np.testing.assert_allclose(played.true_rewards[0], rollouts.true_rewards[0, 0])
    observations = played.extras["final_observation"]
    np.testing.assert_allclose(observations[0, 0], rollouts.proxy_rewards[0, 0, -1], atol=1e-6)


@pytest.mark.parametrize("without", [True, False])
def test_one_who_acts_without_tensorflow_needs_no_other_process(
    without: bool, car_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PerceptronTraining, "acts_without_tensorflow", without)
    begun = []

    def call(worker: object, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        begun.append(name)
        return function(*arguments)

    monkeypatch.setattr(acting.WorkerProcesses, "call", call)
    (policy,) = fit({1.0: car_demonstrations}, [0], SHORT)
    save_policy(tmp_path / "policy.keras", CAR, policy)
    assert played_by_policy(CAR, tmp_path / "policy.keras", 5, [0, 7], 20).true_rewards.shape[0] == 1
    assert len(begun) == (0 if without else 1)


@pytest.fixture(scope="module")
def fitted(car_demonstrations: Demonstrations) -> Quantilizer:
    return Quantilizer(0.5, 1, hidden_units=(8,), max_epochs=20, batch_size=50, history=3).fit(car_demonstrations)


def test_a_quantilizer_is_handed_its_past(fitted: Quantilizer) -> None:
    seen = np.random.default_rng(0).uniform([-1.2, -0.07], [0.5, 0.07], size=(6, 2, 2)).astype(np.float32)
    policies = stack(CAR, fitted.policies_, "most_probable")
    policies.begin(2)
    state = None
    for now in seen[:4]:
        np.testing.assert_allclose(fitted.predict_proba(now, state), policies.probabilities(now[None])[0][0])
        actions, state = fitted.predict(now, state, episode_start=np.zeros(2, dtype=bool))
        assert actions.tolist() == policies.act(now[None], [], np.ones((1, 2), dtype=bool))[0, :, 0].tolist()
    before = state
    for start in (np.array([True, False]), None, np.array([True, True])):
        _, again = fitted.predict(seen[4], before, start)
        began = np.array([False, False]) if start is None else start
        for episode in range(2):
            expected = seen[4] if began[episode] else seen[3]
            assert again.observations[0, episode, 1].tolist() == expected[episode].tolist()
    single, state = fitted.predict(seen[0, 0], None)
    assert CAR.action_space.contains(single)
    with pytest.raises(UserError, match="pass state: None where episodes begin"):
        fitted.predict(seen[0])
    with pytest.raises(UserError, match="pass state"):
        fitted.predict_proba(seen[0])
    with pytest.raises(UserError, match="state is not that of 2 episodes"):
        fitted.predict(seen[0], state)


def test_stable_baselines3_evaluates_a_quantilizer_with_a_history(fitted: Quantilizer) -> None:
    games = DummyVecEnv([lambda: make_environment(fitted.environment_, reward="true", max_steps=150)] * 2)
    games.seed(3)
    returns, lengths = evaluate_policy(fitted, games, n_eval_episodes=4, return_episode_rewards=True, warn=False)  # type: ignore[arg-type]
    assert [-total for total in returns] == lengths
    assert min(lengths) > 50


PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]], dtype=np.float32)
CLASSES = (-1.0, 0.5, 3.0)


def test_the_three_ways_of_acting() -> None:
    assert choose(PROBABILITIES, CLASSES, "most_probable", None).tolist() == [0.5, -1.0]
    expected = choose(PROBABILITIES, CLASSES, "expected_value", None)
    np.testing.assert_allclose(expected, [-0.2 + 0.25 + 0.9, -0.7 + 0.05 + 0.6], atol=1e-6)
    for drawn, chosen in ((0.0, -1.0), (0.19, -1.0), (0.21, 0.5), (0.69, 0.5), (0.71, 3.0), (1.0, 3.0)):
        assert choose(PROBABILITIES[:1], CLASSES, "sample", np.array([drawn])).tolist() == [chosen]


def test_rounding_never_draws_a_class_that_is_not_there() -> None:
    assert choose(np.array([[0.3, 0.3, 0.3]]), CLASSES, "sample", np.array([0.999])).tolist() == [3.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_classes_are_known_again_in_the_recording_s_precision(dtype: type) -> None:
    classes = (2.0, -1.0, 0.0) if dtype is np.int64 else (0.1, -0.7, 2.0)
    actions = np.asarray(classes)[[2, 0, 1, 1]].astype(dtype)
    assert class_indices(actions, classes).tolist() == [2, 0, 1, 1]
    between = np.array([0.05, -0.9, 0.6, 7.0, 0.1], dtype=actions.dtype)
    nearest = [int(np.argmin(np.abs(np.asarray(classes) - value))) for value in between]
    assert class_indices(between, classes).tolist() == nearest, "the nearest class"


def test_predictions_stay_within_the_space() -> None:
    space = Box(np.array([-1.0, 0.0], dtype=np.float32), np.array([1.0, np.inf], dtype=np.float32))
    assert within(np.array([[2.0, -1.0], [0.5, 9.0]]), space).tolist() == [[1.0, 0.0], [0.5, 9.0]]


def test_whole_numbers_are_rounded_and_others_left_alone() -> None:
    assert rounded(np.array([[0.6, 1.4]]), Box(0, 5, (2,), np.int32)).tolist() == [[1.0, 1.0]]
    assert rounded(np.array([[0.6, 1.4]]), Box(0, 5, (2,))).tolist() == [[0.6, 1.4]]


LEARNED, HELD_OUT = np.array([[0], [0], [0], [1], [1], [1], [1]]), np.array([[0], [0], [1]])


def test_everybody_is_predicted_by_how_often_all_played_each_action() -> None:
    score = marginal_score(LEARNED, HELD_OUT, (3,))
    # With one more of each class: 4, 5 and 1 of 10.
    assert score.loss == pytest.approx(-(2 * np.log(0.4) + np.log(0.5)) / 3)
    assert score.accuracy == pytest.approx(1 / 3)


def test_each_player_is_predicted_by_their_own() -> None:
    of_learned, of_held_out = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1])
    score = marginal_score(LEARNED, HELD_OUT, (3,), (of_learned, of_held_out))
    assert score.loss == pytest.approx(-(2 * np.log(4 / 6) + np.log(5 / 7)) / 3)
    assert score.accuracy == 1.0
    unknown = marginal_score(LEARNED, HELD_OUT, (3,), (of_learned, np.array([2, 2, 2])))
    assert unknown.loss == pytest.approx(np.log(3))


def test_components_add_up_in_loss_and_are_averaged_in_accuracy() -> None:
    both = marginal_score(np.repeat(LEARNED, 2, axis=1), np.array([[0, 1], [0, 1]]), (3, 3))
    assert both.loss == pytest.approx(-np.log(0.4) - np.log(0.5))
    assert both.accuracy == 0.5
