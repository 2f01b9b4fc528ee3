from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]
SMALL = (
    "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--max_epochs", "1",
    "--number_trajectories", "3", "--max_steps", "30", "--hidden_units",
)  # fmt: skip
METHODS = ("--subsets", "2", "--methods", "quantile", "best_of_n", "exponential")


@pytest.fixture
def studied(run: Run, log: Path) -> Path:
    code, out, err = run("--do", "train", "test", "study", *SMALL, *METHODS)
    assert code == 0, err
    assert "best of n" in out
    return log / "study" / "small_MountainCar-v0.json"


def agents(run: Run, log: Path, *words: str) -> tuple[list[dict[str, object]], str]:
    code, _, err = run("--do", "plot", "--plotstyle", "frontier", *SMALL, *words)
    assert code == 0, err
    figure = json.loads((log / "fig" / "small_MountainCar-v0_frontier.json").read_text())
    return figure["numbers"]["agents"], err


def test_the_frontier_shows_softer_cuts_of_the_study_at_the_quantilizers_pressure(
    run: Run, log: Path, studied: Path
) -> None:
    assert (log / "fig" / "small_MountainCar-v0_study.png").exists()
    drawn, _ = agents(run, log)
    halves = {agent["label"]: agent for agent in drawn if agent["quantile"] == 0.5}
    assert set(halves) == {"cloned", "cloned best of n", "cloned exponential weights"}
    for agent in halves.values():
        assert agent["reference"] == pytest.approx(np.sqrt(np.log(2)))
        assert agent["pressure"] is None, "their own KL was not measured"
    (row,) = [
        row for row in json.loads(studied.read_text())["rows"] if (row["quantile"], row["budget"]) == (0.5, "epochs")
    ]
    estimate = halves["cloned best of n"]["true"]["estimate"]  # type: ignore[index]
    assert estimate == row["softer"]["best_of_n"]["true_return"]


@pytest.mark.parametrize("change", ["max_steps", "data_sha256"])
def test_a_study_of_other_settings_is_left_out_by_name(run: Run, log: Path, studied: Path, change: str) -> None:
    found = json.loads(studied.read_text())
    if change == "max_steps":
        found["settings"]["max_steps"] = 7
    else:
        found["data_sha256"] = "0"
    studied.write_text(json.dumps(found))
    drawn, err = agents(run, log)
    assert {agent["label"] for agent in drawn if agent["quantile"] is not None} == {"cloned"}
    assert ("was made with max_steps 7, not " if change == "max_steps" else "other demonstrations") in err
    studied.write_text("{}")
    code, _, err = run("--do", "plot", "--plotstyle", "frontier", *SMALL)
    assert (code, "is no study" in err) == (2, True)


def test_a_study_takes_no_treatment_of_its_own(run: Run) -> None:
    for flag, value in (("--select", "bottom"), ("--budget", "updates"), ("--method", "best_of_n")):
        code, _, err = run("--do", "study", "--dataset_name", "small", flag, value)
        assert code == 2
        assert err.count("\n") == 1
        assert "leave --select" in err
    code, _, err = run("--do", "study", "--dataset_name", "small", "--methods", "best")
    assert (code, "--methods is 'best'" in err) == (2, True)
