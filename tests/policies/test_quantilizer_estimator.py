from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.base
from gymnasium.spaces import Box
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.policies.hyper_parameters import TRAININGS, hyper_parameters
from quantilizers.policies.quantilizer import Quantilizer
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.rewards import own
from training_for_tests import fit

SEEN = np.array([[-0.5, 0.03], [-0.5, -0.03], [0.1, 0.01]])


@pytest.fixture(scope="module")
def fitted(car_demonstrations: Demonstrations) -> Quantilizer:
    return Quantilizer(0.5, seeds=(4, 2), max_epochs=30, batch_size=50).fit(car_demonstrations)


def test_every_hyper_parameter_of_both_families_is_a_keyword() -> None:
    names = {parameter.name for training in TRAININGS.values() for parameter in fields(training)}
    parameters = inspect.signature(Quantilizer).parameters
    selecting = {part.name: part.default for part in fields(SelectionSettings)}
    assert set(parameters) == names | {"quantile", "seeds", "acting", *selecting}
    assert all(parameters[name].default == default for name, default in selecting.items())
    assert all(parameters[name].default is None for name in names)
    documentation = inspect.getdoc(Quantilizer) or ""
    assert all(f"\n    {name}: " in documentation for name in parameters)


def test_the_constructor_only_keeps_what_it_is_given() -> None:
    impossible = Quantilizer(quantile=7, seeds="many", hidden_units=(-1,), acting="boldly")  # type: ignore[arg-type]
    assert impossible.get_params()["quantile"] == 7
    assert repr(impossible) == "Quantilizer(quantile=7, seeds='many', acting='boldly', hidden_units=(-1,))"
    assert repr(Quantilizer()) == "Quantilizer()"


def test_parameters_are_got_set_and_cloned_as_scikit_learn_does() -> None:
    quantilizer = Quantilizer(0.25, seeds=3, hidden_units=(8,))
    assert quantilizer.set_params(seeds=2, max_epochs=9) is quantilizer
    assert repr(quantilizer) == "Quantilizer(quantile=0.25, seeds=2, hidden_units=(8,), max_epochs=9)"
    copy = sklearn.base.clone(quantilizer)
    assert copy is not quantilizer
    assert copy.get_params() == quantilizer.get_params()
    with pytest.raises(UserError, match="max_epoch is not a parameter of a quantilizer"):
        quantilizer.set_params(max_epoch=3, seeds=7)
    assert quantilizer.seeds == 2


def test_fit_learns_from_the_top(fitted: Quantilizer, car_demonstrations: Demonstrations) -> None:
    kept = car_demonstrations.top(0.5)
    assert [policy.seed for policy in fitted.policies_] == [4, 2]
    assert fitted.kept_ is not None
    np.testing.assert_array_equal(fitted.kept_.proxy_returns, kept.proxy_returns)
    assert fitted.training_ == TRAININGS["multilayer_perceptron"](max_epochs=30, batch_size=50)
    assert [len(curves[0]) for curves in fitted.loss_curves_] == [30, 30]
    assert fitted.environment_ is car_demonstrations.environment
    assert {(policy.quantile, policy.data) for policy in fitted.policies_} == {(0.5, kept.fingerprint)}
    assert fitted.predict(SEEN).tolist()[:2] == [2, 0]


def test_fitting_leaves_everybody_s_random_numbers_alone(car_demonstrations: Demonstrations) -> None:
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    Quantilizer(seeds=1, max_epochs=1, hidden_units=()).fit(car_demonstrations)
    assert np.random.random() == expected


def test_predictions_are_what_the_environment_takes(fitted: Quantilizer) -> None:
    actions = fitted.predict(SEEN)
    assert actions.shape == (3,)
    assert actions.dtype == np.int64
    alone = fitted.predict(SEEN[0])
    assert alone == actions[0]
    assert fitted.environment_.action_space.contains(alone)
    assert fitted.predict(SEEN.tolist(), seed=2).shape == (3,)
    with pytest.raises(UserError, match="no policy has the seed 3; the seeds are 4 2"):
        fitted.predict(SEEN, seed=3)
    with pytest.raises(UserError, match=r"observations have shape \(3, 3\) where MountainCar-v0 has \(2,\)"):
        fitted.predict(np.zeros((3, 3)))


def test_each_seed_has_a_policy_of_its_own(fitted: Quantilizer) -> None:
    first, second = fitted.predict_proba(SEEN), fitted.predict_proba(SEEN, seed=2)
    assert first.shape == (3, 3)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    assert (first != second).any()
    np.testing.assert_array_equal(fitted.predict_proba(SEEN, seed=4), first)
    np.testing.assert_allclose(fitted.predict_proba(SEEN[1]), first[1], atol=1e-6)


def test_it_answers_the_protocol_of_stable_baselines3(fitted: Quantilizer) -> None:
    actions, state = fitted.predict(SEEN, state=None, episode_start=np.ones(3, dtype=bool), deterministic=True)
    np.testing.assert_array_equal(actions, fitted.predict(SEEN))
    assert state is None
    assert fitted.predict(SEEN, state="kept")[1] == "kept"
    for argument in ({"deterministic": False}, {"episode_start": None}, {"state": None}):
        assert isinstance(fitted.predict(SEEN, **argument), tuple)


def test_stable_baselines3_evaluates_it(fitted: Quantilizer) -> None:
    games = DummyVecEnv([lambda: make_environment(fitted.environment_, reward="true", max_steps=150)] * 2)
    returns, lengths = evaluate_policy(fitted, games, n_eval_episodes=4, return_episode_rewards=True, warn=False)  # type: ignore[arg-type]
    assert len(returns) == 4
    assert [-total for total in returns] == lengths
    assert min(lengths) > 50


def test_deterministic_takes_the_most_probable_action_where_it_samples(fitted: Quantilizer) -> None:
    sampling = sklearn.base.clone(fitted).set_params(acting="sample", max_epochs=1)
    assert fitted.kept_ is not None
    sampling.fit(Demonstrations(fitted.kept_.episodes, fitted.environment_))
    seen = np.repeat(SEEN[:1], 500, axis=0)
    probabilities = sampling.predict_proba(SEEN[0])
    certain, _ = sampling.predict(seen, deterministic=True)
    assert set(certain) == {int(np.argmax(probabilities))}
    drawn, _ = sampling.predict(seen, deterministic=False)
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 500, probabilities, atol=0.1)
    assert (sampling.predict(seen) != sampling.predict(seen)).any(), "each call draws anew"


def test_what_cannot_be_fitted_is_refused_in_one_line(car_demonstrations: Demonstrations) -> None:
    for parameters, message in (
        ({"quantile": 0}, "quantile 0 is impossible"),
        ({"seeds": 0}, "seeds is 0; give how many"),
        ({"seeds": (1, 1)}, r"seeds is \(1, 1\)"),
        ({"seeds": (-1,)}, r"seeds is \(-1,\)"),
        ({"seeds": "many"}, "seeds is 'many'"),
        ({"acting": "expected_value"}, "acting by expected_value needs Box actions"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"steps": 10}, "steps is not a hyper-parameter of a multilayer perceptron policy"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            Quantilizer(**parameters).fit(car_demonstrations)  # type: ignore[arg-type]
        assert "\n" not in str(raised.value)


def test_what_is_not_fitted_says_so(tmp_path: Path) -> None:
    for use in (
        lambda quantilizer: quantilizer.predict(SEEN),
        lambda quantilizer: quantilizer.predict_proba(SEEN),
        lambda quantilizer: quantilizer.save(tmp_path),
    ):
        with pytest.raises(UserError, match="not fitted yet; call fit with demonstrations first"):
            use(Quantilizer())


def test_it_is_saved_and_loaded(fitted: Quantilizer, tmp_path: Path) -> None:
    paths = fitted.save(tmp_path / "models")
    assert [path.name for path in paths] == ["MountainCar-v0_0.5_4.keras", "MountainCar-v0_0.5_2.keras"]
    loaded = Quantilizer.load(paths, "MountainCar-v0")
    assert (loaded.quantile, loaded.seeds, loaded.training_) == (0.5, (4, 2), fitted.training_)
    assert (loaded.max_epochs, loaded.hidden_units, loaded.kept_) == (30, (20, 20), None)
    for seed in (4, 2):
        np.testing.assert_array_equal(loaded.predict_proba(SEEN, seed=seed), fitted.predict_proba(SEEN, seed=seed))
    other = sklearn.base.clone(fitted).set_params(max_epochs=1, seeds=(9,))
    assert fitted.kept_ is not None
    others = other.fit(fitted.kept_).save(tmp_path / "others")
    for several, message in (
        ([], "no policies to load"),
        ([*paths, *others], "different quantiles, hyper-parameters or selection settings"),
        ([paths[0], paths[0]], "two of the policies have the same seed; their seeds are 4 4"),
    ):
        with pytest.raises(UserError, match=message):
            Quantilizer.load(several, "MountainCar-v0")
    with pytest.raises(MissingError, match=r"none\.keras does not exist"):
        Quantilizer.load([tmp_path / "none.keras"], "MountainCar-v0")


def test_actions_that_are_not_one_number_have_their_space_s_shape_and_type() -> None:
    spaces = Box(-np.inf, np.inf, (2,)), Box(-1.0, 1.0, (2, 2), np.float32)
    environment = EnvironmentDefinition("Steered-v0", own, 10, spaces=spaces)
    generator = np.random.default_rng(0)
    seen = generator.normal(size=(4, 30, 2)).astype(np.float32)
    episodes = Episodes(seen, np.tanh(np.tile(seen, 2)), np.ones((4, 30)), np.zeros((4, 30), dtype=bool))
    quantilizer = Quantilizer(seeds=1, max_epochs=5, hidden_units=()).fit(Demonstrations(episodes, environment))
    assert quantilizer.predict(seen[0]).shape == (30, 2, 2)
    assert spaces[1].contains(quantilizer.predict(seen[0, 0]))
    with pytest.raises(UserError, match="are predicted by regression and have no probabilities"):
        quantilizer.predict_proba(seen[0])
    classes = replace(environment, classes=3)
    by_classes = Quantilizer(seeds=1, max_epochs=5, hidden_units=()).fit(
        Demonstrations(replace(episodes, actions=np.sign(episodes.actions)), classes)
    )
    assert spaces[1].contains(by_classes.predict(seen[0, 0]))
    assert [probabilities.shape for probabilities in by_classes.predict_proba(seen[0])] == [(30, 3)] * 4


def test_fitting_alone_gives_the_policies_of_a_family(fitted: Quantilizer) -> None:
    assert fitted.kept_ is not None
    again = {p.seed: p for p in fit({0.5: fitted.kept_}, (4, 2), fitted.training_)}
    for policy in fitted.policies_:
        for expected, array in zip(again[policy.seed].weights, policy.weights, strict=True):
            np.testing.assert_array_equal(array, expected)


def test_controls_and_softer_cuts_are_arguments(car_demonstrations: Demonstrations, tmp_path: Path) -> None:
    bottom = Quantilizer(0.25, 1, select="bottom", budget="updates", max_epochs=2, hidden_units=()).fit(
        car_demonstrations
    )
    worst = np.sort(car_demonstrations.proxy_returns)[:3]
    assert bottom.kept_ is not None
    np.testing.assert_array_equal(bottom.kept_.proxy_returns, worst)
    assert bottom.training_.updates > 0  # type: ignore[union-attr]
    weighted = Quantilizer(0.25, 1, method="best_of_n", max_epochs=2, hidden_units=()).fit(car_demonstrations)
    assert weighted.kept_ is not None
    assert weighted.weights_ is not None
    assert (weighted.kept_.number, weighted.weights_.argmax()) == (12, 0)
    loaded = Quantilizer.load(bottom.save(tmp_path), "MountainCar-v0")
    assert (loaded.select, loaded.budget, loaded.updates) == ("bottom", "updates", None)
    again = loaded.fit(car_demonstrations)
    np.testing.assert_array_equal(again.policies_[0].weights[0], bottom.policies_[0].weights[0])
    with pytest.raises(UserError, match="selection settings; load each kind alone"):
        Quantilizer.load([*weighted.save(tmp_path / "other"), *bottom.save(tmp_path)], "MountainCar-v0")
    with pytest.raises(UserError, match="it is one of top, random, bottom"):
        Quantilizer(select="best").fit(car_demonstrations)  # type: ignore[arg-type]


def test_the_arguments_are_the_fields_of_treatments_and_hyper_parameters() -> None:
    names = list(inspect.signature(Quantilizer).parameters)
    declared = [*(one.name for one in fields(SelectionSettings)), *hyper_parameters()]
    assert names == ["quantile", "seeds", "acting", *declared]
    assert inspect.signature(Quantilizer).parameters["select"].default == "top"
    assert list(Quantilizer().get_params()) == names
    for name in names:
        assert f"\n        {name}: " in (Quantilizer.__doc__ or "")
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'max_epoch'.*did you mean max_epochs"):
        Quantilizer(max_epoch=3)
