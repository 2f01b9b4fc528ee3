"""Folders laid out as the Atari Grand Challenge release is, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from ale_py import Action, ALEInterface, LoggerMode, roms

HEADER = "frame,reward,score,terminal,action"


def trajectory_path(folder: Path, number: int) -> Path:
    return folder / "trajectories" / "pinball" / f"{number}.txt"


def screen_path(folder: Path, number: int, frame: int) -> Path:
    return folder / "screens" / "pinball" / str(number) / f"{frame}.png"


def write_rows(folder: Path, number: int, rows: Iterable[Sequence[object]], before: str = "db traj id : 7\n") -> Path:
    """Write a trajectory file: rows of frame, reward, score, terminal, action."""
    path = trajectory_path(folder, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text(before + "\n".join([HEADER, *lines]) + "\n")
    return path


def write_screen(folder: Path, number: int, frame: int, picture: npt.NDArray[np.uint8]) -> None:
    """Write a picture, (210, 160, 3) in red, green and blue."""
    path = screen_path(folder, number, frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]))


def write_plain(folder: Path, number: int, actions: Sequence[int], ends: bool = True, reward: int = 0) -> None:
    """Write a trajectory without a game: row r has the action `actions[r]` and a screen in grey r + 1."""
    last = len(actions) - 1
    rows = [(row, reward, reward * (row + 1), int(ends and row == last), one) for row, one in enumerate(actions)]
    write_rows(folder, number, rows)
    for row in range(len(actions)):
        write_screen(folder, number, row, np.full((210, 160, 3), row % 255 + 1, dtype=np.uint8))


def record_game(folder: Path, number: int, actions: Sequence[int]) -> list[int]:
    """Play a real game, one of `ale_py`'s 18 actions for each frame, and record it; return the points of each."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulator = ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    rom = roms.get_rom_path("video_pinball")
    assert rom is not None
    emulator.loadROM(rom)
    emulator.reset_game()
    rows, score = [], 0
    for frame, action in enumerate(actions):
        write_screen(folder, number, frame, emulator.getScreenRGB())
        reward = int(emulator.act(Action(action)))
        score += reward
        rows.append((frame, reward, score, int(emulator.game_over()), action))
    write_rows(folder, number, rows)
    return [row[1] for row in rows]
