#!/usr/bin/env python3
"""Measure precision and recall of Video Pinball's cheat detector, against the ball's position in the emulator's memory.

    python scripts/pinball_detector/validate.py

`scripts/pinball_detector/judging.py` defines the truth. The simulated players have other habits and other seeds than
those of `scripts/pinball_detector/derive.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries("ale_py", "cv2")

import numpy as np

from pinball_detector.judging import LANE_LINES, JudgedSteps, ball_in_lane, judged_play, precision_and_recall
from simulated_players.video_pinball import Player

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


def report(steps: JudgedSteps) -> str:
    """Describe precision, recall and the position of errors."""
    truth = ball_in_lane(steps.balls)
    precision, recall = precision_and_recall(steps.verdicts, truth)
    # Distance of the ball's centre from the lane's ends, in the nearer of both frames.
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
        parser = Parser("scripts/pinball_detector/validate.py", description=__doc__)
        parser.add_argument("--seed", type=int, default=3_000_000, help="of the games and players (3000000)")
        parser.add_argument(
            "--max_steps", type=int, default=MAX_STEPS, help=f"a game is cut after so many ({MAX_STEPS})"
        )
        options = parser.parse_args()
        print(report(judged_play(VALIDATING_PLAYERS * GAMES_PER_PLAYER, options.seed, options.max_steps)))

    return run_program("scripts/pinball_detector/validate.py", work)


if __name__ == "__main__":
    sys.exit(main())
