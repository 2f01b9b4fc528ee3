"""play/gather_data.py, driven through pygame's event queue."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import gymnasium
import numpy as np
import pygame
import pytest
from gymnasium.envs.mujoco.hopper_v4 import HopperEnv
from scripted_player import Outcome, Script, arrays_of, in_own_process, press, release, run_scripted, tap, wait

from quantilizers.demonstrations.episodes import load_episodes
from quantilizers.play import session

CAR, HOPPER, PINBALL = "MountainCar-v0", "Hopper-v2", "VideoPinballNoFrameskip-v4"
Gather = Callable[..., Outcome]


def car_file(folder: Path, name: str = "x") -> Path:
    return folder / "log" / CAR / f"{name}.npz"


def one_car_episode() -> Script:
    """Press d, and end when the episode of 5 steps has."""
    yield
    tap(pygame.K_d)
    yield from wait(8)


def test_keys_become_the_car_s_actions_and_the_file_is_what_gymnasium_plays(gather: Gather, tmp_path: Path) -> None:
    def script() -> Script:
        yield from wait(3)
        press(pygame.K_d)
        yield from wait(4)
        press(pygame.K_a)  # on top of d: the later key counts
        yield from wait(3)
        release(pygame.K_a)
        yield from wait(2)
        release(pygame.K_d)
        yield from wait(5)
        tap(pygame.K_a)  # shorter than a step
        yield from wait(10)

    code, out, err = gather(
        script(), "--env_id", CAR, "--filename", "x", "--seed", "11", "--max_steps", "20", "--player", "Ada"
    )
    assert (code, err) == (0, "")
    file = arrays_of(car_file(tmp_path))
    assert file["acs"][0, :, 0].tolist() == [2] * 4 + [0] * 3 + [2] * 2 + [1] * 5 + [0] + [1] * 5
    assert file["seed"].tolist() == [11]
    assert file["player"].tolist() == ["Ada"]
    assert abs((datetime.now().astimezone() - datetime.fromisoformat(str(file["recorded_at"][0]))).total_seconds()) < 60
    car = gymnasium.make("MountainCar-v0")
    observation, _ = car.reset(seed=11)
    for step, action in enumerate(file["acs"][0, :, 0]):
        np.testing.assert_array_equal(file["obs"][0, step], observation)
        observation, reward, *_ = car.step(int(action))
        assert file["rews"][0, step] == reward
    assert file["ep_rets"].tolist() == [-20]
    assert "python quantilizer.py --do train test plot --env_name MountainCar-v0 --dataset_name x" in out


def several_joints() -> Script:
    yield
    press(pygame.K_j, pygame.K_w)
    yield from wait(3)
    press(pygame.K_a)
    release(pygame.K_w)
    yield from wait(2)
    press(pygame.K_k)  # against j
    yield from wait(2)
    release(pygame.K_j, pygame.K_a, pygame.K_k)
    tap(pygame.K_d, pygame.K_s)
    yield from wait(4)


def play_hopper(log: Path) -> Outcome:
    words = ("--env_id", HOPPER, "--filename", "x", "--seed", "3", "--max_steps", "9")
    return run_scripted("gather_data", several_joints(), words, log)


@pytest.mark.usefixtures("off_screen_gl")
def test_keys_count_together_on_hopper(tmp_path: Path) -> None:
    code, out, err = in_own_process(play_hopper, tmp_path / "log")
    assert (code, err) == (0, "")
    file = arrays_of(tmp_path / "log" / HOPPER / "x.npz")
    expected = [[1, 0, 1]] * 3 + [[0, -1, 1]] * 2 + [[0, -1, 0]] * 2 + [[-1, 1, 0]] + [[0, 0, 0]]
    assert file["acs"][0].tolist() == expected
    hopper = HopperEnv()
    observation, _ = hopper.reset(seed=3)
    angles = []
    for step, action in enumerate(file["acs"][0]):
        np.testing.assert_array_equal(file["obs"][0, step], observation)
        observation, reward, *_ = hopper.step(action)
        assert file["rews"][0, step] == reward
        angles.append(observation[4])
    assert f"proxy return (mean ankle angle, rad): {np.mean(angles):.6g} on average" in out


def test_pinball_shows_four_pictures_a_step_and_keeps_seed_and_actions(gather: Gather, tmp_path: Path) -> None:
    def script() -> Script:
        yield
        press(pygame.K_DOWN)
        yield from wait(4 * 30)
        release(pygame.K_DOWN)
        press(pygame.K_SPACE)
        yield from wait(4 * 2)
        release(pygame.K_SPACE)
        press(pygame.K_LEFT)
        yield from wait(4)
        press(pygame.K_RIGHT)
        yield from wait(4)
        release(pygame.K_LEFT)
        yield from wait(4)
        press(pygame.K_SPACE)
        yield from wait(4)
        release(pygame.K_SPACE)
        yield from wait(4 * 60)

    code, out, err = gather(script(), "--env_id", PINBALL, "--filename", "x", "--seed", "4", "--max_steps", "80")
    assert (code, err) == (0, "")
    file = arrays_of(tmp_path / "log" / PINBALL / "x.npz")
    assert file["acs"][0, :, 0].tolist() == [5] * 30 + [1] * 2 + [4, 2, 3, 7] + [3] * 44
    assert file["obs"].shape == (1, 80, 0)  # pictures are made again from the seed and the actions
    game = gymnasium.make("quantilizers/VideoPinballRR-v0", max_steps=80)
    game.reset(seed=4)
    steps = [game.step(int(action)) for action in file["acs"][0, :, 0]]
    assert [info["true_reward"] for *_, info in steps] == file["rews"][0].tolist()
    score = sum(reward for _, reward, *_ in steps)
    assert score > 0
    assert f"proxy return (score): {score:.6g} on average" in out


def test_a_file_holds_each_episode_as_soon_as_it_ends(gather: Gather, tmp_path: Path) -> None:
    found: list[list[int]] = []

    def script() -> Script:
        for _ in range(3):
            yield from one_car_episode()
            found.append(arrays_of(car_file(tmp_path))["seed"].tolist())
        tap(pygame.K_d)
        yield from wait(3)  # and leave the fourth in its middle

    code, out, _ = gather(script(), "--env_id", CAR, "--filename", "x", "--seed", "7", "--max_steps", "5")
    assert code == 0
    assert found == [[7], [7, 8], [7, 8, 9]]
    assert arrays_of(car_file(tmp_path))["seed"].tolist() == [7, 8, 9]
    assert out.startswith(f"3 episodes recorded into {car_file(tmp_path)}\n")


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests/play"]
import pygame
from quantilizers.commands import gather_data
from scripted_player import ScriptedClock, tap, wait

def script():
    for _ in range(9):
        yield
        tap(pygame.K_d)
        yield from wait(8)
    tap(pygame.K_d)
    yield from wait(2)
    os.kill(os.getpid(), signal.SIGKILL)

clock = ScriptedClock(script())
pygame.time.Clock = lambda: clock
gather_data.main(["--filename", "x", "--max_steps", "5", "--log_dir", {log!r}])
"""


def test_a_kill_in_the_tenth_episode_leaves_nine(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent.parent)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(root=root, log=str(tmp_path / "log"))], timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in car_file(tmp_path).parent.iterdir()] == ["x.npz"]
    assert load_episodes(car_file(tmp_path)).lengths.tolist() == [5] * 9


def test_pause_restart_and_discard(gather: Gather, tmp_path: Path) -> None:
    def script() -> Script:
        yield from one_car_episode()
        yield from one_car_episode()
        tap(pygame.K_BACKSPACE)  # the second goes
        yield
        press(pygame.K_a)
        yield from wait(2)
        tap(pygame.K_r)  # after three steps left
        yield
        release(pygame.K_a)
        yield from wait(5)  # the start waits for a key
        press(pygame.K_a)
        yield
        tap(pygame.K_p)
        yield from wait(20)
        tap(pygame.K_p)
        release(pygame.K_a)
        yield from wait(6)

    code, _, _ = gather(script(), "--env_id", CAR, "--filename", "x", "--seed", "0", "--max_steps", "5")
    assert code == 0
    file = arrays_of(car_file(tmp_path))
    assert file["seed"].tolist() == [0, 2]
    assert file["acs"][:, :, 0].tolist() == [[2, 1, 1, 1, 1], [0, 1, 1, 1, 1]]


def test_discarding_every_episode_removes_the_file_and_never_an_older_one(gather: Gather, tmp_path: Path) -> None:
    def discard_all() -> Script:
        yield from one_car_episode()
        assert car_file(tmp_path).exists()
        tap(pygame.K_BACKSPACE)
        tap(pygame.K_BACKSPACE)
        yield from wait(2)

    words = ("--env_id", CAR, "--filename", "x", "--max_steps", "5")
    code, out, _ = gather(discard_all(), *words)
    assert (code, out) == (0, "no episode was finished, so nothing was recorded\n")
    assert not car_file(tmp_path).exists()
    gather(one_car_episode(), *words)
    before = arrays_of(car_file(tmp_path))
    gather(discard_all(), *words, "--append")
    after = arrays_of(car_file(tmp_path))
    assert before.keys() == after.keys()
    for key, array in before.items():
        np.testing.assert_array_equal(array, after[key])


def test_append_keeps_what_was_there(gather: Gather, tmp_path: Path) -> None:
    gather(one_car_episode(), "--env_id", CAR, "--filename", "x", "--max_steps", "5", "--seed", "1", "--player", "Ada")

    def longer() -> Script:
        yield
        tap(pygame.K_a)
        yield from wait(10)

    code, out, _ = gather(
        longer(), "--env_id", CAR, "--filename", "x.npz", "--max_steps", "7", "--seed", "2", "--append"
    )
    assert code == 0
    assert out.startswith("1 episode recorded")
    file = arrays_of(car_file(tmp_path))
    assert file["acs"][:, :, 0].tolist() == [[2, 1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 1]]
    assert file["done"].sum(axis=1).tolist() == [2, 0]
    assert file["seed"].tolist() == [1, 2]
    assert file["player"].tolist() == ["Ada", ""]


def test_append_goes_on_with_a_file_that_has_no_seeds(gather: Gather, tmp_path: Path) -> None:
    gather(one_car_episode(), "--env_id", CAR, "--filename", "x", "--max_steps", "5")
    file = arrays_of(car_file(tmp_path))
    np.savez_compressed(car_file(tmp_path), **{key: file[key] for key in ("obs", "acs", "rews", "done", "ep_rets")})
    gather(one_car_episode(), "--env_id", CAR, "--filename", "x", "--max_steps", "5", "--seed", "9", "--append")
    assert arrays_of(car_file(tmp_path))["seed"].tolist() == [-1, 9]


def test_keys_do_not_stick_when_the_window_loses_the_keyboard(gather: Gather, tmp_path: Path) -> None:
    def script() -> Script:
        yield
        pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))
        press(pygame.K_a)  # in another window
        yield from wait(4)
        pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSGAINED))
        yield from wait(4)
        press(pygame.K_d)
        yield from wait(2)
        pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))  # d is released outside
        yield from wait(10)  # paused: no step passes
        pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSGAINED))
        yield
        tap(pygame.K_p)
        yield from wait(8)

    code, _, _ = gather(script(), "--env_id", CAR, "--filename", "x", "--max_steps", "6")
    assert code == 0
    assert arrays_of(car_file(tmp_path))["acs"][0, :, 0].tolist() == [2, 2, 1, 1, 1, 1]


def test_other_keys_can_play(gather: Gather, tmp_path: Path) -> None:
    def script() -> Script:
        yield
        tap(pygame.K_d)  # plays nothing any more
        yield from wait(2)
        tap(pygame.K_RIGHT)
        yield
        tap(pygame.K_d)
        yield from wait(6)

    code, _, _ = gather(script(), "--env_id", CAR, "--filename", "x", "--max_steps", "4", "--keys", "a=left", "d=right")
    assert code == 0
    assert arrays_of(car_file(tmp_path))["acs"][0, :, 0].tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize("end", [pygame.QUIT, pygame.KEYDOWN])
def test_esc_and_closing_the_window_end(gather: Gather, tmp_path: Path, end: int) -> None:
    def script() -> Script:
        yield from one_car_episode()
        pygame.event.post(pygame.event.Event(end, key=pygame.K_ESCAPE))
        yield
        raise AssertionError("it goes on")

    assert gather(script(), "--env_id", CAR, "--filename", "x", "--max_steps", "5")[0] == 0
    assert len(arrays_of(car_file(tmp_path))["obs"]) == 1


def test_esc_in_the_middle_of_an_episode_asks_once(gather: Gather, tmp_path: Path, panels: list[list[str]]) -> None:
    def script() -> Script:
        yield
        tap(pygame.K_d)
        yield from wait(3)
        press(pygame.K_ESCAPE)
        yield from wait(20)  # no step passes
        assert not car_file(tmp_path).exists()
        assert session.LEAVING in panels[-1]
        tap(pygame.K_p)
        yield from wait(8)
        assert len(arrays_of(car_file(tmp_path))["obs"]) == 1
        tap(pygame.K_d)
        yield from wait(3)
        press(pygame.K_ESCAPE)
        yield from wait(2)
        press(pygame.K_ESCAPE)
        yield
        raise AssertionError("it goes on")

    code, out, _ = gather(script(), "--env_id", CAR, "--filename", "x", "--max_steps", "5")
    assert code == 0
    assert len(arrays_of(car_file(tmp_path))["obs"]) == 1
    assert out.splitlines()[:2] == [
        f"1 episode recorded into {car_file(tmp_path)}",
        "an unfinished episode of 3 steps was dropped",
    ]


def test_an_interrupt_ends_like_esc(gather: Gather, tmp_path: Path) -> None:
    def script() -> Script:
        yield from one_car_episode()
        os.kill(os.getpid(), signal.SIGINT)
        yield from wait(100)

    code, out, _ = gather(script(), "--env_id", CAR, "--filename", "x", "--max_steps", "5")
    assert code == 0
    assert out.startswith("1 episode recorded")


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The texts of each panel that is shown."""
    shown: list[list[str]] = []
    lines = session.Panel.lines

    def listen(self: session.Panel, *returns: str) -> list:
        shown.append([line.left for line in lines(self, *returns)])
        return lines(self, *returns)

    monkeypatch.setattr(session.Panel, "lines", listen)
    return shown


def test_the_panel_says_what_happens(gather: Gather, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[tuple[str, str]]] = []
    lines = session.Panel.lines

    def listen(self: session.Panel, *returns: str) -> list:
        said.append([(line.left, line.right) for line in lines(self, *returns)])
        return lines(self, *returns)

    monkeypatch.setattr(session.Panel, "lines", listen)
    gather(one_car_episode(), "--env_id", CAR, "--filename", "x", "--max_steps", "5", "--seed", "0", "--keys", "a=left")
    assert {("left", "push left"), ("s", "nothing"), ("d", "push right"), ("esc", "end")} <= set(said[-1])
    during = next(one for one in said if ("Steps", "3") in one)
    assert {("Episode", "1"), ("True return", "−3.00"), ("Recording", ""), ("Last kept: true", "none")} <= set(during)
    proxy = math.fsum(arrays_of_car_positions(3))
    assert ("Proxy return", f"{proxy:,.2f}".replace("-", "−")) in during
    assert {("Episode", "2"), ("Steps", "0"), ("Last kept: true", "−5.00"), (session.BEGIN, "")} <= set(said[-1])
    said.clear()
    gather(one_car_episode(), "--env_id", CAR, "--filename", "y", "--max_steps", "5", "--hide_rewards")
    assert not any("eturn" in word or "kept:" in word for panel in said for line in panel for word in line)


def arrays_of_car_positions(steps: int) -> list[float]:
    car = gymnasium.make("MountainCar-v0")
    car.reset(seed=0)
    return [float(car.step(action)[0][0]) for action in [2, 1, 1][:steps]]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--env_id", "Pong"), "unknown environment 'Pong'"),
        (("--keys", "d"), "--keys 'd' is not USUAL=WANTED"),
        (("--keys", "q=left"), "the key 'q' plays nothing here; the keys are a, s, d"),
        (("--keys", "a=banana"), "unknown key 'banana'"),
        (("--keys", "a=p"), "the key 'p', which pauses"),
        (("--keys", "a=d"), "the key 'd' would stand for both"),
        (("--fps", "0"), "argument --fps"),
        (("--max_steps", "0"), "argument --max_steps"),
        (("--zoom", "0"), "a zoom of 0"),
        (("--zoom", "nan"), "a zoom of nan"),
        (("--zoom", "90"), "a zoom of 90"),
        (("--seed", "-1"), "the reset seed is -1; give one from 0 to"),
        (("--seed", "9223372036854775808"), "the reset seed is 9223372036854775808; give one from 0 to"),
        (("--filename", "../x"), "--filename: the file name '../x' is not a plain name"),
        (("--filename", "optimiser_x"), "--filename: the data set name 'optimiser_x' would mix"),
        (("--env_option", "speed"), "'speed' is not NAME=VALUE"),
        (("--env_option", "speed=2"), "has no option 'speed'"),
        (("--colour",), "unrecognized arguments"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(gather: Gather, tmp_path: Path, words: tuple, problem: str) -> None:
    code, out, err = gather(wait(1), *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.startswith("gather_data.py: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.npz"))


def test_a_file_is_added_to_only_when_asked_and_only_if_it_fits(gather: Gather, tmp_path: Path) -> None:
    words = ("--env_id", CAR, "--filename", "x", "--max_steps", "5")
    gather(one_car_episode(), *words)
    before = car_file(tmp_path).read_bytes()
    code, _, err = gather(one_car_episode(), *words)
    assert code == 2
    assert "add to it with --append" in err
    hopper = tmp_path / "log" / HOPPER / "x.npz"
    hopper.parent.mkdir()
    hopper.write_bytes(before)
    code, _, err = gather(wait(1), "--env_id", HOPPER, "--filename", "x", "--append")
    assert code == 2
    assert str(hopper) in err
    file = arrays_of(car_file(tmp_path))
    np.savez_compressed(car_file(tmp_path, "odd"), **{**file, "player": np.array([1.5])})
    code, _, err = gather(wait(1), "--env_id", CAR, "--filename", "odd", "--append")
    assert code == 2
    assert "nothing can be added to" in err
    assert car_file(tmp_path).read_bytes() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize("display", [None, ":4711"])
def test_without_a_display_it_says_what_to_do(tmp_path: Path, display: str | None) -> None:
    program = Path(__file__).resolve().parent.parent.parent / "play" / "gather_data.py"
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "XDG_RUNTIME_DIR")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    if display:
        environment["DISPLAY"] = display
    done = subprocess.run(
        [sys.executable, program, "--filename", "never_written"],
        env={**environment, "XDG_RUNTIME_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gather_data.py: ")
    assert "display" in done.stderr
    assert "ssh -X" in done.stderr
    assert "--output" not in done.stderr, "a person who records needs a screen"
    assert done.stderr.count("\n") == 1
