from __future__ import annotations

from pathlib import Path
from typing import Any

import environments_for_tests
import numpy as np
import pytest
import torch
from gymnasium import spaces
from jobs_for_tests import small_job
from sb3_for_tests import one_thread  # noqa: F401

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.optimisers import sb3_models
from quantilizers.optimisers.sb3_models import ScaledToBounds, make_model

CAR = load_environment("MountainCar-v0")


def model_of(folder: Path, name: str, **changes: Any) -> Any:
    environment = getattr(environments_for_tests, name)
    return make_model(small_job(folder, environment_name=name, max_steps=8, **changes), environment, 0)


def test_both_returns_of_each_episode_are_reported(tmp_path: Path) -> None:
    model = make_model(small_job(tmp_path, max_steps=7), CAR, 0)
    game = model.get_env()
    for episode in range(2):
        game.seed(episode)
        game.reset()
        proxy, infos = [], []
        for _ in range(7):
            _, rewards, _, info = game.step(np.array([2]))
            proxy.append(float(rewards[0]))
            infos.append(info[0])
        assert ["episode" in info for info in infos] == [False] * 6 + [True]
        told = infos[-1]["episode"]
        assert (told["proxy_return"], told["true_return"]) == (pytest.approx(sum(proxy)), -7.0)


@pytest.mark.parametrize(
    "name",
    ["DISCRETE_FROM_TWO", "MULTI_DISCRETE", "MULTI_DISCRETE_SQUARE", "MULTI_BINARY", "MULTI_BINARY_SQUARE", "BOX",
     "BOX_SQUARE"],
)  # fmt: skip
def test_ppo_plays_with_every_kind_of_action(tmp_path: Path, name: str) -> None:
    """The environment itself refuses actions that are not its own."""
    model = model_of(tmp_path, name, algorithm="ppo")
    model.n_steps = model.rollout_buffer.buffer_size = 64
    model.rollout_buffer.reset()
    model.learn(64)
    assert model.num_timesteps == 64


@pytest.mark.parametrize("name", ["DISCRETE_FROM_TWO", "MULTI_DISCRETE_SQUARE", "MULTI_BINARY_SQUARE", "BOX_SQUARE"])
def test_the_long_ppo_plays_with_every_kind_of_action_in_as_few_steps_as_are_wanted(tmp_path: Path, name: str) -> None:
    model = model_of(tmp_path, name, algorithm="ppo_long", steps=96)
    model.learn(96)
    assert (model.num_timesteps, model.n_envs, model.n_steps, model.batch_size) == (128, 32, 2, 64)


def test_the_long_ppo_hardly_discounts_and_takes_games_as_is_usual(tmp_path: Path) -> None:
    vectors = model_of(tmp_path, "DISCRETE", algorithm="ppo_long", steps=10**6)
    assert (vectors.n_envs, vectors.n_steps, vectors.gamma, vectors.ent_coef) == (32, 128, 0.9999, 0.05)
    assert vectors.get_vec_normalize_env().gamma == 0.9999
    assert model_of(tmp_path, "BOX", algorithm="ppo_long").ent_coef == 0
    games = model_of(tmp_path, "PICTURES", algorithm="ppo_long", steps=10**5)
    assert (games.n_envs, games.n_steps, games.gamma, games.ent_coef, games.n_epochs) == (16, 128, 0.99, 0.01, 4)
    assert [games.clip_range(left) for left in (1.0, 0.5, 0.0)] == [0.1, 0.05, 0.0]


def test_bounded_observations_are_scaled_to_one_and_others_left_alone() -> None:
    space = spaces.Box(
        np.array([-1.2, -np.inf, 3.0, 2.0], dtype=np.float32), np.array([0.6, 1.0, 3.0, 6.0], dtype=np.float32)
    )
    scaled = ScaledToBounds(space)(torch.tensor([[-1.2, 7.0, 3.0, 6.0], [0.6, -7.0, 3.0, 4.0]]))
    np.testing.assert_allclose(scaled, [[-1, 7, 3, 1], [1, -7, 3, 0]], atol=1e-6)


@pytest.mark.parametrize("algorithm", ["ppo", "ppo_long", "qr_dqn"])
@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("PICTURES", "CnnPolicy"),
        ("SMALL_PICTURES", "MlpPolicy"),
        ("GREY_PICTURES", "MlpPolicy"),
        ("MATRICES", "MlpPolicy"),
        ("ENDLESS_OBSERVATIONS", "MlpPolicy"),
    ],
)
def test_only_pictures_large_enough_are_convolved(tmp_path: Path, algorithm: str, name: str, network: str) -> None:
    model = model_of(tmp_path, name, algorithm=algorithm)
    convolved = any(type(module).__name__ == "Conv2d" for module in model.policy.modules())
    assert convolved == (network == "CnnPolicy")
    observation = getattr(environments_for_tests, name).observation_space.sample()
    assert model.predict(observation[None], deterministic=True)[0].shape == (1,)


def test_memory_is_bounded_in_steps_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remembered(steps: int) -> int:
        model = model_of(tmp_path, "PICTURES", steps=steps)
        return int(model.replay_buffer.buffer_size)

    monkeypatch.setattr(sb3_models, "REMEMBERED_STEPS", 200)
    assert (remembered(100), remembered(300)) == (100, 200)
    monkeypatch.setattr(sb3_models, "REMEMBERED_BYTES", 150 * 40 * 48 * 3)
    assert remembered(300) == 150


@pytest.mark.parametrize(("algorithm", "name"), [("qr_dqn", "BOX"), ("ppo", "ENDLESS_BOX"), ("ppo", "TUPLE")])
def test_what_does_not_suit_is_refused_at_once(tmp_path: Path, algorithm: str, name: str) -> None:
    with pytest.raises(UserError, match=name):
        model_of(tmp_path, name, algorithm=algorithm)
