"""Writing pictures as a GIF or an MP4."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
from PIL import Image

from quantilizers.errors import UserError
from quantilizers.files import atomic_write
from quantilizers.play.view import Pixels

#: Browsers slow down GIFs that show a picture for less than 20 ms.
GIF_MOST_FRAMES_PER_SECOND = 50
#: A GIF's pictures are held in memory, up to this size; beyond it every second picture is dropped.
GIF_MOST_BYTES = 1 << 29
#: Largest GIF that is reasonable on a web page.
GIF_MOST_FILE_BYTES = 1_000_000
#: Reductions of a larger GIF, tried in order: keep every n-th picture, shrink by a factor. The last always counts.
GIF_REDUCTIONS = ((1, 1.0), (2, 1.0), (2, 1.5), (3, 1.5), (3, 2.0), (4, 2.0), (4, 3.0), (6, 4.0))
GIF_FEWEST_FRAMES_PER_SECOND = 4
GIF_PALETTE_PICTURES = 12


def check_format(path: Path) -> None:
    """Raise a `UserError` unless a file name ends in `.gif` or `.mp4`."""
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise UserError(f"{path} ends in neither .gif nor .mp4")


def write_video(path: Path, pictures: Iterable[Pixels], frames_per_second: float) -> None:
    """Write pictures of one size, each (height, width, 3), as a GIF or an MP4.

    Args:
        path: ends in `.gif` or `.mp4`.
        pictures: one or more.
        frames_per_second: their speed. A GIF drops pictures above `GIF_MOST_FRAMES_PER_SECOND`, and to stay below
            `GIF_MOST_FILE_BYTES`. An MP4 is encoded as H.264, which browsers play.

    Raises:
        UserError: the format is unknown, or the file cannot be written.
    """
    check_format(path)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(temporary, pictures, frames_per_second)
        else:
            number = _write_mp4(temporary, pictures, frames_per_second)
            _check_mp4(temporary, number, path)


def _write_gif(path: Path, pictures: Iterable[Pixels], frames_per_second: float) -> None:
    every = math.ceil(frames_per_second / GIF_MOST_FRAMES_PER_SECOND)
    shown: list[Image.Image] = []
    for number, picture in enumerate(pictures):
        if number % every == 0:
            shown.append(Image.fromarray(picture))
        if len(shown) * picture.size > GIF_MOST_BYTES:
            shown, every = shown[::2], 2 * every
    # A GIF that is too large keeps its duration, with fewer pictures and then smaller ones.
    for fewer, smaller in GIF_REDUCTIONS:
        step = max(1, min(fewer, int(frames_per_second / every / GIF_FEWEST_FRAMES_PER_SECOND)))
        chosen = [_shrunk(image, smaller) for image in shown[::step]]
        _save_gif(path, chosen, len(shown), step, every / frames_per_second)
        if path.stat().st_size <= GIF_MOST_FILE_BYTES:
            return


def _shrunk(image: Image.Image, times: float) -> Image.Image:
    if times == 1:
        return image
    return image.resize((round(image.width / times), round(image.height / times)), Image.Resampling.LANCZOS)


def _save_gif(path: Path, images: list[Image.Image], number: int, step: int, seconds: float) -> None:
    """Write a GIF of every `step`-th of `number` pictures that are `seconds` apart."""
    # One palette for all pictures: what stands still has the same colours in each and compresses to nothing.
    some = images[:: max(1, len(images) // GIF_PALETTE_PICTURES)]
    palette = Image.fromarray(np.concatenate([np.asarray(image) for image in some]))
    palette = palette.quantize(method=Image.Quantize.FASTOCTREE)
    drawn = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    # A GIF counts in hundredths of a second; rounding the due times instead of the durations avoids drift.
    due = np.append(np.arange(0, number, step), number)
    durations = [10 * int(length) for length in np.diff(np.round(100 * seconds * due).astype(int))]
    drawn[0].save(path, save_all=True, append_images=drawn[1:], duration=durations, loop=0, optimize=False)


def _write_mp4(path: Path, pictures: Iterable[Pixels], frames_per_second: float) -> int:
    """Write an MP4 and return the number of pictures that ffmpeg was given; it may have written fewer."""
    number = 0
    # Browsers play H.264 with halved colour resolution, which needs even sides.
    with imageio.get_writer(
        path, fps=frames_per_second, codec="libx264", pixelformat="yuv420p", macro_block_size=1, quality=8,
        ffmpeg_log_level="quiet", output_params=["-movflags", "+faststart"],
    ) as writer:  # fmt: skip
        for picture in pictures:
            assert hasattr(writer, "append_data")
            odd_height, odd_width = (side % 2 for side in picture.shape[:2])
            padded = np.pad(picture, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
            number += 1
            try:
                writer.append_data(padded)
            except OSError:  # ffmpeg has ended; `_check_mp4` refuses what it left
                break
    return number


def _check_mp4(written: Path, number: int, path: Path) -> None:
    """Raise a `UserError` unless all pictures can be played: imageio ignores the exit code of ffmpeg."""
    try:
        found, _ = imageio_ffmpeg.count_frames_and_secs(written)
    except RuntimeError:
        found = 0
    if found != number:
        raise UserError(
            f"cannot write {path}: ffmpeg wrote {found} of {number} pictures; check free space, or write a .gif"
        )
