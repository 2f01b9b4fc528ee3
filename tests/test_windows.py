from __future__ import annotations

import sys

import pytest

from quantilizers.errors import UserError
from quantilizers.windows import check_display, display_is_named

NAMES = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_variables_names_a_screen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for other in NAMES:
        monkeypatch.delenv(other, raising=False)
    assert not display_is_named()
    with pytest.raises(UserError, match="needs a display"):
        check_display()
    monkeypatch.setenv(name, "something")
    assert display_is_named()
    check_display()


def test_only_linux_names_its_screens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert display_is_named()
