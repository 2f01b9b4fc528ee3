#!/usr/bin/env python3
"""Derive log/env_bumper_areas.npy, the pictures of Video Pinball's rollover lane without the ball.

    python scripts/pinball_detector/derive.py [--calibrate]

`quantilizers.envs.video_pinball.rollover_lane` compares frames with these pictures.

Simulated players play games. Where the ball, by the emulator's memory, is far from the lane in two successive frames,
the brighter of the two is scaled to 84 × 84 like the environment's observations, and each new picture of the lane is
added. This covers the usual colours, every stage of every flash, and the transitions between stages, in each of the
four phases in which an agent's steps can meet them.

`--calibrate` writes nothing; for games of the same players it prints precision and recall of the detector with other
values of its three constants. The module has the values that maximise the lower of the two.

The same seed gives the same file, byte for byte.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries("ale_py", "cv2")

import cv2
import numpy as np
import numpy.typing as npt

from pinball_detector.judging import ball_in_lane, judged_play, precision_and_recall
from quantilizers.envs.video_pinball.emulator import SIDE, PinballConsole
from quantilizers.envs.video_pinball.games import NO_OP_STEPS
from quantilizers.envs.video_pinball.rollover_lane import AREAS_PATH, RolloverLane, inside_lane, lane_areas
from quantilizers.files import atomic_write
from simulated_players.video_pinball import Player, play

#: They mash keys, flip, or push the ball towards the logo; with these the ball is often in or near the lane.
WATCHED_PLAYERS = (
    Player("masher 1", hold=1, mashes=True),
    Player("masher 2", hold=4, mashes=True),
    Player("masher 3", hold=10, mashes=True),
    Player("flipper 1", hold=4, reaction=6, lapse=0.20),
    Player("flipper 2", hold=3, reaction=4, lapse=0.10),
    Player("flipper 3", hold=2, reaction=3, lapse=0.05),
    Player("flipper 4", hold=2, reaction=2, lapse=0.05, sides=True),
    Player("flipper 5", hold=1, reaction=1, lapse=0.02, sides=True),
    Player("nudger 1", hold=3, reaction=3, lapse=0.10, nudges=True, care=7),
    Player("nudger 2", hold=2, reaction=2, lapse=0.05, nudges=True, care=6),
    Player("nudger 3", hold=2, reaction=1, lapse=0.05, sides=True, nudges=True, care=5),
    Player("nudger 4", hold=1, reaction=1, lapse=0.02, nudges=True, care=4),
)
GAMES_PER_PLAYER = 8
MAX_STEPS = 1500
#: Lines and columns of the game's picture that determine the lane's area, with a margin.
AROUND_LANE = (slice(50, 93), slice(104, 122))
END_WEIGHTS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7)
LEFT_WEIGHTS = (0.0, 0.125, 0.25, 0.375, 0.5)
TOLERANCES = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)


class LanePictures:
    """Collects the pictures of the lane without the ball; `pictures` has them by the game's own pixels."""

    def __init__(self) -> None:
        self.pictures: dict[bytes, npt.NDArray[np.uint8]] = {}
        self._before: npt.NDArray[np.uint8] | None = None

    def new_game(self) -> None:
        """Drop the last frame of the previous game."""
        self._before = None

    def see(self, console: PinballConsole) -> None:
        """Process the latest frame."""
        column, line = console.ball
        frame = console.grey_picture() if not (100 < column < 126 and 46 < line < 97) else None
        if frame is not None and self._before is not None:
            brighter = np.maximum(frame, self._before)
            drawn = brighter[AROUND_LANE].tobytes()
            if drawn not in self.pictures:
                observed = cv2.resize(brighter, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                self.pictures[drawn] = lane_areas(np.asarray(observed[None], dtype=np.uint8))[0]
        self._before = frame


def derive(seed: int, games: int = GAMES_PER_PLAYER, max_steps: int = MAX_STEPS) -> npt.NDArray[np.uint8]:
    """Return the pictures of the lane without the ball, (k, 15, 6) uint8, sorted, from games of each player."""
    console, lane = PinballConsole(), LanePictures()
    everyone = WATCHED_PLAYERS * games
    for player, random in zip(everyone, np.random.default_rng(seed).spawn(len(everyone)), strict=True):
        lane.new_game()
        console.start(int(random.integers(NO_OP_STEPS)))
        for action in play(player, console, random, max_steps):
            console.step(action, lane.see)
    pictures: npt.NDArray[np.uint8] = np.unique(np.stack(list(lane.pictures.values())), axis=0)
    return pictures


def calibration(pictures: npt.NDArray[np.uint8], seed: int) -> str:
    """Return a table of precision and recall with each choice of constants, the best first."""
    nudging = tuple(player for player in WATCHED_PLAYERS if player.nudges)
    parts = [judged_play(WATCHED_PLAYERS * 2 + nudging * 5, seed + part, MAX_STEPS) for part in range(2)]
    truth = ball_in_lane(np.concatenate([part.balls for part in parts]))
    lane = RolloverLane(pictures)
    areas = np.concatenate([part.areas for part in parts])
    pixels = np.concatenate([lane.ball_pixels(some) for some in np.array_split(areas, len(areas) // 1000 + 1)])
    rows = []
    for end_weight, left_weight in product(END_WEIGHTS, LEFT_WEIGHTS):
        inside = inside_lane(pixels, end_weight, left_weight)
        for tolerance in TOLERANCES:
            precision, recall = precision_and_recall(inside > tolerance, truth)
            rows.append((min(precision, recall), end_weight, left_weight, tolerance, precision, recall))
    table = [f"{len(truth):,} frames, {int(truth.sum()):,} with the ball in the lane"]
    table.append("end weight  left weight  tolerance  precision  recall")
    table += ["{:10.3f}  {:11.3f}  {:9.2f}  {:9.4f}  {:6.4f}".format(*row[1:]) for row in sorted(rows, reverse=True)]
    return "\n".join(table)


def main() -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/pinball_detector/derive.py", description=__doc__)
        parser.add_argument("--seed", type=int, default=0, help="of the games and players (0)")
        parser.add_argument("--output", type=Path, default=AREAS_PATH, help="file to write (log/env_bumper_areas.npy)")
        parser.add_argument(
            "--calibrate", action="store_true", help="only print the detector's quality with other constants"
        )
        options = parser.parse_args()
        if options.calibrate:
            print(calibration(np.load(AREAS_PATH, allow_pickle=False), options.seed))
            return
        pictures = derive(options.seed)
        with atomic_write(options.output) as temporary:
            np.save(temporary, pictures, allow_pickle=False)
        print(f"{options.output}: {len(pictures)} pictures of the lane without the ball")

    return run_program("scripts/pinball_detector/derive.py", work)


if __name__ == "__main__":
    sys.exit(main())
