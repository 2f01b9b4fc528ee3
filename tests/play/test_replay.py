"""play/replay.py: recordings and policies, as videos and in the window."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest import mock

import cv2
import gymnasium
import numpy as np
import pygame
import pytest
from scripted_player import Outcome, Script, arrays_of, in_own_process, press, release, run_scripted, tap, wait

from quantilizers.commands import replay
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.evaluation.results import load_results
from quantilizers.layout import Layout
from quantilizers.play import acting, watch
from quantilizers.play.view import GameView, Panel, make_game
from quantilizers.play.watch import choose_episode

CAR, HOPPER, PINBALL = "MountainCar-v0", "Hopper-v2", "VideoPinballNoFrameskip-v4"
Replay = Callable[..., Outcome]


def hopping() -> Script:
    yield
    for turn in range(4):
        press(pygame.K_j if turn % 2 else pygame.K_k, pygame.K_d)
        yield from wait(3)
        release(pygame.K_j, pygame.K_k)


def record_and_replay_hopper(log: Path, videos: list[Path]) -> list[Outcome]:
    """Record an episode; make a video of it, and one of the same without its seed."""
    words = ("--env_id", HOPPER, "--filename", "x", "--max_steps", "6", "--seed", "5")
    run_scripted("gather_data", hopping(), words, log)
    file = arrays_of(log / HOPPER / "x.npz")
    del file["seed"]
    np.savez_compressed(log / HOPPER / "seedless.npz", **file)
    return [
        run_scripted("replay", wait(0), ("--env_id", HOPPER, "--dataset_name", name, "--output", str(video)), log)
        for name, video in zip(("x", "seedless"), videos, strict=True)
    ]


def frames_of(path: Path) -> list[np.ndarray]:
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, picture = reader.read()
        if not there:
            return frames
        frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


@pytest.mark.usefixtures("off_screen_gl")
def test_a_hopper_s_recording_is_replayed_with_its_seed_and_without(tmp_path: Path) -> None:
    videos = [tmp_path / "seed.mp4", tmp_path / "seedless.mp4"]
    outcomes = in_own_process(record_and_replay_hopper, tmp_path / "log", videos)
    file = arrays_of(tmp_path / "log" / HOPPER / "x.npz")
    proxy = float(Demonstrations(replace_done(file), load_environment(HOPPER)).proxy_returns[0])
    for (code, out, err), video in zip(outcomes, videos, strict=True):
        assert (code, err) == (0, "")
        assert f"true return {file['ep_rets'][0]:.6g}, proxy return {proxy:.6g}" in out
        frames = frames_of(video)
        assert len(frames) == int((~file["done"]).sum()) + 1
        # The hopper moves: no two pictures in a row are the same where the game is.
        assert all((one[:, :480] != other[:, :480]).any() for one, other in pairwise(frames))
    (_, with_seed, _), (_, without, _) = outcomes
    assert "started by its seed; exactly as recorded" in with_seed
    assert "started from its first observation, because the file has no reset seed" in without
    assert re.search("as recorded, to rounding|exactly as recorded", without)


def replace_done(file: dict[str, np.ndarray]) -> Episodes:
    return Episodes(file["obs"], file["acs"], file["rews"], file["done"])


def test_people_s_play_without_seeds_is_replayed(human: Demonstrations, show: Replay, tmp_path: Path) -> None:
    human.episodes.save(tmp_path / "log" / CAR / "human.npz")
    for words, episode in (
        (("--episode", "3"), 2),
        (("--episode", "best", "--by", "true"), int(np.argmax(human.true_returns))),
        (("--episode", "worst", "--by", "true"), int(np.argmin(human.true_returns))),
    ):
        code, out, _ = show("--dataset_name", "human", "--output", str(tmp_path / "car.mp4"), "--zoom", "0.5", *words)
        assert code == 0
        assert out.startswith(f"recording human, episode {episode + 1} of 20: {human.lengths[episode]} steps")
        assert f"true return {human.true_returns[episode]:.6g}," in out
        assert "as recorded, to rounding" in out
    best = int(np.argmax(human.proxy_returns))
    _, out, _ = show(
        "--dataset_name", "human", "--output", str(tmp_path / "car.mp4"), "--zoom", "0.5", "--episode", "best"
    )
    assert out.startswith(f"recording human, episode {best + 1} of 20")


def test_a_changed_recording_is_found_out(car_demonstrations: Demonstrations, show: Replay, tmp_path: Path) -> None:
    actions = car_demonstrations.episodes.actions.copy()
    actions[0, 9] = 2 - actions[0, 9]
    changed = replace(car_demonstrations.episodes, actions=actions, extras={"seed": np.arange(100, 112)})
    changed.save(tmp_path / "log" / CAR / "changed.npz")
    words = ("--dataset_name", "changed", "--output", str(tmp_path / "car.gif"), "--zoom", "0.5")
    _, out, _ = show(*words)
    assert "it departs from the recording after 10 steps" in out
    _, out, _ = show(*words, "--episode", "2")
    assert "exactly as recorded" in out


def test_a_recording_that_ends_otherwise_is_found_out(car_demonstrations: Demonstrations, tmp_path: Path) -> None:
    environment = load_environment(CAR)
    recorded = replace(car_demonstrations.episodes, extras={"seed": np.arange(100, 112)})
    steps = int(recorded.lengths[0])
    game = make_game(environment, steps)
    game.reset(seed=100)
    view = GameView(game, Panel(CAR))
    observation = play_again(environment, recorded, view)[1]
    finals = np.zeros((12, 2), dtype=np.float32)
    finals[0] = observation
    said, _ = play_again(environment, replace(recorded, extras={**recorded.extras, "final_observation": finals}), view)
    assert said.endswith("exactly as recorded")
    finals[0, 0] += 0.5
    said, _ = play_again(environment, replace(recorded, extras={**recorded.extras, "final_observation": finals}), view)
    assert f"it departs from the recording after {steps} steps" in said
    shorter = make_game(environment, 9)
    shorter.reset(seed=100)
    said, _ = play_again(environment, recorded, GameView(shorter, Panel(CAR)))
    assert said.endswith(f"it ends before the recording, which has {steps} steps")
    stopped = acting.RecordedEpisode(environment, recorded, 0, [])
    pictures = stopped.pictures(view)
    for _ in range(3):
        next(pictures)
    assert stopped.outcome(view).endswith(f"stopped by you; the recording has {steps} steps")


def play_again(environment: EnvironmentDefinition, recorded: Episodes, view: GameView) -> tuple[str, np.ndarray]:
    episode = acting.RecordedEpisode(environment, recorded, 0, [])
    seen: list[np.ndarray] = []
    step = view.step

    def listen(action: object) -> tuple:
        result = step(action)
        seen.append(result[0])
        return result

    with mock.patch.object(view, "step", listen):
        for _ in episode.pictures(view):
            pass
    return episode.outcome(view), seen[-1]


def pinball_view(steps: int) -> GameView:
    game = make_game(load_environment(PINBALL), steps)
    game.reset(seed=0)
    return GameView(game, Panel("Video Pinball"))


def pinball_recording(seed: int) -> Episodes:
    game = gymnasium.make("quantilizers/VideoPinballRR-v0", max_steps=70)
    game.reset(seed=seed)
    actions = [5] * 30 + [1] * 2 + [3] * 38
    rewards = [game.step(action)[4]["true_reward"] for action in actions]
    assert sum(rewards) > 0
    return Episodes(
        np.zeros((1, 70, 0), dtype=np.uint8),
        np.array(actions, dtype=np.uint8)[None, :, None],
        np.array(rewards)[None],
        np.zeros((1, 70), dtype=np.bool_),
        {"seed": np.array([seed])},
    )


def test_pinball_is_replayed_by_its_seed_with_four_pictures_a_step(show: Replay, tmp_path: Path) -> None:
    recording = pinball_recording(8)
    recording.save(tmp_path / "log" / PINBALL / "x.npz")
    video = tmp_path / "pinball.mp4"
    code, out, err = show("--env_id", PINBALL, "--dataset_name", "x", "--zoom", "1", "--output", str(video))
    assert (code, err) == (0, "")
    assert f"70 steps, true return {recording.true_returns[0]:.6g}, " in out
    assert "exactly as recorded" in out
    assert len(frames_of(video)) == 1 + 4 * 70
    reader = cv2.VideoCapture(str(video))
    assert reader.get(cv2.CAP_PROP_FPS) == 60
    view = pinball_view(70)
    wrong = replace(recording, true_rewards=recording.true_rewards * 2)
    episode = acting.RecordedEpisode(load_environment(PINBALL), wrong, 0, [])
    for _ in episode.pictures(view):
        pass
    assert "its true return is not the recorded one" in episode.outcome(view)
    view.true_return = np.nan  # the environment paid what is no number, and the recording does not
    assert "its true return is not the recorded one" in episode.outcome(view)


def test_pinball_without_a_seed_cannot_be_replayed_and_says_so() -> None:
    for extras in ({}, {"seed": np.array([-1])}):
        episode = acting.RecordedEpisode(load_environment(PINBALL), replace(pinball_recording(8), extras=extras), 0, [])
        with pytest.raises(UserError, match="no reset seed, and this environment cannot be started from"):
            next(episode.pictures(pinball_view(70)))


def test_the_returns_are_drawn_into_the_video(car_demonstrations: Demonstrations, show: Replay, tmp_path: Path) -> None:
    car_demonstrations.episodes.save(tmp_path / "log" / CAR / "x.npz")
    show("--dataset_name", "x", "--output", str(tmp_path / "shown.mp4"))
    show("--dataset_name", "x", "--output", str(tmp_path / "hidden.mp4"), "--hide_rewards", "--zoom", "0.5")
    shown, hidden = frames_of(tmp_path / "shown.mp4"), frames_of(tmp_path / "hidden.mp4")
    assert len(shown) == len(hidden) == car_demonstrations.lengths[0] + 1
    panel = [frame[:, 600:].astype(int) for frame in shown]
    changed = np.abs(panel[20] - panel[40]).max(axis=(1, 2)) > 100
    steps, true_return, proxy_return = 100, 120, 140  # within the lines of text
    assert [bool(changed[line - 10 : line + 10].any()) for line in (steps, true_return, proxy_return)] == [True] * 3
    panel = [frame[:, 300:].astype(int) for frame in hidden]
    changed = np.abs(panel[20] - panel[40]).max(axis=(1, 2)) > 100
    assert changed[: steps + 10].any()
    assert not changed[steps + 10 :].any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, car_demonstrations: Demonstrations) -> Path:
    """Train and test two policies of Mountain Car; give the log folder."""
    import quantilizer

    log = tmp_path_factory.mktemp("policies")
    car_demonstrations.episodes.save(log / CAR / "small.npz")
    words = ["--dataset_name", "small", "--quantiles", "1.0", "0.5", "--seed_min", "3", "--seed_nb", "1"]
    words += ["--number_trajectories", "4", "--max_epochs", "3", "--log_dir", str(log)]
    assert quantilizer.main(["--do", "train", "test", *words]) == 0
    return log


@pytest.fixture
def policies(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained and tested policies; give the log folder."""
    shutil.copytree(trained, tmp_path / "log")
    return tmp_path / "log"


def test_a_policy_s_test_episode_is_the_one_that_was_tested(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = arrays_of(policies / "rewards" / f"small_{CAR}_3.npz")
    log_dir = ["--log_dir", str(policies)]
    for wanted, episode in (
        ("best", int(np.argmax(tested["proxy_returns"][1]))),
        ("worst", int(np.argmin(tested["proxy_returns"][1]))),
        ("2", 1),
    ):
        words = ["--dataset_name", "small", "--quantile", "0.5", "--seed_min", "3", "--episode", wanted]
        assert replay.main([*words, "--zoom", "0.5", "--output", str(tmp_path / "car.gif"), *log_dir]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"policy small, quantile 0.5, seed 3, episode {episode + 1}:")
        assert f"{tested['lengths'][1, episode]} steps, true return {tested['true_returns'][1, episode]:.6g}," in out
        assert f"proxy return {tested['proxy_returns'][1, episode]:.6g}" in out
    missing = ["--dataset_name", "small", "--quantile", "0.25", "--output", str(tmp_path / "c.gif")]
    assert replay.main([*missing, *log_dir]) == 2
    assert "train and test it: python quantilizer.py --do train test" in capsys.readouterr().err
    elsewhere = ["--quantile", "0.25", "--path", "run_1", "--output", str(tmp_path / "c.gif")]
    asked = ["--max_steps", "150", "--acting", "sample"]
    assert replay.main(["--dataset_name", "small", *elsewhere, *asked, *log_dir]) == 2
    command = shlex.split(capsys.readouterr().err.partition("train and test it: python quantilizer.py ")[2])
    assert command == [
        "--do", "train", "test", "--env_name", CAR, "--dataset_name", "small", "--quantiles", "0.25", "--seed_min", "0",
        "--seed_nb", "1", *asked, "--path", "run_1", "--log_dir", str(policies),
    ], "the command trains it where it is looked for"  # fmt: skip


def test_ranks_are_those_of_the_episodes_that_were_tested(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset_name", "small", "--quantile", "0.5", "--seed_min", "3", "--log_dir", str(policies)]
    words += ["--output", str(tmp_path / "car.gif"), "--episode", "best"]
    assert replay.main([*words, "--max_steps", "30"]) == 2
    err = capsys.readouterr().err
    assert "was measured with max_steps 200, not 30; use the same values, or choose the episode by its number" in err
    assert replay.main([*words, "--acting", "sample"]) == 2
    assert "was measured with acting most_probable, not sample; " in capsys.readouterr().err
    tested = policies / "rewards" / f"small_{CAR}_3.npz"
    results = load_results(tested)
    assert results.provenance is not None
    replace(results, provenance=replace(results.provenance, policies=("0" * 64,) * len(results.quantiles))).save(tested)
    assert replay.main(words) == 2
    assert f"{tested} is of another policy than " in capsys.readouterr().err, (
        "another policy was tested, under the same conditions"
    )
    tested.unlink()
    assert replay.main(words) == 2
    err = capsys.readouterr().err
    assert f"nothing was tested yet: {tested} is missing; test it: python quantilizer.py --do test --env_name" in err
    assert err.count("\n") == 1


def test_the_window_pauses_plays_again_and_ends(
    car_demonstrations: Demonstrations, show: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    car_demonstrations.episodes.save(tmp_path / "log" / CAR / "x.npz")
    length = int(car_demonstrations.lengths[0])
    said: list[tuple[str, str]] = []
    lines = Panel.lines

    def listen(self: Panel, steps: str, *returns: str) -> list:
        said.append((steps, self.status))
        return lines(self, steps, *returns)

    monkeypatch.setattr(Panel, "lines", listen)

    def script() -> Script:
        yield from wait(10)
        tap(pygame.K_p)
        yield from wait(7)
        tap(pygame.K_p)
        yield from wait(3)
        tap(pygame.K_r)
        yield from wait(length + 5)
        tap(pygame.K_r)
        yield from wait(4)

    code, out, _ = show("--dataset_name", "x", script=script())
    assert code == 0
    assert out.startswith(f"recording x, episode 1 of {car_demonstrations.number}")
    assert sum(status == watch.PAUSED for _, status in said) == 7
    assert [steps for steps, status in said if status == watch.PLAYING].count("0") == 3
    assert (str(length), watch.ENDED) in said


@pytest.mark.parametrize("command", [None, watch.END])
def test_a_showing_goes_on_after_the_episode_unless_the_user_ends_it(
    car_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch, command: str | None
) -> None:
    monkeypatch.setattr(watch.GameWindow, "show", lambda window, picture: None)
    monkeypatch.setattr(watch.GameWindow, "take_commands", lambda window: [] if command is None else [command])
    environment = load_environment(CAR)
    episode = acting.RecordedEpisode(environment, car_demonstrations.episodes, 0, [("Policy", "x")], played=True)
    showing = watch.Showing(environment, Layout(Path("x"), CAR), "1", False, 1.0, 0, None)
    going_on, said = watch.show_once(showing, episode)
    length = int(car_demonstrations.lengths[0])
    assert going_on is (command is None)
    assert said.startswith(f"policy x: {length if going_on else 0} steps")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--dataset_name", "nobody"), "no data set 'nobody'"),
        (("--episode", "13"), "the episodes are 1 to 12"),
        (("--episode", "last"), "neither a number"),
        (("--output", "car.avi"), "neither .gif nor .mp4"),
        (("--by", "score"), "--by is 'score'; it is one of proxy, true"),
        (("--env_name", "Pong"), "unknown environment"),
        (("--path", "../..", "--quantile", "1"), "leaves"),
        (("--path", "run/"), "--path is of a policy or an optimiser; give --quantile or --algorithm, too"),
        (("--seed", "3"), "--seed is of a policy"),
        (("--acting", "sample"), "--acting is of a policy"),
        (("--episode", "2", "--by", "true"), "--by ranks episodes"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    car_demonstrations: Demonstrations, show: Replay, tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    car_demonstrations.episodes.save(tmp_path / "log" / CAR / "demo.npz")
    code, out, err = show("--output", str(tmp_path / "car.gif"), *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.startswith("replay.py: ")
    assert err.count("\n") == 1


RETURNS = np.array([3.0, 7.0, 1.0, 7.0, 5.0, 1.0])


@pytest.mark.parametrize(("wanted", "index"), [("1", 0), ("6", 5), ("best", 1), ("worst", 2), ("median", 0)])
def test_an_episode_by_number_or_rank(wanted: str, index: int) -> None:
    assert choose_episode(wanted, RETURNS) == index


def test_the_median_of_an_odd_number_is_in_the_middle() -> None:
    assert choose_episode("median", RETURNS[:5]) == 4


@pytest.mark.parametrize("wanted", ["0", "-1", "7", "", "1.5", "beste", "²"])
def test_an_episode_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(UserError, match="episode"):
        choose_episode(wanted, RETURNS)
