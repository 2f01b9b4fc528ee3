"""From recorded pictures of an Atari game to the frames that its environment shows.

A picture is turned to grey with the weights and the rounding of `ale_py`. A step's frame is the brighter, pixel by
pixel, of the last two pictures of the step, made smaller by areas. On pictures that `ale_py` made the result is bit
for bit what `ale_py.AtariVectorEnv` observes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from quantilizers.errors import UserError

WIDTH, HEIGHT = 160, 210
#: What blue, green and red add to grey, in ten thousandths (`ale_py`'s `ColourPalette`).
_WEIGHTS = np.array([[1140, 5870, 2989]], dtype=np.float32)
_WHOLE = 10_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def shrink(luminances: Sequence[npt.NDArray[np.float32]], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Make a frame of pictures (210, 160) of `Screens.luminance`: the brighter of them, smaller by areas.

    Args:
        luminances: one picture or several.
        shape: height and width of the frame.
    """
    brighter = np.maximum.reduce(luminances).astype(np.uint32)
    grey = ((brighter + _WHOLE // 2) // _WHOLE).astype(np.uint8)
    frame: npt.NDArray[np.uint8] = cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA)
    return frame


class Screens:
    """The recorded pictures of one episode, some of which may be broken.

    In the place of a broken one stands the one before it among those that are given; before the first, the one after.

    Args:
        paths: the `.png` files, in the order of the game.
        broken: places in `paths` of those known to be broken.

    Attributes:
        broken: places of those that are, among all that were looked at so far.
    """

    def __init__(self, paths: Sequence[Path], broken: Sequence[int] = ()) -> None:
        self._paths = paths
        self.broken = set(broken)

    def luminance(self, place: int) -> npt.NDArray[np.float32]:
        """Return a picture's luminances (210, 160), in ten thousandths of a step of grey; whole numbers.

        Raises:
            UserError: it is a picture of another size, or none of them all can be read.
        """
        for candidate in (*range(place, -1, -1), *range(place + 1, len(self._paths))):
            if candidate not in self.broken:
                picture = read_picture(self._paths[candidate])
                if picture is not None:
                    return np.asarray(cv2.transform(picture.astype(np.float32), _WEIGHTS), dtype=np.float32)
                self.broken.add(candidate)
        raise UserError(f"{self._paths[place].parent} has no screen that can be read; fetch it again")


def read_picture(path: Path) -> npt.NDArray[np.uint8] | None:
    """Read a screen, (210, 160, 3) in blue, green and red; None where the file is missing or broken.

    Raises:
        UserError: it is a picture of another size.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    size = _size_of(data)
    if size is None:
        return None
    if size != (WIDTH, HEIGHT):
        raise UserError(
            f"{path} is a picture of {size[0]} × {size[1]}, not {WIDTH} × {HEIGHT}; is it another game's recording?"
        )
    try:
        picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if picture is None or picture.shape != (HEIGHT, WIDTH, 3) else picture.astype(np.uint8, copy=False)


def _size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG whose chunks are all there and have the right checksums; None of others.

    OpenCV does not always refuse a picture whose end is missing, and notes what is wrong on the standard error.
    """
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        return None
    start = len(_SIGNATURE)
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[start + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return None
        if data[start + 4 : start + 8] == b"IEND":
            width, height = struct.unpack_from(">II", data, len(_SIGNATURE) + 8)
            return width, height
        start = end + 4
    return None
