from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import environments_for_tests
import numpy as np
import numpy.typing as npt
import pytest
import torch
from jobs_for_tests import small_job
from sb3_for_tests import one_thread  # noqa: F401

from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.results import load_results
from quantilizers.optimisers.sb3_measuring import ActingModel, as_measured, measure
from quantilizers.optimisers.sb3_models import make_model

CAR = load_environment("MountainCar-v0")


def test_exploring_while_measured_draws_from_all_actions(tmp_path: Path) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    observations, running = np.zeros((1, 3000, 2), dtype=np.float32), np.ones((1, 3000), dtype=np.bool_)
    greedy = ActingModel(model, CAR.action_space).act(observations, [np.random.default_rng(0)], running)
    assert greedy.shape == (1, 3000, 1)
    assert len(np.unique(greedy)) == 1
    explorer = ActingModel(model, CAR.action_space, exploration=0.3)
    exploring = explorer.act(observations, [np.random.default_rng(0)], running)
    other = (exploring != greedy).mean()
    assert 0.17 < other < 0.23, "two thirds of three tenths"
    assert set(np.unique(exploring)) == {0, 1, 2}


def test_ppo_draws_actions_where_quantilizers_do(tmp_path: Path) -> None:
    job = small_job(tmp_path, algorithm="ppo")
    model = make_model(job, CAR, 0)
    observations, running = np.zeros((1, 3000, 2), dtype=np.float32), np.ones((1, 3000), dtype=np.bool_)

    def actions(acting: str, seed: int) -> npt.NDArray[np.int64]:
        environment = replace(CAR, acting=acting)
        return as_measured(job, environment, model).act(observations, [np.random.default_rng(seed)], running)

    assert len(np.unique(actions("most_probable", 0))) == 1
    drawn = actions("sample", 0)
    (distribution,) = model.policy.get_distribution(torch.zeros(1, 2)).distribution.probs.tolist()
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / 3000, distribution, atol=0.04)
    np.testing.assert_array_equal(drawn, actions("sample", 0))
    assert (drawn != actions("sample", 1)).any()


def test_actions_of_ended_episodes_are_not_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hopper = load_environment("Hopper-v2")
    model = make_model(small_job(tmp_path, algorithm="ppo", environment="Hopper-v2"), hopper, 0)
    seen: list[int] = []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda rows, **words: seen.append(len(rows)) or predict(rows, **words))
    running = np.array([[True, False, True]])
    acting = ActingModel(model, hopper.action_space)
    actions = acting.act(np.ones((1, 3, 11)), [np.random.default_rng(0)], running)
    assert (actions.shape, seen) == ((1, 3, 3), [2])
    np.testing.assert_allclose(actions[0, 0], actions[0, 2], rtol=1e-4)
    assert not actions[0, 1].any()


@pytest.mark.parametrize(
    ("name", "algorithm", "components"),
    [
        ("DISCRETE_FROM_TWO", "qr_dqn", 1),
        ("DISCRETE_FROM_TWO", "ppo", 1),
        ("MULTI_DISCRETE", "ppo", 2),
        ("MULTI_DISCRETE_SQUARE", "ppo", 4),
        ("MULTI_BINARY", "ppo", 4),
        ("MULTI_BINARY_SQUARE", "ppo", 4),
        ("BOX", "ppo", 2),
        ("BOX_SQUARE", "ppo", 4),
        ("PICTURES", "qr_dqn", 1),
    ],
)
def test_agents_of_every_kind_of_action_are_measured(
    tmp_path: Path, name: str, algorithm: str, components: int
) -> None:
    """Actions are numbered as files number them, and the environment itself refuses those that are not its own."""
    environment = getattr(environments_for_tests, name)
    one = small_job(tmp_path, algorithm=algorithm, environment_name=name, max_steps=8, number_trajectories=5)
    one.agent.write_bytes(b"an agent")
    model = make_model(one, environment, 0)
    observations = np.stack([environment.observation_space.sample() for _ in range(6)])[None]
    acting = ActingModel(model, environment.action_space, exploration=0.5 if algorithm == "qr_dqn" else 0.0)
    actions = acting.act(observations, [np.random.default_rng(0)], np.ones((1, 6), dtype=np.bool_))
    assert actions.shape == (1, 6, components)
    classes = environment.action_classes
    for component, values in enumerate(classes or ()):
        assert set(actions[..., component].ravel()) <= set(values)
    measure(one, environment, model, lambda progress: None)
    results = load_results(one.rewards)
    assert results.environment == name
    assert results.lengths.tolist() == [[8] * 5]
    np.testing.assert_allclose(results.proxy_returns, results.true_returns + 8, rtol=1e-6)
