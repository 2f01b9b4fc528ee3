"""The simulated players of Video Pinball: they play as they say they do, and the shipped file is theirs."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from pinball_detector import derive
from pinball_detector.judging import JudgedSteps
from pinball_detector.validate import report
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.recorded_rewards import proxy_rewards
from quantilizers.envs.video_pinball.environment import ENVIRONMENT
from quantilizers.envs.video_pinball.rollover_lane import AREAS_PATH
from quantilizers.layout import shipped_log
from simulated_players import video_pinball as players
from simulated_players.video_pinball import Ball, Player

SHIPPED = shipped_log() / ENVIRONMENT.name / "demo.npz"
NUDGES = {players.NUDGE_UP, players.NUDGE_RIGHT, players.NUDGE_LEFT}


class ScriptedConsole:
    """A table whose ball goes where it is told."""

    over = False

    def __init__(self, places: list[tuple[float, float]]) -> None:
        self._places = iter(places)

    @property
    def ball(self) -> tuple[float, float]:
        return next(self._places)


@pytest.fixture(scope="module")
def shipped() -> Episodes:
    return load_episodes(SHIPPED)


def test_shipped_file_is_small_simulated_and_varied(shipped: Episodes) -> None:
    assert SHIPPED.stat().st_size < 4_000_000
    assert shipped.number == 48
    assert all(name.startswith("simulated") for name in shipped.extras["player"])
    assert len(set(shipped.extras["player"].tolist())) == len(players.PLAYERS)
    assert shipped.lengths.max() == players.MAX_STEPS
    scores = proxy_rewards(ENVIRONMENT, shipped).sum(axis=1)
    assert scores.min() < 1000 < 10_000 < scores.max()
    assert shipped.extras["cheat_rate"].max() > 0.1


def test_same_seed_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "PLAYERS", (players.PLAYERS[1], players.PLAYERS[-1]))
    monkeypatch.setattr(players, "GAMES_PER_PLAYER", 2)
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        players.record(seed, max_steps=25).save(tmp_path / f"{name}.npz")
    one, two, three = ((tmp_path / f"{name}.npz").read_bytes() for name in ("one", "two", "three"))
    assert one == two
    assert one != three


@pytest.mark.slow
def test_shipped_files_are_what_the_scripts_make(shipped: Episodes) -> None:
    again = players.record(0)
    np.testing.assert_array_equal(again.actions, shipped.actions)
    np.testing.assert_array_equal(again.true_rewards, shipped.true_rewards)
    np.testing.assert_array_equal(again.extras["seed"], shipped.extras["seed"])
    np.testing.assert_array_equal(derive.derive(0), np.load(AREAS_PATH, allow_pickle=False))


def test_ball_is_seen_late() -> None:
    places = [(float(step), 2.0 * step) for step in range(9)]
    seen = players.seen_balls(ScriptedConsole(places), reaction=3)
    balls = [next(seen) for _ in range(8)]
    # The first look is at the start; until three steps have passed it is what there is to react to.
    assert [ball.column for ball in balls] == [1, 1, 1, 1, 2, 3, 4, 5]
    assert (balls[-1].to_right, balls[-1].down) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("ball", "both", "by_side"),
    [
        (Ball(60, 150, 0, 8), players.BOTH, players.LEFT),
        (Ball(95, 160, 0, 2), players.BOTH, players.RIGHT),
        (Ball(95, 160, 0, -8), players.NOTHING, players.NOTHING),
        (Ball(95, 100, 0, 8), players.NOTHING, players.NOTHING),
    ],
)
def test_flippers_meet_a_falling_ball(ball: Ball, both: int, by_side: int) -> None:
    random = np.random.default_rng(0)
    assert players.decide(Player("a", hold=1), ball, 0, 0, random) == both
    assert players.decide(Player("b", hold=1, sides=True), ball, 0, 0, random) == by_side


def test_plunger_is_pulled_and_let_go() -> None:
    random = np.random.default_rng(0)
    player, ready = Player("a", hold=1), Ball(149.5, 130.5)
    assert players.decide(player, ready, 0, 0, random) == players.PULL
    assert players.decide(player, ready, players.LONGEST_PULL, 0, random) == players.FIRE


@pytest.mark.parametrize(
    ("ball", "push"),
    [
        (Ball(103, 60), players.NUDGE_RIGHT),
        (Ball(120, 60), players.NUDGE_LEFT),
        (Ball(112, 80), players.NUDGE_UP),
        (Ball(112, 56), players.NOTHING),
        (Ball(60, 80), players.NOTHING),
        (Ball(112, 130), players.NOTHING),
    ],
)
def test_nudges_bring_the_ball_to_the_logo(ball: Ball, push: int) -> None:
    random = np.random.default_rng(0)
    knows = Player("a", hold=1, nudges=True, care=4)
    assert players.decide(knows, ball, 0, 0, random) == push
    assert players.decide(knows, ball, 0, -1, random) == players.NOTHING
    assert players.decide(Player("b", hold=1, care=4), ball, 0, 0, random) == players.NOTHING


@pytest.mark.parametrize("care", [3, 6])
def test_table_is_left_alone_after_some_nudging(care: int) -> None:
    console = ScriptedConsole([(112.0, 80.0)] * 200)
    player = Player("a", hold=1, nudges=True, care=care)
    actions = list(players.play(player, console, np.random.default_rng(0), max_steps=100))
    runs = [(key, len(list(run))) for key, run in groupby(action in NUDGES for action in actions)]
    assert runs[0] == (True, care)
    assert all(length == care for _, length in runs[:-1])
    assert len(runs) > 10


@pytest.mark.parametrize("hold", [2, 5])
def test_keys_are_held(hold: int) -> None:
    places = [(95.0, 100.0 + 9 * (step % 8)) for step in range(300)]
    player = Player("a", hold=hold)
    actions = list(players.play(player, ScriptedConsole(places), np.random.default_rng(0), max_steps=60))
    assert all(len(set(actions[first : first + hold])) == 1 for first in range(0, 60, hold))
    assert {players.BOTH, players.NOTHING} == set(actions)


def test_mashers_press_everything_for_as_long_as_they_say() -> None:
    player = Player("a", hold=3, mashes=True)
    console = ScriptedConsole([(80.0, 100.0)] * 5000)
    actions = list(players.play(player, console, np.random.default_rng(0), max_steps=4000))
    assert set(actions) == set(range(9))
    changes = np.count_nonzero(np.diff(actions))
    assert 4000 / changes == pytest.approx(3.5 * 9 / 8, rel=0.1)


def test_nudging_is_found_out_about_after_the_first_game(shipped: Episodes) -> None:
    """Pushing the table is rare in the first games, lapses only, and common later."""
    nudging = np.isin(shipped.actions[..., 0], list(NUDGES)) & ~shipped.done
    shares = (nudging.sum(axis=1) / shipped.lengths).reshape(len(players.PLAYERS), players.GAMES_PER_PLAYER)
    knows = np.array([player.care > 0 for player in players.PLAYERS])
    assert shares[knows, 0].mean() < 0.5 * shares[knows, 1:].mean()


def test_pictures_of_the_lane_are_found_again() -> None:
    """A short watch finds the lane in its usual colours, and finds the same twice."""
    pictures = derive.derive(5, games=1, max_steps=40)
    np.testing.assert_array_equal(derive.derive(5, games=1, max_steps=40), pictures)
    usual = np.load(AREAS_PATH, allow_pickle=False)
    assert any((one == usual).all(axis=(1, 2)).any() for one in pictures)


def test_report_counts_what_is_wrong() -> None:
    inside, rim, away = [(112.5, 70.5)] * 2, [(112.5, 87.5)] * 2, [(20.5, 70.5)] * 2
    steps = JudgedSteps(
        areas=np.zeros((4, 15, 6), np.uint8),
        balls=np.array([inside, inside, rim, away]),
        verdicts=np.array([True, False, True, False]),
    )
    text = report(steps)
    assert "4 observed frames, 2 with the ball in the lane" in text
    assert "precision 0.5000, recall 0.5000" in text
    assert "seen but not there: 1, of them 1 with" in text
    assert "there but not seen: 1, of them 0 with" in text
