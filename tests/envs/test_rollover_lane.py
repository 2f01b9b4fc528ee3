"""The cheat detector on drawn balls, on played games, and with broken files."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from pinball_detector.judging import ball_in_lane, precision_and_recall
from quantilizers.demonstrations.episodes import load_episodes
from quantilizers.envs.registry import load_environment
from quantilizers.envs.video_pinball.emulator import PinballConsole
from quantilizers.envs.video_pinball.games import replay
from quantilizers.envs.video_pinball.rollover_lane import AREA_SHAPE, AREAS_PATH, RolloverLane, lane_areas
from quantilizers.errors import UserError
from quantilizers.layout import shipped_log

ENVIRONMENT = load_environment("VideoPinballNoFrameskip-v4")

BALL, TABLE = 96, 0


@pytest.fixture(scope="module")
def lane() -> RolloverLane:
    return RolloverLane.load()


@pytest.fixture(scope="module")
def empty_table() -> np.ndarray:
    """The game's picture in grey, the ball on the plunger."""
    console = PinballConsole()
    console.start(1)
    return console.grey_picture()


def observed(pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([cv2.resize(one, (84, 84), interpolation=cv2.INTER_AREA) for one in pictures])


def with_ball(picture: np.ndarray, column: int, line: int) -> np.ndarray:
    """Draw the ball, 2 × 4 pixels from (column, line), where nothing brighter is."""
    drawn = picture.copy()
    place = drawn[line : line + 4, column : column + 2]
    np.maximum(place, BALL, out=place)
    return drawn


def free_places(picture: np.ndarray) -> list[tuple[int, int]]:
    """Return (column, line) around the lane where a ball can be: none of it would be inside a wall."""
    return [
        (column, line)
        for column, line in product(range(98, 128), range(40, 100))
        if not (picture[line : line + 4, column : column + 2] == BALL).any()
    ]


def test_one_ball_anywhere_near_the_lane(lane: RolloverLane, empty_table: np.ndarray) -> None:
    """Single balls are misclassified only if their centre is within one pixel of the rim."""
    places = free_places(empty_table)
    verdicts = lane(observed([with_ball(empty_table, *place) for place in places]))
    centres = np.add(places, (0.5, 1.5))
    truth = ball_in_lane(centres[:, None])
    from_rim = np.min(np.abs(centres[:, :, None] - [[108, 116], [54, 87]]), axis=(1, 2))
    assert truth.sum() > 200
    assert (~truth).sum() > 500
    assert (from_rim[verdicts != truth] <= 1).all()
    assert (verdicts == truth).mean() > 0.97


def test_two_positions_of_the_ball_in_one_frame(lane: RolloverLane, empty_table: np.ndarray) -> None:
    """A frame shows the ball twice; it is in the lane if it was there either time."""
    random = np.random.default_rng(0)
    places = np.array(free_places(empty_table))
    pairs = [(one, one + random.integers(-4, 5, size=2)) for one in places]
    known = {tuple(place) for place in places}
    pairs = [pair for pair in pairs if tuple(pair[1]) in known]
    verdicts = lane(
        observed([np.maximum(with_ball(empty_table, *one), with_ball(empty_table, *two)) for one, two in pairs])
    )
    truth = ball_in_lane(np.add(pairs, (0.5, 1.5)))
    precision, recall = precision_and_recall(verdicts, truth)
    assert min(precision, recall) > 0.97


def test_played_games_against_the_memory() -> None:
    """The environment's detections in recorded games agree with the emulator's memory, except for one in forty."""
    recorded = load_episodes(shipped_log() / ENVIRONMENT.name / "demo.npz").select(
        np.array([44, 81, 195])  # those with the ball in the lane most often
    )
    actions, lengths = recorded.actions[..., 0], recorded.lengths
    said = replay(recorded.extras["seed"], actions, lengths)
    truth = np.zeros_like(said.cheats)
    console = PinballConsole()
    for episode, length in enumerate(lengths):
        start = np.random.Generator(np.random.PCG64(int(recorded.extras["seed"][episode])))
        console.start(int(start.integers(30)))
        for step in range(length):
            balls: list[tuple[float, float]] = []
            scored = console.step(int(actions[episode, step]), lambda seen, balls=balls: balls.append(seen.ball))
            assert scored == said.scores[episode, step]
            truth[episode, step] = ball_in_lane(np.array([balls[-2:]]))[0]
    precision, recall = precision_and_recall(said.cheats.ravel(), truth.ravel())
    assert truth.sum() > 200
    assert min(precision, recall) > 0.975


def test_pictures_are_of_an_empty_lane(lane: RolloverLane) -> None:
    """None of those that ship shows a ball: but for the logo's rows the lane's cells are all of one grey."""
    pictures = np.load(AREAS_PATH, allow_pickle=False)
    assert pictures.dtype == np.uint8
    assert pictures.shape[1:] == AREA_SHAPE
    # Frame rows 23 to 27 have the logo, at lines 58 to 70. In the last rows stages of a flash meet.
    for rows in (slice(0, 2), slice(7, 13)):
        cells = pictures[:, rows, 2:4].reshape(len(pictures), -1)
        assert (cells == cells[:, :1]).all()
    whole = np.zeros((len(pictures), 84, 84), dtype=np.uint8)
    whole[:, 21:36, 56:62] = pictures
    np.testing.assert_array_equal(lane_areas(whole), pictures)
    assert not lane(whole).any()


def test_many_frames_are_judged_as_one_by_one(lane: RolloverLane, empty_table: np.ndarray) -> None:
    places = free_places(empty_table)[::7]
    frames = np.tile(observed([with_ball(empty_table, *place) for place in places]), (15, 1, 1))
    assert len(frames) > 2048
    alone = np.concatenate([lane(frames[index : index + 1]) for index in range(len(places))])
    np.testing.assert_array_equal(lane(frames), np.tile(alone, 15))
    assert alone.any()
    assert lane(frames[:0]).shape == (0,)


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "areas.npy"
    with pytest.raises(UserError, match="ships with this project"):
        RolloverLane.load(path)
    for array in (np.zeros((3, 2, 2), np.uint8), np.zeros((3, *AREA_SHAPE)), np.zeros((0, *AREA_SHAPE), np.uint8)):
        np.save(path, array)
        with pytest.raises(UserError, match="ships with this project"):
            RolloverLane.load(path)
    np.save(path, np.array([None]), allow_pickle=True)
    with pytest.raises(UserError, match="ships with this project"):
        RolloverLane.load(path)
    path.write_bytes(AREAS_PATH.read_bytes()[:200])
    with pytest.raises(UserError, match="ships with this project"):
        RolloverLane.load(path)
