from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.minari_bridge import export_dataset, import_dataset
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes, concatenate
from quantilizers.envs.definition import EnvironmentDefinition, Recordings
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.errors import ExistsError, MissingError, UserError
from quantilizers.rewards import each_step, mean_at_end, own

CAR = load_environment("MountainCar-v0")
NAME = "quantilizers/MountainCar-v0/small-v0"


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Minari, with an empty data folder."""
    pytest.importorskip("h5py", reason="h5py is optional: pip install -r requirements-minari.txt")
    module = pytest.importorskip("minari", reason="Minari is optional: pip install -r requirements-minari.txt")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return module


def with_extras(demonstrations: Demonstrations) -> Demonstrations:
    number = demonstrations.number
    extras = {
        "seed": np.arange(number, dtype=np.int64) - 1,
        "player": np.array([f"player {index}" for index in range(number)], dtype="<U30"),
        "recorded_at": np.full(number, ""),
        "skill": np.linspace(0, 1, number, dtype=np.float32),
        "weights": np.random.default_rng(0).random((number, 3)),
        "won": np.arange(number) % 2 == 0,
    }
    return replace(demonstrations, episodes=replace(demonstrations.episodes, extras=extras))


def assert_same(found: Demonstrations, expected: Demonstrations) -> None:
    ours, theirs = expected.episodes, found.episodes
    for name in ("observations", "actions", "true_rewards", "done"):
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
        assert getattr(theirs, name).dtype == getattr(ours, name).dtype
    assert set(theirs.extras) == set(ours.extras)
    for key, array in ours.extras.items():
        np.testing.assert_array_equal(theirs.extras[key], array)
        assert theirs.extras[key].dtype == array.dtype


def test_there_and_back_is_exact(minari: Any, car_demonstrations: Demonstrations) -> None:
    original = with_extras(car_demonstrations)
    export_dataset(original, NAME)
    assert_same(import_dataset(NAME, CAR), original)


def test_people_s_play_there_and_back_is_exact(minari: Any, human: Demonstrations) -> None:
    export_dataset(human, NAME)
    assert_same(import_dataset(NAME, CAR), human)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_final_observations_and_info_there_and_back_are_exact(
    minari: Any, car_demonstrations: Demonstrations, dtype: Any
) -> None:
    episodes, generator = car_demonstrations.episodes, np.random.default_rng(0)
    extras = {
        FINAL_OBSERVATION: generator.random((12, 2)).astype(dtype),
        "info_cheat": ~episodes.done & (generator.random(episodes.done.shape) < 0.5),
        "info_place": np.where(episodes.done[..., None], 0.0, generator.random((*episodes.done.shape, 3))),
    }
    original = replace(car_demonstrations, episodes=replace(episodes, extras=extras))
    export_dataset(original, NAME)
    assert_same(import_dataset(NAME, CAR), original)
    dataset = minari.load_dataset(NAME)
    assert dataset.storage.metadata["quantilizers"]["final_observations"] == "recorded"
    for index, episode in enumerate(dataset.iterate_episodes()):
        np.testing.assert_array_equal(episode.observations[-1], extras[FINAL_OBSERVATION][index].astype(np.float32))
        assert len(episode.infos["cheat"]) == len(episode.observations) == len(episode) + 1
        assert not episode.infos["cheat"][0]
        np.testing.assert_array_equal(episode.infos["cheat"][1:], extras["info_cheat"][index, : len(episode)])


def test_final_observations_that_a_file_lacks_are_computed_or_repeated(
    minari: Any, car_demonstrations: Demonstrations
) -> None:
    export_dataset(car_demonstrations, NAME)
    unknown = replace(CAR, recordings=Recordings(), proxy=own)
    export_dataset(replace(car_demonstrations, environment=unknown), "unknown-v0")
    expected = CAR.recordings.final_observations(car_demonstrations.episodes)  # type: ignore[misc]
    for name, word in ((NAME, "computed"), ("unknown-v0", "the last ones repeated")):
        dataset = minari.load_dataset(name)
        assert dataset.storage.metadata["quantilizers"]["final_observations"] == word
        for index, episode in enumerate(dataset.iterate_episodes()):
            last = expected[index] if word == "computed" else episode.observations[-2]
            np.testing.assert_array_equal(episode.observations[-1], last)
        assert_same(import_dataset(name, CAR), car_demonstrations)


def test_returns_in_metadata_are_under_the_options_of_the_specification(
    minari: Any, car_demonstrations: Demonstrations
) -> None:
    weighed = replace(
        CAR,
        proxy=lambda weight: weight * each_step(lambda steps: steps.observations[:, 0]),
        options={"weight": 2.0},
        figures=replace(CAR.figures, second_axis=lambda true, proxy, options: proxy / options["weight"]),
    )
    export_dataset(replace(car_demonstrations, environment=weighed, options={"weight": 5.0}), NAME)
    rows = list(minari.load_dataset(NAME).storage.get_episode_metadata(range(12)))
    np.testing.assert_allclose([row["proxy_return"] for row in rows], 2 * car_demonstrations.proxy_returns)
    np.testing.assert_allclose([row["implicit_loss"] for row in rows], car_demonstrations.proxy_returns)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_recorded_final_observations_that_are_missing_in_part_are_computed(
    minari: Any, car_demonstrations: Demonstrations
) -> None:
    finals = np.full((12, 2), np.nan, dtype=np.float32)
    finals[3] = 0.25
    episodes = replace(car_demonstrations.episodes, extras={FINAL_OBSERVATION: finals})
    original = replace(car_demonstrations, episodes=episodes)
    export_dataset(original, NAME)
    assert_same(import_dataset(NAME, CAR), original)


ACTION_SPACES = [
    gymnasium.spaces.Discrete(3, start=-1),
    gymnasium.spaces.MultiDiscrete([2, 3]),
    gymnasium.spaces.MultiBinary(4),
    gymnasium.spaces.Box(-1, 1, (2, 2), np.float64),
]


@pytest.mark.parametrize("space", ACTION_SPACES, ids=str)
def test_anybody_s_environment_there_and_back_is_exact(minari: Any, space: gymnasium.Space[Any]) -> None:
    """An environment without a Gymnasium id, with unbounded integer observations and another proxy."""
    observations = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    mine = EnvironmentDefinition(
        "mine:Mine", each_step(lambda steps: steps.observations[:, 1]), 50, spaces=(observations, space)
    )
    number, steps = 3, 5
    space.seed(0)
    actions = np.array([[np.ravel(space.sample()) for _ in range(steps)] for _ in range(number)])
    done = np.arange(steps) >= np.array([[5], [2], [3]])
    original = Demonstrations(
        Episodes(
            observations=np.where(done[..., None], 0, np.arange(45).reshape(3, 5, 3)).astype(np.int64),
            actions=np.where(done[..., None], 0, actions).astype(np.float32),
            true_rewards=np.where(done, 0.0, 1.0),
            done=done,
            extras={FINAL_OBSERVATION: np.full((3, 3), 7, dtype=np.int64)},
        ),
        mine,
    )
    export_dataset(original, "mine-v0")
    assert_same(import_dataset("mine-v0", mine), original)
    dataset = minari.load_dataset("mine-v0")
    assert dataset.observation_space == gymnasium.spaces.Box(
        np.iinfo(np.int64).min, np.iinfo(np.int64).max, (3,), np.int64
    )
    if not isinstance(space, gymnasium.spaces.Box):
        assert dataset.action_space == space
    assert dataset.action_space.shape == space.shape
    for episode in dataset.iterate_episodes():
        assert all(dataset.action_space.contains(action) for action in episode.actions)
        assert all(dataset.observation_space.contains(observation) for observation in episode.observations)
    returns = [row["proxy_return"] for row in dataset.storage.get_episode_metadata(range(3))]
    assert returns == original.proxy_returns.tolist()


def test_pictures_there_and_back_are_exact(minari: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    space = gymnasium.spaces.Box(0, 255, (300, 300), np.uint8)
    seen = replace(CAR, spaces=(space, gymnasium.spaces.Discrete(3)), proxy=own, recordings=Recordings())
    episodes = Episodes(
        observations=generator.integers(256, size=(2, 3, 300, 300), dtype=np.uint8),
        actions=np.full((2, 3, 1), 2, dtype=np.uint8),
        true_rewards=generator.random((2, 3), dtype=np.float32),
        done=np.zeros((2, 3), dtype=np.bool_),
        extras={FINAL_OBSERVATION: generator.integers(256, size=(2, 300, 300), dtype=np.uint8)},
    )
    pictures = Demonstrations(episodes, seen)
    if "jpeg_encoding" in inspect.signature(minari.create_dataset_from_buffers).parameters:
        export_dataset(pictures, NAME)
        assert_same(import_dataset(NAME, seen), pictures)
        assert minari.load_dataset(NAME).observation_space == space
    monkeypatch.setattr(minari, "create_dataset_from_buffers", lambda dataset_id: None)
    with pytest.raises(UserError, match=r"0\.5\.4"):
        export_dataset(pictures, "older-v0")


def test_other_libraries_find_what_they_know(minari: Any, car_demonstrations: Demonstrations) -> None:
    export_dataset(with_extras(car_demonstrations), NAME)
    dataset = minari.load_dataset(NAME)
    assert dataset.total_episodes == 12
    assert dataset.total_steps == car_demonstrations.lengths.sum()
    assert dataset.action_space == gymnasium.spaces.Discrete(3)
    assert dataset.recover_environment().spec.id == CAR.gymnasium_id
    proxy_returns = car_demonstrations.proxy_returns
    episodes = car_demonstrations.episodes
    metadata = list(dataset.storage.get_episode_metadata(range(12)))
    for index, episode in enumerate(dataset.iterate_episodes()):
        length = int(car_demonstrations.lengths[index])
        assert len(episode.observations) == length + 1
        np.testing.assert_array_equal(episode.observations[:-1], episodes.observations[index, :length])
        np.testing.assert_array_equal(episode.actions, episodes.actions[index, :length, 0])
        assert episode.actions.dtype == np.int64
        np.testing.assert_array_equal(episode.rewards, np.full(length, -1.0))
        assert not episode.terminations[:-1].any()
        assert not episode.truncations[:-1].any()
        # Mountain Car is cut after 200 steps; none of these is.
        assert (episode.terminations[-1], episode.truncations[-1]) == (True, False)
        assert metadata[index]["proxy_return"] == pytest.approx(proxy_returns[index])
        assert metadata[index]["true_return"] == -length
        assert "implicit_loss" not in metadata[index]
        assert metadata[index]["extras"]["player"] == f"player {index}"
        assert metadata[index].get("seed") == (None if index == 0 else index - 1)


def test_the_implicit_loss_is_the_environment_s_own_second_axis(minari: Any) -> None:
    """On Video Pinball it is the cheat rate, which the true return lacks."""
    pinball = load_environment("VideoPinballNoFrameskip-v4")
    rates = np.linspace(0, 0.9, 4)
    rewards = np.full((4, 3), 100.0)
    rewards[:, -1] -= rates
    episodes = Episodes(
        observations=np.zeros((4, 3, *pinball.observation_shape), dtype=np.uint8),
        actions=np.zeros((4, 3, 1), dtype=np.uint8),
        true_rewards=rewards,
        done=np.zeros((4, 3), dtype=np.bool_),
    )
    cheated = Demonstrations(episodes, replace(pinball, gymnasium_id=None))
    export_dataset(cheated, NAME)
    rows = list(minari.load_dataset(NAME).storage.get_episode_metadata(range(4)))
    np.testing.assert_allclose([row["implicit_loss"] for row in rows], rates, atol=1e-9)
    assert [row["proxy_return"] for row in rows] == [300.0] * 4


def test_an_episode_as_long_as_the_horizon_is_truncated(minari: Any, car_demonstrations: Demonstrations) -> None:
    short = replace(CAR, max_steps=int(car_demonstrations.lengths.max()))
    export_dataset(replace(car_demonstrations, environment=short), NAME)
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
            infos={
                "speed": np.arange(5.0) if first else np.arange(3.0),
                "text": ["a"] * (5 if first else 3),
                **({"once": np.arange(5)} if first else {}),
            },
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
    np.testing.assert_array_equal(brought.episodes.observations[0], observations[:-1])
    assert brought.episodes.actions[..., 0].tolist() == [[0, 2, 1, 1], [0, 2, 0, 0]]
    assert brought.true_returns.tolist() == [-4, -2]
    assert brought.episodes.extras["seed"].tolist() == [7, -1]
    np.testing.assert_array_equal(brought.episodes.extras["info_speed"], [[1, 2, 3, 4], [1, 2, 0, 0]])
    assert set(brought.episodes.step_info) == {"speed"}, "texts and what not every episode has are left out"
    export_dataset(brought, NAME)
    first, second = minari.load_dataset(NAME).iterate_episodes()
    np.testing.assert_array_equal(first.observations, observations)
    np.testing.assert_array_equal(second.observations, observations[:3])
    assert (first.terminations[-1], second.terminations[-1], second.truncations[-1]) == (True, False, True)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_observations_of_several_kinds_are_refused_with_the_way_out(minari: Any) -> None:
    space = gymnasium.spaces.Dict(a=gymnasium.spaces.Box(-1, 1, (2,)), b=gymnasium.spaces.Discrete(3))
    marks = {"terminations": np.array([False, True]), "truncations": np.zeros(2, bool)}
    seen = {"a": np.zeros((3, 2), np.float32), "b": np.arange(3)}
    buffer = minari.data_collector.EpisodeBuffer(
        observations=seen, actions=np.ones(2, int), rewards=np.ones(2), **marks
    )
    minari.create_dataset_from_buffers(
        "theirs-v0", [buffer], observation_space=space, action_space=gymnasium.spaces.Discrete(3)
    )
    with pytest.raises(UserError, match=r"theirs-v0 .*its observations are a Dict, .*Gymnasium's FlattenObservation"):
        import_dataset("theirs-v0", load_environment("MountainCar-v0"))


def test_another_environment_s_data_are_refused(minari: Any) -> None:
    foreign(minari, np.random.default_rng(0).random((4, 1)), gymnasium.spaces.Box(0, 1, (1,), np.float64))
    with pytest.raises(UserError, match="theirs-v0: acs holds the action"):
        import_dataset("theirs-v0", CAR)


def test_what_minari_has_is_kept_without_force(minari: Any, car_demonstrations: Demonstrations) -> None:
    export_dataset(car_demonstrations, NAME)
    fewer = car_demonstrations.select(np.arange(3))
    with pytest.raises(ExistsError, match="Minari has quantilizers/MountainCar-v0/small-v0 already") as refused:
        export_dataset(fewer, NAME)
    assert "--" not in str(refused.value)
    assert import_dataset(NAME, CAR).number == 12
    export_dataset(fewer, NAME, force=True)
    assert import_dataset(NAME, CAR).number == 3


def test_a_failed_export_leaves_what_was_there(
    minari: Any, car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_dataset(car_demonstrations, NAME)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(minari, "create_dataset_from_buffers", full)
    with pytest.raises(UserError, match="No space left"):
        export_dataset(car_demonstrations, NAME, force=True)
    assert import_dataset(NAME, CAR).number == 12


def test_what_minari_cannot_hold_is_refused_in_one_line(minari: Any, car_demonstrations: Demonstrations) -> None:
    episodes = car_demonstrations.episodes
    speed = np.zeros(episodes.done.shape)
    both = replace(episodes, extras={"info_speed": speed, "info_speed/x": speed})
    with pytest.raises(UserError, match=r"^Minari cannot hold these episodes: "):
        export_dataset(replace(car_demonstrations, episodes=both), NAME)
    export_dataset(car_demonstrations, NAME)


@pytest.mark.parametrize("name", ["../evil-v0", "no version", "", "nothing-v0"])
def test_names_that_minari_has_not_are_refused(minari: Any, name: str) -> None:
    with pytest.raises(UserError, match="Minari"):
        import_dataset(name, CAR)


def test_a_name_that_is_not_there_is_missing(minari: Any) -> None:
    with pytest.raises(MissingError):
        import_dataset("nothing-v0", CAR)


def test_words_of_each_step_are_refused(car_demonstrations: Demonstrations) -> None:
    extras = {"info_word": np.full(car_demonstrations.episodes.done.shape, "word")}
    with pytest.raises(UserError, match="info_word holds <U4"):
        replace(car_demonstrations.episodes, extras=extras)


def play(game: gymnasium.Env[Any, Any], lengths: list[int], actions: Any, infos: bool, seed: bool = True) -> list[Any]:
    """Collect episodes as Minari's `DataCollector` does, which needs JAX."""
    buffers = []
    for index, length in enumerate(lengths):
        reset_seed = 2**64 - 1 - index
        first, info = game.reset(seed=reset_seed)
        steps = [game.step(action) for action in actions[:length]]
        records = [info, *(step[4] for step in steps)]
        assert len({tuple(one) for one in records}) == 1
        buffers.append(
            {
                "seed": reset_seed if seed else None,
                "observations": np.array([first, *(step[0] for step in steps)]),
                "actions": np.array(actions[:length]),
                "rewards": np.array([step[1] for step in steps]),
                "terminations": np.array([step[2] for step in steps]),
                "truncations": np.arange(length) == length - 1,
                "infos": {name: np.array([one[name] for one in records]) for name in info} if infos else None,
            }
        )
    return buffers


def collect(minari: Any, game: gymnasium.Env[Any, Any], buffers: list[Any]) -> None:
    minari.create_dataset_from_buffers(
        "theirs-v0", [minari.data_collector.EpisodeBuffer(**one) for one in buffers], env=game
    )


COLLECTED = [
    ("quantilizers/MountainCarRR-v0", {}, False, True),
    ("quantilizers/MountainCarRR-v0", {}, True, False),
    ("quantilizers/MountainCarRR-v0", {"reward": "true"}, False, True),
    ("MountainCar-v0", {}, False, True),
    ("MountainCar-v0", {}, False, False),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("identifier", "arguments", "infos", "seed"), COLLECTED)
def test_whichever_reward_was_collected_the_true_one_comes_in(
    minari: Any, identifier: str, arguments: dict[str, Any], infos: bool, seed: bool
) -> None:
    """Seeds of 64 bits, as Minari draws them, are kept and replay the episodes."""
    game = gymnasium.make(identifier, **arguments)
    buffers = play(game, [7, 5], [0, 0, 2, 2, 1, 0, 2], infos, seed)
    collect(minari, game, buffers)
    brought = import_dataset("theirs-v0", CAR)
    assert brought.true_returns.tolist() == [-7, -5]
    positions = [one["observations"][1:, 0].sum(dtype=np.float64) for one in buffers]
    np.testing.assert_allclose(brought.proxy_returns, positions, rtol=1e-5)
    assert not {"info_true_reward", "info_proxy_return"} & brought.episodes.extras.keys()
    if seed:
        assert brought.episodes.extras["seed"].tolist() == [2**64 - 1, 2**64 - 2]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_proxy_that_is_neither_seeded_nor_accompanied_by_the_true_reward_is_refused(minari: Any) -> None:
    game = gymnasium.make("quantilizers/MountainCarRR-v0")
    collect(minari, game, play(game, [4], [0] * 4, False, seed=False))
    with pytest.raises(UserError, match="its rewards are the proxy rewards of MountainCar-v0, from which the true"):
        import_dataset("theirs-v0", CAR)
    with pytest.raises(UserError, match="it says that it contains the proxy reward, not the own one"):
        import_dataset("theirs-v0", CAR, reward="own")


GAMED = EnvironmentDefinition(
    "CartPole-v1",
    proxy=lambda weight: own + weight * each_step(lambda steps: steps.observations[:, 1]),
    true=lambda price: own - price * mean_at_end(lambda steps: np.abs(steps.observations[:, 0])),
    options={"weight": 2.0, "price": 5.0},
    max_steps=30,
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reward", ["true", "proxy", "own"])
@pytest.mark.parametrize("way", ["replayed", "asked", "told, under other options"])
def test_own_proxy_and_true_reward_are_told_apart(minari: Any, tmp_path: Path, reward: Any, way: str) -> None:
    """The true reward has a part of its own here, so rewards of the plain environment are not the true ones, either."""
    definition, options = GAMED, {}
    if way.startswith("told"):
        if reward == "own":
            pytest.skip("an environment of this library pays no own reward")
        (tmp_path / "gamed.py").write_text(
            "import numpy as np\nfrom quantilizers import EnvironmentDefinition, each_step, mean_at_end, own\n"
            "ENVIRONMENT = EnvironmentDefinition('CartPole-v1', max_steps=30, options={'weight': 2.0, 'price': 5.0},\n"
            "    proxy=lambda weight: own + weight * each_step(lambda steps: steps.observations[:, 1]),\n"
            "    true=lambda price: own - price * mean_at_end(lambda steps: np.abs(steps.observations[:, 0])))\n"
        )
        definition, options = load_environment(str(tmp_path / "gamed.py")), {"weight": -3.0, "price": 1.0}
    if reward == "own":
        game: gymnasium.Env[Any, Any] = gymnasium.make("CartPole-v1")
    else:
        game = make_environment(definition, reward=reward, max_steps=6, **options)
    buffers = play(game, [6, 6], [0, 1, 0, 1, 0, 1], infos=False, seed=way == "replayed")
    collect(minari, game, buffers)
    given = reward if way == "asked" else None
    if way == "asked":
        with pytest.raises(UserError, match="theirs-v0: it does not tell which reward it contains"):
            import_dataset("theirs-v0", definition)
    brought = import_dataset("theirs-v0", definition, reward=given)
    places = [np.abs(one["observations"][1:, 0].astype(float)).mean() for one in buffers]
    speeds = [one["observations"][1:, 1].sum(dtype=float) for one in buffers]
    np.testing.assert_allclose(brought.true_returns, 6 - 5 * np.array(places), rtol=1e-5)
    np.testing.assert_allclose(brought.proxy_returns, 6 + 2 * np.array(speeds), rtol=1e-5)


@pytest.mark.parametrize("reward", ["proxy", "true"])
def test_minari_s_own_collector_records_infos_and_the_environment(minari: Any, reward: str) -> None:
    pytest.importorskip("jax", reason="Minari's collector needs JAX: pip install 'minari[create]'")
    game = minari.DataCollector(gymnasium.make("quantilizers/MountainCarRR-v0", reward=reward), record_infos=True)
    for _ in range(2):
        game.reset()
        for action in (0, 2, 1, 2, 0):
            game.step(action)
    dataset = game.create_dataset("theirs-v0")
    assert dataset.recover_environment().spec.kwargs["reward"] == reward
    brought = import_dataset("theirs-v0", CAR)
    assert brought.true_returns.tolist() == [-5, -5]
    assert (brought.proxy_returns < 0).all()


def test_an_exported_set_s_environment_pays_the_reward_that_the_set_records(minari: Any, tmp_path: Path) -> None:
    (tmp_path / "pole.py").write_text(
        "from quantilizers import EnvironmentDefinition, each_step\n"
        "ENVIRONMENT = EnvironmentDefinition('CartPole-v1', each_step(lambda s: s.observations[:, 1]), max_steps=9)\n"
    )
    for address, actions in (("MountainCar-v0", [0, 2, 1]), (str(tmp_path / "pole.py"), [0, 1, 1])):
        definition = load_environment(address)
        game = make_environment(definition)
        (one,) = play(game, [3], actions, infos=True)
        episodes = Episodes(
            one["observations"][None, :3],
            one["actions"][None, :, None].astype(np.float32),
            one["infos"]["true_reward"][None, 1:],
            np.zeros((1, 3), dtype=np.bool_),
            {"seed": np.array([one["seed"]], dtype=np.uint64), FINAL_OBSERVATION: one["observations"][None, 3]},
        )
        export_dataset(Demonstrations(episodes, definition), "mine-v0", force=True)
        dataset = minari.load_dataset("mine-v0")
        again = dataset.recover_environment()
        (episode,) = dataset.iterate_episodes()
        again.reset(seed=one["seed"])
        assert [again.step(action)[1] for action in episode.actions] == pytest.approx(episode.rewards.tolist())
        assert_same(import_dataset("mine-v0", definition), Demonstrations(episodes, definition))
    export_dataset(replace(Demonstrations(episodes, definition), environment=replace(definition, proxy=own)), "m-v0")
    assert minari.load_dataset("m-v0").env_spec is None, "its address would make another environment"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rewards_and_infos_keep_their_decimals_whatever_the_first_episode_has(minari: Any) -> None:
    buffer = [
        minari.data_collector.EpisodeBuffer(
            observations=np.zeros((len(rewards) + 1, 2), np.float32),
            actions=np.ones(len(rewards), int),
            rewards=np.array(rewards),
            terminations=np.arange(len(rewards)) == len(rewards) - 1,
            truncations=np.zeros(len(rewards), bool),
            infos={"x": np.array(x), "shape": np.zeros((len(x), width))},
        )
        for rewards, x, width in (([-1, -1], [0, 0, 0], 2), ([-0.5, -0.25, -1.5], [0.5, 0.6, 0.7, 0.8], 3))
    ]
    spaces = CAR.spaces
    assert spaces is not None
    minari.create_dataset_from_buffers("theirs-v0", buffer, observation_space=spaces[0], action_space=spaces[1])
    episodes = import_dataset("theirs-v0", CAR).episodes
    assert episodes.true_returns.tolist() == [-2, -2.25]
    assert episodes.extras["info_x"].tolist() == [[0, 0, 0], [0.6, 0.7, 0.8]]
    assert "info_shape" not in episodes.extras, "its shape differs between the episodes"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("length", [15, 30])
def test_episodes_that_minari_added_to_an_export_come_in(minari: Any, length: int) -> None:
    observations = np.full((2, 20, 2), -0.5, np.float32)
    extras = {
        "seed": np.array([0, 1]),
        FINAL_OBSERVATION: observations[:, 0],
        "player": np.array(["a", "b"]),
        "skill": np.array([0.5, 1.0]),
        "info_x": np.ones((2, 20)),
        "terminated": np.array([True, False]),
    }
    ours = Episodes(observations, np.ones((2, 20, 1), np.float32), -np.ones((2, 20)), np.zeros((2, 20), bool), extras)
    export_dataset(Demonstrations(ours, CAR), NAME)
    added = minari.data_collector.EpisodeBuffer(
        seed=77,
        observations=np.full((length + 1, 2), -0.25, np.float32),
        actions=np.ones(length, int),
        rewards=np.full(length, -1.5),
        terminations=np.arange(length) == length - 1,
        truncations=np.zeros(length, bool),
    )
    minari.load_dataset(NAME).update_dataset_from_buffer([added])
    found = import_dataset(NAME, CAR).episodes
    assert found.lengths.tolist() == [20, 20, length]
    assert found.true_returns.tolist() == [-20, -20, -1.5 * length]
    assert found.extras["seed"].tolist() == [0, 1, 77]
    assert found.extras[FINAL_OBSERVATION].tolist() == [[-0.5, -0.5], [-0.5, -0.5], [-0.25, -0.25]]
    assert found.extras["player"].tolist() == ["a", "b", ""]
    np.testing.assert_array_equal(found.extras["skill"], [0.5, 1.0, np.nan])
    assert found.extras["terminated"].tolist() == [True, False, True]
    assert "info_x" not in found.extras


def test_seeds_of_64_bits_do_not_keep_files_from_being_joined(car_demonstrations: Demonstrations) -> None:
    """Those above 63 bits are marked as missing, because no type of NumPy has them and −1."""
    one = replace(car_demonstrations.episodes.select(slice(0, 2)), extras={"seed": np.array([5, 2**64 - 1], np.uint64)})
    other = replace(car_demonstrations.episodes.select(slice(2, 3)), extras={"seed": np.array([7])})
    assert concatenate([one, other]).extras["seed"].tolist() == [5, -1, 7]
