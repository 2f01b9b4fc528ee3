"""Video Pinball's emulator: its spaces, pools of emulators for many games, and one whose memory can be read.

`ale_py` is imported when an emulator is made. Without sticky actions the game is deterministic: the same actions from
the same start give the same game.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

if TYPE_CHECKING:
    from ale_py import ALEState, ALEVectorInterface

GAME = "video_pinball"
MAX_STEPS = 27_000
FRAME_SKIP = 4
STACK, SIDE = 4, 84
FRAMES_PER_SECOND = 60
#: Games that run side by side in a replay or a test; each has a thread.
PARALLEL_GAMES = 64
OBSERVATIONS = spaces.Box(0, 255, (STACK, SIDE, SIDE), dtype=np.uint8)
#: The game's actions, in the order of `ale_py`'s minimal action set.
ACTION_NAMES = ("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPFIRE", "RIGHTFIRE", "LEFTFIRE")
ACTIONS = spaces.Discrete(len(ACTION_NAMES))
#: The console's memory as an observation.
MEMORY_BYTES = 128
MEMORY = spaces.Box(0, 255, (MEMORY_BYTES,), dtype=np.uint8)
#: Addresses of the ball's position in the memory of 128 bytes. On the plunger it rests at column 149, line 132.
BALL_COLUMN, BALL_LINE = 67, 68

#: Idle emulators by process id: their threads do not survive a fork.
_idle: dict[int, list[ALEVectorInterface]] = {}
#: Idle consoles; they have no threads.
_idle_consoles: list[PinballConsole] = []


def take_emulators(number: int) -> list[ALEVectorInterface]:
    """Return emulators of one game each, whose threads wait for a `reset`.

    Idle ones are used first. Making one takes a tenth of a second of one processor, nearly all of it for its colour
    table; starting a game on a used one takes a tenth of that and gives the same game.
    """
    idle = _idle.setdefault(os.getpid(), [])
    taken = [idle.pop() for _ in range(min(number, len(idle)))]
    return taken + [_make() for _ in range(number - len(taken))]


def give_back(emulators: list[ALEVectorInterface], process: int) -> None:
    """Keep the idle emulators of a process for later, at most `PARALLEL_GAMES`, and empty the list.

    The answers to all their actions must have been received.
    """
    _idle[process] = [*_idle.get(process, []), *emulators][-PARALLEL_GAMES:]
    emulators.clear()


def _make() -> ALEVectorInterface:
    from ale_py.vector_env import AtariVectorEnv

    # The caller cuts episodes: the emulator's own horizon would omit the last of an episode's frames.
    return AtariVectorEnv(
        GAME,
        num_envs=1,
        num_threads=1,
        frameskip=FRAME_SKIP,
        stack_num=STACK,
        img_height=SIDE,
        img_width=SIDE,
        max_num_frames_per_episode=2**30,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
    ).ale


def take_consoles(number: int) -> list[PinballConsole]:
    """Return consoles that wait for a `start`; idle ones first, for the reason that `take_emulators` gives."""
    taken = [_idle_consoles.pop() for _ in range(min(number, len(_idle_consoles)))]
    return taken + [PinballConsole() for _ in range(number - len(taken))]


def give_back_consoles(consoles: list[PinballConsole]) -> None:
    """Keep idle consoles for later, at most `PARALLEL_GAMES`, and empty the list."""
    _idle_consoles[:] = [*_idle_consoles, *consoles][-PARALLEL_GAMES:]
    consoles.clear()


class PinballConsole:
    """One emulator that gives access to its memory, the ball's position and pictures in colour.

    With `display` it shows the game in a window, at the speed of the machine of 1980.
    """

    def __init__(self, display: bool = False) -> None:
        from ale_py import Action, ALEInterface, LoggerMode, roms

        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._actions = [getattr(Action, name) for name in ACTION_NAMES]
        self._emulator = ALEInterface()
        self._emulator.setFloat("repeat_action_probability", 0.0)
        self._emulator.setBool("display_screen", display)
        rom = roms.get_rom_path(GAME)
        assert rom is not None, "ale_py ships this game"
        self._emulator.loadROM(rom)

    def start(self, no_op_steps: int) -> None:
        """Start a game and do nothing for some steps of `FRAME_SKIP` frames."""
        self._emulator.reset_game()
        for _ in range(no_op_steps):
            self.step(0)

    def step(self, action: int, see: Callable[[PinballConsole], None] | None = None) -> int:
        """Hold an action, an index into `ACTION_NAMES`, for `FRAME_SKIP` frames, or fewer if the game ends.

        Calls `see` after each frame and returns the increase of the score.
        """
        score = 0
        for _ in range(FRAME_SKIP):
            score += self._emulator.act(self._actions[action])
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

    def read_memory(self, into: npt.NDArray[np.uint8]) -> None:
        """Write the 128 bytes of memory into an array (128,), which is ten times as fast as `memory`."""
        self._emulator.getRAM(into)

    @property
    def ball(self) -> tuple[float, float]:
        """Column and line of the ball's centre in the picture of 160 × 210; pixel centres are whole numbers.

        The ball is 2 pixels wide and 4 high, so its centre lies between pixels.
        """
        memory = self.memory
        return float(memory[BALL_COLUMN]) + 0.5, float(memory[BALL_LINE]) - 1.5

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return the picture, (210, 160, 3) red, green and blue."""
        return self._emulator.getScreenRGB()

    def grey_picture(self) -> npt.NDArray[np.uint8]:
        """Return the picture in grey, (210, 160)."""
        return self._emulator.getScreenGrayscale()
