from __future__ import annotations

import sys
from pathlib import Path

import pytest

from quantilizers.errors import UserError
from quantilizers.event_files import event_writer
from support import curves_of


def test_curves_are_what_tensorboard_reads(tmp_path: Path) -> None:
    with event_writer(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", 1.5 - step, step)
    assert curves_of(tmp_path) == {"loss": [(0, 1.5), (1, 0.5), (2, -0.5)]}


def test_a_new_run_loses_the_old_curves(tmp_path: Path) -> None:
    for value in (1.0, 3.0):
        with event_writer(tmp_path) as writer:
            writer.add_scalar("loss", value, int(value))
    assert curves_of(tmp_path) == {"loss": [(3, 3.0)]}


def test_what_keeps_curves_from_being_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"), event_writer(tmp_path / "file"):
        pass
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(UserError, match="needs tensorboard, which is not installed"), event_writer(tmp_path):
        pass
