"""Finished work of an environment whose definition has changed is refused, in every stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantilizer import main
from quantilizers import Episodes
from quantilizers.layout import Layout

FILE = """
from quantilizers import EnvironmentDefinition, each_step

ENVIRONMENT = EnvironmentDefinition(
    "CartPole-v1", {sign} * each_step(lambda steps: steps.observations[:, 0]), max_steps=12
)
"""


def write(path: Path, sign: float) -> None:
    path.write_text(FILE.format(sign=sign), encoding="utf-8")


def demonstrations(log: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    shape = (8, 12)
    Episodes(
        rng.normal(size=(*shape, 4)).astype(np.float32),
        rng.integers(2, size=(*shape, 1)).astype(np.float32),
        np.ones(shape, np.float32),
        np.zeros(shape, bool),
        {"final_observation": rng.normal(size=(8, 4)).astype(np.float32)},
    ).save(Layout(log, name, "demo").data)


@pytest.mark.parametrize("stage", ["train", "test", "study", "optimize"])
def test_another_proxy_is_refused_in_each_stage(stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the proxy's sign turned, top and bottom are exchanged; the old verdict was printed once more."""
    # A file is read once in a process; the first is gone when the other, which has its name, is named.
    first, second = tmp_path / "a" / "lean.py", tmp_path / "b" / "lean.py"
    for path in (first, second):
        path.parent.mkdir()
    write(first, 1.0)
    demonstrations(tmp_path / "log", "lean")
    stages = ["train", "test"] if stage == "test" else [stage]
    more = ["--subsets", "2"] if stage == "study" else []
    more += ["--algorithm", "random"] if stage == "optimize" else []

    def call(path: Path) -> int:
        return main([
            "--do", *stages, "--env_name", str(path), "--log_dir", str(tmp_path / "log"), "--seed_nb", "1",
            "--quantiles", "1.0", "0.5", "--number_trajectories", "2", "--max_epochs", "1", *more,
        ])  # fmt: skip

    assert call(first) == 0
    assert call(first) == 0
    first.unlink()
    write(second, -1.0)
    assert call(second) == 2
    assert "proxy reward than the environment's definition has now" in capsys.readouterr().err
