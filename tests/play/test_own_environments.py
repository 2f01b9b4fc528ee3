"""Environments of one's own: recorded, replayed and watched, with keys that are assigned to their actions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np
import pygame
import pytest
from gymnasium import spaces
from scripted_player import Outcome, Script, arrays_of, press, release, tap, wait

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout
from quantilizers.play.session import Session
from quantilizers.play.session import gather as gather_session
from quantilizers.play.view import GameView, Panel, make_game
from quantilizers.rewards import mean_at_end, own
from support import ROOT

CART = """
from quantilizers import EnvironmentDefinition, each_step

ENVIRONMENT = EnvironmentDefinition(
    "CartPole-v1",
    proxy=lambda weight: weight * each_step(lambda steps: steps.observations[:, 1]),
    max_steps=200,
    options={"weight": 1.0},
)
"""
PENDULUM = """
from quantilizers import EnvironmentDefinition, each_step

ENVIRONMENT = EnvironmentDefinition("Pendulum-v1", each_step(lambda steps: steps.observations[:, 2]), max_steps=8)
"""
LIGHTS = """
import gymnasium
import numpy as np
from gymnasium import spaces
from quantilizers import EnvironmentDefinition, each_step


class Lights(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"]}
    observation_space = spaces.Box(0, 1, (2, 2), np.float64)
    action_space = spaces.MultiBinary((2, 2))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.lights = self.np_random.random((2, 2))
        return self.lights, {}

    def step(self, action):
        assert action.shape == (2, 2)
        self.lights = 0.5 * (self.lights + action)
        return self.lights, float(self.lights[0, 0]), False, False, {"bright": float(self.lights.sum())}

    def render(self):
        return np.kron(np.repeat((255 * self.lights).astype(np.uint8)[..., None], 3, 2), np.ones((20, 20, 1), np.uint8))


LIGHTS = EnvironmentDefinition(Lights, each_step(lambda steps: steps.info["bright"], info=("bright",)), max_steps=6)
"""
Program = Callable[..., Outcome]


def write(folder: Path, name: str, code: str) -> str:
    (folder / f"{name}.py").write_text(code)
    return str(folder / f"{name}.py")


def pictures_in(path: Path) -> int:
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT))


def balancing() -> Script:
    yield
    for _ in range(40):
        press(pygame.K_RIGHT)
        yield from wait(2)
        release(pygame.K_RIGHT)
        yield from wait(2)


def test_a_cart_pole_is_recorded_and_replayed(gather: Program, show: Program, tmp_path: Path) -> None:
    address = write(tmp_path, "cart", CART)
    words = ("--env_id", f"{address}:ENVIRONMENT", "--env_option", "weight=3")
    code, out, err = gather(balancing(), *words, "--filename", "x", "--seed", "2", "--max_steps", "30")
    assert (code, err) == (0, "")
    log = tmp_path / "log"
    train = f"--env_name {address}:ENVIRONMENT --dataset_name x --env_option weight=3.0 --log_dir {log}"
    assert f"train on it: python quantilizer.py --do train test plot {train}\n" in out
    path = log / "cart" / "x.npz"
    file = arrays_of(path)
    assert set(np.unique(file["acs"])) == {0, 1}
    game = gymnasium.make("CartPole-v1")
    observation, _ = game.reset(seed=2)
    for step in range(int((~file["done"][0]).sum())):
        np.testing.assert_array_equal(file["obs"][0, step], observation)
        observation, *_ = game.step(int(file["acs"][0, step, 0]))
    np.testing.assert_array_equal(file["final_observation"][0], observation)
    proxy = 3 * Demonstrations.load(path, load_environment(address)).proxy_returns[0]
    video = tmp_path / "cart.mp4"
    code, out, err = show(*words, "--dataset_name", "x", "--output", str(video))
    assert (code, err) == (0, "")
    assert f"proxy return {proxy:.6g}; started by its seed; exactly as recorded" in out
    assert pictures_in(video) == int((~file["done"][0]).sum()) + 1
    del file["seed"]
    np.savez_compressed(path, **file)
    code, out, err = show(*words, "--dataset_name", "x", "--output", str(video))
    assert (code, err) == (0, "")
    assert "started from its first observation" in out
    assert "as recorded, to rounding" in out


def test_a_pendulum_is_pushed_both_ways_and_starts_by_its_seed_alone(
    gather: Program, show: Program, tmp_path: Path
) -> None:
    def script() -> Script:
        yield
        press(pygame.K_q)
        yield from wait(3)
        press(pygame.K_a)
        yield from wait(2)
        release(pygame.K_q)
        yield from wait(6)

    address = write(tmp_path, "pendulum", PENDULUM)
    code, _, err = gather(script(), "--env_id", address, "--filename", "x", "--seed", "2")
    assert (code, err) == (0, "")
    path = tmp_path / "log" / "pendulum" / "x.npz"
    file = arrays_of(path)
    assert file["acs"][0, :, 0].tolist() == [2, 2, 2, 0, 0, -2, -2, -2]
    words = ("--env_id", address, "--dataset_name", "x", "--output", str(tmp_path / "pendulum.gif"))
    code, out, err = show(*words)
    assert (code, err) == (0, "")
    assert "exactly as recorded" in out
    del file["seed"]
    np.savez_compressed(path, **file)
    code, _, err = show(*words)
    assert code == 2
    assert "no reset seed, and this environment cannot be started from an observation" in err


def test_an_environment_without_gymnasium_s_help_keeps_what_its_proxy_needs(
    gather: Program, show: Program, tmp_path: Path
) -> None:
    def script() -> Script:
        yield
        press(pygame.K_q, pygame.K_t)
        yield from wait(4)
        release(pygame.K_q)
        yield from wait(5)

    address = f"{write(tmp_path, 'lights', LIGHTS)}:LIGHTS"
    code, out, err = gather(script(), "--env_id", address, "--filename", "x", "--zoom", "4")
    assert (code, err) == (0, "")
    file = arrays_of(tmp_path / "log" / "lights" / "x.npz")
    assert file["acs"][0].tolist() == [[1, 0, 0, 1]] * 4 + [[0, 0, 0, 1]] * 2
    assert file["obs"].shape == (1, 6, 2, 2)
    np.testing.assert_allclose(file["info_bright"][0, :5], file["obs"][0, 1:].sum(axis=(1, 2)))
    assert f"proxy return: {file['info_bright'].sum():.6g} on average" in out
    code, out, err = show("--env_id", address, "--dataset_name", "x", "--output", str(tmp_path / "lights.gif"))
    assert (code, err) == (0, "")
    assert "exactly as recorded" in out


@pytest.fixture
def trained_cart_pole(gather: Program, tmp_path: Path) -> tuple[str, ...]:
    """Train and test a policy on three recorded episodes; give the words that name it."""
    import quantilizer

    address = write(tmp_path, "cart", CART)

    def script() -> Script:
        for _ in range(3):
            yield
            tap(pygame.K_RIGHT)
            yield from wait(20)

    assert gather(script(), "--env_id", address, "--filename", "x", "--seed", "2", "--max_steps", "9")[0] == 0
    words = ("--env_name", address, "--dataset_name", "x", "--log_dir", str(tmp_path / "log"))
    training = ("--quantiles", "1.0", "--seed_nb", "1", "--max_epochs", "2", "--number_trajectories", "4")
    random = ("--select", "random")
    assert quantilizer.main(["--do", "train", "test", *words, *training, *random]) == 0
    return words[:4]


def test_a_policy_is_watched_where_it_was_tested(
    trained_cart_pole: tuple[str, ...], show: Program, tmp_path: Path
) -> None:
    """The policy plays in another process, which loads the file again."""
    tested = arrays_of(tmp_path / "log" / "rewards" / "x_cart_0.npz")
    best = int(np.argmax(tested["proxy_returns"][0]))
    words = (*trained_cart_pole, "--quantile", "1", "--episode", "best", "--output", str(tmp_path / "cart.gif"))
    code, out, err = show(*words)
    assert (code, err) == (0, "")
    title = f"policy x, quantile 1, seed 0, episode {best + 1}, select random"
    assert out.startswith(f"{title}: {tested['lengths'][0, best]} steps, ")
    assert f"true return {tested['true_returns'][0, best]:.6g}, proxy return" in out
    assert "exactly as played" in out
    code, _, err = show(*words, "--env_option", "weight=2")
    assert code == 2
    assert "was measured with weight 1.0, not 2.0; " in err


def test_the_programs_say_what_is_not_installed() -> None:
    for program in ("gather_data", "replay"):
        code = (
            "import sys; sys.modules['pygame'] = None; sys.path.insert(0, '.')\n"
            f"from quantilizers.commands.{program} import main; sys.exit(main([]))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        # How pip is called depends on whether the project's own environment is there.
        assert "pygame is not installed; run: " in done.stderr
        assert "pip install -r requirements.txt" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("program", ["gather_data", "replay"])
def test_the_files_in_play_start_the_programs(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "play" / f"{program}.py", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: play/{program}.py")
    flags = {"--env_id", "--env_name", "--env_option", "--lamb", "--log_dir"}
    assert flags <= set(done.stdout.replace(",", " ").split())


class Spoken(gymnasium.Env[Any, Any]):
    """An environment whose actions are text."""

    observation_space, action_space = spaces.Box(0, 1, (2,)), spaces.Text(9)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode


@pytest.mark.parametrize(
    ("make", "message"),
    [("Blackjack-v1", "observations are a Tuple"), (Spoken, "actions are a Text, which policies here cannot choose")],
)
def test_spaces_that_no_policy_has_are_refused_before_a_window_or_a_missing_data_set(
    make: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> None:
        raise AssertionError("a window was opened")

    monkeypatch.setattr("quantilizers.play.session.open_display", opened)
    environment = EnvironmentDefinition(make, own, max_steps=5, name="mine")
    with pytest.raises(UserError, match=message):
        gather_session(Session(environment, tmp_path / "x.npz", None, False, "Ada", 0, 5))
    with pytest.raises(UserError, match=message):
        Demonstrations.find(Layout(tmp_path, "mine", "demo"), environment)


def test_a_reward_at_the_end_is_not_shown_as_zero_before() -> None:
    """As Hopper's proxy, which looked broken to players."""
    shown: list[tuple[str, ...]] = []

    class Heard(Panel):
        def lines(self, steps: str, true_return: str, proxy_return: str) -> list[Any]:
            shown.append((steps, true_return, proxy_return))
            return super().lines(steps, true_return, proxy_return)

    height = mean_at_end(lambda steps: steps.observations[:, 0] * 0 + 2.0)
    game = make_game(EnvironmentDefinition("CartPole-v1", height, max_steps=2), 2)
    game.reset(seed=0)
    view = GameView(game, Heard("cart"))
    shown.clear()
    for _ in range(2):
        view.step(0)
        view.render()
    view.reset(seed=0)
    view.render()
    assert shown == [("1", "1.00", "at the end"), ("2", "2.00", "2.00"), ("0", "0.00", "at the end")]
