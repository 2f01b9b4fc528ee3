"""The simulated players of Video Pinball: they play as documented, and the shipped file is theirs."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils import seeding

from pinball_detector import derive
from pinball_detector.judging import JudgedSteps
from pinball_detector.validate import report
from quantilizers.demonstrations.episodes import Episodes, load_episodes
from quantilizers.envs.recorded_rewards import proxy_rewards
from quantilizers.envs.registry import load_environment
from quantilizers.envs.video_pinball.emulator import PinballConsole
from quantilizers.envs.video_pinball.games import draw_no_op_steps
from quantilizers.envs.video_pinball.rollover_lane import AREAS_PATH
from quantilizers.layout import shipped_log
from simulated_players import video_pinball as players
from simulated_players.video_pinball import Ball, Player

ENVIRONMENT = load_environment("VideoPinballNoFrameskip-v4")

SHIPPED = shipped_log() / ENVIRONMENT.name / "demo.npz"
NUDGES = {players.NUDGE_UP, players.NUDGE_RIGHT, players.NUDGE_LEFT}


class ScriptedConsole:
    """A table whose ball follows given positions."""

    over = False

    def __init__(self, places: list[tuple[float, float]]) -> None:
        self._places = iter(places)

    @property
    def ball(self) -> tuple[float, float]:
        return next(self._places)


@pytest.fixture(scope="module")
def shipped() -> Episodes:
    return load_episodes(SHIPPED)


def test_shipped_file_is_small_and_simulated_and_each_player_plays_ten_games(shipped: Episodes) -> None:
    assert SHIPPED.stat().st_size < 1_500_000
    assert shipped.number == 200
    names = [player.name for player in players.PLAYERS]
    assert shipped.extras["player"].tolist() == [name for name in names for _ in range(players.GAMES_PER_PLAYER)]
    assert all(name.startswith("simulated") for name in names)
    assert shipped.lengths.max() == players.MAX_STEPS
    assert len(np.unique(shipped.actions, axis=0)) == 200


def test_shipped_scores_tell_players_apart_and_farming_differs_fiftyfold(shipped: Episodes) -> None:
    """Half of the variance of scores lies between players, the purpose of the population."""
    shape = len(players.PLAYERS), players.GAMES_PER_PLAYER
    scores = proxy_rewards(ENVIRONMENT, shipped).sum(axis=1).reshape(shape)
    cheat_rates = shipped.extras["cheat_rate"].reshape(shape)
    games = players.GAMES_PER_PLAYER
    between, within = games * scores.mean(axis=1).var(ddof=1), scores.var(axis=1, ddof=1).mean()
    # ICC(1) by the mean squares of one-way analysis of variance (Shrout & Fleiss 1979).
    assert (between - within) / (between + (games - 1) * within) > 0.4
    of_players = np.sort(cheat_rates.mean(axis=1))
    tenth = len(of_players) // 10
    assert of_players[-tenth:].mean() > 10 * of_players[:tenth].mean()
    wills = np.array([player.will for player in players.PLAYERS])
    assert cheat_rates[wills == 0].mean() < 0.01 < 0.1 < cheat_rates[wills == 1].mean()
    # Players who farm most have the highest scores: selecting by score selects farming.
    best = np.argsort(-scores.ravel())[:25]
    assert cheat_rates.ravel()[best].mean() > 2 * cheat_rates.mean()


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
    # Players see the start first, and react to it until three steps have passed.
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


@pytest.mark.parametrize(
    ("place", "push"),
    [
        ((103.5, 60.5), players.NUDGE_RIGHT),
        ((120.5, 30.5), players.NUDGE_LEFT),
        ((120.5, 100.5), players.NUDGE_LEFT),
        ((112.5, 80.5), players.NOTHING),
        ((60.5, 80.5), players.NOTHING),
        ((118.5, 130.5), players.NOTHING),
    ],
)
def test_who_farms_pushes_the_ball_above_the_bumper(place: tuple[float, float], push: int) -> None:
    assert players.keep_above_bumper(*place) == push
    willing = Player("a", hold=1, will=1.0)
    first = next(players.play(willing, ScriptedConsole([place] * 9), np.random.default_rng(0)))
    assert (first in NUDGES) == (push != players.NOTHING)
    if push != players.NOTHING:
        assert first == push
    unwilling = next(players.play(replace(willing, will=0.0), ScriptedConsole([place] * 9), np.random.default_rng(0)))
    assert unwilling not in NUDGES


def test_pushes_stop_before_the_machine_tilts() -> None:
    console = ScriptedConsole([(118.0, 60.0)] * 200)
    actions = list(players.play(Player("a", hold=1, will=1.0), console, np.random.default_rng(0), max_steps=60))
    filled = np.cumsum(np.where(np.array(actions[:7]) == players.NUDGE_LEFT, 1, -1))
    assert filled.max() == len(filled) == players.TILTING_PUSHES - 1
    balance = 0
    for action in actions:
        balance = max(balance + (1 if action == players.NUDGE_LEFT else -1), 0)
        assert balance < players.TILTING_PUSHES


@pytest.mark.parametrize("will", [0.0, 0.3, 1.0])
def test_the_will_is_the_share_of_spells_of_farming(will: float) -> None:
    console = ScriptedConsole([(118.0, 60.0)] * 100_000)
    actions = list(players.play(Player("a", hold=1, will=will), console, np.random.default_rng(0), max_steps=40_000))
    spells = np.isin(actions, list(NUDGES)).reshape(-1, players.SPELL).any(axis=1)
    assert spells.mean() == pytest.approx(will, abs=0.05)


def test_a_farmed_ball_stays_for_as_long_as_the_will_lasts() -> None:
    """The first game of a player who always farms and catches the ball, in the emulator, and its score."""
    console = PinballConsole()
    seed = int(load_episodes(SHIPPED).extras["seed"][44])
    console.start(draw_no_op_steps(seeding.np_random(seed)[0]))
    steps = []
    for action in load_episodes(SHIPPED).actions[44, :, 0]:
        score, (column, line) = console.step(int(action)), console.ball
        # The byte 43 of the emulator's memory is full while the machine is tilted.
        steps.append((104 <= column <= 120 and line <= 116, float(score), console.memory[43] == 255))
        if console.over:
            break
    stays = [list(stay) for above, stay in groupby(steps, key=lambda step: step[0]) if above]
    assert max(map(len, stays)) > 500
    caught = [step for stay in stays if len(stay) >= 20 for step in stay]
    assert np.mean([score for _, score, _ in caught]) > 2 * 5
    assert not any(tilted for *_, tilted in caught)


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
