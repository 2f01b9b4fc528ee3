#!/usr/bin/env python3
"""Join GIFs side by side, each under a title: episodes that play/replay.py has written, for example.

    python scripts/side_by_side.py --titles imitation "quantilizer, q = 0.25" planner --output all.gif a.gif b.gif c.gif

The result is as long as the longest GIF; the others stay at their last frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries("PIL")

import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from quantilizers.errors import UserError
from quantilizers.play.video import check_format, write_video
from quantilizers.play.view import Pixels

FRAMES_PER_SECOND = 15
TITLE_HEIGHT, GAP = 26, 8
BACKGROUND, INK = "white", "black"


def frames_of(path: Path) -> list[tuple[float, Image.Image]]:
    """Return the frames of a GIF with their start times in seconds; the last frame also stands at the end time.

    Raises:
        UserError: the file cannot be read as a GIF.
    """
    frames, begins = [], 0.0
    try:
        with Image.open(path) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frames.append((begins, image.convert("RGB")))
                begins += image.info.get("duration", 100) / 1000
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} cannot be read as a GIF: {error}") from None
    return [*frames, (begins, frames[-1][1])]


def side_by_side(
    films: Sequence[Sequence[tuple[float, Image.Image]]], titles: Sequence[str], width: int
) -> Iterator[Pixels]:
    """Yield the joined frames.

    Args:
        films: frames and times of each GIF, from `frames_of`.
        titles: of each GIF.
        width: of each GIF in pixels; the aspect ratio is kept.
    """
    height = max(round(film[0][1].height * width / film[0][1].width) for film in films)
    size = len(films) * width + (len(films) - 1) * GAP, TITLE_HEIGHT + height
    font = ImageFont.load_default(15)
    end = max(film[-1][0] for film in films)
    for moment in np.arange(0, end, 1 / FRAMES_PER_SECOND):
        whole = Image.new("RGB", size, BACKGROUND)
        drawing = ImageDraw.Draw(whole)
        for place, (film, title) in enumerate(zip(films, titles, strict=True)):
            left = place * (width + GAP)
            begins = [begin for begin, _ in film]
            shown = film[int(np.searchsorted(begins, moment, side="right")) - 1][1]
            scaled = shown.resize((width, round(shown.height * width / shown.width)), Image.Resampling.LANCZOS)
            whole.paste(scaled, (left, TITLE_HEIGHT))
            drawing.text((left + width // 2, TITLE_HEIGHT // 2), title, INK, font, anchor="mm")
        yield np.asarray(whole)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/side_by_side.py", description=__doc__)
        parser.add_argument("films", nargs="+", type=Path, metavar="GIF", help="from left to right")
        parser.add_argument("--titles", nargs="+", required=True, help="one for each GIF")
        parser.add_argument("--width", type=int, default=330, help="of each GIF, in pixels (330)")
        parser.add_argument("--output", type=Path, required=True, help="the .gif or .mp4 to write")
        options = parser.parse_args(arguments)
        if len(options.titles) != len(options.films):
            raise UserError(f"{len(options.titles)} titles do not fit {len(options.films)} GIFs; give one for each")
        if options.width < 1:
            raise UserError("--width must be at least 1")
        check_format(options.output)
        films = [frames_of(path) for path in options.films]
        write_video(options.output, side_by_side(films, options.titles, options.width), FRAMES_PER_SECOND)
        print(f"wrote {options.output}, {options.output.stat().st_size / 1e6:.1f} MB")

    return run_program("scripts/side_by_side.py", work)


if __name__ == "__main__":
    sys.exit(main())
