"""Whether a window can be opened here."""

from __future__ import annotations

import os
import sys


def display_is_named() -> bool:
    """Return whether the environment names a display or a video driver, where it has to: on Linux."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)
