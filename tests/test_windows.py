from __future__ import annotations

import sys

import pytest

from quantilizers.errors import UserError
from quantilizers.windows import check_display

NAMES = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_variables_names_a_screen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for other in NAMES:
        monkeypatch.delenv(other, raising=False)
    with pytest.raises(UserError, match="needs a display"):
        check_display()
    monkeypatch.setenv(name, "something")
    check_display()
