"""From recorded rows, one a frame, to steps of the environment; `atari_grand_challenge` says how and why."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantilizers.envs.video_pinball.console import FRAME_SKIP
from quantilizers.errors import UserError

COLUMNS = ("frame", "reward", "score", "terminal", "action")

GameActions = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One episode as steps of the environment.

    Attributes:
        number: its file's name.
        actions: (T,) the game's.
        rewards: (T,) points.
        first_frame: number of the first row's frame.
    """

    number: int
    actions: npt.NDArray[np.uint8]
    rewards: npt.NDArray[np.float32]
    first_frame: int

    @property
    def screens(self) -> npt.NDArray[np.int64]:
        """The frames whose screens are needed: the first row's, then two for each further step."""
        later = FRAME_SKIP * np.arange(1, len(self.actions))
        return self.first_frame + np.concatenate([[0], np.stack([later - 1, later], axis=1).ravel()])


def read_trajectory(path: Path, game_actions: GameActions) -> Trajectory:
    """Read a trajectory file.

    Raises:
        ValueError: it is empty, cut off or garbled, or has no whole step.
        UserError: it has other columns, or impossible actions.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    headers = [[word.strip().lower() for word in line.split(",")] for line in lines[:2]]
    begin = next((place for place, words in enumerate(headers) if set(COLUMNS) <= set(words)), None)
    if begin is None:
        if len(lines) < 2:
            raise ValueError("it ends before its header")
        raise UserError(f"{path} has no header line with the columns {','.join(COLUMNS)}; is it a trajectory?")
    # Some files of the release have words where others have numbers.
    text = "\n".join(lines[begin + 1 :]).replace("True", "1").replace("False", "0")
    if not text.strip():
        raise ValueError("it has no rows")
    table = np.loadtxt(io.StringIO(text), delimiter=",", comments=None, ndmin=2)
    if table.shape[1] != len(headers[begin]):
        raise ValueError(f"its rows have {table.shape[1]} numbers")
    frame, reward, terminal, action = (table[:, headers[begin].index(name)] for name in COLUMNS if name != "score")
    if not np.isfinite(table).all() or not np.isin(terminal, (0, 1)).all():
        raise ValueError("it holds numbers that make no sense")
    if frame[0] % 1 or (np.diff(frame) != 1).any():
        raise ValueError("its frames do not follow one another")
    whole = (action % 1 == 0) & (np.abs(action) < 2**31)
    try:
        actions = game_actions(np.where(whole, action, -1).astype(np.int64))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    ends = np.flatnonzero(terminal)
    rows = int(ends[0]) + 1 if len(ends) else len(table) // FRAME_SKIP * FRAME_SKIP
    if rows == 0:
        raise ValueError("it has no whole step")
    return Trajectory(
        number=int(path.stem),
        actions=actions[:rows:FRAME_SKIP].astype(np.uint8),
        rewards=np.add.reduceat(reward[:rows], np.arange(0, rows, FRAME_SKIP)).astype(np.float32),
        first_frame=int(frame[0]),
    )
