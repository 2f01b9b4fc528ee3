"""Which observations are pictures, and how they lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space

#: The smallest side that the convolutional network's three layers of filters leave a pixel of.
SMALLEST_SIDE = 36


def channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether pictures are (stack, height, width) and not (height, width, channels).

    The smallest axis is that of the stack or channels; the first where several are.

    >>> channels_first((4, 84, 84)), channels_first((96, 96, 3))
    (True, False)
    """
    return shape[0] <= shape[2]


def picture_sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the height and width of pictures, of three axes.

    >>> picture_sides((4, 84, 72)), picture_sides((96, 80, 3))
    ((84, 72), (96, 80))
    """
    return (shape[1], shape[2]) if channels_first(shape) else (shape[0], shape[1])


def takes_pictures(space: Space[Any]) -> bool:
    """Return whether the convolutional network can see the observations of a space."""
    return (
        isinstance(space, Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and min(picture_sides(space.shape)) >= SMALLEST_SIDE
    )
