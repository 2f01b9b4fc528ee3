from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import optimiser_table
from optimiser_table import Standing, share_of_the_way, standings_of, verdict
from quantilizers.arrays import save_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import MissingError
from quantilizers.evaluation.results import SeedResults
from quantilizers.layout import Layout
from quantilizers.optimisers.agents import make_jobs
from quantilizers.optimisers.measurements import Measurement, save_measurement

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
    assert rows[2][9] == "0.089 in the reference's code, 0.500 [0.500, 0.500]", "λ is 2, and a return was lost by 1"
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


HORIZON = {"max_steps": 200, "options": {}}


def standing(label: str, means: list[float], **about: object) -> Standing:
    """Two seeds or more whose mean proxy returns are given, of one episode each."""
    returns = np.array(means, dtype=np.float64)[:, None]
    return Standing(label, returns, -returns, **{"conditions": HORIZON, **about})  # type: ignore[arg-type]


QUANTILIZERS = [
    standing("imitation", [10.0, 10.2, 9.8], quantile=1.0),
    standing("q = 0.5", [20.0, 20.2, 19.8], quantile=0.5),
]


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ([15.0, 15.2, 14.8], "did not optimise: below q = 0.5"),
        ([5.0, 5.2, 4.8], "did not optimise: below q = 0.5"),
        ([30.0, 30.2, 29.8], "above every quantilizer"),
        ([20.1, 20.3, 19.9], "undecided: overlaps q = 0.5"),
        ([5.0, 25.0, 15.0], "undecided: overlaps q = 1, 0.5"),
        # One episode of one seed has no interval.
        ([99.0], "undecided: overlaps q = 1, 0.5"),
    ],
)
def test_intervals_decide_whether_an_optimiser_optimised(means: list[float], words: str) -> None:
    optimiser = standing("PPO", means, optimises=True)
    assert verdict(optimiser, [optimiser, *QUANTILIZERS]) == words


def test_only_optimisers_are_judged_and_only_under_the_same_conditions() -> None:
    assert verdict(standing("random", [1.0, 2.0]), QUANTILIZERS) == ""
    longer = standing("PPO", [1.0, 2.0], optimises=True, conditions={"max_steps": 1000, "options": {}})
    assert "another horizon" in verdict(longer, QUANTILIZERS)
    assert verdict(longer, [longer]) == "no quantilizer was tested"


def test_the_way_is_from_random_play_to_the_highest_known() -> None:
    random, best = standing("random", [-100.0, -100.0]), standing("best demonstration", [-20.0], conditions=None)
    ppo = standing("PPO", [-60.0, -60.0], optimises=True)
    everybody = [random, best, ppo]
    assert [share_of_the_way(one, everybody) for one in everybody] == [0.0, 1.0, 0.5]
    assert share_of_the_way(ppo, [ppo, best]) is None
    assert share_of_the_way(random, [random]) is None
    longer = standing("QR-DQN", [900.0, 900.0], optimises=True, conditions={"max_steps": 1000, "options": {}})
    assert share_of_the_way(longer, [*everybody, longer]) is None
    assert share_of_the_way(ppo, [*everybody, longer]) == 0.5, "what another horizon allows is no measure"


def test_everybody_stands_in_order_of_the_proxy_return() -> None:
    def results(quantiles: list[float], proxy: list[float]) -> SeedResults:
        returns = np.array(proxy, dtype=np.float64)[:, None]
        rewards = np.zeros((*returns.shape, 1), dtype=np.float32)
        lengths = np.ones(returns.shape, dtype=np.int64)
        return SeedResults("MountainCar-v0", 200, {}, np.array(quantiles), -returns, returns, lengths, rewards, rewards)

    measured = [
        Measurement(name, 5, [0, 1], [results([0.0], [proxy])] * 2) for name, proxy in (("ppo", 3.0), ("random", 0.0))
    ]
    tested = [results([1.0, 0.25], [1.0, 2.0]), results([1.0, 0.25], [1.5, 2.5])]
    demonstrated = np.array([0.5, 7.0, 6.0]), np.array([1.0, -4.0, 9.0])
    everybody = standings_of(measured, tested, demonstrated)
    assert [one.label for one in everybody] == [
        "best demonstration", "PPO", "quantilizer, q = 0.25", "imitation, q = 1", "random",
    ]  # fmt: skip
    assert everybody[0].true_returns.tolist() == [[-4.0]], "the return of the one that earned most of the proxy"
    assert everybody[2].proxy_returns.tolist() == [[2.0], [2.5]]
    assert [one.optimises for one in everybody] == [False, True, False, False, False]
    assert [one.label for one in standings_of(measured, [], None)] == ["PPO", "random"]
