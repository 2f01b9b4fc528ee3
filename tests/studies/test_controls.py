from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.choices import PLAYER_SELECTIONS
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.execution.executor import Executor
from quantilizers.policies.policy import DivergedError, acting_of, training_of
from quantilizers.policies.selection_settings import Selection
from quantilizers.studies import controls
from quantilizers.studies.controls import Arm, ArmResults, Protocol, arms_of, run_arms, selection_settings_of
from support import files_of


def protocol(demonstrations: Demonstrations, **changes: object) -> Protocol:
    environment = demonstrations.environment
    return replace(
        Protocol(
            seeds=(0, 1),
            training=training_of(environment, {"max_epochs": 2, "hidden_units": ()}),
            acting=acting_of(environment),
            episodes=3,
            max_steps=50,
            options={},
        ),
        **changes,
    )


def test_every_quantile_has_its_controls_under_each_budget() -> None:
    arms = arms_of([0.5, 0.25], subsets=3)
    assert len(arms) == len(set(arms)) == 2 * (1 + 2 * (2 + 3))
    assert sum(arm.quantile == 1 for arm in arms) == 2
    assert {arm.selection for arm in arms if arm.quantile == 0.25} == {"top", "bottom", "random"}


def chosen_by(arm: Arm, demonstrations: Demonstrations, **changes: object) -> Selection:
    return selection_settings_of(arm, protocol(demonstrations, **changes)).choose(demonstrations, arm.quantile)


def test_arms_keep_as_many_episodes_and_the_right_ones(car_demonstrations: Demonstrations) -> None:
    returns = np.sort(car_demonstrations.proxy_returns)
    top = chosen_by(Arm(0.25, "top", 0, "epochs"), car_demonstrations).demonstrations
    bottom = chosen_by(Arm(0.25, "bottom", 0, "epochs"), car_demonstrations).demonstrations
    random = [
        chosen_by(Arm(0.25, "random", subset, "epochs"), car_demonstrations).demonstrations for subset in range(20)
    ]
    assert np.sort(top.proxy_returns).tolist() == returns[-3:].tolist()
    assert np.sort(bottom.proxy_returns).tolist() == returns[:3].tolist()
    assert {len(set(subset.proxy_returns.tolist())) for subset in random} == {3}
    assert len({tuple(np.sort(subset.proxy_returns)) for subset in random}) > 10
    assert set(np.concatenate([subset.proxy_returns for subset in random])) == set(returns), "every one may be drawn"


def test_further_methods_weigh_all_episodes_and_the_protocol_says_what_counts_alike(
    car_demonstrations: Demonstrations,
) -> None:
    arms = arms_of([0.5], subsets=2, budgets=["epochs"], methods=["quantile", "best_of_n", "exponential"])
    assert [str(arm) for arm in arms][-2:] == ["q0.5_best_of_n_epochs", "q0.5_exponential_epochs"]
    chosen = chosen_by(arms[-1], car_demonstrations)
    assert chosen.demonstrations.number == 12
    assert chosen.divergence == pytest.approx(np.log(2))
    assert chosen_by(arms[1], car_demonstrations).step_weights is None
    assert chosen_by(arms[1], car_demonstrations, weight="episodes").step_weights is not None
    results = run_arms(car_demonstrations, arms[-2:], protocol(car_demonstrations))[arms[-1]]
    assert results.kept_weights is not None
    assert results.kept_true_return == pytest.approx(results.kept_weights @ car_demonstrations.top(1.0).true_returns)
    assert 1 < results.effective_number < 12
    assert results.cloning_gap == pytest.approx(results.true_returns.mean() - results.kept_true_return)


def with_players(demonstrations: Demonstrations, players: Any) -> Demonstrations:
    episodes = demonstrations.episodes
    return replace(demonstrations, episodes=replace(episodes, extras={**episodes.extras, "player": np.array(players)}))


def test_controls_by_player_keep_as_many_and_change_no_bit_of_the_others(car_demonstrations: Demonstrations) -> None:
    known = with_players(car_demonstrations, ["ann", "bob", "cy"] * 4)
    arms = arms_of([0.5], 2, ["epochs"], controls=PLAYER_SELECTIONS)
    assert [str(arm) for arm in arms][-2:] == ["q0.5_top_players_epochs", "q0.5_within_players_epochs"]
    within = chosen_by(arms[-1], known).demonstrations
    assert within.players is not None
    assert sorted(within.players) == ["ann"] * 2 + ["bob"] * 2 + ["cy"] * 2
    players = chosen_by(arms[-2], known).demonstrations
    assert players.number == 6
    assert len(set(players.episodes.extras["player"])) == 2
    found = run_arms(known, arms, protocol(known))
    alone = run_arms(known, arms[:-2], protocol(known))
    for arm in arms[:-2]:
        np.testing.assert_array_equal(found[arm].true_returns, alone[arm].true_returns)
        np.testing.assert_array_equal(found[arm].proxy_returns, alone[arm].proxy_returns)
    assert found[arms[-1]].kept_true.tolist() == within.true_returns.tolist()


def test_arms_that_keep_as_many_train_together_and_earn_what_they_do_alone(car_demonstrations: Demonstrations) -> None:
    arms = arms_of([0.5], subsets=2, budgets=["updates"])
    together = run_arms(car_demonstrations, arms, protocol(car_demonstrations))
    for arm in arms:
        alone = run_arms(car_demonstrations, [arm], protocol(car_demonstrations))[arm]
        np.testing.assert_allclose(together[arm].true_returns, alone.true_returns, atol=1e-6)
        np.testing.assert_allclose(together[arm].proxy_returns, alone.proxy_returns, atol=1e-3)


def test_other_processes_give_the_same_bits(
    car_demonstrations: Demonstrations, two_processes: Executor, tmp_path: Path
) -> None:
    arms = arms_of([0.5], subsets=2)
    here = run_arms(car_demonstrations, arms, protocol(car_demonstrations), tmp_path / "here")
    run_arms(car_demonstrations, arms[2:3], protocol(car_demonstrations), tmp_path / "there")
    told: list[Arm] = []
    there = run_arms(
        car_demonstrations,
        arms,
        protocol(car_demonstrations),
        tmp_path / "there",
        lambda results: told.append(results.arm),
        two_processes,
    )
    assert list(here) == list(there) == arms
    assert told[0] == arms[2], "what was kept is not done again"
    assert sorted(map(str, told)) == sorted(map(str, arms))
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_what_diverges_elsewhere_is_named_as_well(car_demonstrations: Demonstrations, two_processes: Executor) -> None:
    reckless = replace(protocol(car_demonstrations).training, learning_rate=1e30)
    arms = arms_of([0.5], subsets=2, budgets=["epochs"])[1:2]
    with pytest.raises(DivergedError, match=r"q0\.5_top_epochs seed 0, q0\.5_top_epochs seed 1 became NaN"):
        run_arms(car_demonstrations, arms, protocol(car_demonstrations, training=reckless), executor=two_processes)


def test_a_policy_that_diverges_is_named_after_the_other_arms_are_done(
    car_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = controls._select

    def too_heavy(*arguments: Any) -> dict[Arm, Selection]:
        chosen = choose(*arguments)
        if bad in chosen:
            huge = np.full(int(chosen[bad].demonstrations.lengths.sum()), 1e38)
            vars(chosen[bad])["step_weights"] = huge
        return chosen

    arms = arms_of([0.5], subsets=2)
    bad = arms[1]
    monkeypatch.setattr(controls, "_select", too_heavy)
    with pytest.raises(DivergedError, match=r"q0\.5_top_epochs seed 0, q0\.5_top_epochs seed 1 became NaN"):
        run_arms(car_demonstrations, arms, protocol(car_demonstrations), tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {str(arm) for arm in arms if arm != bad}


def test_top_with_epochs_is_what_a_quantizers_run_gives(car_demonstrations: Demonstrations) -> None:
    """The reference's arm has the policies of `Quantilizer.fit`, and their test episodes."""
    from quantilizers.evaluation.evaluate import evaluate
    from quantilizers.policies.quantilizer import Quantilizer

    arm = Arm(0.5, "top", 0, "epochs")
    results = run_arms(car_demonstrations, [arm], protocol(car_demonstrations))[arm]
    alone = evaluate(
        Quantilizer(0.5, seeds=2, max_epochs=2, hidden_units=()).fit(car_demonstrations), episodes=3, max_steps=50
    )
    np.testing.assert_array_equal(results.true_returns, alone.true_returns)
    np.testing.assert_array_equal(results.proxy_returns, alone.proxy_returns)
    assert results.cloning_gap == pytest.approx(results.true_returns.mean() - results.kept_true.mean())


def test_a_stopped_study_goes_on_and_repeats_nothing(
    car_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = arms_of([0.5], subsets=2, budgets=["epochs"])
    whole = run_arms(car_demonstrations, arms, protocol(car_demonstrations))
    run_arms(car_demonstrations, arms[:3], protocol(car_demonstrations), tmp_path)
    (tmp_path / f"{arms[1]}.npz").write_bytes(b"damaged")
    measured: list[Arm] = []
    measure = controls._test

    def listen(*arguments: Any) -> ArmResults:
        measured.append(arguments[3])
        return measure(*arguments)

    monkeypatch.setattr(controls, "_test", listen)
    resumed = run_arms(car_demonstrations, arms, protocol(car_demonstrations), tmp_path)
    assert sorted(map(str, measured)) == sorted(map(str, [arms[1], *arms[3:]]))
    for arm in arms:
        np.testing.assert_array_equal(resumed[arm].true_returns, whole[arm].true_returns)
    measured.clear()
    run_arms(car_demonstrations, arms, protocol(car_demonstrations, max_steps=40), tmp_path)
    assert set(measured) == set(arms), "other settings are other results"


def test_an_arm_of_an_unknown_rule_or_selection_is_refused_by_name(car_demonstrations: Demonstrations) -> None:
    for arm, complaint in (
        (Arm(0.5, "top", 0, "epochs", "exponent"), "did you mean exponential"),
        (Arm(0.5, "best", 0, "epochs"), "it is one of top, random, bottom, top_players"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UserError, match=complaint):
            run_arms(car_demonstrations, [arm], protocol(car_demonstrations))
