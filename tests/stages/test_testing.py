from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import MissingError, UserError
from quantilizers.layout import Layout
from quantilizers.numbers_in_words import short
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.stages import testing, training
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from support import files_of

CAR = load_environment("MountainCar-v0")


def settings_of(log: Path, **changes: object) -> Settings:
    settings = Settings(CAR, Layout(log, CAR.name, "small"), (1.0, 0.5), range(3, 5), 5, 60)
    return replace(settings, **changes)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, car_demonstrations: Demonstrations) -> Path:
    """A log folder with four trained policies, which tests copy."""
    log = tmp_path_factory.mktemp("trained") / "log"
    car_demonstrations.episodes.save(log / "MountainCar-v0" / "small.npz")
    training.run(Run(settings_of(log)))
    return log


@pytest.fixture
def trained(trained_once: Path, log: Path) -> Path:
    shutil.copytree(trained_once, log, dirs_exist_ok=True)
    return log


def test_results_do_not_depend_on_how_episodes_are_batched(trained: Path) -> None:
    measured = []
    # All policies in one batch; one policy a batch; the episodes of a policy in several batches, the last one short.
    for side_by_side in (1000, 5, 2):
        settings = settings_of(trained, environment=replace(CAR, parallel_episodes=side_by_side))
        testing.forget(Run(settings))
        testing.run(Run(settings))
        measured.append({name: np.load(trained / "rewards" / name) for name in files_of(trained / "rewards")})
    for other in measured[1:]:
        assert other.keys() == measured[0].keys()
        for name, results in measured[0].items():
            for key in ("lengths", "true_returns", "proxy_returns"):
                np.testing.assert_allclose(other[name][key], results[key], atol=1e-9)


def test_a_policy_is_measured_alike_beside_others_and_alone(trained: Path) -> None:
    testing.run(Run(settings_of(trained)))
    beside = np.load(trained / "rewards" / "small_MountainCar-v0_4.npz")
    testing.forget(Run(settings_of(trained)))
    testing.run(Run(settings_of(trained, quantiles=(0.5,), seeds=range(4, 5))))
    alone = np.load(trained / "rewards" / "small_MountainCar-v0_4.npz")
    for key in ("true_returns", "proxy_returns", "lengths"):
        np.testing.assert_array_equal(alone[key][0], beside[key][1])


def test_the_file_holds_the_rewards_of_every_step(trained: Path) -> None:
    testing.run(Run(settings_of(trained)))
    with np.load(trained / "rewards" / "small_MountainCar-v0_3.npz") as file:
        assert file["quantiles"].tolist() == [1.0, 0.5]
        assert file["lengths"].max() <= 60 == int(file["max_steps"])
        np.testing.assert_allclose(file["true_rewards"].sum(axis=2), file["true_returns"])
        np.testing.assert_allclose(file["proxy_rewards"].sum(axis=2), file["proxy_returns"], atol=1e-4)


def test_the_file_says_which_policies_were_tested(trained: Path) -> None:
    testing.run(Run(settings_of(trained, wanted_acting="sample")))
    with np.load(trained / "rewards" / "small_MountainCar-v0_3.npz") as file:
        provenance = json.loads(str(file["provenance"]))
    assert provenance["family"] == "multilayer_perceptron"
    assert provenance["training"]["hidden_units"] == [20, 20]
    assert provenance["acting"] == "sample"
    assert len({*provenance["data"]}) == 2, "each quantile has learned from other episodes"


def test_a_missing_policy_is_named_with_the_command_that_trains_it(trained: Path) -> None:
    settings_of(trained).layout.model(0.5, 4).unlink()
    with pytest.raises(
        MissingError, match=r"0\.5_4\.keras is missing; train it first: python quantilizer\.py --do train"
    ):
        testing.run(Run(settings_of(trained)))
    assert not (trained / "rewards").exists()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"max_epochs": 50}, "was trained with max_epochs 200, not 50; train it again: .* --max_epochs 50 --force"),
        ({"hidden_units": [8]}, "hidden_units 20 20, not 8; train it again: .* --hidden_units 8"),
    ],
)
def test_a_policy_of_other_hyper_parameters_is_never_tested(
    trained: Path, wanted: dict[str, object], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        testing.run(Run(settings_of(trained, wanted_training=wanted)))
    assert not (trained / "rewards").exists()


def test_policies_of_other_demonstrations_are_never_tested(trained: Path, car_demonstrations: Demonstrations) -> None:
    data = trained / "MountainCar-v0" / "small.npz"
    best = np.argsort(-car_demonstrations.proxy_returns, kind="stable")
    car_demonstrations.select(best[:11]).episodes.save(data)
    with pytest.raises(UserError, match=r"1\.0_3\.keras was trained on other demonstrations .* --do train"):
        testing.run(Run(settings_of(trained)))
    data.unlink()
    with pytest.raises(MissingError, match=r"no data set 'small'.*gather_data\.py"):
        testing.run(Run(settings_of(trained)))
    assert not (trained / "rewards").exists()


def test_the_table_has_the_demonstrations_beside_the_policies(
    trained: Path, capsys: pytest.CaptureFixture[str], car_demonstrations: Demonstrations
) -> None:
    testing.run(Run(settings_of(trained, wide=True)))
    shown = capsys.readouterr().out
    assert "interval over 2 seeds" in shown.replace("\n", " ")
    assert "cloning gap" in shown
    kept = car_demonstrations.top(0.5)
    (row,) = (line.split() for line in shown.splitlines() if line.startswith("| 0.5 "))
    assert row[3] == short(kept.true_returns.mean())
    assert row[-2] == f"{kept.lengths.sum():,}"


def test_a_policy_under_another_s_name_is_never_tested(trained: Path) -> None:
    layout = settings_of(trained).layout
    layout.model(1.0, 3).rename(layout.model(0.5, 4))
    with pytest.raises(MissingError, match=r"1\.0_3\.keras is missing"):
        testing.run(Run(settings_of(trained)))
    with pytest.raises(UserError, match=r"0\.5_4\.keras was trained for quantile 1\.0, not 0\.5; train it again"):
        testing.run(Run(settings_of(trained, quantiles=(0.5,), seeds=range(4, 5))))


@pytest.mark.parametrize(
    ("selecting", "named"),
    [
        (
            SelectionSettings(select="bottom"),
            r"was trained with select top, not bottom; train it again: .* --select bottom",
        ),
        (SelectionSettings(budget="updates"), "budget epochs, not updates; .* --budget updates"),
        (SelectionSettings(method="best_of_n"), "method quantile, not best_of_n; .* --method best_of_n"),
        (SelectionSettings(weight="episodes"), "weight steps, not episodes; .* --weight episodes"),
    ],
)
def test_policies_of_another_selection_are_not_tested(log: Path, selecting: SelectionSettings, named: str) -> None:
    training.run(Run(settings_of(log, quantiles=(0.5,), seeds=range(1), wanted_training={"max_epochs": 1})))
    wanted = settings_of(log, quantiles=(0.5,), seeds=range(1), wanted_training={"max_epochs": 1}, selecting=selecting)
    with pytest.raises(UserError, match=named):
        testing.run(Run(wanted))


def test_weighted_policies_are_tested_beside_weighted_means(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    selecting = SelectionSettings(method="exponential", budget="updates")
    settings = settings_of(
        log, quantiles=(0.25,), seeds=range(2), wanted_training={"max_epochs": 1}, selecting=selecting, wide=True
    )
    training.run(Run(settings))
    capsys.readouterr()
    testing.run(Run(settings))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 0.25")]
    assert "of 12 |" in row
    with np.load(log / "rewards" / "small_MountainCar-v0_0.npz") as file:
        provenance = json.loads(str(file["provenance"]))
    assert provenance["treatment"]["method"] == "exponential"
    assert provenance["training"]["updates"] > 0
    _ = Run(settings).tested
    for other in (
        SelectionSettings(),
        SelectionSettings(method="exponential"),
        SelectionSettings(method="exponential", weight="episodes"),
    ):
        with pytest.raises(UserError, match=r"method exponential, not quantile|budget updates, not epochs"):
            _ = Run(replace(settings, selecting=other)).tested
