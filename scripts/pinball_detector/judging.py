"""Verdicts of Video Pinball's cheat detector beside the ball's position in the emulator's memory.

Truth: the ball's centre is within columns 108 to 116 and lines 54 to 87 of the game's picture of 160 × 210 in at least
one of the two frames of an observation, the last two of a step. The final step of each game is left out, because its
frames are not drawn and the observation repeats the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.envs.video_pinball.emulator import PinballConsole
from quantilizers.envs.video_pinball.games import VideoPinballVector
from quantilizers.envs.video_pinball.rollover_lane import lane_areas
from quantilizers.rewards import BoolArray
from simulated_players.video_pinball import Player, play

LANE_COLUMNS, LANE_LINES = (108, 116), (54, 87)


@dataclass(frozen=True, eq=False)
class JudgedSteps:
    """The detector's input and output in n steps."""

    areas: npt.NDArray[np.uint8]  # (n, 15, 6), observed pictures of the lane
    balls: npt.NDArray[np.float64]  # (n, 2, 2), column and line of the ball in both frames of each observation
    verdicts: BoolArray  # (n,), the environment's `info["cheat"]`


def ball_in_lane(balls: npt.NDArray[np.float64]) -> BoolArray:
    """Return whether balls (n, frames, 2), column and line, are in the lane in any frame of each observation."""
    lowest, highest = np.transpose([LANE_COLUMNS, LANE_LINES])
    inside: BoolArray = ((lowest <= balls) & (balls <= highest)).all(axis=2).any(axis=1)
    return inside


def precision_and_recall(verdicts: BoolArray, truth: BoolArray) -> tuple[float, float]:
    """Return precision and recall; 0 where they are undefined."""
    hits = int((verdicts & truth).sum())
    return hits / max(int(verdicts.sum()), 1), hits / max(int(truth.sum()), 1)


def judged_play(players: Sequence[Player], seed: int, max_steps: int) -> JudgedSteps:
    """Let each player play one game in the environment, and the same game in an emulator whose memory can be read."""
    generators = np.random.default_rng(seed).spawn(len(players))
    games = VideoPinballVector(len(players), max_steps=max_steps + 1)
    games.reset(seed=[int(random.integers(2**31)) for random in generators])
    consoles = [PinballConsole() for _ in players]
    for console, no_op_steps in zip(consoles, games.no_op_steps, strict=True):
        console.start(int(no_op_steps))
    acting = [
        play(player, console, random, max_steps)
        for player, console, random in zip(players, consoles, generators, strict=True)
    ]
    areas: list[Any] = []
    balls: list[Any] = []
    verdicts: list[bool] = []
    places: list[tuple[float, float]] = []
    running = list(range(len(players)))
    while True:
        chosen = {index: action for index in running if (action := next(acting[index], None)) is not None}
        running = list(chosen)
        if not running:
            return JudgedSteps(np.array(areas), np.array(balls), np.array(verdicts))
        playing = np.isin(np.arange(len(players)), running)
        games.retire(~playing)
        actions = np.zeros(len(players), dtype=np.int64)
        actions[running] = list(chosen.values())
        observations, scores, _, _, info = games.step(actions)
        for index in running:
            places.clear()
            scored = consoles[index].step(int(actions[index]), lambda console: places.append(console.ball))
            if scored != scores[index]:
                raise RuntimeError("the emulator and the environment do not play the same game")
            if not consoles[index].over:
                areas.append(lane_areas(observations[index : index + 1, -1])[0])
                balls.append(places[-2:])
                verdicts.append(bool(info["cheat"][index]))
