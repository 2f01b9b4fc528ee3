"""Video Pinball's emulator from the inside: its memory, the ball's place, its pictures in colour.

The environment sees the game through `ale_py.AtariVectorEnv`, which shows what a policy may see and nothing else.
Who needs more runs this emulator beside it: without sticky actions the game is deterministic, so that the same
actions from the same start give the same game.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from ale_py import Action, ALEInterface, ALEState, LoggerMode, roms

GAME = "video_pinball"
FRAME_SKIP = 4
#: The actions that the game knows, in the order of `ale_py`'s minimal action set.
ACTIONS = (
    Action.NOOP,
    Action.FIRE,
    Action.UP,
    Action.RIGHT,
    Action.LEFT,
    Action.DOWN,
    Action.UPFIRE,
    Action.RIGHTFIRE,
    Action.LEFTFIRE,
)
#: Where the ball is kept in the memory of 128 bytes. Where it rests on the plunger, it is at column 149, line 132.
BALL_COLUMN, BALL_LINE = 67, 68


class PinballConsole:
    """One emulator of the game.

    Args:
        display: open a window and show the game in it, at the speed of the machine of 1980.
    """

    def __init__(self, display: bool = False) -> None:
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._emulator = ALEInterface()
        self._emulator.setFloat("repeat_action_probability", 0.0)
        self._emulator.setBool("display_screen", display)
        rom = roms.get_rom_path(GAME)
        assert rom is not None, "ale_py brings this game with it"
        self._emulator.loadROM(rom)

    def start(self, no_op_steps: int) -> None:
        """Start a game and do nothing for so many steps of `FRAME_SKIP` frames."""
        self._emulator.reset_game()
        for _ in range(no_op_steps):
            self.step(0)

    def step(self, action: int, see: Callable[[PinballConsole], None] | None = None) -> int:
        """Hold an action for `FRAME_SKIP` frames, or fewer where the game ends.

        Args:
            action: index into `ACTIONS`.
            see: called after each frame.

        Returns:
            How far the score went up.
        """
        score = 0
        for _ in range(FRAME_SKIP):
            score += self._emulator.act(ACTIONS[action])
            if see is not None:
                see(self)
            if self.over:
                break
        return score

    def save(self) -> ALEState:
        """Return the whole state of the emulator, for `restore`."""
        return self._emulator.cloneState()

    def restore(self, state: ALEState) -> None:
        """Go back to a saved state."""
        self._emulator.restoreState(state)

    @property
    def over(self) -> bool:
        """Whether the last ball is lost."""
        return bool(self._emulator.game_over())

    @property
    def memory(self) -> npt.NDArray[np.uint8]:
        """The 128 bytes of memory."""
        return self._emulator.getRAM()

    @property
    def ball(self) -> tuple[float, float]:
        """Column and line of the ball's centre in the picture of 160 × 210, where pixel centres are whole numbers.

        The ball is 2 pixels wide and 4 high, so that its centre lies between pixels.
        """
        memory = self._emulator.getRAM()
        return float(memory[BALL_COLUMN]) + 0.5, float(memory[BALL_LINE]) - 1.5

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return the picture, (210, 160, 3) red, green and blue."""
        return self._emulator.getScreenRGB()

    def grey_picture(self) -> npt.NDArray[np.uint8]:
        """Return the picture in grey, (210, 160)."""
        return self._emulator.getScreenGrayscale()
