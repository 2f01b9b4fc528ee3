"""Hopper: bit for bit Gymnasium's Hopper-v4, and the two rewards on top of it."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco.hopper_v4 import HopperEnv
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.hopper import FOOT_OBSERVED, FRAME_SKIP, STEP_SECONDS, HopperVector, load_model, states_after
from quantilizers.envs.making import make_environment
from quantilizers.envs.recorded_rewards import proxy_rewards
from quantilizers.envs.registry import load_environment
from quantilizers.envs.two_rewards import TwoRewards
from quantilizers.layout import shipped_log

ENVIRONMENT = load_environment("Hopper-v2")

DEMONSTRATIONS = shipped_log() / "Hopper-v2" / "demo.npz"


def mixed_actions(number: int, steps: int, seed: int = 0) -> np.ndarray:
    """Return torques (steps, number, 3): some hoppers idle, some tremble, some flail, some press keys."""
    random = np.random.default_rng(seed)
    actions = random.uniform(-1, 1, (steps, number, 3)) * np.resize([0.0, 0.1, 0.5, 1.0], (number, 1))
    keys = np.repeat(random.integers(-1, 2, (steps // 3 + 1, number, 3)), 3, axis=0)[:steps]
    return np.where(np.arange(number)[:, None] % 5 == 4, keys, actions).astype(np.float32)


def simulated_plays() -> Episodes:
    return load_episodes(DEMONSTRATIONS)


def one_hopper(**arguments: Any) -> TwoRewards:
    return make_environment(ENVIRONMENT, **arguments)


def test_vector_is_gymnasiums_hopper_bit_for_bit_over_whole_episodes() -> None:
    """States, true rewards and endings equal those of Gymnasium's own class, episode after episode."""
    number, steps = 10, 400
    seeds = [100 + 7 * index for index in range(number)]
    actions = mixed_actions(number, steps)
    vector = HopperVector(number)
    own = [HopperEnv() for _ in range(number)]
    observations, _ = vector.reset(seed=seeds)
    np.testing.assert_array_equal(
        observations, [hopper.reset(seed=seed)[0] for hopper, seed in zip(own, seeds, strict=True)]
    )
    ended = np.zeros(number, dtype=np.bool_)
    episodes = 0
    for step in range(steps):
        observations, _, terminated, truncated, info = vector.step(actions[step])
        for index, hopper in enumerate(own):
            if ended[index]:
                expected, true_reward, fell = hopper.reset()[0], 0.0, False
            else:
                expected, true_reward, fell, _, _ = hopper.step(actions[step, index])
            assert np.array_equal(observations[index], expected), (step, index)
            assert info["true_reward"][index] == true_reward, (step, index)
            assert terminated[index] == fell, (step, index)
            ended[index] = fell
        episodes += ended.sum()
    assert not truncated.any()
    assert observations.dtype == np.float64
    assert episodes > 3 * number


def test_vector_is_gymnasiums_hopper_on_the_longest_recordings() -> None:
    """Hop after hop, each landing solved from the solver's last result, ends in the same bits."""
    plays = simulated_plays()
    longest = np.argsort(-plays.lengths)[:4]
    vector = HopperVector(4)
    own = [HopperEnv() for _ in longest]
    seeds = plays.extras["seed"][longest].tolist()
    vector.reset(seed=seeds)
    for hopper, seed in zip(own, seeds, strict=True):
        hopper.reset(seed=seed)
    shortest_of_them = int(plays.lengths[longest].min())
    assert shortest_of_them > 300
    for step in range(shortest_of_them - 1):
        observations, _, terminated, _, info = vector.step(plays.actions[longest, step])
        for row, (episode, hopper) in enumerate(zip(longest, own, strict=True)):
            expected, true_reward, fell, _, _ = hopper.step(plays.actions[episode, step])
            assert np.array_equal(observations[row], expected)
            assert info["true_reward"][row] == true_reward
            assert not fell
            assert not terminated[row]


def test_vector_is_the_scalar_environment_in_gymnasiums_own_vector() -> None:
    """Both rewards, resets, autoresets and truncation equal SyncVectorEnv's of scalar environments."""
    number, steps, horizon = 6, 160, 40
    actions = mixed_actions(number, steps, seed=1)
    vector = HopperVector(number, max_steps=horizon)
    single = SyncVectorEnv([lambda: one_hopper(max_steps=horizon)] * number, autoreset_mode=AutoresetMode.NEXT_STEP)
    for ours, theirs in ((vector.reset(seed=3), single.reset(seed=3)), (vector.reset(), single.reset())):
        np.testing.assert_array_equal(ours[0], theirs[0])
    terminations = truncations = 0
    for step in range(steps):
        ours, theirs = vector.step(actions[step]), single.step(actions[step])
        for part in range(4):
            np.testing.assert_array_equal(ours[part], theirs[part])
        true_reward = theirs[4].get("true_reward", np.zeros(number))
        np.testing.assert_array_equal(ours[4]["true_reward"], true_reward)
        terminations += ours[2].sum()
        truncations += ours[3].sum()
    assert terminations
    assert truncations
    single.close()


@pytest.mark.parametrize("max_steps", [1000, 12])
def test_proxy_reward_is_the_mean_foot_angle_at_the_last_step(max_steps: int) -> None:
    """Zero before; then the mean over new observations, whether the hopper fell or the horizon cut it."""
    environment = one_hopper(max_steps=max_steps)
    environment.reset(seed=5)
    angles, proxies = [], []
    terminated = truncated = False
    while not (terminated or truncated):
        observation, proxy, terminated, truncated, _ = environment.step(np.array([0.1, -0.2, 0.3]))
        angles.append(observation[4])
        proxies.append(proxy)
    assert (terminated, truncated) == ((True, False) if max_steps == 1000 else (False, True))
    assert not any(proxies[:-1])
    assert proxies[-1] == pytest.approx(np.mean(angles), rel=1e-12)
    assert proxies[-1] != 0


def test_foot_angle_is_the_ankles() -> None:
    """`obs[4]`, which the proxy reward averages, is the angle of the joint named foot_joint."""
    environment = one_hopper()
    environment.reset(seed=0)
    observation = environment.step(np.array([0.0, 0.0, 1.0]))[0]
    assert observation[4] == environment.unwrapped.data.joint("foot_joint").qpos[0]


def test_retired_hoppers_freeze_and_the_others_do_not_notice() -> None:
    """Retirement saves physics and changes nothing else, until the next reset."""
    number, steps = 8, 60
    actions = mixed_actions(number, steps, seed=2)
    some, all_of_them = HopperVector(number), HopperVector(number)
    some.reset(seed=0)
    all_of_them.reset(seed=0)
    retired = np.arange(number) % 3 == 0
    for step in range(steps):
        if step == 5:
            some.retire(retired)
        observations, _, _, _, info = some.step(actions[step])
        expected = all_of_them.step(actions[step])
        np.testing.assert_array_equal(observations[~retired], expected[0][~retired])
        np.testing.assert_array_equal(info["true_reward"][~retired], expected[4]["true_reward"][~retired])
        if step == 5:
            frozen = observations[retired]
        if step >= 5:
            np.testing.assert_array_equal(observations[retired], frozen)
            assert not info["true_reward"][retired].any()
    some.retire(np.ones(number, dtype=np.bool_))
    some.step(actions[0])
    np.testing.assert_array_equal(some.reset(seed=0)[0], HopperVector(number).reset(seed=0)[0])


def test_threads_do_not_change_results() -> None:
    """One thread, two or five: the same bits."""
    actions = mixed_actions(12, 80, seed=3)
    results = []
    for threads in (1, 2, 5):
        vector = HopperVector(12, threads=threads)
        vector.reset(seed=9)
        results.append([vector.step(action)[0] for action in actions])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_actions_of_another_shape_are_refused() -> None:
    vector = HopperVector(4)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="actions of shape"):
        vector.step(np.zeros(3))


def recorded(actions: np.ndarray, dtype: type, max_steps: int) -> tuple[Episodes, np.ndarray, np.ndarray]:
    """Return one episode of each hopper, its last observation, and the proxy rewards that the environment returned."""
    steps, number = actions.shape[:2]
    vector = HopperVector(number, max_steps=max_steps)
    observation, _ = vector.reset(seed=21)
    observations, rewards, paid, done = [], [], [], []
    finished = np.zeros(number, dtype=np.bool_)
    for step in range(max_steps):
        observations.append(np.where(finished[:, None], 0, observation).astype(dtype))
        done.append(finished)
        observation, proxy, terminated, truncated, info = vector.step(actions[step % steps])
        rewards.append(info["true_reward"])
        paid.append(proxy)
        finished = finished | terminated | truncated
        vector.retire(finished)
    played = np.where(np.stack(done)[..., None], 0, np.resize(actions, (max_steps, number, 3)))
    episodes = Episodes(np.stack(observations, 1), played.transpose(1, 0, 2), np.stack(rewards, 1), np.stack(done, 1))
    return episodes, observation.astype(dtype), np.stack(paid, axis=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-6)])
@pytest.mark.parametrize("max_steps", [30, 200])
def test_proxy_rewards_of_recordings_are_what_the_environment_paid(
    dtype: type, tolerance: float, max_steps: int
) -> None:
    """Older files lack the observation after the last action; simulating it reproduces the mean."""
    demonstrations, _, paid = recorded(mixed_actions(20, 200, seed=4), dtype, max_steps)
    ranked = proxy_rewards(ENVIRONMENT, demonstrations)
    last = demonstrations.lengths - 1
    clipped = (np.abs(demonstrations.observations[np.arange(20), last, 5:]) >= 10).any(axis=1)
    assert (~clipped).sum() >= 10
    assert ranked.shape == paid.shape
    np.testing.assert_allclose(ranked[~clipped], paid[~clipped], rtol=0, atol=tolerance)
    # A clipped speed is wrong by some rad/s for one step of 8 ms, and one angle of the mean is wrong by that.
    np.testing.assert_allclose(ranked[clipped], paid[clipped], rtol=0, atol=0.1)
    assert np.unique(demonstrations.lengths).size > 3 or max_steps == 30


def test_proxy_rewards_of_recordings_with_final_observations_are_the_environments_bits() -> None:
    episodes, finals, paid = recorded(mixed_actions(20, 200, seed=4), np.float64, 200)
    with_finals = replace(episodes, extras={"final_observation": finals})
    np.testing.assert_array_equal(proxy_rewards(ENVIRONMENT, with_finals), paid)


def test_foot_angle_after_a_step_is_simulated_from_position_speed_and_action() -> None:
    """The angle depends on the action: the same observation and opposite keys give angles on both sides."""
    observation = np.tile(one_hopper().reset(seed=0)[0], (3, 1))
    keys = np.array([[0, 0, 1], [0, 0, 0], [0, 0, -1]], dtype=float)
    up, idle, down = states_after(observation, keys)[:, FOOT_OBSERVED]
    assert up > idle > down
    environment = one_hopper()
    environment.reset(seed=0)
    assert up == pytest.approx(environment.step(np.array([0.0, 0.0, 1.0]))[0][4], abs=1e-9)


def test_keys_move_the_joints_as_they_say() -> None:
    """j/k the foot up and down, a/d the middle joint's angle down and up, w/s the top joint's up and down."""
    order = {"j": ("foot_joint", 1), "k": ("foot_joint", -1), "d": ("leg_joint", 1), "a": ("leg_joint", -1)}
    order |= {"w": ("thigh_joint", 1), "s": ("thigh_joint", -1)}
    assert set(order) == set(ENVIRONMENT.keyboard.effects) == set(ENVIRONMENT.keyboard.controls)
    model = load_model()
    model.opt.gravity[:] = 0
    for key, (joint, direction) in order.items():
        data = mujoco.MjData(model)
        data.qpos[1:] = [2.0, 0.0, -0.5, -0.5, 0.0]  # in the air, away from every joint's stop
        before = float(data.joint(joint).qpos[0])
        data.ctrl[:] = ENVIRONMENT.keyboard.effects[key]
        mujoco.mj_step(model, data, 10)
        assert np.sign(data.joint(joint).qpos[0] - before) == direction, key


def test_step_seconds_are_the_models() -> None:
    assert load_model().opt.timestep * FRAME_SKIP == STEP_SECONDS == HopperEnv().dt


@pytest.mark.filterwarnings("ignore:.*(A Box observation space m|different from the unwrapped).*:UserWarning")
def test_gymnasium_accepts_it() -> None:
    """Gymnasium's checker only warns that observations are unbounded, as Hopper-v4's are."""
    check_env(one_hopper(max_steps=30), skip_render_check=True)


def test_gymnasium_makes_both_forms() -> None:
    single = gymnasium.make(ENVIRONMENT.gymnasium_id, max_steps=5)
    assert isinstance(single.unwrapped, HopperEnv)
    assert single.get_wrapper_attr("max_steps") == 5
    vector = gymnasium.make_vec(ENVIRONMENT.gymnasium_id, num_envs=3, max_steps=5)
    assert isinstance(vector.unwrapped, HopperVector)
    assert vector.num_envs == 3


def test_a_copy_keeps_the_horizon() -> None:
    assert copy.deepcopy(one_hopper(max_steps=7)).max_steps == 7


def test_users_see_no_warning() -> None:
    """Gymnasium deprecates Hopper-v4; making our hopper gives neither this warning nor others."""
    program = (
        "import gymnasium, quantilizers\n"
        f"environment = gymnasium.make('{ENVIRONMENT.gymnasium_id}')\n"
        "environment.reset(seed=0)\n"
        "environment.step(environment.action_space.sample())\n"
        f"gymnasium.make_vec('{ENVIRONMENT.gymnasium_id}', num_envs=2).reset(seed=0)\n"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
