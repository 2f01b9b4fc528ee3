from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from quantilizers import minari_bridge
from quantilizers.demonstrations import Demonstrations, load_demonstrations
from quantilizers.envs import load_environment
from quantilizers.errors import UserError
from quantilizers.minari_bridge import export_dataset, import_dataset

CAR = load_environment("MountainCar-v0")
NAME = "quantilizers/MountainCar-v0/small-v0"


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Minari, with an empty folder of its own."""
    pytest.importorskip("h5py", reason="h5py is optional: pip install -r requirements-minari.txt")
    module = pytest.importorskip("minari", reason="Minari is optional: pip install -r requirements-minari.txt")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return module


def with_extras(demonstrations: Demonstrations) -> Demonstrations:
    number = demonstrations.number
    return replace(
        demonstrations,
        extras={
            "seed": np.arange(number, dtype=np.int64) - 1,
            "player": np.array([f"player {index}" for index in range(number)], dtype="<U30"),
            "recorded_at": np.full(number, ""),
            "skill": np.linspace(0, 1, number, dtype=np.float32),
            "weights": np.random.default_rng(0).random((number, 3)),
            "won": np.arange(number) % 2 == 0,
        },
    )


def assert_same(one: Demonstrations, other: Demonstrations) -> None:
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert set(one.extras) == set(other.extras)
    for key, array in one.extras.items():
        np.testing.assert_array_equal(array, other.extras[key])
        assert array.dtype == other.extras[key].dtype


def test_there_and_back_is_exact(minari: Any, car_demonstrations: Demonstrations) -> None:
    made = with_extras(car_demonstrations)
    export_dataset(made, CAR, NAME)
    assert_same(import_dataset(NAME, CAR), made)


def test_people_s_play_there_and_back_is_exact(minari: Any, human: Demonstrations) -> None:
    export_dataset(human, CAR, NAME)
    assert_same(import_dataset(NAME, CAR), human)


def test_pictures_there_and_back_are_exact(minari: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    pictures = Demonstrations(
        observations=generator.integers(256, size=(2, 3, 84, 84), dtype=np.uint8),
        actions=np.full((2, 3, 1), 2, dtype=np.uint8),
        true_rewards=generator.random((2, 3), dtype=np.float32),
        done=np.zeros((2, 3), dtype=np.bool_),
    )
    seen = replace(CAR, observation_shape=(84, 84), proxy_rewards=lambda given: np.zeros(given.done.shape))
    if "jpeg_encoding" in inspect.signature(minari.create_dataset_from_buffers).parameters:
        export_dataset(pictures, seen, NAME)
        assert_same(import_dataset(NAME, seen), pictures)
    monkeypatch.setattr(minari, "create_dataset_from_buffers", lambda dataset_id: None)
    with pytest.raises(UserError, match=r"0\.5\.4"):
        export_dataset(pictures, seen, "older-v0")


def test_other_libraries_find_what_they_know(minari: Any, car_demonstrations: Demonstrations) -> None:
    made = with_extras(car_demonstrations)
    export_dataset(made, CAR, NAME)
    dataset = minari.load_dataset(NAME)
    assert dataset.total_episodes == 12
    assert dataset.total_steps == car_demonstrations.lengths.sum()
    assert dataset.action_space == gymnasium.spaces.Discrete(3)
    assert dataset.recover_environment().spec.id == CAR.gymnasium_id
    proxy_returns = CAR.proxy_rewards(car_demonstrations).sum(axis=1)
    metadata = list(dataset.storage.get_episode_metadata(range(12)))
    for index, episode in enumerate(dataset.iterate_episodes()):
        length = int(car_demonstrations.lengths[index])
        assert len(episode.observations) == length + 1
        np.testing.assert_array_equal(episode.observations[:-1], car_demonstrations.observations[index, :length])
        np.testing.assert_array_equal(episode.actions, car_demonstrations.actions[index, :length, 0])
        assert episode.actions.dtype == np.int64
        np.testing.assert_array_equal(episode.rewards, np.full(length, -1.0))
        assert not episode.terminations[:-1].any()
        assert not episode.truncations[:-1].any()
        # Mountain Car is cut after 200 steps; none of these is.
        assert (episode.terminations[-1], episode.truncations[-1]) == (True, False)
        assert metadata[index]["proxy_return"] == pytest.approx(proxy_returns[index])
        assert metadata[index]["true_return"] == -length
        assert metadata[index]["extras"]["player"] == f"player {index}"
        assert metadata[index].get("seed") == (None if index == 0 else index - 1)


def test_the_cheat_rate_is_what_the_true_return_lacks(minari: Any, car_demonstrations: Demonstrations) -> None:
    rates = np.linspace(0, 0.9, 12)
    last = np.arange(car_demonstrations.done.shape[1]) == car_demonstrations.lengths[:, np.newaxis] - 1
    scores = np.where(car_demonstrations.done, 0.0, 100.0)
    cheated = replace(car_demonstrations, true_rewards=scores - last * rates[:, np.newaxis])
    export_dataset(cheated, replace(CAR, options={"lamb": 1.0}, proxy_rewards=lambda _: scores), NAME)
    storage = minari.load_dataset(NAME).storage
    found = [one["cheat_rate"] for one in storage.get_episode_metadata(range(12))]
    np.testing.assert_allclose(found, rates, atol=1e-9)


def test_an_episode_as_long_as_the_horizon_is_truncated(minari: Any, car_demonstrations: Demonstrations) -> None:
    short = replace(CAR, max_steps=int(car_demonstrations.lengths.max()))
    export_dataset(car_demonstrations, short, NAME)
    ends = [bool(episode.truncations[-1]) for episode in minari.load_dataset(NAME).iterate_episodes()]
    assert ends == (car_demonstrations.lengths == short.max_steps).tolist()
    assert any(ends)


def foreign(minari: Any, actions: np.ndarray[Any, Any], space: gymnasium.Space[Any]) -> np.ndarray[Any, Any]:
    """A data set that another library made: two episodes; return the first one's observations."""
    observations = np.random.default_rng(0).random((5, 2), dtype=np.float32)
    ends = np.array([False, False, False, True])
    buffer = [
        minari.data_collector.EpisodeBuffer(
            seed=7 if first else None,
            observations=observations if first else observations[:3],
            actions=actions if first else actions[:2],
            rewards=np.full(4 if first else 2, -1.0),
            terminations=ends if first else np.array([False, False]),
            truncations=~ends & False if first else np.array([False, True]),
        )
        for first in (True, False)
    ]
    box = gymnasium.spaces.Box(-2, 2, (2,), np.float32)
    minari.create_dataset_from_buffers("theirs-v0", buffer, observation_space=box, action_space=space)
    return observations


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_another_library_s_data_come_in_and_go_back(minari: Any) -> None:
    observations = foreign(minari, np.array([0, 2, 1, 1]), gymnasium.spaces.Discrete(3))
    brought = import_dataset("theirs-v0", CAR)
    assert brought.lengths.tolist() == [4, 2]
    np.testing.assert_array_equal(brought.observations[0], observations[:-1])
    assert brought.actions[..., 0].tolist() == [[0, 2, 1, 1], [0, 2, 0, 0]]
    assert brought.true_returns.tolist() == [-4, -2]
    assert brought.extras["seed"].tolist() == [7, -1]
    export_dataset(brought, CAR, NAME)
    first, second = minari.load_dataset(NAME).iterate_episodes()
    np.testing.assert_array_equal(first.observations, observations)
    np.testing.assert_array_equal(second.observations, observations[:3])
    assert (first.terminations[-1], second.terminations[-1], second.truncations[-1]) == (True, False, True)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_another_environment_s_data_are_refused(minari: Any) -> None:
    foreign(minari, np.random.default_rng(0).random((4, 1)), gymnasium.spaces.Box(0, 1, (1,), np.float64))
    with pytest.raises(UserError, match="theirs-v0: acs holds the action"):
        import_dataset("theirs-v0", CAR)


def test_what_minari_has_is_kept_without_force(minari: Any, car_demonstrations: Demonstrations) -> None:
    export_dataset(car_demonstrations, CAR, NAME)
    fewer = car_demonstrations.select(np.arange(3))
    with pytest.raises(UserError, match="--force"):
        export_dataset(fewer, CAR, NAME)
    assert import_dataset(NAME, CAR).number == 12
    export_dataset(fewer, CAR, NAME, force=True)
    assert import_dataset(NAME, CAR).number == 3


def test_a_failed_export_leaves_what_was_there(
    minari: Any, car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_dataset(car_demonstrations, CAR, NAME)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(minari, "create_dataset_from_buffers", full)
    with pytest.raises(UserError, match="No space left"):
        export_dataset(car_demonstrations, CAR, NAME, force=True)
    assert import_dataset(NAME, CAR).number == 12


@pytest.mark.parametrize("name", ["../evil-v0", "no version", "", "nothing-v0"])
def test_names_that_minari_has_not_are_refused(minari: Any, name: str) -> None:
    with pytest.raises(UserError, match="Minari"):
        import_dataset(name, CAR)


def test_the_command_line_exports_and_imports(
    minari: Any, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(minari_bridge, "LOG_DIRECTORY", log)
    assert minari_bridge.main(["export", "--dataset_name", "small"]) == 0
    words = ["import", "--dataset_name", "copy", "--minari_id", NAME]
    assert minari_bridge.main(words) == 0
    folder = log / "MountainCar-v0"
    assert (folder / "copy.npz").read_bytes() == (folder / "small.npz").read_bytes()
    capsys.readouterr()
    assert minari_bridge.main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert load_demonstrations(folder / "copy.npz", CAR).number == 12


def test_without_minari_one_line_says_what_to_install(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(minari_bridge, "LOG_DIRECTORY", log)
    for name in [name for name in sys.modules if name.split(".")[0] == "minari"]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name.split(".")[0] == "minari":
                raise ModuleNotFoundError("No module named 'minari'", name="minari")

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    assert minari_bridge.main(["export", "--dataset_name", "small"]) == 2
    error = capsys.readouterr().err
    assert "pip install -r requirements-minari.txt" in error
    assert error.count("\n") == 1
