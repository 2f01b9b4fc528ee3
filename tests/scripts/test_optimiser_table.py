from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import optimiser_table
from quantilizers.arrays import save_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import MissingError
from quantilizers.layout import Layout
from quantilizers.optimisers.jobs import make_jobs
from quantilizers.optimisers.measurements import save_measurement

Measure = Callable[..., None]


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Save two episodes of one seed, of two steps each."""

    def save(environment: str, algorithm: str, seed: int, proxy: float, true: float) -> None:
        definition = load_environment(environment)
        layout = Layout(tmp_path, definition.name, "demo")
        options = {"lamb": 2.0} if "Pinball" in environment else {}
        (job,) = make_jobs(definition, algorithm, [seed], 5000, 10, options, 2, layout)
        job.agent.parent.mkdir(exist_ok=True)
        job.agent.write_bytes(b"an agent")
        save_measurement(job, np.full((2, 2), true / 2), np.full((2, 2), proxy / 2), np.array([2, 2]))

    return save


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_measured_optimiser_has_a_row(tmp_path: Path, measure: Measure) -> None:
    for seed, proxy in ((0, -70.0), (3, -80.0), (11, -90.0)):
        measure("MountainCar-v0", "sarsa", seed, proxy, -150)
    measure("MountainCar-v0", "q_learning", 0, -60, -200)
    measure("VideoPinballNoFrameskip-v4", "qr_dqn", 0, 500, 499)
    rows = cells(optimiser_table.table(tmp_path, "", environment_names()))
    assert rows[0][:7] == ["MountainCar-v0", "SARSA", "-180.16", "-79.79", "SARSA", "5,000", "3 × 2"]
    assert rows[0][7] == "-150.00 [-150.00, -150.00]"
    assert rows[0][8] == "-80.00 [-104.84, -55.16]", "Student's t of three seeds: 4.303 × 10 / √3 either side"
    assert rows[1][4:7] == ["Q-learning", "5,000", "1 × 2"]
    assert rows[1][8] == "-60.00 [-60.00, -60.00]"
    assert rows[2][1] == "Rainbow"
    assert rows[2][4] == "QR-DQN"
    assert rows[2][9] == "0.089 published, 0.500 [0.500, 0.500]", "λ is 2, and a return was lost by 1"
    assert len(rows) == 3


def test_where_no_environment_has_a_second_axis_there_is_no_column_for_it(tmp_path: Path, measure: Measure) -> None:
    measure("MountainCar-v0", "sarsa", 0, -70.0, -150)
    assert len(cells(optimiser_table.table(tmp_path, "", environment_names()))[0]) == 9


def test_anybodys_environment_has_no_published_values(
    tmp_path: Path, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my_env.py"
    file.write_text(
        "from quantilizers import EnvironmentDefinition, own\n"
        "SLOW = EnvironmentDefinition('CartPole-v1', own, max_steps=50,\n"
        "    second_axis=lambda true, proxy, options: true - proxy, second_label='loss')\n"
    )
    address = f"{file}:SLOW"
    measure(address, "ppo", 0, 20.0, 10.0)
    assert optimiser_table.main(["--log_dir", str(tmp_path), "--env_name", address]) == 0
    shown = capsys.readouterr().out
    assert "loss" in shown.splitlines()[0]
    assert cells(shown)[0][:7] == ["my_env", "–", "–", "–", "PPO", "5,000", "1 × 2"]
    assert cells(shown)[0][9] == "-10.00 [-10.00, -10.00]"


def test_nothing_measured_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingError, match="no optimiser was measured"):
        optimiser_table.table(tmp_path, "", environment_names())
    assert optimiser_table.main(["--log_dir", str(tmp_path), "--path", "no/such/run"]) == 2
    assert "run: python quantilizer.py --do optimize" in capsys.readouterr().err


def test_where_each_stands_follows_with_the_best_demonstration(
    tmp_path: Path, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, proxy in ((0, -70.0), (1, -80.0)):
        measure("MountainCar-v0", "sarsa", seed, proxy, -150)
        measure("MountainCar-v0", "random", seed, -105.0, -200)
    arguments = ["--log_dir", str(tmp_path), "--env_name", "MountainCar-v0"]
    assert optimiser_table.main(arguments) == 0
    head, *shown = capsys.readouterr().out.partition("where each stands")[2].splitlines()
    assert "data set demo" in head
    rows = cells("\n".join(shown[1:]))
    assert [row[0] for row in rows] == ["best demonstration", "SARSA", "random"]
    best = Demonstrations.load("demo", "MountainCar-v0").proxy_returns.max()
    assert float(rows[0][1]) == pytest.approx(best, rel=1e-3)
    assert [rows[0][2], rows[2][2]] == ["100%", "0%"]
    assert rows[1][5] == "no quantilizer was tested"
    assert optimiser_table.main([*arguments, "--dataset_name", "none"]) == 0
    assert "best demonstration" not in capsys.readouterr().out


def test_steps_are_those_after_which_a_training_stood_still(tmp_path: Path, measure: Measure) -> None:
    layout = Layout(tmp_path, "Hopper-v2", "demo")
    for seed, taken in ((0, 3000), (1, 2500)):
        measure("Hopper-v2", "ppo_long", seed, 0.7, 200)
        save_arrays(layout.optimiser_agent("ppo_long", seed), {"trained_steps": np.array(taken)})
    assert cells(optimiser_table.table(tmp_path, "", ["Hopper-v2"]))[0][4:6] == ["PPO, long", "2,500 to 3,000 of 5,000"]
    layout.optimiser_agent("ppo_long", 0).unlink()
    save_arrays(layout.optimiser_agent("ppo_long", 1), {"trained_steps": np.array(5008)})
    assert cells(optimiser_table.table(tmp_path, "", ["Hopper-v2"]))[0][5] == "5,000"
