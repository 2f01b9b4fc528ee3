from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.policies.policy import acting_of, training_of
from quantilizers.studies import controls
from quantilizers.studies.controls import Arm, Protocol, arms_of, kept_by, run_arms, training_for


def protocol(demonstrations: Demonstrations, **changes: object) -> Protocol:
    environment = demonstrations.environment
    return replace(
        Protocol(
            seeds=(0, 1),
            training=training_of(environment, {"max_epochs": 2}),
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


def test_arms_keep_as_many_episodes_and_the_right_ones(car_demonstrations: Demonstrations) -> None:
    returns = car_demonstrations.proxy_returns
    top = kept_by(Arm(0.25, "top", 0, "epochs"), car_demonstrations)
    bottom = kept_by(Arm(0.25, "bottom", 0, "epochs"), car_demonstrations)
    random = [kept_by(Arm(0.25, "random", subset, "epochs"), car_demonstrations) for subset in range(20)]
    assert sorted(returns[top]) == sorted(returns)[-3:]
    assert sorted(returns[bottom]) == sorted(returns)[:3]
    assert {len(set(subset.tolist())) for subset in random} == {3}
    assert len({tuple(sorted(subset)) for subset in random}) > 10
    assert set(np.concatenate(random)) == set(range(12)), "every episode may be drawn"


def test_updates_are_those_of_imitation(car_demonstrations: Demonstrations) -> None:
    training = training_of(car_demonstrations.environment, {"max_epochs": 10})
    assert training_for("epochs", training, car_demonstrations) is training
    equal = training_for("updates", training, car_demonstrations)
    rows = int(car_demonstrations.lengths.sum())
    assert equal.updates == 10 * -(-rows // 200)
    assert equal.epochs_for(rows) == 10
    few = 250
    assert equal.epochs_for(few) == pytest.approx(equal.updates / 2, abs=1)


def test_top_with_epochs_is_what_a_quantizers_run_gives(car_demonstrations: Demonstrations) -> None:
    """The arm of the reference's own choice has the policies that fitting gives, and their episodes."""
    from quantilizers.evaluation.evaluate import evaluate
    from quantilizers.policies.quantilizer import Quantilizer

    arm = Arm(0.5, "top", 0, "epochs")
    results = run_arms(car_demonstrations, [arm], protocol(car_demonstrations))[arm]
    alone = evaluate(Quantilizer(0.5, seeds=2, max_epochs=2).fit(car_demonstrations), episodes=3, max_steps=50)
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
    trained: list[Arm] = []
    train = controls._train

    def listen(demonstrations: object, missing: list[Arm], *rest: object) -> object:
        trained.extend(missing)
        return train(demonstrations, missing, *rest)

    monkeypatch.setattr(controls, "_train", listen)
    resumed = run_arms(car_demonstrations, arms, protocol(car_demonstrations), tmp_path)
    assert trained == [arms[1], *arms[3:]]
    for arm in arms:
        np.testing.assert_array_equal(resumed[arm].true_returns, whole[arm].true_returns)
    trained.clear()
    run_arms(car_demonstrations, arms, protocol(car_demonstrations, max_steps=40), tmp_path)
    assert trained == arms, "other settings are other results"
