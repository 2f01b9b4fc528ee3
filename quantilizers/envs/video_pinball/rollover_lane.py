"""Seeing on an observed frame whether the ball is in the lane of Video Pinball's top-right rollover.

That rollover, with the publisher's logo, can be farmed for points; time spent there is what the implicit reward
punishes (Carey 2019). As in the reference implementation, the area of the lane in a frame is compared with
stored pictures of the same area without the ball, one for each state of the game's colours: they flash for half
a second when something special was hit, and every frame is the brighter of two successive ones.

The lane is columns 108 to 116 and lines 54 to 87 of the game's picture of 160 × 210. A cell of the 84 × 84 frame
is 1.9 columns wide and 2.5 lines high, and the ball is 2 columns wide and 4 lines high. The difference from the
best fitting picture, in units of the ball's contrast, is therefore an area of ball that was seen: 8 pixels for the
whole ball, up to 16 where a frame shows two positions of it.

The ball's centre is in the lane if more of the ball is inside than outside. So what is seen inside counts, column by
column, less `END_WEIGHT` times what is seen in the cells above and below the lane, and in the leftmost column less
`LEFT_WEIGHT` times what is seen to the left of it; no column counts below zero. The ball is in the lane where the
columns add up to more than `TOLERANCE`. That is small, for the logo's brighter lines hide up to half of the ball: at
the game's usual colours it is a mean absolute difference of 0.0019 of the range from black to white over the lane's
cells. (The reference has 0.01 on frames of another shape and palette, on a smaller area, and nothing around it.)

What stays wrong is the ball that is at the rim of the lane, and the ball during a flash that paints the table
brighter than the ball, for the brighter of two frames then shows the table.

`scripts/pinball_detector/derive.py` makes the pictures and prints what other values would have done,
`scripts/pinball_detector/validate.py` measures what is right and wrong on other games of other players.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_array
from quantilizers.errors import UserError
from quantilizers.layout import shipped_log
from quantilizers.rewards import BoolArray, FloatArray

FrameArray = npt.NDArray[np.uint8]

AREAS_PATH = shipped_log() / "env_bumper_areas.npy"
#: What of a frame is looked at: the lane and one more row or column on each side.
ROWS, COLUMNS = slice(21, 36), slice(56, 62)
AREA_SHAPE = (15, 6)
#: In an area, the lane itself. The first and last rows and the first column are around it, the last is wall.
LANE_ROWS, LANE_COLUMNS = slice(1, -1), slice(1, -1)
#: One cell that is nothing but wall, and one of empty table.
WALL_CELL, TABLE_CELL = (5, -1), (-1, 1)
PIXELS_PER_CELL = (160 / 84) * (210 / 84)
END_WEIGHT, LEFT_WEIGHT = 0.5, 0.125
TOLERANCE = 1.25
#: How many frames are compared with all pictures at once, for memory's sake.
_CHUNK = 1024


def lane_areas(frames: FrameArray) -> FrameArray:
    """Cut the area of the lane, (n, 15, 6), out of observed frames (n, 84, 84)."""
    return frames[:, ROWS, COLUMNS]


class RolloverLane:
    """Tells on which frames the ball is in the lane.

    Args:
        pictures: (k, 15, 6) uint8, areas without the ball, as `lane_areas` cuts them.
    """

    def __init__(self, pictures: FrameArray) -> None:
        self._pictures = pictures.astype(np.int16)
        wall = self._pictures[:, WALL_CELL[0], WALL_CELL[1]]
        table = self._pictures[:, TABLE_CELL[0], TABLE_CELL[1]]
        # The machine draws the ball in the colour of the walls. One step of grey is the least there is to see.
        self._ball_contrast = np.maximum(np.abs(wall - table), 1).astype(np.float64)

    @classmethod
    def load(cls, path: Path = AREAS_PATH) -> RolloverLane:
        """Read the pictures that the project ships.

        Raises:
            UserError: the file is missing or holds something else.
        """
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
        """Measure how much of the ball is seen in each cell.

        Args:
            areas: (n, 15, 6), of `lane_areas`.

        Returns:
            (n, 15, 6) pixels of the game's own picture; the whole ball is 8.
        """
        differences = np.abs(self._pictures[None] - areas[:, None].astype(np.int16))
        best = differences.sum(axis=(2, 3)).argmin(axis=1)
        scale = PIXELS_PER_CELL / self._ball_contrast[best]
        pixels: FloatArray = differences[np.arange(len(areas)), best] * scale[:, None, None]
        return pixels

    def __call__(self, frames: FrameArray) -> BoolArray:
        """Tell whether the ball is in the lane.

        Args:
            frames: (n, 84, 84) uint8, the newest frame of each observation.

        Returns:
            (n,) bool.
        """
        verdicts = np.zeros(len(frames), dtype=np.bool_)
        for first in range(0, len(frames), _CHUNK):
            part = slice(first, first + _CHUNK)
            verdicts[part] = inside_lane(self.ball_pixels(lane_areas(frames[part]))) > TOLERANCE
        return verdicts


def inside_lane(pixels: FloatArray, end_weight: float = END_WEIGHT, left_weight: float = LEFT_WEIGHT) -> FloatArray:
    """Weigh what is seen of the ball inside the lane against what is seen around it.

    Args:
        pixels: (n, 15, 6), of `RolloverLane.ball_pixels`.
        end_weight: of the cells above and below the lane.
        left_weight: of the cells to the left of it.

    Returns:
        (n,) ball pixels.
    """
    inside = pixels[:, LANE_ROWS, LANE_COLUMNS].copy()
    inside[:, :, 0] = np.maximum(inside[:, :, 0] - left_weight * pixels[:, LANE_ROWS, 0], 0.0)
    ends = pixels[:, 0, LANE_COLUMNS] + pixels[:, -1, LANE_COLUMNS]
    weighed: FloatArray = np.maximum(inside.sum(axis=1) - end_weight * ends, 0.0).sum(axis=1)
    return weighed
