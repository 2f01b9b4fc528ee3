"""The picture of a game with a panel of text beside it, for the window and for videos alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pygame

from quantilizers.errors import UserError

Pixels = npt.NDArray[np.uint8]

BACKGROUND, TEXT, DIM, ACCENT = (24, 26, 32), (236, 238, 242), (150, 156, 168), (255, 205, 96)
MARGIN, GAP, TEXT_SIZE, HEADING_SIZE = 16, 10, 22, 26
#: Games are shown about this many pixels high unless a zoom is asked for.
USUAL_HEIGHT = 560


@dataclass(frozen=True)
class Line:
    """One line of the panel.

    Attributes:
        left: words at the panel's left edge; empty together with `right` for a gap.
        right: words at its right edge.
        colour: red, green and blue of the words on the left.
        heading: in larger letters.
    """

    left: str = ""
    right: str = ""
    colour: tuple[int, int, int] = TEXT
    heading: bool = False


def usual_zoom(height: int) -> float:
    """Return the whole number by which a picture so many pixels high is best enlarged."""
    return max(1, round(USUAL_HEIGHT / height))


class Painter:
    """Draws game pictures with a panel to the right. All its pictures have one size.

    Args:
        widest: the panel's lines, each as long as it can get; they give the panel its size.
        last_lines: what else its last line can say.
        picture: (height, width, 3), one picture of the game.
        zoom: how much the game is enlarged; None chooses by its height.

    Raises:
        UserError: the zoom makes the picture too small or too large to show.
    """

    def __init__(self, widest: Sequence[Line], last_lines: Sequence[Line], picture: Pixels, zoom: float | None) -> None:
        pygame.font.init()
        self._fonts = {heading: pygame.font.Font(None, HEADING_SIZE if heading else TEXT_SIZE) for heading in (0, 1)}
        height, width = picture.shape[:2]
        zoom = usual_zoom(height) if zoom is None else zoom
        if not zoom > 0 or not 32 <= min(height, width) * zoom <= max(height, width) * zoom <= 4096:
            raise UserError(f"a zoom of {zoom:g} of a picture of {width}×{height} pixels cannot be shown; try 1 or 2")
        self._game_size = (round(width * zoom), round(height * zoom))
        panel = max(self._width(line) for line in (*widest, *last_lines))
        tall = 2 * MARGIN + sum(self._height(line) for line in widest)
        self._canvas: pygame.Surface | None = None
        self._lines: list[Line] = []
        # Video formats want even sides.
        self.size = (_even(self._game_size[0] + panel + 2 * MARGIN), _even(max(self._game_size[1], tall)))

    def paint(self, picture: Pixels, lines: Sequence[Line]) -> Pixels:
        """Return one picture (height, width, 3) of the game and its panel; it is read-only."""
        if self._canvas is None or lines != self._lines:
            self._canvas, self._lines = self._with_panel(lines), list(lines)
        game = pygame.transform.scale(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), self._game_size)
        self._canvas.blit(game, (0, (self.size[1] - self._game_size[1]) // 2))
        width, height = self.size
        return np.frombuffer(pygame.image.tobytes(self._canvas, "RGB"), dtype=np.uint8).reshape(height, width, 3)

    def _with_panel(self, lines: Sequence[Line]) -> pygame.Surface:
        canvas = pygame.Surface(self.size, depth=24)
        canvas.fill(BACKGROUND)
        left, right, top = self._game_size[0] + MARGIN, self.size[0] - MARGIN, MARGIN
        for line in lines:
            font = self._fonts[line.heading]
            canvas.blit(font.render(line.left, True, line.colour), (left, top))
            words = font.render(line.right, True, TEXT)
            canvas.blit(words, (right - words.get_width(), top))
            top += self._height(line)
        return canvas

    def _width(self, line: Line) -> int:
        font = self._fonts[line.heading]
        widths = [font.size(words)[0] for words in (line.left, line.right) if words]
        return sum(widths) + 2 * GAP * (len(widths) == 2)

    def _height(self, line: Line) -> int:
        if not (line.left or line.right):
            return GAP
        return int(self._fonts[line.heading].get_linesize()) + 4


def _even(length: int) -> int:
    return length + length % 2
