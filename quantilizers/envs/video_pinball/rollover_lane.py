"""Detect the ball in the lane of Video Pinball's top-right rollover on observed frames.

That rollover, with the publisher's logo, can be farmed for points; the implicit reward punishes time spent there (Carey
2019). As in the reference implementation, the area of the lane in a frame is compared with stored pictures of the same
area without the ball, one for each state of the game's colours: they flash for half a second after special hits, and
every frame is the pixel-wise maximum of two successive ones.

The lane is columns 108 to 116 and lines 54 to 87 of the game's picture of 160 × 210. A cell of the 84 × 84 frame
is 1.9 columns wide and 2.5 lines high, and the ball is 2 columns wide and 4 lines high. The difference from the
best fitting picture, in units of the ball's contrast, is therefore the visible area of the ball: 8 pixels for the
whole ball, up to 16 if a frame shows two positions of it.

The ball's centre is in the lane if more of the ball is inside than outside. The score of a column is the area inside
it, minus `END_WEIGHT` times the area in the cells above and below the lane, and for the leftmost column minus
`LEFT_WEIGHT` times the area to the left of it, but at least zero. The ball is in the lane if the columns' sum exceeds
`TOLERANCE`. The tolerance is small because the logo's brighter lines hide up to half of the ball: at the game's usual
colours it is a mean absolute difference of 0.0019 of the range from black to white over the lane's cells. (The
reference has 0.01 on frames of another shape and palette, on a smaller area, and ignores the surroundings.)

Errors remain when the ball is at the rim of the lane, and during a flash that paints the table brighter than the ball,
because the maximum of two frames then shows the table.

`scripts/pinball_detector/derive.py` makes the pictures and prints the errors for other values of the constants;
`scripts/pinball_detector/validate.py` measures errors on other games of other players.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantilizers.arrays import load_array
from quantilizers.demonstrations.frame_stacks import FrameArray
from quantilizers.errors import UserError
from quantilizers.layout import shipped_log
from quantilizers.rewards import BoolArray, FloatArray

AREAS_PATH = shipped_log() / "env_bumper_areas.npy"
#: The area of a frame: the lane and one more row or column on each side.
ROWS, COLUMNS = slice(21, 36), slice(56, 62)
AREA_SHAPE = (15, 6)
#: The lane within an area. The first and last rows and the first column surround it; the last column is wall.
LANE_ROWS, LANE_COLUMNS = slice(1, -1), slice(1, -1)
#: A cell of wall, and a cell of empty table.
WALL_CELL, TABLE_CELL = (5, -1), (-1, 1)
PIXELS_PER_CELL = (160 / 84) * (210 / 84)
END_WEIGHT, LEFT_WEIGHT = 0.5, 0.125
TOLERANCE = 1.25
#: Frames compared with all pictures at once; limits memory.
_CHUNK = 1024


def lane_areas(frames: FrameArray) -> FrameArray:
    """Return the area of the lane, (n, 15, 6), in observed frames (n, 84, 84)."""
    return frames[:, ROWS, COLUMNS]


class RolloverLane:
    """Detects the ball in the lane, by pictures (k, 15, 6) uint8 of `lane_areas` without the ball."""

    def __init__(self, pictures: FrameArray) -> None:
        self._pictures = pictures.astype(np.int16)
        wall = self._pictures[:, WALL_CELL[0], WALL_CELL[1]]
        table = self._pictures[:, TABLE_CELL[0], TABLE_CELL[1]]
        # The machine draws the ball in the colour of the walls. The least visible contrast is one grey level.
        self._ball_contrast = np.maximum(np.abs(wall - table), 1).astype(np.float64)

    @classmethod
    def load(cls, path: Path = AREAS_PATH) -> RolloverLane:
        """Read the pictures that ship; refuse a file that is missing or holds something else."""
        way_out = "it ships with this project; fetch or install that again"
        try:
            pictures = load_array(path)
        except UserError as error:
            raise UserError(f"{error}; {way_out}") from None
        if pictures.dtype != np.uint8 or pictures.size == 0:
            raise UserError(f"{path} does not hold grey pictures; {way_out}")
        if pictures.shape[1:] != AREA_SHAPE:
            raise UserError(f"{path} holds pictures of shape {pictures.shape[1:]}, not {AREA_SHAPE}; {way_out}")
        return cls(pictures)

    def ball_pixels(self, areas: FrameArray) -> FloatArray:
        """Measure the ball's visible area in each cell of `lane_areas`, (n, 15, 6) pixels of the game's picture."""
        differences = np.abs(self._pictures[None] - areas[:, None].astype(np.int16))
        best = differences.sum(axis=(2, 3)).argmin(axis=1)
        scale = PIXELS_PER_CELL / self._ball_contrast[best]
        pixels: FloatArray = differences[np.arange(len(areas)), best] * scale[:, None, None]
        return pixels

    def __call__(self, frames: FrameArray) -> BoolArray:
        """Return whether the ball is in the lane, (n,), from the newest frame of each observation, (n, 84, 84)."""
        verdicts = np.zeros(len(frames), dtype=np.bool_)
        for first in range(0, len(frames), _CHUNK):
            part = slice(first, first + _CHUNK)
            verdicts[part] = inside_lane(self.ball_pixels(lane_areas(frames[part]))) > TOLERANCE
        return verdicts


def inside_lane(pixels: FloatArray, end_weight: float = END_WEIGHT, left_weight: float = LEFT_WEIGHT) -> FloatArray:
    """Weigh the area of the ball inside the lane against that around it: (n,), from `RolloverLane.ball_pixels`."""
    inside = pixels[:, LANE_ROWS, LANE_COLUMNS].copy()
    inside[:, :, 0] = np.maximum(inside[:, :, 0] - left_weight * pixels[:, LANE_ROWS, 0], 0.0)
    ends = pixels[:, 0, LANE_COLUMNS] + pixels[:, -1, LANE_COLUMNS]
    weighed: FloatArray = np.maximum(inside.sum(axis=1) - end_weight * ends, 0.0).sum(axis=1)
    return weighed
