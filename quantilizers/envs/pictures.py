"""Preparing an environment to be drawn without a window: for MuJoCo, an OpenGL backend that works on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import MutableMapping
from typing import Any

import gymnasium

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError

#: In the order of preference: needs no display on most machines; needs a display; draws on the processor.
_BACKENDS = ("egl", "glfw", "osmesa")
_TRIAL = """
import importlib, mujoco
context = importlib.import_module("mujoco.{backend}").GLContext(64, 64)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
print("works", flush=True)
"""


def prepare_pictures(environment: EnvironmentDefinition, game: gymnasium.Env[Any, Any]) -> None:
    """Prepare a game for its first picture by the definition's `prepare_pictures`, or as MuJoCo needs it."""
    if environment.prepare_pictures is not None:
        environment.prepare_pictures(game)
    elif game.has_wrapper_attr("mujoco_renderer"):
        choose_off_screen_gl(os.environ)
        # Without a graphics card shadows and reflections take 85 of the 119 ms that drawing a hopper takes.
        model: Any = game.get_wrapper_attr("model")
        model.light_castshadow[:] = False
        model.mat_reflectance[:] = 0.0


def choose_off_screen_gl(environment: MutableMapping[str, str]) -> None:
    """Set `MUJOCO_GL` in `os.environ` to an OpenGL backend that works here; call it before the first picture.

    On Linux some backends fail only when they are used, and one that has failed keeps others from working in the same
    process. Each is therefore tried in a separate process, which takes half a second. A `UserError` says that none
    works, or that the user's `MUJOCO_GL` does not.
    """
    if not sys.platform.startswith("linux"):
        return
    chosen = environment.get("MUJOCO_GL")
    for backend in (chosen,) if chosen else _BACKENDS:
        if _works(backend, environment):
            environment["MUJOCO_GL"] = backend
            return
    if chosen:
        raise UserError(f"MUJOCO_GL={chosen} cannot draw here; unset it, or set it to {', '.join(_BACKENDS)}")
    raise UserError(
        "no OpenGL to draw this environment with; on Debian or Ubuntu: "
        "sudo apt-get install libegl1 libgl1-mesa-dri libosmesa6"
    )


def _works(backend: str, environment: MutableMapping[str, str]) -> bool:
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL.format(backend=backend)],
            env={**environment, "MUJOCO_GL": backend},
            capture_output=True,
            text=True,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        return False
    # The exit code does not tell: OSMesa's context crashes when it is destroyed.
    return "works" in trial.stdout
