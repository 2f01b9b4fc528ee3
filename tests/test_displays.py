from __future__ import annotations

import sys

import pytest

from quantilizers.displays import display_is_named

NAMES = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_variables_names_a_screen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for other in NAMES:
        monkeypatch.delenv(other, raising=False)
    assert not display_is_named()
    monkeypatch.setenv(name, "something")
    assert display_is_named()


def test_only_linux_names_its_screens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert display_is_named()
