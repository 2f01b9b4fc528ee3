from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantilizers.stages.settings import ANALYSES

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--max_epochs", "3",
         "--number_trajectories", "3")  # fmt: skip


def numbers_of(log: Path, analysis: str) -> dict[str, object]:
    path = log / "fig" / f"small_MountainCar-v0_{analysis}.json"
    content: dict[str, object] = json.loads(path.read_text())["numbers"]
    return content


def test_every_analysis_tells_what_it_found(run: Run, log: Path) -> None:
    assert run(*SMALL, "--do", "train", "test")[0] == 0
    code, printed, complaint = run(*SMALL, "--do", "analyse", "--analysis", *ANALYSES)
    assert (code, "quantilizer.py:" in complaint) == (0, False)
    for analysis in set(ANALYSES) - {"average", "quantiles"}:
        assert (log / "fig" / f"small_MountainCar-v0_{analysis}.png").read_bytes().startswith(b"\x89PNG")
    assert "| q   | kept: true |" in printed
    assert "| all " in printed
    rollouts = numbers_of(log, "pca_rollouts")["rows"]
    assert isinstance(rollouts, list)
    assert [row["label"] for row in rollouts] == ["policies of q = 1", "policies of q = 0.5"]
    with (
        np.load(log / "rewards" / "small_MountainCar-v0_0.npz") as first,
        np.load(log / "rewards" / "small_MountainCar-v0_1.npz") as second,
    ):
        played = first["lengths"].sum(axis=1) + second["lengths"].sum(axis=1)
    assert [row["points"] for row in rollouts] == played.tolist(), "every step of every episode, and none after the end"
    predicted = numbers_of(log, "predict_dataset")["rows"]
    assert isinstance(predicted, list)
    assert predicted[0]["label"] == "recorded"


def test_figures_come_in_other_formats(run: Run, log: Path) -> None:
    for name, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
        words = (*SMALL, "--do", "analyze", "--analysis", "smooth", "--format", name)
        assert run(*words)[0] == 0
        path = log / "fig" / f"small_MountainCar-v0_smooth.{name}"
        first = path.read_bytes()
        assert first.startswith(start)
        assert run(*words)[0] == 0
        assert path.read_bytes() == first, "the same figure is the same file"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--analysis", "smoth"), "--analysis is 'smoth'; did you mean smooth?"),
        (("--format", "gif"), "--format is 'gif'; it is one of png, svg, pdf"),
        (("--analysis", "pca_rollouts"), "is missing|does not exist"),
    ],
)
def test_bad_input_gets_one_line(run: Run, log: Path, words: tuple[str, ...], named: str) -> None:
    code, _, complaint = run(*SMALL, "--do", "analyze", *words)
    assert code == 2
    assert complaint.count("\n") == 1
    assert any(part in complaint for part in named.split("|"))
    assert not (log / "fig").exists()
