from __future__ import annotations

import copy
import inspect
import io
import pickle
import warnings
from contextlib import redirect_stderr
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
import sklearn.base
import sklearn.utils
from gymnasium.spaces import Box, Discrete
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.utils.validation import check_is_fitted
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.policies.hyper_parameters import TRAININGS, hyper_parameters
from quantilizers.policies.quantilizer import Quantilizer, _seeds
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


def test_observations_of_another_type_than_the_space_s_are_not_rounded() -> None:
    spaces = Box(0, 255, (2,), np.uint8), Discrete(2)
    environment = EnvironmentDefinition("Bytes-v0", own, 10, spaces=spaces)
    quantilizer = Quantilizer()
    quantilizer.environment_, quantilizer.policies_ = environment, ()
    assert quantilizer._rows([[0.0, 255.0]])[0].dtype == np.uint8
    for wrong in ([[0.25, 3.0]], [[-1, 3]], [[256, 3]]):
        with pytest.raises(UserError, match=r"observations .*(not all whole numbers of uint8|cannot be an array)"):
            quantilizer.predict(np.array(wrong) if wrong[0][0] < 0 else wrong)


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


def test_scikit_learn_knows_what_it_is(fitted: Quantilizer) -> None:
    check_is_fitted(fitted)
    with pytest.raises(NotFittedError):
        check_is_fitted(Quantilizer())
    assert not sklearn.base.is_classifier(fitted)
    assert not sklearn.base.is_regressor(fitted)
    tags = sklearn.utils.get_tags(fitted)
    assert not tags.target_tags.required
    assert tags.requires_fit


def test_scikit_learn_s_searches_split_demonstrations_by_episodes(car_demonstrations: Demonstrations) -> None:
    few = car_demonstrations[:9]
    quick = Quantilizer(1.0, 2, max_epochs=2, hidden_units=(), batch_size=50, learning_rate=0.1)
    scores = cross_val_score(quick, few, cv=3)
    assert scores.shape == (3,)
    parts = [few.select(np.setdiff1d(np.arange(9), np.arange(start, start + 3))) for start in (0, 3, 6)]
    own_way = [
        sklearn.base.clone(quick).fit(part).score(few[3 * fold : 3 * fold + 3]) for fold, part in enumerate(parts)
    ]
    np.testing.assert_allclose(scores, own_way, rtol=1e-6)
    search = GridSearchCV(quick, {"max_epochs": [1, 30]}, cv=3).fit(few, verbose=False)
    assert search.best_params_ == {"max_epochs": 30}
    assert search.best_estimator_.kept_.number == 9
    assert search.predict(SEEN).shape == (3,)
    assert search.score(few) == search.best_estimator_.score(few)
    first, second = train_test_split(few, test_size=3, random_state=0)
    assert (len(first), len(second)) == (6, 3)


def test_demonstrations_are_indexed_as_arrays_are(car_demonstrations: Demonstrations) -> None:
    whole = car_demonstrations
    number = whole.number
    assert (len(whole), whole.shape) == (number, (number,))
    for key in (
        slice(2, 5),
        np.array([4, 1]),
        [4, 1],
        -1,
        np.arange(number) > 3,
        slice(None, None, -2),
        (slice(3), ...),
    ):
        chosen = np.atleast_1d(np.arange(number)[key[0] if isinstance(key, tuple) else key])
        np.testing.assert_array_equal(whole[key].proxy_returns, whole.proxy_returns[chosen])
    for nothing in (number, slice(0, 0), [], (0, 1)):
        with pytest.raises(IndexError):
            whole[nothing]
    assert len(list(whole)) == number
    assert repr(whole) == f"Demonstrations(MountainCar-v0: {number} episodes, {whole.lengths.sum():,} steps)"
    assert repr(whole.episodes) == f"Episodes({number} episodes, {whole.lengths.sum():,} steps)"


def test_a_score_is_the_likelihood_of_the_top_of_held_out_demonstrations(
    fitted: Quantilizer, car_demonstrations: Demonstrations
) -> None:
    top = car_demonstrations.top(0.5)
    seen, acted = top.episodes.transitions()
    expected = [
        np.log(fitted.predict_proba(seen, seed=seed)[np.arange(len(seen)), acted[:, 0].astype(int)]).mean()
        for seed in (4, 2)
    ]
    assert fitted.score(car_demonstrations) == pytest.approx(np.mean(expected), rel=1e-5)
    with pytest.raises(UserError, match="not fitted yet"):
        Quantilizer().score(car_demonstrations)


def test_policies_that_remember_or_regress_are_scored(car_demonstrations: Demonstrations) -> None:
    remembering = Quantilizer(1.0, 1, history=2, max_epochs=5, hidden_units=()).fit(car_demonstrations)
    assert -1.2 < remembering.score(car_demonstrations) < 0
    spaces = Box(-np.inf, np.inf, (2,)), Box(-1.0, 1.0, (1,), np.float32)
    environment = EnvironmentDefinition("Steered-v0", own, 10, spaces=spaces)
    seen = np.random.default_rng(0).normal(size=(4, 30, 2)).astype(np.float32)
    episodes = Episodes(seen, np.tanh(seen[..., :1]), np.ones((4, 30)), np.zeros((4, 30), dtype=bool))
    steering = Quantilizer(1.0, 2, max_epochs=5, hidden_units=()).fit(Demonstrations(episodes, environment))
    flat = seen.reshape(-1, 2)
    errors = [np.square(steering.predict(flat, seed=seed) - np.tanh(flat[:, :1])).mean() for seed in (0, 1)]
    assert steering.score(Demonstrations(episodes, environment)) == pytest.approx(-np.mean(errors), rel=1e-5)


def test_a_fitted_one_travels(fitted: Quantilizer, tmp_path: Path) -> None:
    expected = fitted.predict_proba(SEEN)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    for again in (
        pickle.loads(pickle.dumps(fitted)),  # noqa: S301
        joblib.load(tmp_path / "fitted.joblib"),
        copy.deepcopy(fitted),
    ):
        np.testing.assert_array_equal(again.predict_proba(SEEN), expected)
        assert repr(again) == repr(fitted)
        check_is_fitted(again)
    assert not hasattr(pickle.loads(pickle.dumps(Quantilizer(0.5))), "policies_")  # noqa: S301


def test_progress_is_shown_where_it_is_wanted(car_demonstrations: Demonstrations) -> None:
    quick = Quantilizer(1.0, 2, max_epochs=2, hidden_units=())
    for verbose, shown in ((False, False), (True, True), (1, True)):
        with redirect_stderr(io.StringIO()) as said:
            quick.fit(car_demonstrations, verbose=verbose)
        assert ("training" in said.getvalue()) == shown
    with pytest.raises(UserError, match="fit takes no y"):
        quick.fit(car_demonstrations, np.zeros(3))  # type: ignore[arg-type]
    for wrong in (car_demonstrations.episodes, np.zeros((3, 2)), None):
        with pytest.raises(UserError, match="fit takes Demonstrations, not"):
            quick.fit(wrong)  # type: ignore[arg-type]
        with pytest.raises(UserError, match="score takes Demonstrations, not"):
            quick.score(wrong)  # type: ignore[arg-type]


def test_policies_no_better_than_frequencies_are_warned_of() -> None:
    generator = np.random.default_rng(0)
    spaces = Box(-np.inf, np.inf, (2,)), Discrete(2)
    environment = EnvironmentDefinition("Coins-v0", own, 100, spaces=spaces)
    seen = generator.normal(size=(5, 80, 2)).astype(np.float32)
    done = np.zeros((5, 80), dtype=bool)
    for tells, acted in ((False, generator.integers(2, size=(5, 80, 1))), (True, (seen[..., :1] > 0).astype(int))):
        demonstrations = Demonstrations(Episodes(seen, acted, np.ones((5, 80)), done), environment)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Quantilizer(1.0, 2, max_epochs=20, hidden_units=(), learning_rate=0.1).fit(demonstrations)
        said = [str(one.message) for one in caught if one.category is UserWarning]
        message = "q = 1.0: 2 of 2 policies predict the imitated actions no better than the frequencies of actions do"
        assert [line.startswith(message) for line in said] == ([] if tells else [True])


def test_predictions_of_nothing_and_of_what_is_no_number(fitted: Quantilizer) -> None:
    assert fitted.predict(np.zeros((0, 2))).shape == (0,)
    assert fitted.predict_proba(np.zeros((0, 2))).shape == (0, 3)
    for wrong, message in ((np.nan, "hold NaN or infinity"), (np.inf, "hold NaN or infinity"), ("far", "be an array")):
        with pytest.raises(UserError, match=message):
            fitted.predict([[wrong, 0.0]])


def test_a_folder_or_a_file_is_loaded(fitted: Quantilizer, tmp_path: Path) -> None:
    paths = fitted.save(tmp_path)
    for folder in (tmp_path, str(tmp_path)):
        assert sorted(Quantilizer.load(folder, "MountainCar-v0").seeds) == [2, 4]  # type: ignore[arg-type]
    assert Quantilizer.load(paths[0], "MountainCar-v0").seeds == (4,)
    assert Quantilizer.load(str(paths[0]), "MountainCar-v0").seeds == (4,)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match="holds no policies"):
        Quantilizer.load(tmp_path / "empty", "MountainCar-v0")
    with pytest.raises(UserError, match="seeds is '12'"):
        Quantilizer(seeds="12").fit(fitted.kept_)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"quantile '0\.5' is impossible"):
        Quantilizer("0.5").fit(fitted.kept_)  # type: ignore[arg-type]


def test_long_parameters_are_shortened() -> None:
    assert repr(Quantilizer(seeds=np.arange(1000))).count("\n") == 0
    assert len(repr(Quantilizer(seeds=range(5), hidden_units=tuple(range(1, 200))))) < 120


@pytest.mark.parametrize("seeds", [True, 1.5, "12", [1.5], [True], ["1"], [1, 1], [-1], [2**32], [], 0], ids=repr)
def test_seeds_are_whole_numbers(seeds: Any, car_demonstrations: Demonstrations) -> None:
    with pytest.raises(UserError, match=r"seeds is .*; give how many, or different whole numbers from 0 on"):
        Quantilizer(seeds=seeds).fit(car_demonstrations)


def test_seeds_of_numpy_and_of_any_iterable_are_taken() -> None:
    assert _seeds(np.int64(2)) == (0, 1)
    assert _seeds(np.array([3, 5], dtype=np.uint8)) == (3, 5)  # type: ignore[arg-type]
    assert _seeds(iter((4, 2))) == (4, 2)
