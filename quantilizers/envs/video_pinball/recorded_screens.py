"""Convert recorded pictures of an Atari game to the frames that its environment shows.

A picture is converted to grey with the weights and the rounding of `ale_py`. A step's frame is the pixel-wise maximum
of the last two pictures of the step, resized by areas. For pictures made by `ale_py` the result is bit for bit what
`ale_py.AtariVectorEnv` observes.
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
#: Weights of blue, green and red in grey, in ten thousandths (`ale_py`'s `ColourPalette`).
_WEIGHTS = np.array([[1140, 5870, 2989]], dtype=np.float32)
_WHOLE = 10_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def shrink(luminances: Sequence[npt.NDArray[np.float32]], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Make a frame of pictures (210, 160) of `Screens.luminance`: their maximum, resized by areas.

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

    A broken picture is replaced by the one before it in `paths`; if there is none, by the one after it.

    Args:
        paths: the `.png` files, in the order of the game.
        broken: indices of pictures known to be broken.

    Attributes:
        broken: indices of all pictures found to be broken so far.
    """

    def __init__(self, paths: Sequence[Path], broken: Sequence[int] = ()) -> None:
        self._paths = paths
        self.broken = set(broken)

    def luminance(self, place: int) -> npt.NDArray[np.float32]:
        """Return a picture's luminances (210, 160), whole numbers in ten thousandths of a grey level.

        Raises:
            UserError: it has another size, or no picture of the episode can be read.
        """
        for candidate in (*range(place, -1, -1), *range(place + 1, len(self._paths))):
            if candidate not in self.broken:
                picture = read_picture(self._paths[candidate])
                if picture is not None:
                    return np.asarray(cv2.transform(picture.astype(np.float32), _WEIGHTS), dtype=np.float32)
                self.broken.add(candidate)
        raise UserError(f"{self._paths[place].parent} has no screen that can be read; fetch it again")


def read_picture(path: Path) -> npt.NDArray[np.uint8] | None:
    """Read a screen, (210, 160, 3) in blue, green and red; None if the file is missing or broken.

    Raises:
        UserError: the picture has another size.
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
    """Return width and height of a PNG whose chunks are complete and have the right checksums; None of others.

    OpenCV accepts some pictures whose end is missing and prints to standard error; Pillow's `verify` does not check
    the last chunk.
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
