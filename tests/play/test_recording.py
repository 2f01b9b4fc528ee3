"""Recorded files are read by what the reference implementation trained on: OpenAI baselines' GAIL loader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from scripted_player import arrays_of

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.envs.two_rewards import TwoRewards
from quantilizers.play.recording import Recording
from quantilizers.rewards import Reward, each_step, mean_at_end
from support import ROOT

LENGTHS = (7, 4)


@pytest.fixture(params=environment_names())
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two episodes of random actions, cut after 7 and 4 steps, in two sittings."""
    environment = load_environment(request.param)
    random = np.random.default_rng(0)
    for seed, length in enumerate(LENGTHS):
        recording = Recording(tmp_path / "x.npz", environment, "somebody", append=seed > 0)
        game = gymnasium.make(environment.gymnasium_id, max_steps=length)
        observation, _ = game.reset(seed=seed)
        episode = recording.new_episode(seed)
        for _ in range(length):
            action = np.array([random.choice(classes) for classes in environment.action_classes])
            before = np.array(observation)
            observation, *_, info = game.step(environment_action(action, game.action_space))
            episode.add_step(before, action, info)
        recording.add(episode)
    return tmp_path / "x.npz"


def test_a_file_has_the_layout_of_the_reference(recorded: Path) -> None:
    file = arrays_of(recorded)
    assert {"obs", "acs", "rews", "done", "ep_rets"} <= file.keys()
    number, steps = len(LENGTHS), max(LENGTHS)
    assert file["obs"].shape[:2] == file["acs"].shape[:2] == file["rews"].shape == (number, steps)
    assert file["done"].tolist() == [[False] * length + [True] * (steps - length) for length in LENGTHS]
    assert file["ep_rets"].tolist() == pytest.approx([file["rews"][0].sum(), file["rews"][1, :4].sum()])
    for key in ("obs", "acs", "rews"):
        assert not file[key][1, LENGTHS[1] :].any()  # zero padded


def test_baselines_gail_reads_a_file(recorded: Path) -> None:
    """Read a file as `baselines.gail.dataset.mujoco_dset.Mujoco_Dset` does."""
    file = arrays_of(recorded)
    if not file["obs"].size:
        pytest.skip("a loader for vectors; this environment's pictures are made again from seeds and actions")
    limit = 2
    observations, actions = file["obs"][:limit], file["acs"][:limit]
    assert observations.ndim > 2  # (N, L, …): else it stacks episodes of different lengths
    flat_observations = np.reshape(observations, [-1, int(np.prod(observations.shape[2:]))])
    flat_actions = np.reshape(actions, [-1, int(np.prod(actions.shape[2:]))])
    returns = file["ep_rets"][:limit]
    assert len(returns) == len(observations) == limit
    assert np.isfinite([sum(returns) / len(returns), np.std(returns)]).all()
    flat_actions = np.squeeze(flat_actions)
    assert len(flat_observations) == len(flat_actions) == limit * max(LENGTHS)
    assert flat_actions.dtype.kind == "f"


def test_a_recording_keeps_what_ranking_it_needs(tmp_path: Path) -> None:
    """The observation after the last action, and the fields of the info that rewards are made of."""
    environment = EnvironmentDefinition(
        "CartPole-v1",
        each_step(lambda steps: steps.observations[:, 0])
        + mean_at_end(lambda steps: steps.info["effort"], info=("effort",)),
        max_steps=20,
    )
    recording = Recording(tmp_path / "x.npz", environment, "", append=False)
    for seed in range(2):
        game = CountingEffort(gymnasium.make("CartPole-v1"))
        paid = TwoRewards(game, *environment.rewards(), max_steps=20)
        observation, _ = paid.reset(seed=seed)
        episode, returns, last = recording.new_episode(seed), 0.0, False
        while not last:
            action = np.array([float(seed)])
            before = observation
            observation, reward, terminated, truncated, info = paid.step(seed)
            episode.add_step(before, action, info)
            returns += reward
            last = terminated or truncated
        episode.final_observation, episode.proxy_return = observation, returns
        recording.add(episode)
    file = arrays_of(tmp_path / "x.npz")
    assert file["final_observation"].shape == (2, 4)
    assert file["info_effort"].shape == file["done"].shape
    assert file["info_effort"][1, :3].tolist() == [1, 2, 3]
    loaded = Demonstrations.load(tmp_path / "x.npz", environment)
    np.testing.assert_allclose(loaded.proxy_returns, [played.proxy_return for played in recording.episodes], rtol=1e-12)


def cart_pole(info: tuple[str, ...] = (), **more: Any) -> EnvironmentDefinition:
    proxy = each_step(lambda steps: steps.observations[:, 0], info=info)
    return EnvironmentDefinition("CartPole-v1", proxy, max_steps=20, **more)


def play(recording: Recording, actions: int, info: dict[str, Any] | None = None) -> None:
    episode = recording.new_episode(seed=0)
    for step in range(actions):
        episode.add_step(np.full(4, step), np.array([1.0]), {"true_reward": 1.0, **(info or {})})
    episode.final_observation = np.full(4, actions)
    recording.add(episode)


@pytest.mark.parametrize("append", [False, True])
def test_two_sessions_on_one_file_keep_the_episodes_of_both(tmp_path: Path, append: bool) -> None:
    path, lock = tmp_path / "x.npz", tmp_path / "x.lock"
    anna, ben = (Recording(path, cart_pole(), name, append, lock=lock) for name in ("anna", "ben"))
    for recording, actions in ((anna, 3), (ben, 2), (anna, 4), (anna, 5), (ben, 1)):
        play(recording, actions)
    file = arrays_of(path)
    assert file["player"].tolist() == ["anna", "ben", "anna", "anna", "ben"]
    assert (~file["done"]).sum(axis=1).tolist() == [3, 2, 4, 5, 1]
    assert anna.discard_last()  # not ben's, which is the last of the file
    assert arrays_of(path)["player"].tolist() == ["anna", "ben", "anna", "ben"]
    assert (~arrays_of(path)["done"]).sum(axis=1).tolist() == [3, 2, 4, 1]
    for recording in (ben, anna, ben, anna):
        assert recording.discard_last()
    assert not path.exists()
    assert not ben.discard_last()


ONE_OF_SEVERAL = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {root!r} + "/tests", {root!r} + "/tests/play"]
from test_recording import cart_pole, play
from quantilizers.play.recording import Recording
recording = Recording(Path(sys.argv[1]), cart_pole(), sys.argv[2], append=True, lock=Path(sys.argv[1] + ".lock"))
print("ready", flush=True)
sys.stdin.read()
for number in range(20):
    play(recording, 1 + number)
"""


def test_sessions_that_save_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    program = ONE_OF_SEVERAL.format(root=str(ROOT))
    words = [[sys.executable, "-c", program, str(path), name] for name in ("anna", "ben")]
    sessions = [subprocess.Popen(one, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for one in words]
    for one in sessions:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in sessions:
        assert one.stdin is not None
        one.stdin.close()
    assert [one.wait(timeout=120) for one in sessions] == [0, 0]
    for one in sessions:
        assert one.stdout is not None
        one.stdout.close()
    players = arrays_of(path)["player"].tolist()
    assert sorted(players) == ["anna"] * 20 + ["ben"] * 20


def test_an_older_file_goes_on_without_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    play(Recording(path, cart_pole(("effort",)), "", append=False), 3, {"effort": 2.0})
    file = arrays_of(path)
    del file["final_observation"], file["info_effort"]
    np.savez_compressed(path, **file)
    play(Recording(path, cart_pole(("effort",)), "", append=True), 2, {"effort": 2.0})
    file = arrays_of(path)
    assert np.isnan(file["final_observation"][0]).all()
    assert file["final_observation"][1].tolist() == [2] * 4
    assert "info_effort" not in file, "steps of the older episodes have none"
    assert Demonstrations.load(path, cart_pole()).episodes.final_observations is None


def test_options_say_which_fields_of_the_info_are_kept(tmp_path: Path) -> None:
    def proxy(field: str) -> Reward:
        return each_step(lambda steps: steps.info[field], info=(field,))

    environment = EnvironmentDefinition("CartPole-v1", proxy, max_steps=20, options={"field": "effort"})
    recording = Recording(tmp_path / "x.npz", environment, "", append=False, options={"field": "noise"})
    play(recording, 3, {"effort": 1.0, "noise": 4.0})
    file = arrays_of(tmp_path / "x.npz")
    assert file["info_noise"].tolist() == [[4.0] * 3]
    assert "info_effort" not in file


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_are_kept_as_they_were_played(tmp_path: Path, dtype: Any) -> None:
    space = spaces.Box(-1, 1, (1,), dtype)
    environment = cart_pole(spaces=(spaces.Box(-np.inf, np.inf, (4,)), space))
    recording = Recording(tmp_path / "x.npz", environment, "", append=False)
    episode = recording.new_episode(seed=0)
    episode.add_step(np.zeros(4), np.array([0.1]), {"true_reward": 1.0})
    recording.add(episode)
    kept = arrays_of(tmp_path / "x.npz")["acs"][0, 0]
    assert kept.dtype == dtype
    assert environment_action(kept, space) == environment_action(np.array([0.1]), space)


class CountingEffort(gymnasium.Wrapper):
    """Says in the info how often the cart was pushed to the right."""

    def reset(self, **arguments: Any) -> Any:
        self.pushes = 0
        return super().reset(**arguments)

    def step(self, action: Any) -> Any:
        self.pushes += int(action)
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, {**info, "effort": float(self.pushes)}
