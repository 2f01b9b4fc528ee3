from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from quantilizers.files import sha256_of

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "2", "--max_epochs", "3",
         "--number_trajectories", "3", "--max_steps", "40", "--hidden_units")  # fmt: skip


def test_the_page_says_what_came_out(run: Run, log: Path) -> None:
    assert run(*SMALL, "--do", "train", "test", "optimize", "report", "--optimiser_steps", "400")[0] == 0
    page = log / "report" / "small_MountainCar-v0.html"
    text = page.read_text(encoding="utf-8")
    for said in (
        "Against imitation",
        "Against SARSA",
        "--do study",
        "q = 0.5",
        "<td>SARSA</td>",
        "Imitation, q = 1.",
    ):
        assert said in text
    assert text.count("<svg") == 3
    assert text.count("data:image/gif") == 3
    with page.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_policies = [row for row in rows if row["agent"] == "policy"]
    assert len(of_policies) == 2 * 2 * 3
    with np.load(log / "rewards" / "small_MountainCar-v0_1.npz") as results:
        expected = results["true_returns"][1]
    found = [float(row["true_return"]) for row in of_policies if (row["quantile"], row["seed"]) == ("0.5", "1")]
    np.testing.assert_allclose(found, expected)
    assert sum(row["agent"] == "demonstration" for row in rows) == 12
    assert sum(row["agent"] == "sarsa" for row in rows) == 2 * 3


def test_hopper_is_drawn_after_training_in_one_command(tmp_path: Path) -> None:
    # A process with TensorFlow and Mesa's OpenGL would crash without a message.
    words = ["--do", "train", "test", "report", "--env_name", "Hopper-v2", "--quantiles", "1.0", "--seed_nb", "1",
             "--max_epochs", "1", "--number_trajectories", "2", "--max_steps", "20", "--hidden_units"]  # fmt: skip
    project = Path(__file__).resolve().parents[2]
    (tmp_path / "Hopper-v2").mkdir()
    shutil.copy(project / "log" / "Hopper-v2" / "demo.npz", tmp_path / "Hopper-v2")
    command = [sys.executable, str(project / "quantilizer.py"), "--log_dir", str(tmp_path), *words]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    page = tmp_path / "report" / "demo_Hopper-v2.html"
    assert page.read_text(encoding="utf-8").count("data:image/gif") == 1


def test_a_study_of_the_same_demonstrations_is_a_part_of_it(run: Run, log: Path) -> None:
    assert run(*SMALL, "--do", "train", "test", "study", "report", "--subsets", "2")[0] == 0
    page = log / "report" / "small_MountainCar-v0.html"
    assert "against those of as many random ones" in page.read_text(encoding="utf-8")
    study = log / "study" / "small_MountainCar-v0.json"
    changed = {**json.loads(study.read_text()), "data_sha256": "0"}
    study.write_text(json.dumps(changed))
    assert run(*SMALL, "--do", "report")[0] == 0
    assert "but it was made of other demonstrations" in page.read_text(encoding="utf-8")
    of_settings = {**changed, "data_sha256": sha256_of(log / "MountainCar-v0" / "small.npz")}
    of_settings["settings"] = {**changed["settings"], "max_steps": 7}
    study.write_text(json.dumps(of_settings))
    assert run(*SMALL, "--do", "report")[0] == 0
    assert "but it was made with max_steps 7, not " in page.read_text(encoding="utf-8")
    study.write_text("[]")
    code, _, complaint = run(*SMALL, "--do", "report")
    assert (code, "is no study" in complaint) == (2, True)


def test_nothing_is_written_before_anything_was_tested(run: Run, log: Path) -> None:
    code, _, complaint = run(*SMALL, "--do", "report")
    assert code == 2
    assert "nothing was tested yet" in complaint
    assert not (log / "report").exists()
