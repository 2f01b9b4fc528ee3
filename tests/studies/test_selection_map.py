from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.policies.policy import acting_of, training_of
from quantilizers.studies.controls import Arm, ArmResults, Protocol
from quantilizers.studies.reruns import Rerun
from quantilizers.studies.selection_map import Grid, Skill, draw_map, summarise_map

GRID = Grid((6, 12), (Skill("low", 0.0, 0.5), Skill("high", 0.5, 1.0)), (0.5,), 2)
TOP, RANDOM = Arm(0.5, "top", 0, "epochs"), Arm(0.5, "random", 0, "epochs")


def invented(generator: np.random.Generator, effect: float, correlation: float) -> Rerun:
    """A draw whose top policy earns `effect` more than the random one, with noise."""
    proxy = generator.normal(size=50)
    true = correlation * proxy + np.sqrt(1 - correlation**2) * generator.normal(size=50)
    kept = true[np.argsort(-proxy)[:25]]

    def arm(which: Arm, mean: float) -> ArmResults:
        returns = mean + generator.normal(size=(1, 5))
        lengths = np.ones(25, dtype=np.int64)
        return ArmResults(which, returns, returns, np.ones((1, 5), dtype=np.int64), kept, kept, lengths)

    return Rerun(true, proxy, {TOP: arm(TOP, effect), RANDOM: arm(RANDOM, 0.0)})


def test_cells_say_what_was_put_into_them() -> None:
    generator = np.random.default_rng(0)
    grid = replace(GRID, draws=12)
    wanted = [(5.0, 0.9), (0.0, 0.0), (-5.0, -0.9), (5.0, -0.9)]
    found = summarise_map(grid, [[invented(generator, *cell) for _ in range(12)] for cell in wanted])
    assert [(cell.number, cell.skill.name) for cell in found.cells] == [
        (6, "low"), (12, "low"), (6, "high"), (12, "high")
    ]  # fmt: skip
    decisions = [cell.effects[0].decision for cell in found.cells]
    assert decisions == ["supported", "undecided", "contradicted", "supported"]
    for cell, (effect, correlation) in zip(found.cells, wanted, strict=True):
        assert cell.effects[0].policies.estimate == pytest.approx(effect, abs=1)
        assert cell.pearson.estimate == pytest.approx(correlation, abs=0.15)
        # Of a standard normal proxy the upper half has a mean of √(2/π).
        assert cell.effects[0].kept.estimate == pytest.approx(correlation * np.sqrt(2 / np.pi), abs=0.15)
    effects = found.array([cell.effects[0].policies.estimate for cell in found.cells])
    assert effects.shape == (2, 2)
    assert effects[1, 0] == found.cells[2].effects[0].policies.estimate
    assert found.bounds([cell.spearman for cell in found.cells]).shape == (3, 2, 2)
    json.dumps(found.as_numbers(), allow_nan=False)


def test_no_effect_is_found_where_there_is_none() -> None:
    """Holm's correction is over the whole map: in a hundred maps of nothing about five have a significant cell."""
    generator = np.random.default_rng(1)
    grid = replace(GRID, draws=6)
    wrong = 0
    for _ in range(100):
        found = summarise_map(grid, [[invented(generator, 0.0, 0.5) for _ in range(6)] for _ in range(4)])
        wrong += any(cell.effects[0].decision != "undecided" for cell in found.cells)
    assert wrong <= 12


def test_returns_that_never_vary_have_no_correlation() -> None:
    generator = np.random.default_rng(2)
    flat = [replace(invented(generator, 0.0, 0.5), true_returns=np.full(50, -200.0)) for _ in range(2)]
    varied = [invented(generator, 0.0, 0.5) for _ in range(2)]
    found = summarise_map(GRID, [flat, varied, varied, varied])
    assert np.isnan(found.cells[0].spearman.estimate)
    assert np.isfinite(found.cells[1].spearman.estimate)
    assert found.as_numbers()["cells"][0]["spearman"] == [None, None, None]


def test_a_stopped_map_goes_on(car_demonstrations: Demonstrations, tmp_path: Path) -> None:
    environment = car_demonstrations.environment
    protocol = Protocol((0,), training_of(environment, {"max_epochs": 1}), acting_of(environment), 2, 20, {})
    asked: list[tuple[int, float, float]] = []

    def sample(number: int, generator: np.random.Generator, low: float, high: float) -> Demonstrations:
        asked.append((number, low, high))
        return car_demonstrations.select(generator.integers(12, size=number))

    done: list[str] = []
    first = draw_map(sample, GRID, protocol, tmp_path, done.append)
    assert asked == [(6, 0.0, 0.5)] * 2 + [(12, 0.0, 0.5)] * 2 + [(6, 0.5, 1.0)] * 2 + [(12, 0.5, 1.0)] * 2
    assert done[:3] == ["6 demonstrations, low", "6 demonstrations, low", "12 demonstrations, low"]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(files) == 8 * 2
    removed = next(iter(files))
    removed.unlink()
    again = draw_map(sample, GRID, protocol, tmp_path)
    assert again.as_numbers() == first.as_numbers()
    written_anew = [path for path, written in files.items() if path.stat().st_mtime_ns != written]
    assert written_anew == [removed]
