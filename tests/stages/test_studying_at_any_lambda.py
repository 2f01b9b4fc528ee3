from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.envs.registry import load_environment
from quantilizers.layout import Layout
from quantilizers.stages import studying
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.studies.controls import Arm, ArmResults

CAR = load_environment("MountainCar-v0")


@pytest.mark.parametrize("penalty", [2.0, 0.0])
def test_a_study_compares_losses_and_finds_the_penalty_from_which_selection_loses(
    penalty: float, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Policies of the top quarter earn 50 more proxy return and lose 0.5 more."""
    random = np.random.default_rng(0)

    def invented(demonstrations: object, arms: Sequence[Arm], *others: Any) -> dict[Arm, ArmResults]:
        results = {}
        for arm in arms:
            top = arm.quantile < 1 and arm.selection == "top"
            proxy, kept = random.normal(50.0 if top else 0.0, 0.1, size=(3, 4)), np.zeros(3)
            loss = random.normal(0.5 if top else 0.0, 0.001, size=(3, 4))
            lengths = np.ones((3, 4), dtype=int)
            results[arm] = ArmResults(arm, proxy - penalty * loss, proxy, lengths, kept, kept, lengths[0, :3])
        return results

    monkeypatch.setattr(studying, "run_arms", invented)
    priced = replace(
        CAR,
        options={"lamb": 1.0},
        figures=replace(
            CAR.figures,
            second_axis=lambda true, proxy, options: (proxy - true) / options["lamb"],
            second_label="idleness",
        ),
    )
    layout = Layout(log, CAR.name, "small")
    studying.run(Run(Settings(priced, layout, (1.0, 0.25), range(3), 4, 200, options={"lamb": penalty}, subsets=2)))
    out = capsys.readouterr().out
    written = json.loads(layout.study.read_text())
    if not penalty:
        assert "losses" not in written, "returns at λ = 0 do not tell losses"
        assert "idleness" not in out
        return
    assert "idleness of policies: is it higher" in out
    losses = written["losses"]
    assert losses["quantity"] == "idleness"
    assert {even["budget"] for even in losses["even_with_imitation"]} == {"epochs", "updates"}
    for even in losses["even_with_imitation"]:
        assert even["lambda"] == pytest.approx(100, rel=0.01)
    assert {one["decision"] for one in losses["verdicts"]} == {"supported"}
    drawn = json.loads(layout.figure("study_lambda").with_suffix(".json").read_text())["numbers"]
    assert [arm["label"] for arm in drawn["arms"]] == ["imitation", "q = 0.25"]
    assert drawn["arms"][1]["even_with_first"]["lambda"] == pytest.approx(100, rel=0.01)
