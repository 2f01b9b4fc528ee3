from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers import files
from quantilizers.datasets import demonstrations as reading
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UnreadableError
from quantilizers.layout import Layout
from quantilizers.policies.keras_files import content_hash, load_policy, recipe_of, save_policy
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.stages import testing, training
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings, recorded_for_horizon

CAR = load_environment("MountainCar-v0")
PINBALL = "VideoPinballNoFrameskip-v4"


@pytest.fixture
def layout(tmp_path: Path, car_demonstrations: Demonstrations) -> Layout:
    """A data set whose longest episode has 120 steps."""
    episodes = car_demonstrations.episodes
    short = replace(
        episodes, done=episodes.done[:, :120], observations=episodes.observations[:, :120],
        actions=episodes.actions[:, :120], true_rewards=episodes.true_rewards[:, :120], extras={},
    )  # fmt: skip
    found = Layout(tmp_path, CAR.name, "short")
    short.save(found.data)
    return found


def test_demonstrations_are_read_for_their_horizon_only_where_the_environment_asks(layout: Layout) -> None:
    assert recorded_for_horizon(CAR, layout) is None
    found = recorded_for_horizon(replace(CAR, experiment=replace(CAR.experiment, cut_as_demonstrations=True)), layout)
    assert found is not None
    assert found.episodes.lengths.max() == 120


def test_without_readable_demonstrations_the_horizon_is_the_environment_s_own(layout: Layout) -> None:
    asking = replace(CAR, experiment=replace(CAR.experiment, cut_as_demonstrations=True))
    assert recorded_for_horizon(asking, replace(layout, dataset="missing")) is None
    layout.data.write_bytes(b"damaged")
    assert recorded_for_horizon(asking, layout) is None


@pytest.mark.parametrize(("words", "steps"), [((), 1000), (("--max_steps", "27000"), 27_000)])
def test_the_command_line_takes_the_demonstrations_horizon_unless_told_otherwise(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], steps: int
) -> None:
    code, out, _ = run("--env_name", PINBALL, "--dataset_name", "demo", *words, "--print_config")
    assert code == 0
    assert f"max_steps: {steps}\n" in out
    code, out, _ = run("--env_name", "Hopper-v2", "--dataset_name", "demo", "--print_config")
    assert "max_steps: 1000\n" in out


def test_demonstrations_that_gave_the_horizon_are_not_read_again(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    recording = reading.read_recording
    monkeypatch.setattr(reading, "read_recording", lambda path, wanted: read.append(path) or recording(path, wanted))  # type: ignore[func-returns-value]
    code, out, err = run("--do", "inspect", "--env_name", PINBALL, "--dataset_name", "demo")
    assert code == 0, err
    assert "episodes" in out
    assert len(read) == 1


@pytest.mark.parametrize("force", [False, True])
def test_demonstrations_are_read_checked_and_ranked_once_a_run(
    force: bool, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counting(owner: Any, name: str) -> None:
        counted = getattr(owner, name)

        def count(*arguments: Any, **more: Any) -> Any:
            calls[name] += 1
            return counted(*arguments, **more)

        monkeypatch.setattr(owner, name, count)

    counting(reading, "read_recording")
    counting(SelectionSettings, "choose_all")
    counting(files, "sha256_of")
    words = ("--do", "train", "test", "plot", "--dataset_name", "small", "--seed_nb", "2", "--quantiles", "1", ".5")
    short = ("--max_epochs", "2", "--number_trajectories", "2", "--max_steps", "20")
    code, _, err = run(*words, *short, *["--force"][: int(force)])
    assert code == 0, err
    assert calls == {"read_recording": 1, "choose_all": 1, "sha256_of": 1}


def test_finished_work_is_looked_at_again_after_a_refresh(log: Path) -> None:
    settings = Settings(CAR, Layout(log, CAR.name, "small"), (0.5,), range(1), 2, 20, wanted_training={"max_epochs": 1})
    run = Run(settings)
    assert not run.trained
    training.run(run)
    assert not run.trained
    run.refresh()
    assert list(run.trained) == run.jobs == [(0.5, 0)]
    assert not run.measured
    testing.run(run)
    run.refresh()
    assert list(run.measured) == [0]


@pytest.fixture
def trained(log: Path) -> Run:
    """A run with one trained policy."""
    settings = Settings(CAR, Layout(log, CAR.name, "small"), (0.5,), range(1), 2, 20, wanted_training={"max_epochs": 1})
    found = Run(settings)
    training.run(found)
    found.refresh()
    return found


def test_a_policy_that_cannot_act_counts_as_missing_and_is_trained_again(trained: Run) -> None:
    path = trained.settings.layout.model(0.5, 0)
    recipe, whole = recipe_of(path), content_hash(path)
    policy = load_policy(path, CAR)
    policy.weights[0][0, 0] = np.nan
    save_policy(
        path, CAR, policy, {name: recipe.entries[name] for name in ("weights", "held_out") if name in recipe.entries}
    )
    assert recipe_of(path) == recipe
    assert not trained.trained
    training.run(trained)
    trained.refresh()
    assert list(trained.trained) == [(0.5, 0)]
    assert content_hash(path) == whole
    testing.run(trained)


def test_what_this_user_may_not_read_is_not_replaced(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = trained.settings.layout
    testing.run(trained)
    for path, product in ((layout.model(0.5, 0), "trained"), (layout.rewards(0), "measured")):
        trained.refresh()
        before = path.read_bytes()
        with monkeypatch.context() as rights:
            forbid(path, rights)
            with pytest.raises(UnreadableError, match=f"{path.name} is there and this user may not read it"):
                getattr(trained, product)
            with pytest.raises(UnreadableError), files.atomic_write(path):
                pass
        assert path.read_bytes() == before


def forbid(path: Path, rights: pytest.MonkeyPatch) -> None:
    """Take the right to read a file, also from a superuser, whom the permissions of files do not bind."""
    opened, allowed = os.open, os.access

    def refuse(file: Any, *arguments: Any, **more: Any) -> int:
        if file == path:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(file, *arguments, **more)

    rights.setattr(os, "open", refuse)
    rights.setattr(os, "access", lambda file, mode: file != path and allowed(file, mode))
