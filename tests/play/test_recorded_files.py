"""Recorded files are read by what the reference implementation trained on: OpenAI baselines' GAIL loader."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from scripted_player import arrays_of

from quantilizers.envs import environment_names, load_environment
from quantilizers.play.recording import Recording
from quantilizers.rollouts import environment_action

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
            episode.add_step(before, action, info["true_reward"])
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
    """What `baselines.gail.dataset.mujoco_dset.Mujoco_Dset` does with a file, told again."""
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
