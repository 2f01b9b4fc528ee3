from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations

WORDS = ("--do", "study", "--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--subsets", "2")
QUICK = ("--number_trajectories", "3", "--max_epochs", "2", "--max_steps", "40", "--hidden_units")


def test_a_study_prints_its_tables_and_verdicts(run: Callable[..., tuple[int, str, str]], log: Path) -> None:
    code, out, err = run(*WORDS, *QUICK)
    assert code == 0
    line = "warning: q1_top_epochs: 2 of 2 policies predict the imitated .*; likewise in 9 of the 9 other arms\n"
    assert len(re.findall(line, err)) == 1
    for said in (
        "budget epochs",
        "budget updates",
        "random subsets",
        "cloning gap",
        "than as many random",
        "--do report",
    ):
        assert said in out
    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert max(map(len, tables)) <= 80
    wide = run(*WORDS, *QUICK, "--wide")[1]
    assert " bottom |" in wide
    assert "--wide" not in wide
    written = json.loads((log / "study" / "small_MountainCar-v0.json").read_text())
    assert written["settings"]["subsets"] == 2
    assert len(written["rows"]) == 4
    assert len(written["verdicts"]) == 4
    assert written["settings"]["controls"] == [], "the players are not known"
    assert {"sentence", "adjusted_p", "smallest_detectable"} < {*written["verdicts"][0]}
    assert written["data_sha256"]
    assert "the top q cost at most 1/q times as much" in out
    assert "The guarantee E_q[U] − k/q does not apply" in out
    assert written["bounds"]["quantiles"] == [1.0, 0.5]
    assert written["bounds"]["costs"]["failures"]["kept"]["kept"] is True
    assert run(*WORDS, *QUICK)[1] == out, "nothing is done twice, and nothing comes out otherwise"
    # Other settings are refused, also if the study was stopped before its record was written.
    refused = [*WORDS, *QUICK, "--learning_rate", "0.01"]
    code, _, err = run(*refused)
    assert code == 2
    assert "small_MountainCar-v0.json was made with learning_rate 0.001, not 0.01; keep it and give" in err
    (log / "study" / "small_MountainCar-v0.json").unlink()
    code, _, err = run(*refused)
    assert code == 2
    assert "q1_top_epochs.npz was made with learning_rate 0.001, not 0.01; keep it and give" in err
    assert run(*WORDS, *QUICK)[1] == out
    fewer = [word if word != "1.0" else "0.25" for word in refused]
    code, _, err = run(*fewer, "--seed_nb", "1", "--force")
    assert code == 2
    assert "small_MountainCar-v0.json, which also has q = 1, seed 1; give this run another --path" in err
    assert run(*WORDS, *QUICK)[1] == out
    code, replaced, _ = run(*refused, "--force")
    assert code == 0
    assert "--force deletes arms in " in replaced
    assert f"--force deletes results in {log / 'study'}: small_MountainCar-v0.json" in replaced
    assert json.loads((log / "study" / "small_MountainCar-v0.json").read_text())["settings"]["training"][
        "learning_rate"
    ] == pytest.approx(0.01)


def test_controls_and_budgets_are_chosen_and_players_must_be_known(
    run: Callable[..., tuple[int, str, str]], log: Path, car_demonstrations: Demonstrations
) -> None:
    words = (*WORDS, *QUICK, "--path", "two/")
    code, _, err = run(*words, "--controls", "top_players", "within_players")
    assert code == 2
    assert err.count("\n") == 1
    assert "--controls top_players within_players chooses among players, but the demonstrations do not name two" in err
    assert not (log / "study" / "two").exists()
    assert run(*WORDS, "--controls", "top_players", "top_players")[0] == 2
    episodes = car_demonstrations.episodes
    extras = {**episodes.extras, "player": np.array(["ann", "bob", "cy"] * 4)}
    replace(episodes, extras=extras).save(log / "MountainCar-v0" / "small.npz")
    words = (*WORDS, *QUICK, "--budgets", "epochs", "--path", "one/")
    code, out, _ = run(*words)
    assert code == 0
    assert "| of the top players | top within each player |" in out
    assert json.loads((log / "study" / "one" / "small_MountainCar-v0.json").read_text())["settings"]["controls"] == [
        "top_players", "within_players",
    ]  # fmt: skip
    code, out, _ = run(*words, "--controls", "within_players")
    assert code == 0
    assert "budget updates" not in out
    assert "top within each player" in out
    assert "of the top players" not in out
    arms = {path.stem for path in (log / "study" / "one" / "small_MountainCar-v0").iterdir()}
    assert "q0.5_within_players_epochs" in arms
    code, out, _ = run(*words, "--controls")
    assert code == 0
    assert "Players or their episodes" not in out


def test_one_subset_is_refused(run: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run("--do", "study", "--subsets", "1")
    assert code == 2
    assert "--subsets is 1; give a whole number from 2; one random subset says nothing of others" in err
