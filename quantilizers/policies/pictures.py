"""Which observations are pictures, and how they lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
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


def channels_last(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return pictures (n, …) as (n, height, width, stack or channels), which are a copy where they are not yet.

    >>> channels_last(np.zeros((2, 4, 84, 72), dtype=np.uint8)).shape
    (2, 84, 72, 4)
    """
    if not channels_first(pictures.shape[1:]):
        return pictures
    turned = np.empty((len(pictures), *pictures.shape[2:], pictures.shape[1]), dtype=np.uint8)
    # One channel after the other: several times as fast as NumPy copies a turned view.
    for channel in range(pictures.shape[1]):
        turned[..., channel] = pictures[:, channel]
    return turned


def takes_pictures(space: Space[Any]) -> bool:
    """Return whether the convolutional network can see the observations of a space."""
    return (
        isinstance(space, Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and min(picture_sides(space.shape)) >= SMALLEST_SIDE
    )
