from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jobs_for_tests import small_job
from sb3_for_tests import one_thread  # noqa: F401
from stable_baselines3 import PPO

from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.optimisers.sb3_models import make_model
from quantilizers.optimisers.sb3_state import restore_state, state_arrays

CAR = load_environment("MountainCar-v0")


@pytest.mark.parametrize("algorithm", ["ppo", "qr_dqn"])
def test_a_learner_has_its_whole_state_back(tmp_path: Path, algorithm: str) -> None:
    """What comes back acts as the original does, and its optimiser goes on with the same averages of gradients."""
    one = small_job(tmp_path, algorithm=algorithm, environment="MountainCar-v0", steps=300)
    original = make_model(one, CAR, 0)
    if isinstance(original, PPO):
        original.n_steps = original.rollout_buffer.buffer_size = 128
        original.rollout_buffer.reset()
    original.learn(300)
    arrays = state_arrays(original)
    restored = make_model(one, CAR, 300)
    observations = np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], size=(200, 2)).astype(np.float32)
    before = state_arrays(restored)
    assert any(not np.array_equal(before[name], arrays[name]) for name in before if name.startswith("policy/"))
    restore_state(restored, arrays, one.agent)
    again = state_arrays(restored)
    assert list(arrays) == list(again)
    assert any(name.endswith("/exp_avg") and array.any() for name, array in arrays.items())
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert restored.num_timesteps == original.num_timesteps >= 300
    np.testing.assert_array_equal(
        restored.predict(observations, deterministic=True)[0], original.predict(observations, deterministic=True)[0]
    )


def test_a_state_is_no_window_onto_the_learner(tmp_path: Path) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    arrays = state_arrays(model)
    kept = {name: array.copy() for name, array in arrays.items()}
    model.learn(150)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize("wrong", ["policy/nothing", "optimizer/x/step"])
def test_a_state_that_does_not_fit_is_refused(tmp_path: Path, wrong: str) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    with pytest.raises(UserError, match=r"does not fit the agent.*delete it") as caught:
        restore_state(model, {**state_arrays(model), wrong: np.zeros(3)}, tmp_path / "agent.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacking", ["policy", "counter"])
def test_a_state_that_lacks_something_is_refused(tmp_path: Path, lacking: str) -> None:
    model = make_model(small_job(tmp_path), CAR, 0)
    arrays = {name: array for name, array in state_arrays(model).items() if not name.startswith(lacking)}
    with pytest.raises(UserError, match=r"does not fit the agent.*delete it"):
        restore_state(model, arrays, tmp_path / "agent.npz")
