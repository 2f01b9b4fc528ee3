from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.policies import training_jobs
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining
from quantilizers.policies.policy import Batch, TrainedPolicy
from quantilizers.policies.selection_settings import Selection
from quantilizers.rewards import own
from quantilizers.stages import training
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from support import curves_of

CAR = load_environment("MountainCar-v0")
#: A zip archive without members.
_EMPTY_ARCHIVE = b"PK\x05\x06" + bytes(18)


class KeepingFamily:
    """A policy family that records its training data and trains nothing."""

    selections: Mapping[float, Selection]
    training: object

    def __init__(self) -> None:
        self.checkpoints: list[Path] = []

    def plan(
        self, selections: object, seeds: Sequence[int], training: AnyTraining, missing: Collection[tuple[float, int]]
    ) -> list[Batch]:
        self.training = training
        return [Batch((key,), (seed,), frozenset(missing), training, 1, 0.0) for key, seed in missing]

    def fit(
        self,
        batch: Batch,
        selections: Mapping[float, Selection],
        monitor: object,
        checkpoint: Callable[[float, int], Path],
    ) -> Iterator[TrainedPolicy]:
        self.selections = selections
        self.checkpoints += [checkpoint(*policy) for policy in batch.policies]
        return iter(())


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> KeepingFamily:
    keeping = KeepingFamily()
    for module in (training, training_jobs):
        monkeypatch.setattr(module, "family_of", lambda _: keeping)
    return keeping


def test_each_quantile_learns_from_its_top_by_proxy_return(
    log: Path, family: KeepingFamily, car_demonstrations: Demonstrations
) -> None:
    training.run(Run(Settings(CAR, Layout(log, CAR.name, "small"), (0.25, 1.0, 0.5), range(2), 1, 200)))
    assert list(family.selections) == [0.25, 1.0, 0.5]
    for quantile, selection in family.selections.items():
        split = selection.demonstrations
        expected = car_demonstrations.top(quantile)
        assert split.number == expected.number == int(12 * quantile)
        np.testing.assert_array_equal(split.episodes.observations, expected.episodes.observations)
        np.testing.assert_array_equal(split.episodes.actions, expected.episodes.actions)


def test_observations_that_a_file_left_out_are_made_once_for_what_is_kept(
    log: Path, family: KeepingFamily, car_demonstrations: Demonstrations
) -> None:
    numbers: list[int] = []

    def replay(episodes: Episodes) -> Any:
        numbers.append(episodes.number)
        return np.ones((*episodes.done.shape, 2), dtype=np.float32)

    episodes = car_demonstrations.episodes
    without = replace(episodes, observations=np.zeros((12, episodes.done.shape[1], 0)))
    without.save(log / CAR.name / "actions_only.npz")
    replaying = replace(CAR, recordings=replace(CAR.recordings, replay_observations=replay), proxy=own)
    training.run(Run(Settings(replaying, Layout(log, CAR.name, "actions_only"), (0.25, 0.5), range(1), 1, 200)))
    assert numbers == [6]
    assert family.selections[0.25].demonstrations.episodes.observations.shape[2:] == (2,)


def test_the_family_gets_the_hyper_parameters_and_a_checkpoint_beside_each_policy(
    log: Path, family: KeepingFamily
) -> None:
    layout = Layout(log, CAR.name, "small")
    training.run(Run(Settings(CAR, layout, (0.5,), range(2), 1, 200, wanted_training={"max_epochs": 7})))
    assert family.training == PerceptronTraining(max_epochs=7)
    assert family.selections[0.5].step_weights is None, "all steps count alike"
    assert [path.name for path in family.checkpoints] == [
        f"small_MountainCar-v0_0.5_{seed}.checkpoint.npz" for seed in (0, 1)
    ]
    assert {path.parent for path in family.checkpoints} == {layout.models}


def test_a_checkpoint_is_deleted_once_its_policy_is_saved(
    log: Path, family: KeepingFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, wanted = Layout(log, CAR.name, "small"), PerceptronTraining(max_epochs=7)

    def fit(
        batch: Batch, selections: object, monitor: object, checkpoint: Callable[[float, int], Path]
    ) -> Iterator[TrainedPolicy]:
        for job in batch.policies:
            checkpoint(*job).parent.mkdir(parents=True, exist_ok=True)
            checkpoint(*job).write_bytes(b"half trained")
            if job[1] == 0:
                yield TrainedPolicy(*job, [], wanted, archive=_EMPTY_ARCHIVE)

    monkeypatch.setattr(family, "fit", fit)
    training.run(Run(Settings(CAR, layout, (0.5,), range(2), 1, 200)))
    assert sorted(path.name for path in layout.models.iterdir() if path.name.startswith("small")) == [
        "small_MountainCar-v0_0.5_0.keras",
        "small_MountainCar-v0_0.5_1.checkpoint.npz",
    ]


def test_policies_that_learned_nothing_from_observations_are_named_in_one_line(
    log: Path, family: KeepingFamily, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout, wanted = Layout(log, CAR.name, "small"), PerceptronTraining()

    def fit(batch: Batch, *_: object) -> Iterator[TrainedPolicy]:
        for quantile, seed in batch.policies:
            curves = ((9.0, 5.0 if quantile == 0.5 and seed else 0.01),)
            yield TrainedPolicy(quantile, seed, [], wanted, curves, archive=_EMPTY_ARCHIVE)

    monkeypatch.setattr(family, "fit", fit)
    training.run(Run(Settings(CAR, layout, (1.0, 0.5), range(2), 1, 200)))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "no better" in line]
    assert line.startswith("warning: q = 0.5: 1 of 2 policies predict the imitated actions no better than the freq")
    assert "(loss 5.000, " in line


def test_policies_know_how_they_were_trained_and_their_curves_have_every_epoch(log: Path) -> None:
    layout = Layout(log, CAR.name, "small")
    training.run(Run(Settings(CAR, layout, (1.0, 0.5), range(2), 1, 200, wanted_training={"max_epochs": 7})))
    for quantile in (1.0, 0.5):
        for seed in range(2):
            with zipfile.ZipFile(layout.model(quantile, seed)) as archive:
                note = json.loads(archive.read("quantilizers.json"))
            assert (note["quantile"], note["seed"], note["training"]["max_epochs"]) == (quantile, seed, 7)
            assert [step for step, _ in curves_of(layout.training_events(quantile, seed))["loss"]] == list(range(7))


def test_a_missing_data_set_comes_with_ways_to_get_one(log: Path) -> None:
    with pytest.raises(UserError, match=r"'other'.*small.*gather_data\.py.*load_data\.sh"):
        training.run(Run(Settings(CAR, Layout(log, CAR.name, "other"), (1.0,), range(1), 1, 200)))


def test_what_policies_make_of_held_out_actions_stands_beside_what_needs_no_observation() -> None:
    curves = {"accuracy/validation": 0.5, "accuracy/marginal": 0.25, "loss/validation": 1.5, "loss/train": 9.0}
    latest = {
        (q, seed, name): value + 0.1 * seed for q in (1.0, 0.5) for seed in (0, 1) for name, value in curves.items()
    }
    # One policy's episodes name no players: the column would have a hole.
    latest[1.0, 0, "accuracy/player_marginal"] = 0.3
    head, _, *rows = training.held_out_table(latest, [1.0, 0.5], range(2), wide=True).splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "q", "accuracy, policies", "accuracy, frequency of actions", "loss, policies",
    ]  # fmt: skip
    cells = [cell.strip() for cell in rows[1].split("|")[1:-1]]
    assert cells[0] == "0.5"
    assert [float(cell.split()[0]) for cell in cells[1:]] == [0.55, 0.3, 1.55]
