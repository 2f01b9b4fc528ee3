"""Whether a window can be opened here."""

from __future__ import annotations

import os
import sys

from quantilizers.errors import UserError


def check_display() -> None:
    """Refuse to open a window where there is no screen.

    Raises:
        UserError: neither a display nor a video driver is named in the environment.
    """
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
    if sys.platform.startswith("linux") and not named:
        raise UserError("--render True needs a display, and DISPLAY is not set; leave --render out here")
