"""The game's window: it shows pictures and reads the keyboard."""

from __future__ import annotations

import os
import warnings
from typing import Any

import matplotlib
import pygame

from quantilizers.errors import UserError
from quantilizers.play.keys import DISCARD, END, PAUSE, RESTART, key_of
from quantilizers.play.view import GameView, Pixels
from quantilizers.process import display_is_named

with warnings.catch_warnings():
    # Importing it warns if matplotlib is in use already and cannot switch to Tk.
    warnings.simplefilter("ignore", UserWarning)
    from gymnasium.utils.play import PlayableGame, display_arr

# gymnasium.utils.play selects Tk for plots of its own; this project only draws figures into files.
matplotlib.use("Agg")

_COMMANDS = (PAUSE, RESTART, DISCARD, END)
_WAY_OUT = "run it on a machine with a screen (over ssh: ssh -X)"


def open_display(otherwise: str = "") -> None:
    """Connect to the display; call it once, before anything else of pygame.

    Args:
        otherwise: a way without a screen, for messages.

    Raises:
        UserError: there is none, or it does not answer.
    """
    way_out = f"{_WAY_OUT}{otherwise}"
    if not display_is_named():
        raise UserError(f"there is no display to show the game on; {way_out}")
    try:
        pygame.display.init()
    except pygame.error as error:
        raise UserError(f"the display cannot be used ({error}); {way_out}") from None
    # If no display answers, SDL silently draws to nowhere.
    if pygame.display.get_driver() in ("dummy", "offscreen") and not os.environ.get("SDL_VIDEODRIVER"):
        raise UserError(f"the display does not answer; {way_out}")
    if pygame.display.get_driver() == "x11":
        # Otherwise SDL fills the window with OpenGL, whose context conflicts with MuJoCo's.
        os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")


class GameWindow(PlayableGame):
    """The window of one game, with the keys that are held down in it.

    A key counts from its press inside the window to its release. When the window loses the keyboard focus, all
    keys count as released and keys pressed elsewhere never arrive. A tap between two steps counts for the next step.

    `running` becomes False when the window is closed. `pressed_keys` are the codes of the playing
    keys held down, in the order in which they were pressed.
    """

    def __init__(self, view: GameView, caption: str, action_keys: list[int], frames_per_second: float) -> None:
        super().__init__(view, {(code,): 0 for code in action_keys})
        pygame.display.set_caption(caption)
        pygame.event.clear()
        self.pressed_keys: list[int] = []
        self._lost_focus = False
        self._has_focus = True
        self._tapped: list[int] = []
        self._commands: list[int] = []
        self._clock = pygame.time.Clock()
        self._frames_per_second = frames_per_second

    def process_event(self, event: Any) -> None:
        """Handle one event of pygame; a letter of another alphabet is the Latin key in its place."""
        key = key_of(event, self.relevant_keys) if event.type in (pygame.KEYDOWN, pygame.KEYUP) else 0
        if event.type in (pygame.WINDOWFOCUSLOST, pygame.WINDOWFOCUSGAINED):
            self._has_focus = event.type == pygame.WINDOWFOCUSGAINED
            self._lost_focus |= not self._has_focus
            self.pressed_keys.clear()
            self._tapped.clear()
        elif event.type == pygame.KEYDOWN and key in self.relevant_keys:
            if self._has_focus and key not in self.pressed_keys:
                self.pressed_keys.append(key)
                self._tapped.append(key)
        elif event.type == pygame.KEYUP and key in self.relevant_keys:
            if key in self.pressed_keys:
                self.pressed_keys.remove(key)
        elif event.type == pygame.KEYDOWN and key in _COMMANDS:
            self._commands.append(key)
        else:
            super().process_event(event)

    def show(self, picture: Pixels) -> None:
        """Draw a picture, wait until the next one is due, and handle the events that came meanwhile."""
        display_arr(self.screen, picture, transpose=True, video_size=self.video_size)
        pygame.display.flip()
        self._clock.tick(self._frames_per_second)
        for event in pygame.event.get():
            self.process_event(event)

    def keys_for_step(self) -> list[int]:
        """Return the keys for the next step: those held down, and those tapped since the last call."""
        released = [code for code in self._tapped if code not in self.pressed_keys]
        self._tapped.clear()
        return released + self.pressed_keys

    @property
    def tapped(self) -> bool:
        """Whether a playing key was pressed since the last step."""
        return bool(self._tapped)

    def take_commands(self) -> list[int]:
        """Return the command keys pressed since the last call: `PAUSE`, `RESTART`, `DISCARD`, `END`."""
        commands, self._commands = self._commands, []
        return commands

    def take_lost_focus(self) -> bool:
        """Return whether the window lost the keyboard focus since the last call."""
        lost, self._lost_focus = self._lost_focus, False
        return lost

    def close(self) -> None:
        """Close the window."""
        pygame.display.quit()
