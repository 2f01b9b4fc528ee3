from __future__ import annotations

import sys

import pytest

from quantilizers.envs import making
from quantilizers.errors import UserError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has several to choose from")


@pytest.mark.parametrize(
    ("working", "chosen"),
    [({"egl", "glfw", "osmesa"}, "egl"), ({"glfw", "osmesa"}, "glfw"), ({"osmesa"}, "osmesa")],
)
def test_the_first_that_works_is_chosen(working: set[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_works", lambda backend, _: backend in working)
    environment: dict[str, str] = {}
    making.choose_off_screen_gl(environment)
    assert environment == {"MUJOCO_GL": chosen}


def test_where_none_works_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_works", lambda *_: False)
    with pytest.raises(UserError, match="apt-get install libegl1 libgl1-mesa-dri libosmesa6"):
        making.choose_off_screen_gl({})


@pytest.mark.parametrize("nonsense", ["nonsense", "disabled"])
def test_a_choice_of_the_user_s_that_does_not_work_is_named(nonsense: str) -> None:
    with pytest.raises(UserError, match=f"MUJOCO_GL={nonsense} cannot draw here"):
        making.choose_off_screen_gl({"MUJOCO_GL": nonsense})
