"""Planners and their efforts, as users type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.envs.planning import Planning
from quantilizers.evaluation.results import load_results
from quantilizers.optimisers.paths import load_path_of
from quantilizers.stages import efforts as stage
from support import ROOT, files_of

Run = Callable[..., tuple[int, str, str]]
POLE = f"{ROOT / 'tests' / 'optimisers' / 'planned_environments.py'}:PLANNED"
WORDS = ("--env_name", POLE, "--algorithm", "planner", "--effort", "4", "--seed_nb", "2", "--number_trajectories", "2")


def test_a_planner_is_measured_at_every_effort_and_drawn(run: Run, log: Path) -> None:
    code, out, err = run("--do", "optimize", *WORDS)
    assert code == 0, err
    assert "planner of effort 4" in out
    assert "| planner" in out
    assert not (log / "fig").exists(), "what does not learn has no figure of learning"
    code, out, err = run("--do", "efforts", *WORDS)
    assert "warning: --effort is for --do optimize; --do efforts measures at 1, 4" in err
    assert code == 0, err
    assert "the true return is highest at" in out
    path = load_path_of(log / "study" / "optimiser_planner_PLANNED_path.json")
    assert path is not None
    assert path.efforts.tolist() == [1, 4]
    for point, folder in zip(path.points, ("efforts/1", ""), strict=True):
        for row, seed in enumerate((0, 1)):
            name = f"optimiser_planner_PLANNED_{seed}.npz"
            results = load_results(log / "rewards" / folder / name)
            np.testing.assert_array_equal(point.true_returns[row], results.true_returns[0])
            np.testing.assert_array_equal(point.proxy_returns[row], results.proxy_returns[0])
    assert not (log / "rewards" / "efforts" / "4").exists(), "what optimize measured is not measured again"
    numbers = json.loads((log / "fig" / "optimiser_planner_PLANNED_efforts.json").read_text())["numbers"]
    assert numbers["paths"][0]["efforts"] == [1, 4]
    assert [one["estimate"] for one in numbers["paths"][0]["true"]] == [one.estimate for one in path.true]
    before = {name: bits for name, bits in files_of(log).items() if not name.startswith(("train/", "runs/"))}
    assert run("--do", "efforts", *WORDS)[0] == 0
    assert {name: bits for name, bits in files_of(log).items() if not name.startswith(("train/", "runs/"))} == before
    assert run("--do", "efforts", *WORDS, "--number_trajectories", "3")[0] == 0
    path = load_path_of(log / "study" / "optimiser_planner_PLANNED_path.json")
    assert path is not None
    assert [point.true_returns.shape for point in path.points] == [(2, 3)] * 2, "fewer episodes are not enough"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--do", "efforts"), ("efforts is for planners", "sarsa", "planner or kl_control or planner_true")),
        (("--do", "optimize", "--algorithm", "planner", "--effort", "0"), ("--optimiser_steps",)),
        (("--do", "optimize", "--algorithm", "planer"), ("planer", "planner_true")),
        (
            ("--do", "optimize", "--algorithm", "planner", "--env_name", POLE.replace("PLANNED", "UNHOOKED")),
            ("planner needs", "save_state", "UNHOOKED", "--algorithm"),
        ),
        (
            ("--do", "efforts", "--algorithm", "planner", "--env_name", POLE.replace("PLANNED", "FORGETFUL")),
            ("FORGETFUL", "save_state must return"),
        ),
    ],
)
def test_bad_input_gets_exit_code_2_and_one_line(
    run: Run, log: Path, words: tuple[str, ...], named: tuple[str, ...]
) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    message = err.splitlines()[-1]
    assert message.startswith("quantilizer.py: ")
    for word in named:
        assert word in message
    assert not (log / "rewards").exists()


def test_efforts_ascend() -> None:
    assert stage.EFFORTS == "efforts"
    with pytest.raises(Exception, match="ascend"):
        replace(Planning(), efforts=(5, 2))
    with pytest.raises(Exception, match="look_ahead"):
        replace(Planning(), played=40)
