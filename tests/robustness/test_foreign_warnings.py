"""A clean run prints no library's warning, log line or deprecation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_kills_and_full_disks import RUNS, write_few

from support import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

#: How warnings and log lines of Python, NumPy, Gymnasium, TensorFlow, absl, Keras, matplotlib and CUDA look.
FOREIGN = re.compile(r"\w*Warning:|WARNING|^[WIE]\d{4} |absl|deprecat|oneDNN|cuda|AutoGraph|Traceback", re.MULTILINE)


@pytest.mark.parametrize("environment", RUNS)
def test_a_clean_run_prints_no_warning_of_a_library(environment: str, tmp_path: Path) -> None:
    words, planner, _ = RUNS[environment]
    write_few(environment, tmp_path)
    for run in (words, planner):
        done = subprocess.run(
            [sys.executable, "quantilizer.py", "--env_name", environment, "--log_dir", str(tmp_path), *run.split()],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert not FOREIGN.search(done.stdout)
        assert not FOREIGN.search(done.stderr), done.stderr[-3000:]
