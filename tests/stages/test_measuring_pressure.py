"""The stage `pressure` with policies of random weights, which need no TensorFlow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.policies.multilayer_perceptron import weight_shapes
from quantilizers.policies.policy import TrainedPolicy
from quantilizers.stages import measuring_pressure

Run = Callable[..., tuple[int, str, str]]
WORDS = ("--do", "pressure", "--dataset_name", "small", "--seed_nb", "2", "--number_trajectories", "4")
WORDS += ("--max_steps", "40", "--quantiles", "1.0", "0.5")


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Versions of policies by file name; policies of another version have other weights and another hash."""
    found: dict[str, int] = {}

    def load(path: Path, environment: EnvironmentDefinition) -> TrainedPolicy:
        generator = np.random.default_rng([*path.name.encode(), found.get(path.name, 0)])
        training = PerceptronTraining(hidden_units=(4,))
        weights = [generator.normal(size=one).astype(np.float32) for one in weight_shapes(environment, training)]
        return TrainedPolicy(1.0, 0, weights, training)

    monkeypatch.setattr(measuring_pressure, "load_policy", load)
    monkeypatch.setattr(measuring_pressure, "content_hash", lambda path: f"{path.name} {found.get(path.name, 0)}")
    monkeypatch.setattr(measuring_pressure, "check_policy", lambda *_: None)
    return found


def rows_of(log: Path) -> dict[tuple[Any, str], dict[str, Any]]:
    written = json.loads((log / "study" / "small_MountainCar-v0_pressure.json").read_text())
    return {(row["quantile"], row["algorithm"]): row for row in written["agents"]}


def test_policies_and_optimisers_are_measured_once(
    run: Run, log: Path, versions: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    optimise = ["--dataset_name", "small", "--seed_nb", "2", "--number_trajectories", "4", "--max_steps", "40"]
    assert run("--do", "optimize", "--algorithm", "random", *optimise)[0] == 0
    assert run("--do", "optimize", "--algorithm", "sarsa_greedy", *optimise, "--optimiser_steps", "80")[0] == 0
    code, said, _ = run(*WORDS)
    assert code == 0
    rows = rows_of(log)
    assert list(rows) == [(1.0, ""), (0.5, ""), (1.0, "imitation by another seed"), (None, "random")]
    assert np.max(rows[1.0, ""]["divergences"]) == 0
    for key in ((0.5, ""), (1.0, "imitation by another seed"), (None, "random")):
        assert np.shape(rows[key]["divergences"]) == (2, 4)
        assert np.min(rows[key]["divergences"]) > 0
    assert "| cloned, q = 0.5 " in said
    assert f" {math.log(2):.2f} |" in said
    # One that takes the best action has no probabilities.
    (line,) = [line for line in said.splitlines() if line.startswith("| SARSA, greedy ")]
    assert line.split("|")[2].strip() == "unknown"
    measured: list[str] = []
    before = measuring_pressure.measure
    monkeypatch.setattr(
        measuring_pressure, "measure", lambda job, send: measured.append(job.subject.label) or before(job, send)
    )
    assert run(*WORDS)[1] == said
    assert measured == ["SARSA, greedy"]
    measured.clear()
    # A policy that was trained again is measured again, and agents that are not asked for stay.
    versions["small_MountainCar-v0_0.5_1.keras"] = 1
    assert run(*WORDS)[0] == 0
    assert measured == ["cloned, q = 0.5", "SARSA, greedy"]
    again = rows_of(log)
    assert again[0.5, ""]["divergences"][0] == rows[0.5, ""]["divergences"][0]
    assert again[0.5, ""]["divergences"][1] != rows[0.5, ""]["divergences"][1]
    assert run(*WORDS[:-1])[0] == 0
    assert run(*[word if word != "2" else "1" for word in WORDS])[0] == 0
    assert list(rows_of(log)) == list(rows)
    assert rows_of(log)[0.5, ""]["seeds"] == [0, 1]
    # So do seeds, and the table is of the seeds that are asked for.
    code, said, _ = run(*WORDS[:4], "--seed_min", "1", *WORDS[4:])
    assert code == 0
    assert "over 2 seeds" in said
    more = rows_of(log)[0.5, ""]
    assert (more["seeds"], more["divergences"][:2]) == ([0, 1, 2], again[0.5, ""]["divergences"])
    code, said, _ = run(*WORDS[:4], "--seed", "2", *WORDS[6:])
    assert code == 0
    assert "over 4 episodes of one seed" in said


def test_other_settings_are_refused_and_force_replaces(run: Run, log: Path, versions: dict[str, int]) -> None:
    assert run(*WORDS)[0] == 0
    code, _, error = run(*WORDS, "--max_steps", "30")
    assert code == 2
    assert "_pressure.json was measured with max_steps 40, not 30; keep it and give" in error
    code, said, _ = run(*WORDS, "--max_steps", "30", "--force")
    assert code == 0
    assert "--force deletes measurements in" in said
    before = rows_of(log)
    for fewer, named in ((WORDS[:-1], "q = 0.5"), ([one if one != "2" else "1" for one in WORDS], "seed 1")):
        code, _, error = run(*fewer, "--force")
        assert code == 2
        assert f"--force would delete {log}/study/small_MountainCar-v0_pressure.json, which also has {named};" in error
    assert rows_of(log) == before


def test_without_policies_there_is_one_line_and_the_way_out(run: Run) -> None:
    code, _, error = run(*WORDS)
    assert (code, error.count("\n")) == (2, 1)
    assert "small_MountainCar-v0_1.0_0.keras is missing; train it first" in error


@pytest.mark.parametrize("stages", ["pressure", "optimize --algorithm sampling_quantilizer"])
def test_an_imitator_that_would_not_be_trained_is_missed_before_others_are(stages: str, run: Run, log: Path) -> None:
    words = f"--do train {stages} --dataset_name small --quantiles 0.5 --seed_nb 1 --max_epochs 1".split()
    code, _, error = run(*words)
    assert (code, error.count("\n")) == (2, 1)
    assert "small_MountainCar-v0_1.0_0.keras is missing; train it first" in error
    assert not (log / "models").exists()


def test_agents_of_another_imitator_are_left_out(run: Run, log: Path) -> None:
    words = ["--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_nb", "1", "--number_trajectories", "2"]
    words += ["--max_steps", "40", "--plotstyle", "frontier"]
    own = ["--algorithm", "sampling_quantilizer"]
    sampling = (None, "sampling_quantilizer")

    def drawn() -> tuple[list[dict[str, Any]], list[str]]:
        numbers = json.loads((log / "fig" / "small_MountainCar-v0_frontier.json").read_text())["numbers"]
        agents = [one for one in numbers["agents"] if one["label"] == "sampling quantilizer"]
        return agents, [path["label"] for path in numbers["paths"]]

    stages = ["train", "test", "optimize", "pressure", "plot"]
    code, _, error = run("--do", *stages, *words, *own, "--max_epochs", "2", "--rollouts", "6")
    assert code == 0, error
    assert np.ptp(rows_of(log)[sampling]["divergences"]) == 0
    (agent,), paths = drawn()
    assert agent["nats_per_episode"]["estimate"] == rows_of(log)[sampling]["divergences"][0][0]
    assert paths == ["sampling quantilizer"]
    # Its KL is known from n and k, whether or not it was measured.
    (log / "study" / "small_MountainCar-v0_pressure.json").unlink()
    assert run("--do", "plot", *words, "--max_epochs", "2")[0] == 0
    assert drawn()[0][0]["nats_per_episode"] == agent["nats_per_episode"]
    # The imitator is trained again, and the agent is still that of the earlier one.
    code, _, error = run("--do", "train", "test", "pressure", "plot", *words, "--max_epochs", "3", "--force")
    assert code == 0, error
    assert "_0.npz was made from another imitator than the policy of q = 1; optimize with" in error
    assert sampling not in rows_of(log)
    assert drawn() == ([], [])
    left_out = "_0.npz was made from another imitator than the policy of q = 1; give this run another --path"
    assert f"left out of the figure: {log}" in error
    assert left_out in error
    code, _, error = run("--do", "plot", *words, *own, "--max_epochs", "3")
    assert (code, left_out in error) == (2, True)
