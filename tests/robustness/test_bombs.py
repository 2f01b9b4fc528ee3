"""Bombs of every format are refused within twice their size and 100 MiB, and within a second; `-m slow -k bombs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT


@pytest.mark.slow
def test_bombs_are_refused_within_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("h5py")
    command = [sys.executable, str(ROOT / "tests" / "robustness" / "bombs.py"), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500)
    with capsys.disabled():
        print(f"\n{ended.stdout}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
