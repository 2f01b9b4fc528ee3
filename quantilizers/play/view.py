"""The view of a game: its pictures with a panel of text beside them, for windows and videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pygame

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, prepare_pictures
from quantilizers.errors import UserError, guarded

Pixels = npt.NDArray[np.uint8]

BACKGROUND, TEXT, DIM, ACCENT = (24, 26, 32), (236, 238, 242), (150, 156, 168), (255, 205, 96)
MARGIN, GAP, TEXT_SIZE, HEADING_SIZE = 16, 10, 22, 26
#: Without `--zoom` a game is enlarged, by a whole number, to about this height in pixels.
USUAL_HEIGHT = 560
#: The widest number that the panel has room for.
_LONGEST_NUMBER = "−9,999,999.99"


def make_game(
    definition: EnvironmentDefinition, max_steps: int, options: Mapping[str, Any] | None = None
) -> gymnasium.Env[Any, Any]:
    """Make an environment whose `render` returns all pictures since its last call.

    Most environments draw one picture a step. One that simulates several frames a step can return them all by
    supporting the render mode `rgb_array_list` itself.

    Raises:
        UserError: the environment cannot be made or drawn on this machine, or has no pictures.
    """
    game = make_environment(definition, max_steps=max_steps, render_mode="rgb_array_list", **(options or {}))
    modes = game.metadata.get("render_modes", [])
    if not {"rgb_array", "rgb_array_list"} & set(modes):
        raise UserError(f"{definition.name} has no pictures: its render modes are {', '.join(modes) or 'none'}")
    prepare_pictures(definition, game)
    return game


@dataclass(frozen=True)
class Line:
    """One line of the panel, with text at its left and right edge; a line without text is a gap."""

    left: str = ""
    right: str = ""
    colour: tuple[int, int, int] = TEXT  # of the text on the left
    heading: bool = False  # in larger letters


@dataclass
class Panel:
    """The text beside the game. The two returns and the number of steps are filled in by `GameView`."""

    title: str
    above: list[tuple[str, str]] = field(default_factory=list)  # text (left, right) above the returns
    below: list[tuple[str, str]] = field(default_factory=list)  # below the returns
    keys: Sequence[tuple[str, str]] = ()  # keys and what they do
    status: str = ""  # the last line
    statuses: Sequence[str] = ()  # all values of `status`; the widest sets the panel's width
    hide_rewards: bool = False  # leave the two returns out

    def lines(self, steps: str, true_return: str, proxy_return: str) -> list[Line]:
        """Return the panel's lines, top to bottom."""
        lines = [Line(self.title, colour=ACCENT, heading=True), Line()]
        lines += [*(Line(*row) for row in self.above), Line("Steps", steps)]
        if not self.hide_rewards:
            lines += [Line("True return", true_return), Line("Proxy return", proxy_return)]
        lines += [Line(*row) for row in self.below]
        lines += [Line(), *(Line(*row, colour=DIM) for row in self.keys), Line()]
        return [*lines, Line(self.status, colour=ACCENT)]


class GameView(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that adds up its two returns and renders them beside its pictures.

    The game was made by `make_game` and has just been reset. The panel's owner changes its text as things happen.
    `steps`, `true_return` and `proxy_return` are those of this episode so far.
    """

    def __init__(self, game: gymnasium.Env[Any, Any], panel: Panel, zoom: float | None = None) -> None:
        super().__init__(game)
        self.panel = panel
        self.steps = 0
        self.true_return = 0.0
        self.proxy_return = 0.0
        self._ended = False
        self._paid_at_end: dict[str, bool] = game.get_wrapper_attr("paid_at_end")
        self._picture: Pixels = self._new_pictures()[-1]
        widest = panel.lines(_LONGEST_NUMBER, _LONGEST_NUMBER, _LONGEST_NUMBER)
        self._painter = _Painter(widest, [Line(status) for status in panel.statuses], self._picture, zoom)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self.steps = 0
        self.true_return = self.proxy_return = 0.0
        self._ended = False
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and add up its rewards."""
        observation, proxy_reward, terminated, truncated, info = super().step(action)
        self.steps += 1
        self.true_return += info["true_reward"]
        self.proxy_return += float(proxy_reward)
        self._ended = bool(terminated or truncated)
        return observation, float(proxy_reward), terminated, truncated, info

    def render(self) -> list[Pixels]:  # type: ignore[override]
        """Return the pictures since the last call, each with the panel; without new ones, the latest again."""
        pictures = self._new_pictures() or [self._picture]
        self._picture = pictures[-1]
        returns = {"true": self.true_return, "proxy": self.proxy_return}
        true_return, proxy_return = (
            "at the end" if self._paid_at_end[kind] and not self._ended else readable(value)
            for kind, value in returns.items()
        )
        lines = self.panel.lines(str(self.steps), true_return, proxy_return)
        return [self._painter.paint(picture, lines) for picture in pictures]

    def refresh(self) -> None:
        """Draw the game again after its state was set from outside."""
        self._new_pictures()
        with guarded(f"render of {type(self.unwrapped).__name__}"):
            rendered: Any = self.unwrapped.render()
        self._picture = self._checked(rendered[-1] if isinstance(rendered, list) else rendered)

    def _new_pictures(self) -> list[Pixels]:
        with guarded(f"render of {type(self.unwrapped).__name__}"):
            pictures: Any = self.env.render()
        return [self._checked(picture) for picture in pictures]

    def _checked(self, picture: Any) -> Pixels:
        """Refuse anything but a picture, such as the None of an environment that draws none."""
        array = np.asarray(picture)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            kind = type(picture).__name__ if array.dtype == object else f"{array.dtype} of shape {array.shape}"
            name = type(self.unwrapped).__name__
            raise UserError(f"render of {name} returned {kind}, not a picture: uint8 (height, width, 3)")
        return array


def readable(value: float) -> str:
    """Format a return with two decimals, thousands separators and a true minus sign."""
    return f"{value:,.2f}".replace("-", "−")


class _Painter:
    """Paints game pictures with the panel to their right, all in one size.

    The panel's widest lines and the other texts of the last line set its size. A zoom that makes the picture too small
    or too large to show is a `UserError`.
    """

    def __init__(self, widest: Sequence[Line], last_lines: Sequence[Line], picture: Pixels, zoom: float | None) -> None:
        pygame.font.init()
        self._fonts = {heading: pygame.font.Font(None, HEADING_SIZE if heading else TEXT_SIZE) for heading in (0, 1)}
        height, width = picture.shape[:2]
        zoom = max(1, round(USUAL_HEIGHT / height)) if zoom is None else zoom
        if not zoom > 0 or not 32 <= min(height, width) * zoom <= max(height, width) * zoom <= 4096:
            raise UserError(f"a zoom of {zoom:g} of a picture of {width}×{height} pixels cannot be shown; try 1 or 2")
        self._game_size = (round(width * zoom), round(height * zoom))
        panel_width = max(self._width(line) for line in (*widest, *last_lines))
        panel_height = 2 * MARGIN + sum(self._height(line) for line in widest)
        self._canvas: pygame.Surface | None = None
        self._lines: list[Line] = []
        # Video formats want even sides.
        sides = self._game_size[0] + panel_width + 2 * MARGIN, max(self._game_size[1], panel_height)
        self._size = (sides[0] + sides[0] % 2, sides[1] + sides[1] % 2)

    def paint(self, picture: Pixels, lines: Sequence[Line]) -> Pixels:
        """Return a read-only picture (height, width, 3) of the game and its panel."""
        if self._canvas is None or lines != self._lines:
            self._canvas, self._lines = self._with_panel(lines), list(lines)
        game = pygame.transform.scale(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), self._game_size)
        self._canvas.blit(game, (0, (self._size[1] - self._game_size[1]) // 2))
        width, height = self._size
        return np.frombuffer(pygame.image.tobytes(self._canvas, "RGB"), dtype=np.uint8).reshape(height, width, 3)

    def _with_panel(self, lines: Sequence[Line]) -> pygame.Surface:
        canvas = pygame.Surface(self._size, depth=24)
        canvas.fill(BACKGROUND)
        left, right, top = self._game_size[0] + MARGIN, self._size[0] - MARGIN, MARGIN
        for line in lines:
            font = self._fonts[line.heading]
            canvas.blit(font.render(line.left, True, line.colour), (left, top))
            text = font.render(line.right, True, TEXT)
            canvas.blit(text, (right - text.get_width(), top))
            top += self._height(line)
        return canvas

    def _width(self, line: Line) -> int:
        font = self._fonts[line.heading]
        widths = [font.size(text)[0] for text in (line.left, line.right) if text]
        return sum(widths) + 2 * GAP * (len(widths) == 2)

    def _height(self, line: Line) -> int:
        if not (line.left or line.right):
            return GAP
        return int(self._fonts[line.heading].get_linesize()) + 4
