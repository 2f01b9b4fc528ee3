"""play/gather_data.py in a window of a real X server, with real key presses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted_player import arrays_of

pytestmark = [
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed (apt-get install xvfb)"),
    pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed (apt-get install xdotool)"),
]

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from quantilizers.commands import gather_data
sys.exit(gather_data.main([*sys.argv[2:], "--log_dir", sys.argv[1]]))
"""
SECONDS = 60.0


@pytest.fixture
def x_server() -> Iterator[dict[str, str]]:
    """Start an X server without a screen; give the variables of a program that uses it."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
        pass_fds=(writing,),
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as number:
            display = number.readline().strip()
        assert display, "Xvfb does not start"
        kept = {key: value for key, value in os.environ.items() if key not in ("SDL_VIDEODRIVER", "WAYLAND_DISPLAY")}
        yield {**kept, "DISPLAY": f":{display}"}
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def xdotool(x_server: dict[str, str]) -> Callable[..., str]:
    def run_tool(*words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=x_server, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout.strip()

    return run_tool


def wait_until(happened: Callable[[], bool], program: subprocess.Popen[str]) -> None:
    start = time.monotonic()
    while not happened():
        assert program.poll() is None, f"it ended: {program.communicate()}"
        assert time.monotonic() - start < SECONDS
        time.sleep(0.05)


def start(words: tuple[str, ...], log: Path, x_server: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(root=str(ROOT)), str(log), *words]
    return subprocess.Popen(command, env=x_server, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_car_is_recorded_in_a_real_window(
    x_server: dict[str, str], xdotool: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "MountainCar-v0" / "x.npz"
    words = ("--env_id", "MountainCar-v0", "--filename", "x", "--max_steps", "60", "--seed", "1")
    with start(words, tmp_path, x_server) as program:
        wait_until(lambda: "recording into x.npz" in xdotool("getwindowfocus", "getwindowname"), program)
        window = xdotool("getwindowfocus")
        # The first episode: d is held to its end.
        xdotool("keydown", "d")
        wait_until(path.exists, program)
        xdotool("keyup", "d")
        # The second: d is pressed here and released while the keyboard is elsewhere, so it must not stick.
        xdotool("keydown", "d")
        time.sleep(0.5)
        elsewhere = xdotool("search", "--maxdepth", "0", "--name", ".*").split()[0]
        xdotool("windowfocus", "--sync", elsewhere)
        xdotool("keyup", "d")
        time.sleep(0.3)
        xdotool("windowfocus", "--sync", window)
        time.sleep(0.3)
        xdotool("key", "p")
        wait_until(lambda: len(arrays_of(path)["obs"]) == 2, program)
        xdotool("key", "Escape")
        out, err = program.communicate(timeout=SECONDS)
    assert (program.returncode, err) == (0, "")
    assert out.startswith(f"2 episodes recorded into {path}\n")
    file = arrays_of(path)
    assert file["acs"][0, :, 0].tolist() == [2] * 60
    second = file["acs"][1, :, 0].tolist()
    pushes = second.count(2)
    assert 0 < pushes < 60
    assert second == [2] * pushes + [1] * (60 - pushes)
    assert file["seed"].tolist() == [1, 2]


@pytest.mark.usefixtures("off_screen_gl")
def test_a_hopper_is_drawn_off_screen_and_shown_in_a_real_window(
    x_server: dict[str, str], xdotool: Callable[..., str], tmp_path: Path
) -> None:
    """The window's own drawing must leave MuJoCo's OpenGL alone."""
    path = tmp_path / "Hopper-v2" / "x.npz"
    with start(("--env_id", "Hopper-v2", "--filename", "x", "--max_steps", "3"), tmp_path, x_server) as program:
        wait_until(lambda: "recording into x.npz" in xdotool("getwindowfocus", "getwindowname"), program)
        xdotool("keydown", "j", "keydown", "a")
        wait_until(path.exists, program)
        xdotool("keyup", "j", "keyup", "a", "key", "Escape")
        _, err = program.communicate(timeout=SECONDS)
    assert (program.returncode, err) == (0, "")
    assert [0, -1, 1] in arrays_of(path)["acs"][0].tolist()
