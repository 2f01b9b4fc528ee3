"""Writing pictures as a GIF or an MP4."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from quantilizers.errors import UserError
from quantilizers.files import atomic_write
from quantilizers.play.picture import Pixels

#: Browsers slow down GIFs that show a picture for less than two hundredths of a second.
GIF_MOST_FRAMES_PER_SECOND = 50
#: Pillow holds all pictures of a GIF in memory.
GIF_MOST_BYTES = 1 << 30


def check_format(path: Path) -> None:
    """Refuse a file name that is neither a GIF's nor an MP4's.

    Raises:
        UserError: it is neither.
    """
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise UserError(f"{path} ends in neither .gif nor .mp4")


def write_video(path: Path, pictures: Iterable[Pixels], frames_per_second: float) -> None:
    """Write pictures of one size, each (height, width, 3), as a file that shows them at the given speed.

    Args:
        path: ends in `.gif` or `.mp4`.
        pictures: one or more.
        frames_per_second: their speed. A GIF leaves pictures out above `GIF_MOST_FRAMES_PER_SECOND`.

    Raises:
        UserError: the format is unknown, the file cannot be written, or a GIF is too long.
    """
    check_format(path)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(temporary, pictures, frames_per_second)
        else:
            _write_mp4(temporary, pictures, frames_per_second)


def _write_gif(path: Path, pictures: Iterable[Pixels], frames_per_second: float) -> None:
    every = math.ceil(frames_per_second / GIF_MOST_FRAMES_PER_SECOND)
    images: list[Image.Image] = []
    for number, picture in enumerate(pictures):
        if number % every:
            continue
        if (len(images) + 1) * picture[..., 0].size > GIF_MOST_BYTES:
            raise UserError(f"a GIF of more than {len(images):,} such pictures is too large; write an .mp4 instead")
        images.append(Image.fromarray(picture).quantize(method=Image.Quantize.FASTOCTREE))
    # A GIF counts in hundredths of a second: each picture lasts to the hundredth nearest to when the next is due.
    ends = np.round(100 * every / frames_per_second * np.arange(len(images) + 1)).astype(int)
    durations = [10 * int(length) for length in np.diff(ends)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _write_mp4(path: Path, pictures: Iterable[Pixels], frames_per_second: float) -> None:
    remaining = iter(pictures)
    first = next(remaining)
    height, width = first.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), frames_per_second, (width, height))
    if not writer.isOpened():
        raise UserError(f"OpenCV cannot write {path.suffix} here; write a .gif instead")
    try:
        for picture in chain([first], remaining):
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
