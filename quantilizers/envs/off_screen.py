"""Choosing how MuJoCo draws without a window."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import MutableMapping

from quantilizers.errors import UserError

#: Works without a display on most machines first, needs a display, draws on the processor.
_BACKENDS = ("egl", "glfw", "osmesa")
_TRIAL = """
import importlib, mujoco
context = importlib.import_module("mujoco.{backend}").GLContext(64, 64)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
print("works", flush=True)
"""


def choose_off_screen_gl(environment: MutableMapping[str, str]) -> None:
    """Set `MUJOCO_GL` to an OpenGL that works here; call it before the first picture.

    On Linux there are several, of which some fail only once they are used, and one that has failed keeps others
    from working in the same process. So each is tried in a process of its own, half a second long.

    Args:
        environment: `os.environ`.

    Raises:
        UserError: none works, or the one that the user set does not; the message says what to do.
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
    # The line and not the exit code: OSMesa's context stumbles over its own end.
    return "works" in trial.stdout
