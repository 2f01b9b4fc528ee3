"""Whether a window can be opened here."""

from __future__ import annotations

import os
import sys

from quantilizers.errors import UserError


def display_is_named() -> bool:
    """Return whether the environment names a display or a video driver, where it has to: on Linux."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)


def check_display() -> None:
    """Refuse to open a window where there is no screen.

    Raises:
        UserError: neither a display nor a video driver is named in the environment.
    """
    if not display_is_named():
        raise UserError("--render True needs a display, and DISPLAY is not set; leave --render out here")
