"""`--within group` in the stages: what is inspected is what policies imitate, and finished work records it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quantilizer import main
from quantilizers import Demonstrations, Episodes, load_environment
from quantilizers.layout import Layout
from quantilizers.policies.keras_files import recipe_of

FILE = """
from quantilizers import EnvironmentDefinition, own

ENVIRONMENT = EnvironmentDefinition("CartPole-v1", own, max_steps=3, name="asked", group="question")
"""
WORDS = ("--quantiles", "1.0", "0.5", "--seed_nb", "1", "--number_trajectories", "2", "--max_epochs", "1")


@pytest.fixture
def address(tmp_path: Path) -> str:
    path = tmp_path / "asked.py"
    path.write_text(FILE, encoding="utf-8")
    question, random = np.repeat([0, 1], [4, 8]), np.random.default_rng(0)
    seen = random.normal(size=(12, 3, 4)).astype(np.float32)
    rewards = np.ones((12, 3)) * (question + 0.1 * random.random(12))[:, None]
    Episodes(
        seen, random.integers(2, size=(12, 3, 1)), rewards, np.zeros((12, 3), dtype=np.bool_),
        {"question": question, "final_observation": seen[:, -1]},
    ).save(Layout(tmp_path / "log", "asked", "demo").data)  # fmt: skip
    return str(path)


def call(address: str, *words: str) -> int:
    return main([*words, "--env_name", address, "--log_dir", str(Path(address).parent / "log"), "--hidden_units"])


def test_inspect_train_and_study_rank_within_groups(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout(Path(address).parent / "log", "asked", "demo")
    within = ["--within", "group", *WORDS]
    assert call(address, "--do", "inspect", *within) == 0
    out = capsys.readouterr().out
    assert "2, of 4 to 8 episodes" in out
    assert "ranked within 2 groups" in out
    assert call(address, "--do", "train", "test", "study", "--subsets", "2", *within) == 0
    out = capsys.readouterr().out
    assert "The bounds are left out" in out
    entries = recipe_of(layout.model(0.5, 0)).entries
    assert entries["treatment"]["within"] == "group"
    demonstrations = Demonstrations.load(layout.data, load_environment(address))
    assert entries["data"] == demonstrations.top(0.5, within="group").fingerprint
    study = json.loads(layout.study.read_text())
    assert study["bounds"] is None
    assert study["settings"]["treatment"]["within"] == "group"
    for stage in ("train", "study"):
        assert call(address, "--do", stage, "--subsets", "2", *WORDS) == 2
        assert "with within group, not all" in capsys.readouterr().err
    assert call(address, "--do", "plot", "--plotstyle", "frontier", *within) == 2
    assert "groups have unequal numbers of episodes, and --plotstyle frontier" in capsys.readouterr().err
    assert call(address, "--do", "plot", "--plotstyle", "distribution", *within) == 0
    layout.study.unlink()
    regrouped = demonstrations.episodes
    moved = np.array([0, 1] * 6)
    Episodes(
        regrouped.observations, regrouped.actions, regrouped.true_rewards, regrouped.done,
        {**regrouped.extras, "question": moved},
    ).save(layout.data)  # fmt: skip
    assert call(address, "--do", "study", "--subsets", "2", *within) == 2
    assert "with other groups of episodes" in capsys.readouterr().err
