#!/usr/bin/env python3
"""Measure how often the cheat detector of Video Pinball is right, against the ball's place in the emulator's memory.

    python scripts/validate_cheat_detector.py

Truth: the ball's centre is within columns 108 to 116 and lines 54 to 87 of the game's picture of 160 × 210 in at least
one of the two frames that an observation is made of, the last two of a step. A game's final step is left out: its
frames are not drawn any more, and the observation repeats what was there before (one step a game).

The games are played by simulated players of other habits and with other seeds than those that
`scripts/derive_bumper_areas.py` derives the pictures and the constants from.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from quantilizers.envs.pinball_console import PinballConsole
from quantilizers.envs.pinball_games import VideoPinballRRVector
from quantilizers.envs.rollover_lane import lane_areas
from quantilizers.programs import Parser, run_program
from simulated_video_pinball_players import Player, play

BoolArray = npt.NDArray[np.bool_]

LANE_COLUMNS, LANE_LINES = (108, 116), (54, 87)
VALIDATING_PLAYERS = (
    Player("masher", hold=2, mashes=True),
    Player("slow masher", hold=6, mashes=True),
    Player("flipper", hold=3, reaction=0, lapse=0.3),
    Player("nudger", hold=1, reaction=0, lapse=0.15, nudges=True, care=5),
    Player("hasty nudger", hold=1, reaction=0, lapse=0.3, sides=True, nudges=True, care=3),
    Player("careless nudger", hold=2, reaction=1, lapse=0.1, nudges=True, care=9),
)
GAMES_PER_PLAYER = 8
MAX_STEPS = 2000


@dataclass(frozen=True, eq=False)
class JudgedSteps:
    """What the detector said of n steps, and what it could have known.

    Attributes:
        areas: (n, 15, 6), the lane as it was seen.
        balls: (n, 2, 2), column and line of the ball in both frames of each observation.
        verdicts: (n,), what the environment reported as `info["cheat"]`.
    """

    areas: npt.NDArray[np.uint8]
    balls: npt.NDArray[np.float64]
    verdicts: BoolArray


def ball_in_lane(balls: npt.NDArray[np.float64]) -> BoolArray:
    """Return whether the ball's centre is in the lane in any of the frames of each observation.

    Args:
        balls: (n, frames, 2), column and line.
    """
    lowest, highest = np.transpose([LANE_COLUMNS, LANE_LINES])
    inside: BoolArray = ((lowest <= balls) & (balls <= highest)).all(axis=2).any(axis=1)
    return inside


def precision_and_recall(verdicts: BoolArray, truth: BoolArray) -> tuple[float, float]:
    """Return the fraction of verdicts that are true, and of what is true that is found; 0 where there is none."""
    hits = int((verdicts & truth).sum())
    return hits / max(int(verdicts.sum()), 1), hits / max(int(truth.sum()), 1)


def judged_play(players: Sequence[Player], seed: int, max_steps: int) -> JudgedSteps:
    """Let everybody play one game in the environment, with an emulator beside each to look into.

    Args:
        players: one a game.
        seed: of everything that is random.
        max_steps: games are cut after so many steps.

    Raises:
        RuntimeError: an emulator and the environment drift apart.
    """
    generators = np.random.default_rng(seed).spawn(len(players))
    games = VideoPinballRRVector(len(players), max_steps=max_steps + 1)
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


def report(steps: JudgedSteps) -> str:
    """Describe how right the verdicts are, and where they are wrong."""
    truth = ball_in_lane(steps.balls)
    precision, recall = precision_and_recall(steps.verdicts, truth)
    # How far the ball's centre is from the lane's upper and lower rim, in the nearer of both frames.
    lines = steps.balls[..., 1]
    from_rim = np.minimum(np.abs(lines - LANE_LINES[0]), np.abs(lines - LANE_LINES[1])).min(axis=1)
    rows = [
        f"{len(truth):,} observed frames, {int(truth.sum()):,} with the ball in the lane",
        f"precision {precision:.4f}, recall {recall:.4f}",
    ]
    wrong = {"seen but not there": steps.verdicts & ~truth, "there but not seen": ~steps.verdicts & truth}
    for name, which in wrong.items():
        near = int((from_rim[which] <= 2).sum())
        rows.append(f"{name}: {int(which.sum())}, of them {near} with the ball within two lines of the lane's ends")
    return "\n".join(rows)


def main() -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/validate_cheat_detector.py", description=__doc__)
        parser.add_argument("--seed", type=int, default=3_000_000, help="of the games and players (3000000)")
        parser.add_argument(
            "--max_steps", type=int, default=MAX_STEPS, help=f"a game is cut after so many ({MAX_STEPS})"
        )
        options = parser.parse_args()
        print(report(judged_play(VALIDATING_PLAYERS * GAMES_PER_PLAYER, options.seed, options.max_steps)))

    return run_program("scripts/validate_cheat_detector.py", work)


if __name__ == "__main__":
    sys.exit(main())
