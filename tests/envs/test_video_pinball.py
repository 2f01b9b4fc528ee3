"""Video Pinball: the same game in both forms, its two rewards, its keys, and replays of recordings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import gymnasium
import numpy as np
import pytest
from ale_py import Action, ALEInterface, roms
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS, Episodes, load_episodes
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.envs.two_rewards import TwoRewards
from quantilizers.envs.video_pinball.emulator import ACTION_NAMES, PinballConsole
from quantilizers.envs.video_pinball.environment import (
    game_actions,
    implicit_loss,
    replay_observations,
    scores,
)
from quantilizers.envs.video_pinball.games import VideoPinball, VideoPinballVector, replay
from quantilizers.errors import UserError
from quantilizers.layout import shipped_log
from quantilizers.play.keys import ActionKeys, key_code

ENVIRONMENT = load_environment("VideoPinballNoFrameskip-v4")

#: Of the recorded games, one whose last ball is lost after 403 steps, and one with the ball in the lane for a third.
LOST_EARLY, CHEATING = 1, 44
DEMONSTRATIONS = shipped_log() / ENVIRONMENT.name / "demo.npz"


def held_actions(steps: int, seed: int, longest: int = 12) -> np.ndarray:
    """Return actions (steps,) that are each held for a while, which launches and loses balls."""
    random = np.random.default_rng(seed)
    return np.repeat(random.integers(9, size=steps), random.integers(1, longest, size=steps))[:steps]


def simulated_plays(chosen: np.ndarray | slice | None = None) -> Episodes:
    episodes = load_episodes(DEMONSTRATIONS)
    return episodes if chosen is None else episodes.select(chosen)


def one_game(**arguments: Any) -> TwoRewards:
    return make_environment(ENVIRONMENT, **arguments)


def emulator() -> ALEInterface:
    """Return an emulator that was set up here, from ale_py alone."""
    fresh = ALEInterface()
    fresh.setFloat("repeat_action_probability", 0.0)
    fresh.loadROM(roms.get_rom_path("video_pinball"))
    fresh.reset_game()
    return fresh


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped.*:UserWarning")
def test_gymnasium_finds_no_fault() -> None:
    game = gymnasium.make("quantilizers/VideoPinballRR-v0", max_steps=50, render_mode="rgb_array")
    check_env(one_game(max_steps=50, render_mode="rgb_array"))
    assert game.observation_space == spaces.Box(0, 255, (4, 84, 84), np.uint8)
    assert game.action_space == spaces.Discrete(9)


def test_both_forms_play_the_same_games_over_whole_episodes() -> None:
    """Observations, rewards, ends and info are equal, through a lost last ball, a cut and the games after them."""
    recorded = simulated_plays(np.array([LOST_EARLY, CHEATING]))
    steps, max_steps = 800, 650
    actions = recorded.actions[:, :steps, 0].copy()
    actions[0, 403:] = held_actions(steps - 403, 2)
    seeds = recorded.extras["seed"].tolist()
    vector = gymnasium.make_vec(
        "quantilizers/VideoPinballRR-v0", num_envs=2, vectorization_mode="vector_entry_point", max_steps=max_steps
    )
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    scalars = [one_game(max_steps=max_steps) for _ in seeds]
    observations, _ = vector.reset(seed=seeds)
    for scalar, seed, observation in zip(scalars, seeds, observations, strict=True):
        np.testing.assert_array_equal(scalar.reset(seed=seed)[0], observation)
    ended = np.zeros(2, dtype=bool)
    ends: list[tuple[int, int, bool]] = []
    cheats = 0
    for step in range(steps):
        observations, proxy, terminated, truncated, info = vector.step(actions[:, step].astype(np.int64))
        for index, scalar in enumerate(scalars):
            if ended[index]:
                np.testing.assert_array_equal(scalar.reset()[0], observations[index])
                assert info["_true_reward"][index]
                assert proxy[index] == info["true_reward"][index] == 0
                ended[index] = False
                continue
            observation, *rest, about = scalar.step(actions[index, step])
            np.testing.assert_array_equal(observation, observations[index])
            assert rest == [proxy[index], terminated[index], truncated[index]]
            told = ["proxy_reward", "true_reward", "cheat", "cheat_rate", "proxy_return", "true_return"]
            assert about == {key: info[key][index] for key in told}
            cheats += about["cheat"]
            ended[index] = terminated[index] or truncated[index]
            if ended[index]:
                ends.append((step, index, bool(terminated[index])))
    assert ends == [(402, 0, True), (649, 1, False)]
    assert cheats > 50


def test_observations_are_what_atari_players_usually_see() -> None:
    """Each frame is the brighter of a step's last two, in grey, made smaller by areas; nothing is clipped."""
    recorded = simulated_plays(slice(CHEATING, CHEATING + 1))
    game = VideoPinballVector(1)
    observations, _ = game.reset(seed=recorded.extras["seed"].tolist())
    own = emulator()
    frames = [own.getScreenGrayscale()] * 2
    for _ in range(4 * int(game.no_op_steps[0])):
        own.act(Action.NOOP)
        frames = [frames[1], own.getScreenGrayscale()]
    small = cv2.resize(np.maximum(*frames), (84, 84), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(observations[0, -1], small)
    scored = []
    for action in recorded.actions[0, :400, 0]:
        score = 0
        for _ in range(4):
            score += own.act(own.getMinimalActionSet()[action])
            frames = [frames[1], own.getScreenGrayscale()]
        before = observations
        observations, proxy, _, _, _ = game.step(np.array([action]))
        small = cv2.resize(np.maximum(*frames), (84, 84), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(observations[0, -1], small)
        np.testing.assert_array_equal(observations[0, :-1], before[0, 1:])
        assert proxy[0] == score
        scored.append(score)
    assert max(scored) >= 100


def test_seeds_decide_when_the_first_ball_is_met() -> None:
    number = 8
    games = VideoPinballVector(number)
    observations, _ = games.reset(seed=list(range(number)))
    starts = games.no_op_steps.copy()
    assert len(set(starts.tolist())) > 3
    assert starts.min() >= 0
    assert starts.max() < 30
    again, _ = games.reset(seed=list(range(number)))
    np.testing.assert_array_equal(games.no_op_steps, starts)
    np.testing.assert_array_equal(again, observations)


@pytest.mark.parametrize(
    ("episode", "max_steps", "lamb"),
    [(CHEATING, 300, 1.0), (CHEATING, 200, 0.0), (LOST_EARLY, 5000, 250.0)],
)
def test_the_last_step_costs_the_cheat_rate(episode: int, max_steps: int, lamb: float) -> None:
    """Whether it is the last because the game is over or because it is cut; the steps before cost nothing."""
    recorded = simulated_plays(slice(episode, episode + 1))
    game = one_game(max_steps=max_steps, lamb=lamb)
    game.reset(seed=int(recorded.extras["seed"][0]))
    cheats = []
    for action in recorded.actions[0, :, 0]:
        _, proxy, terminated, truncated, info = game.step(action)
        cheats.append(info["cheat"])
        assert type(info["cheat"]) is bool
        assert info["cheat_rate"] == pytest.approx(np.mean(cheats))
        if terminated or truncated:
            break
        assert info["true_reward"] == proxy
    assert (terminated, truncated) == (episode == LOST_EARLY, episode == CHEATING)
    assert np.mean(cheats) > 0.005
    assert info["true_reward"] == pytest.approx(proxy - lamb * np.mean(cheats))


def test_retired_games_rest() -> None:
    games = VideoPinballVector(2, max_steps=50)
    games.reset(seed=0)
    for _ in range(20):
        before, *_ = games.step(np.array([5, 5]))
    games.retire(np.array([True, False]))
    for _ in range(10):
        observations, proxy, _, _, info = games.step(np.array([1, 1]))
        np.testing.assert_array_equal(observations[0], before[0])
        assert proxy[0] == info["true_reward"][0] == 0
        assert not info["cheat"][0]
    assert not np.array_equal(observations[1], before[1])
    assert games.steps.tolist() == [20, 30]


def play(games: VideoPinballVector, steps: int) -> list[np.ndarray]:
    """Return the observations and rewards of games from their reset on."""
    seen = [games.reset(seed=[7, 8])[0]]
    for actions in np.stack([held_actions(steps, 4), held_actions(steps, 5)], axis=1):
        seen += games.step(actions)[:2]
    return seen


def test_emulators_that_others_have_played_on_play_the_same_games() -> None:
    """They may be returned by closing or by garbage collection, in any order."""
    first = VideoPinballVector(2)
    used, expected = set(map(id, first._games)), play(first, 150)
    first.close()
    second = VideoPinballVector(2)
    second.reset(seed=1)
    second.step(np.array([5, 1]))
    assert set(map(id, second._games)) == used
    del second
    third = VideoPinballVector(2)
    assert set(map(id, third._games)) == used
    for before, after in zip(expected, play(third, 150), strict=True):
        np.testing.assert_array_equal(after, before)


def test_emulators_of_a_step_that_was_interrupted_are_not_used_again() -> None:
    """They still hold what was not received."""
    games = VideoPinballVector(2)
    games.reset(seed=0)
    used = list(games._games)

    class Interrupted:
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    games._games[1] = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        games.step(np.array([5, 5]))
    games.close()
    assert not {id(emulator) for emulator in used} & {id(emulator) for emulator in VideoPinballVector(2)._games}


@pytest.mark.parametrize("lamb", [-0.1, float("nan"), float("inf")])
def test_impossible_prices_are_refused(lamb: float) -> None:
    with pytest.raises(UserError, match="λ"):
        one_game(lamb=lamb)


def test_impossible_actions_and_modes_are_refused() -> None:
    games = VideoPinballVector(2)
    games.reset(seed=0)
    for actions in ([0, 9], [-1, 0], [0]):
        with pytest.raises(ValueError, match="actions"):
            games.step(np.array(actions))
    with pytest.raises(ValueError, match="ansi"):
        VideoPinball(render_mode="ansi")


def test_pictures_are_the_games_own() -> None:
    """The render mode `rgb_array_list` has four pictures a step, `rgb_array` the newest."""
    listed, single = VideoPinball(render_mode="rgb_array_list"), VideoPinball(render_mode="rgb_array")
    for game in (listed, single):
        game.reset(seed=8)
    assert len(listed.render()) == 1
    assert listed.render() == []
    own = emulator()
    for _ in range(4 * int(listed._game.no_op_steps[0])):
        own.act(Action.NOOP)
    np.testing.assert_array_equal(single.render(), own.getScreenRGB())
    for action in (5, 5, 5, 1, 0, 0, 2):
        expected = []
        for _ in range(4):
            own.act(own.getMinimalActionSet()[action])
            expected.append(own.getScreenRGB())
        listed.step(action)
        single.step(action)
        np.testing.assert_array_equal(listed.render(), expected)
        np.testing.assert_array_equal(single.render(), expected[-1])
        np.testing.assert_array_equal(single.render(), expected[-1])


def test_ales_actions_are_those_with_the_same_effect() -> None:
    """From many moments of a game, an action and its translation leave the same memory behind."""
    own = emulator()
    everything, known = own.getLegalActionSet(), own.getMinimalActionSet()
    assert tuple(action.name for action in known) == ACTION_NAMES
    translated = game_actions(np.arange(18))
    different_from_nothing = np.zeros(18, dtype=bool)

    def memory_after(action: Action) -> np.ndarray:
        state = own.cloneState()
        for _ in range(8):
            own.act(action)
        memory = own.getRAM().copy()
        own.restoreState(state)
        return memory

    moments = down_with_fire = 0
    for step, action in enumerate(held_actions(1000, 4)):
        for _ in range(4):
            own.act(known[action])
        if own.game_over():
            own.reset_game()
        if step % 25:
            continue
        moments += 1
        after = [memory_after(one) for one in everything]
        on_plunger = tuple(after[0][67:69]) == (149, 132)
        nothing_to_let_go = on_plunger and np.array_equal(after[0], after[1])
        down_with_fire += not nothing_to_let_go
        for index, one in enumerate(everything):
            if one == Action.DOWNFIRE and nothing_to_let_go:
                continue  # pulls and lets go at once; no single action of the game does
            same = everything.index(known[translated[index]])
            np.testing.assert_array_equal(after[index], after[same], err_msg=str(one))
            different_from_nothing[index] |= not np.array_equal(after[index], after[0])
    assert moments == 40
    assert down_with_fire > 10
    assert different_from_nothing.sum() >= 8


@pytest.mark.parametrize("actions", [[18], [-1], [0.5]])
def test_actions_that_ale_does_not_have_are_refused(actions: list[float]) -> None:
    with pytest.raises(UserError, match="0 to 17"):
        game_actions(np.array(actions))


def test_keys_do_what_they_say() -> None:
    """Held keys select the action with their effect, by the emulator's names of actions."""
    keys = ActionKeys(ENVIRONMENT.keyboard, spaces.Discrete(9))
    expected = {
        "": Action.NOOP,
        "space": Action.FIRE,
        "left": Action.LEFT,
        "right": Action.RIGHT,
        "up": Action.UP,
        "down": Action.DOWN,
        "left right": Action.UP,
        "right left": Action.UP,
        "down space": Action.FIRE,
        "left space": Action.LEFTFIRE,
        "space right": Action.RIGHTFIRE,
        "up space": Action.UPFIRE,
    }
    for held, action in expected.items():
        chosen = keys.action([key_code(name) for name in held.split()])
        assert ACTION_NAMES[int(chosen[0])] == action.name, held


def test_left_is_the_left_flipper() -> None:
    """Each key moves something on its side of the middle between the flippers, column 80."""
    moved = {}
    for action in (Action.LEFT, Action.RIGHT, Action.UP):
        own = emulator()
        own.act(Action.NOOP)
        before = own.getScreenGrayscale()[170:193]
        for _ in range(12):
            own.act(action)
        columns = np.nonzero((own.getScreenGrayscale()[170:193] != before).any(axis=0))[0]
        moved[action] = (columns < 80).any(), (columns >= 80).any()
    assert moved == {Action.LEFT: (True, False), Action.RIGHT: (False, True), Action.UP: (True, True)}


def test_replayed_observations_are_those_of_the_environment() -> None:
    """Every stack that a replay makes is the observation that the player's action answered."""
    recorded = simulated_plays(slice(LOST_EARLY, LOST_EARLY + 1))
    assert recorded.observations.shape[2:] == WITHOUT_OBSERVATIONS
    observations = replay_observations(recorded)
    assert observations.shape == (*recorded.done.shape, 4, 84, 84)
    assert observations.base is not None
    game = one_game()
    for episode, length in enumerate(recorded.lengths):
        observation, _ = game.reset(seed=int(recorded.extras["seed"][episode]))
        for step in range(length):
            np.testing.assert_array_equal(observations[episode, step], observation)
            observation, proxy, terminated, _, info = game.step(recorded.actions[episode, step, 0])
            assert proxy == scores(recorded)[episode, step]
        assert terminated
        assert recorded.extras["cheat_rate"][episode] == info["cheat_rate"]
        assert recorded.true_rewards[episode, length - 1] == pytest.approx(proxy - info["cheat_rate"])


def test_recordings_that_the_game_contradicts_are_refused() -> None:
    recorded = simulated_plays(slice(6, 7))
    actions = recorded.actions.copy()
    actions[0, 30:90] = 2
    with pytest.raises(UserError, match="episode 0 scores differently"):
        replay_observations(replace(recorded, actions=actions))
    with pytest.raises(UserError, match="seeds"):
        replay_observations(replace(recorded, extras={}))
    with pytest.raises(UserError, match="episode 0 ends before"):
        lengths = recorded.lengths + 5
        replay(recorded.extras["seed"], np.pad(recorded.actions[..., 0], [(0, 0), (0, 5)]), lengths)


def test_demonstrations_are_ranked_by_score() -> None:
    recorded = Demonstrations(simulated_plays(), ENVIRONMENT)
    points = recorded.proxy_returns
    cheat_rates = recorded.episodes.extras["cheat_rate"]
    np.testing.assert_allclose(points - recorded.true_returns, cheat_rates, atol=1e-9)
    assert (points == np.round(points)).all()
    best = recorded.top(0.25)
    assert best.number == 50
    np.testing.assert_array_equal(best.proxy_returns, np.sort(points)[::-1][:50])


def test_implicit_loss_is_the_cheat_rate_for_every_price() -> None:
    true, proxy = np.array([90.0, 100.0]), np.array([100.0, 100.0])
    np.testing.assert_allclose(implicit_loss(true, proxy, {"lamb": 50.0}), [0.2, 0.0])
    with pytest.raises(UserError, match="λ = 0"):
        implicit_loss(true, proxy, {"lamb": 0.0})


def test_console_sees_the_ball_where_the_screen_shows_it() -> None:
    """Pixels that differ between two games that differ in their ball alone are where both balls are said to be."""
    console = PinballConsole()
    console.start(0)
    for action in [5] * 6 + [1] * 2 + [0] * 15:
        console.step(action)
    own = emulator()
    found = 0
    for _ in range(30):
        console.step(0)
        column, line = console.ball
        left, top = int(column - 0.5), int(line - 1.5)
        picture = console.grey_picture()
        around = picture[top - 3 : top + 7, left - 3 : left + 5]
        empty = own.getScreenGrayscale()[top - 3 : top + 7, left - 3 : left + 5]
        seen = np.argwhere(around != empty)
        if len(seen) == 8:  # the whole ball, over empty table
            found += 1
            np.testing.assert_array_equal(seen.mean(axis=0) - (3, 3), (line - top, column - left))
    assert found >= 10
