from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import measure_farming
from measure_farming import Watched, by_will, intraclass_correlation, population, ratio
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import load_episodes
from quantilizers.envs.video_pinball.console import PinballConsole
from quantilizers.envs.video_pinball.environment import ENVIRONMENT
from quantilizers.layout import shipped_log
from simulated_players.video_pinball import Player

LANE, ABOVE, FAR, PLUNGER = (112.5, 70.5), (112.5, 100.5), (40.5, 60.5), (149.5, 130.5)


def game_of(places: list[tuple[float, float]], tilted: bool = False) -> Watched:
    return Watched(np.arange(len(places), dtype=float), np.array(places), np.full(len(places), tilted))


def test_each_step_is_counted_where_the_ball_is() -> None:
    game = game_of([FAR, *[LANE, ABOVE] * 10, FAR, LANE, PLUNGER])
    assert game.where("lane").sum() == 11
    assert game.where("above the bumper").sum() == 21
    assert game.where("caught").sum() == 20, "one step in the lane is no catch"
    assert np.flatnonzero(game.where("elsewhere in play")).tolist() == [0, 21]
    assert game.where("plunger").sum() == 1
    tilted = game_of([LANE, FAR], tilted=True)
    assert [int(tilted.where(place).sum()) for place in ("lane", "elsewhere in play", "tilted")] == [0, 0, 2]


def test_points_a_step_are_over_all_steps_and_uncertain_by_games() -> None:
    alike = ratio(np.array([10.0, 20.0]), np.array([5.0, 10.0]), "game")
    assert (alike.estimate, alike.low, alike.high) == pytest.approx((2.0, 2.0, 2.0))
    different = ratio(np.array([0.0, 30.0]), np.array([10.0, 5.0]), "game")
    assert different.estimate == 2.0
    assert different.low < 0
    assert different.over == "2 games"
    assert np.isnan(ratio(np.zeros(2), np.zeros(2), "game").estimate)


def test_intervals_of_points_a_step_cover_as_they_say() -> None:
    random = np.random.default_rng(0)
    steps = random.integers(50, 150, size=(2000, 20)).astype(float)
    rates = random.normal(8.0, 3.0, size=(2000, 20))
    found = [ratio(rate * number, number, "game") for rate, number in zip(rates, steps, strict=True)]
    assert np.mean([interval.low <= 8 <= interval.high for interval in found]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_intraclass_correlation_is_the_share_of_variance_between_players(share: float) -> None:
    random = np.random.default_rng(0)
    between = np.sqrt(share) * random.normal(size=(2000, 1))
    values = between + np.sqrt(1 - share) * random.normal(size=(2000, 10))
    assert intraclass_correlation(values) == pytest.approx(share, abs=0.02)


def test_what_starts_explain_is_beside_what_chance_does() -> None:
    random = np.random.default_rng(0)
    starts = random.integers(5, size=(40, 10))
    noise = random.normal(size=(40, 10))
    nothing = population(noise, np.abs(noise), starts)
    key = "variance within players that starts explain"
    assert nothing[key] < 3 * nothing["the same by chance"]
    assert population(noise + 10 * starts, np.abs(noise), starts)[key] > 0.8


def test_wills_are_compared_within_skills() -> None:
    players = [Player(f"{skill} {will}", hold=1, will=will) for skill in "ab" for will in (0.0, 1.0)]
    scores = np.array([[100.0, 100], [400, 420], [900, 900], [1200, 1220]])
    cheats = np.array([[0.0, 0], [0.1, 0.1], [0.02, 0.02], [0.12, 0.12]])
    none, all_of_it = by_will(scores, cheats, players)
    assert (none["will"], none["score"].estimate, all_of_it["score"].estimate) == (0.0, 500.0, 810.0)
    assert all_of_it["score"].low == pytest.approx(810 - 4.303 * np.sqrt(200 + 200) / np.sqrt(2) / 2, rel=1e-3)
    even = all_of_it["λ that makes it even"]
    assert even.estimate == pytest.approx(3100)
    assert even.low < even.estimate < even.high


def test_search_scores_where_doing_nothing_does_not() -> None:
    console = PinballConsole()
    console.start(10)
    found = measure_farming.search(console, measure_farming.points_anywhere, np.random.default_rng([0, 2]), 25)
    assert len(found.scores) == 25
    console.start(10)
    assert found.scores.sum() >= 100 > measure_farming.watch(console, [0] * 25).scores.sum() == 0


def test_quantiles_keep_who_farms_and_are_even_with_all_at_some_price() -> None:
    demonstrations = Demonstrations.load("demo", ENVIRONMENT)
    everything, _, quarter, _ = measure_farming.by_quantile(demonstrations)
    top = demonstrations.top(0.25)
    assert (everything["games"], quarter["games"]) == (200, 50)
    assert quarter["score"].estimate == pytest.approx(top.proxy_returns.mean())
    more_score = top.proxy_returns.mean() - demonstrations.proxy_returns.mean()
    more_cheat = top.episodes.extras["cheat_rate"].mean() - demonstrations.episodes.extras["cheat_rate"].mean()
    even = quarter["λ that makes it even with all"]
    assert even.estimate == pytest.approx(more_score / more_cheat)
    assert even.low < even.estimate < even.high
    assert not everything["score"].known


def test_a_caught_ball_is_above_the_bumper() -> None:
    console = PinballConsole()
    measure_farming.catch(console, np.random.default_rng(0))
    assert 104 <= console.ball[0] <= 120
    assert console.ball[1] <= 116


def test_what_was_measured_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = load_episodes(shipped_log() / ENVIRONMENT.name / "demo.npz").select(np.array([0, 1, 44, 45]))
    episodes.save(tmp_path / ENVIRONMENT.name / "few.npz")
    words = ["--log_dir", str(tmp_path), "--dataset_name", "few", "--parts", "recorded"]
    assert measure_farming.main(words) == 0
    out = capsys.readouterr().out
    assert "| all players" in out
    written = json.loads((tmp_path / "study" / f"few_{ENVIRONMENT.name}_farming.json").read_text())
    rows = {row["player"]: row for row in written["points by place"]}
    willing = rows["simulated masher 1, will 1"]
    assert willing["caught"]["points a step"]["estimate"] > 5
    assert 0.2 < willing["lane"]["share"]["estimate"] < willing["above the bumper"]["share"]["estimate"]
    assert measure_farming.main([*words, "--searches", "0"]) == 2
    assert "--searches" in capsys.readouterr().err
