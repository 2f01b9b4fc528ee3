from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval
from quantilizers.studies.controls import Arm, ArmResults
from quantilizers.studies.players import Rerun, arms_of_runs, drawing_players, drawn_episodes, effects, one_run


def invented_run(arm_returns: dict[Arm, np.ndarray], everything: np.ndarray) -> Rerun:
    """A run whose policies have the given returns; each arm keeps the best half of the episodes."""
    kept = np.sort(everything)[len(everything) // 2 :]
    lengths = np.ones(len(kept), dtype=np.int64)
    results = {
        arm: ArmResults(arm, returns, returns, np.ones(returns.shape, dtype=np.int64), kept, kept, lengths)
        for arm, returns in arm_returns.items()
    }
    return Rerun(everything, everything, results)


def invented_study(generator: np.random.Generator, runs: int, effect: float, spread: float) -> list[Rerun]:
    """Runs whose players' luck moves the top's policy by `spread` and everybody's by 10."""
    imitation, top, random = arms_of_runs([0.5])
    made = []
    for _ in range(runs):
        luck = 10 * generator.normal()
        made.append(
            invented_run(
                {
                    imitation: luck + generator.normal(size=(1, 4)),
                    top: luck + effect + spread * generator.normal() + generator.normal(size=(1, 4)),
                    random: luck + generator.normal(size=(1, 4)),
                },
                luck + generator.normal(size=20),
            )
        )
    return made


def test_whole_players_are_drawn_with_replacement() -> None:
    players = np.array(["b", "a", "b", "c", "a", "b"])
    for seed in range(20):
        drawn = drawn_episodes(players, 5, np.random.default_rng(seed))
        counts = {name: (players[drawn] == name).sum() for name in "abc"}
        assert counts["a"] % 2 == 0
        assert counts["b"] % 3 == 0
        assert counts["a"] // 2 + counts["b"] // 3 + counts["c"] == 5
        times = np.bincount(drawn, minlength=6)
        assert len({*times[players == "b"]}) == len({*times[players == "a"]}) == 1


def test_each_player_is_drawn_as_often() -> None:
    players = np.array(["a", "b", "b", "c", "c", "c"])
    drawn = drawn_episodes(players, 60_000, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=6)
    np.testing.assert_allclose(counts, 20_000, rtol=0.03)


def with_players(demonstrations: Demonstrations, players: Any) -> Demonstrations:
    return replace(demonstrations, episodes=replace(demonstrations.episodes, extras={"player": np.array(players)}))


def test_as_many_players_are_drawn_from_a_larger_data_set(car_demonstrations: Demonstrations) -> None:
    few = with_players(car_demonstrations.select(slice(0, 6)), ["a", "b", "c"] * 2)
    many = with_players(car_demonstrations, [f"player {episode}" for episode in range(12)])
    assert drawing_players(few)(0).number == 6
    draw = drawing_players(few, many)
    assert draw(0).number == 3
    names = {name for run in range(10) for name in draw(run).episodes.extras["player"]}
    assert len(names) > 6
    assert all(name.startswith("player") for name in names)
    np.testing.assert_array_equal(draw(4).episodes.actions, draw(4).episodes.actions)


@pytest.mark.parametrize("players", [["a"] * 12, np.zeros((12, 2)), ["a", ""] * 6])
def test_data_without_players_are_refused(car_demonstrations: Demonstrations, players: Any) -> None:
    with pytest.raises(UserError, match="player"):
        drawing_players(with_players(car_demonstrations, players))


def test_the_interval_of_one_run_holds_95_per_cent_of_runs() -> None:
    generator = np.random.default_rng(1)
    held = [
        interval.low <= new <= interval.high
        for interval, new in (
            (one_run(generator.normal(3, 2, size=50), "50 runs"), generator.normal(3, 2)) for _ in range(2000)
        )
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    assert not one_run(np.array([1.0]), "1 run").known


def test_effects_are_paired_within_runs() -> None:
    """An effect of the draw on all policies cancels; an effect on the top's policies does not."""
    these = {(0.5, "selection"): Interval(5.0, 4.0, 6.0)}
    found = effects(invented_study(np.random.default_rng(2), 400, effect=5, spread=3), [1.0, 0.5], these)
    assert [(one.quantile, one.question) for one in found] == [(0.5, "imitation"), (0.5, "selection"), (0.5, "kept")]
    imitation, selection, kept = found
    assert (imitation.these, selection.these, kept.these) == (None, these[0.5, "selection"], None)
    for one in (imitation, selection):
        assert one.mean.estimate == pytest.approx(5, abs=4 * 3 / np.sqrt(400))
        assert one.mean.high - one.mean.low < 1
        # Of one run: ±1.96 √(3² + 2/4), without the 10 of the players' common luck.
        assert (one.others.high - one.others.low) / 2 == pytest.approx(1.96 * np.sqrt(9.5), rel=0.1)
        assert one.positive == pytest.approx(0.95, abs=0.03)
    # The better half of normal episodes is better than all by √(2/π).
    assert kept.mean.estimate == pytest.approx(np.sqrt(2 / np.pi), abs=0.05)
    numbers = kept.as_numbers()
    assert numbers["these_demonstrations"] is None
    assert numbers["other_players"][0] == kept.others.estimate
