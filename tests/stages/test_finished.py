from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.policies.keras_files import content_hash
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.stages import testing, training
from quantilizers.stages.finished import OtherSettingsError, record_difference
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from support import files_of

CAR = load_environment("MountainCar-v0")
SHORT = {"max_epochs": 2}


def settings_of(log: Path, **changes: object) -> Settings:
    settings = Settings(CAR, Layout(log, CAR.name, "small"), (1.0, 0.5), range(2), 3, 40, wanted_training=SHORT)
    return replace(settings, **changes)


@pytest.fixture(scope="module")
def done_once(tmp_path_factory: pytest.TempPathFactory, car_demonstrations: Demonstrations) -> Path:
    """A log folder in which everything is trained and tested, which tests copy."""
    log = tmp_path_factory.mktemp("done") / "log"
    car_demonstrations.episodes.save(log / "MountainCar-v0" / "small.npz")
    settings = settings_of(log)
    training.run(Run(settings))
    testing.run(Run(settings))
    return log


@pytest.fixture
def done(done_once: Path, log: Path) -> Settings:
    """Settings of which everything is trained and tested."""
    shutil.copytree(done_once, log, dirs_exist_ok=True)
    return settings_of(log)


def hashes(settings: Settings) -> dict[tuple[float, int], str]:
    return {
        (quantile, seed): content_hash(settings.layout.model(quantile, seed))
        for quantile in settings.quantiles
        for seed in settings.seeds
    }


def fail(*_: object, **__: object) -> None:
    raise AssertionError("there is nothing to do")


def test_what_is_finished_is_not_done_again(
    done: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(done.layout.log)
    testing.forget(Run(done))
    testing.run(Run(done))
    table = capsys.readouterr().out
    assert files_of(done.layout.log) == before
    monkeypatch.setattr(training, "family_of", fail)
    monkeypatch.setattr(testing, "_measure", fail)
    training.run(Run(done))
    testing.run(Run(done))
    assert files_of(done.layout.log) == before
    said = capsys.readouterr().out
    assert f"all 4 policies are already trained; see {done.layout.models}\n" in said
    assert "all 4 policies are already tested\n" in said
    assert table[table.index("| q") :] == said[said.index("| q") :]


def test_a_missing_policy_comes_out_as_it_did_beside_the_others(
    done: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, before = hashes(done), files_of(done.layout.log)
    done.layout.model(0.5, 1).unlink()
    training.run(Run(done))
    assert "3 of 4 policies are already trained\n" in capsys.readouterr().out
    assert hashes(done) == expected
    after = files_of(done.layout.log)
    again = "models/small_MountainCar-v0_0.5_1.keras"
    new = {name for name in after if after[name] != before.get(name)} - {again}
    assert all("train/small_MountainCar-v0_0.5_1/" in name for name in new), "nobody else's files are touched"


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: content.replace(b"\x3f", b"\x3e")])
def test_a_damaged_policy_is_trained_again(done: Settings, damage: Callable[[bytes], bytes]) -> None:
    path, expected = done.layout.model(1.0, 0), hashes(done)
    path.write_bytes(damage(path.read_bytes()))
    training.run(Run(done))
    assert hashes(done) == expected


def test_results_of_version_0_2_0_are_finished_unless_they_are_wanted_otherwise(done: Settings) -> None:
    for seed in done.seeds:
        with np.load(done.layout.rewards(seed)) as file:
            arrays = dict(file)
        note = json.loads(str(arrays["provenance"]))
        for name in ("history", "updates"):
            del note["training"][name]
        del note["treatment"]
        np.savez_compressed(done.layout.rewards(seed), **{**arrays, "provenance": np.array(json.dumps(note))})
    assert len(Run(done).measured) == 2
    assert Run(done).tested.known
    for changes, named in (
        ({"wanted_training": {**SHORT, "history": 1}}, "with history 0, not 1"),
        ({"selecting": SelectionSettings(weight="episodes")}, "with weight steps, not episodes"),
    ):
        with pytest.raises(OtherSettingsError, match=named):
            _ = Run(replace(done, **changes)).measured


def test_a_setting_that_only_one_side_has_is_a_difference(done: Settings) -> None:
    """Before, results of other options counted as those without any."""
    with pytest.raises(OtherSettingsError, match="tested without lamb, not with lamb 2"):
        _ = Run(replace(done, options={"lamb": 2})).measured
    path = done.layout.rewards(0)
    with np.load(path) as file:
        arrays = {**file, "options": np.array('{"lamb": 2}')}
    np.savez_compressed(path, **arrays)
    with pytest.raises(OtherSettingsError, match="tested with lamb 2, not without it"):
        _ = Run(done).measured
    with pytest.raises(UserError, match="without lamb, not with lamb 2, unlike"):
        _ = Run(done).tested


def test_quantiles_and_seeds_may_be_added(done: Settings, log: Path) -> None:
    wider = replace(done, quantiles=(1.0, 0.25, 0.5), seeds=range(3))
    before = {quantile: done.layout.model(quantile, 0).read_bytes() for quantile in done.quantiles}
    for stage in (training, testing):
        stage.check(Run(wider))
        stage.run(Run(wider))
    assert {quantile: done.layout.model(quantile, 0).read_bytes() for quantile in done.quantiles} == before
    grown = files_of(log / "rewards")
    for path in (log / "rewards").iterdir():
        path.unlink()
    testing.run(Run(wider))
    assert files_of(log / "rewards") == grown, "the bits of what is measured at once"


def test_only_what_another_policy_stands_for_is_measured_again(done: Settings, log: Path) -> None:
    expected, layout = files_of(log / "rewards"), done.layout
    other = replace(done, layout=replace(layout, path="other"), wanted_training={"max_epochs": 3})
    training.run(Run(other))
    # A file with the same recipe, and other weights.
    mixed = layout.model(1.0, 0).read_bytes()
    training.run(Run(replace(other, layout=layout, seeds=range(5, 6))))
    layout.model(1.0, 0).write_bytes(mixed)
    with np.load(layout.rewards(0)) as file:
        arrays = dict(file)
    arrays["provenance"] = np.array(str(arrays["provenance"]).replace(content_hash(layout.model(1.0, 0)), "0" * 64))
    np.savez_compressed(layout.rewards(0), **arrays)
    told: list[int] = []
    stacked = testing.load_policy

    def loading(path: Path, environment: object) -> object:
        told.append(str(path).count("_1.0_0.keras"))
        return stacked(path, CAR)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testing, "load_policy", loading)
        testing.run(Run(done))
    assert told == [1]
    assert files_of(log / "rewards").items() >= expected.items()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"wanted_training": {"max_epochs": 2, "learning_rate": 0.01}}, "trained with learning_rate 0.001, not 0.01"),
        ({"wanted_training": {"max_epochs": 2, "hidden_units": [8]}}, "trained with hidden_units 20 20, not 8"),
        ({"selecting": SelectionSettings(select="bottom")}, "trained with select top, not bottom"),
        ({"selecting": SelectionSettings(weight="episodes")}, "trained with weight steps, not episodes"),
        ({"wanted_acting": "sample"}, "tested with acting most_probable, not sample"),
        ({"max_steps": 50}, "tested with max_steps 40, not 50"),
        ({"number_trajectories": 4}, "tested with number_trajectories 3, not 4"),
    ],
)
def test_other_settings_are_refused_with_the_ways_out(done: Settings, change: dict[str, object], named: str) -> None:
    before = files_of(done.layout.log)
    other = replace(done, **change)
    ways_out = "; keep it and give this run another --path, or replace it with --force"
    with pytest.raises(OtherSettingsError, match=named + ways_out) as raised:
        for stage in (training, testing):
            stage.check(Run(other))
    assert "\n" not in str(raised.value)
    only_to_see = "play/replay.py --env_id MountainCar-v0 --dataset_name small --quantile " in str(raised.value)
    assert only_to_see == ("number_trajectories" in named)
    with pytest.raises(UserError, match=named):
        for stage in (training, testing):
            stage.run(Run(other))
    assert files_of(done.layout.log) == before


def test_other_data_are_refused(done: Settings, car_demonstrations: Demonstrations) -> None:
    best = np.argsort(-car_demonstrations.proxy_returns, kind="stable")
    car_demonstrations.select(best[:11]).episodes.save(done.layout.data)
    for stage, verb in ((training, "trained on"), (testing, "tested with policies that imitate")):
        with pytest.raises(OtherSettingsError, match=f"{verb} other demonstrations than q = 1 keeps of data set small"):
            stage.check(Run(done))


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (None, ""),
        (5, ""),
        ([0, 1], ""),
        ([0, "one"], "with seed one, too"),
        ([["x" * 300]], f"with seed {'x' * 199}…, too"),
    ],
)
def test_a_record_whose_seeds_are_none_is_damaged_or_named_in_short(done: Settings, seeds: object, said: str) -> None:
    record = json.loads(json.dumps(done.record()))
    record["settings"]["seeds"] = seeds
    done.layout.study.parent.mkdir()
    done.layout.study.write_text(json.dumps(record))
    assert record_difference(done.layout.study, done).removesuffix(", which is not asked for") == said


def test_what_is_forgotten_is_of_these_quantiles_and_seeds_only(done: Settings, log: Path) -> None:
    one = replace(done, quantiles=(0.5,), seeds=range(1))
    kept = {name for name in files_of(log / "models") if "_0.5_0" not in name}
    for stage in (training, testing):
        stage.forget(Run(one))
    assert files_of(log / "models").keys() == kept
    with np.load(done.layout.rewards(0)) as file:
        assert file["quantiles"].tolist() == [1.0]
    with np.load(done.layout.rewards(1)) as file:
        assert file["quantiles"].tolist() == [1.0, 0.5]
    # Under other conditions the other quantile could not stay, so the run is refused, and nothing goes.
    other = Run(replace(one, max_steps=50, force=True))
    with pytest.raises(OtherSettingsError, match="which also has q = 1; give this run another --path"):
        testing.check(other)
    testing.forget(other)
    with np.load(done.layout.rewards(0)) as file:
        assert file["quantiles"].tolist() == [1.0]
    testing.forget(Run(replace(one, quantiles=(1.0,), max_steps=50, force=True)))
    assert not done.layout.rewards(0).exists()
