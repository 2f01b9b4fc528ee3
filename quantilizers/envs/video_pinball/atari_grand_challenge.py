"""People's play from the Atari Grand Challenge release, version 2 (Kurin et al. 2017, arXiv:1705.10998).

A folder holds `trajectories/GAME/<n>.txt`, a row for each frame, and `screens/GAME/<n>/<frame>.png`, the pictures in
colour. A trajectory file begins with a header line `frame,reward,score,terminal,action`, which in the release comes
after a line that names its entry in a database.

The people played at 60 frames a second; the environment acts every `FRAME_SKIP` = 4 frames. Rows become steps:

- Step t is rows 4t to 4t + 3. Its reward is the sum of theirs.
- The player saw a row's screen when choosing the row's action. The newest frame observed before step t is therefore
  made of the screens of rows 4t − 1 and 4t, the last two frames of the step before; the frame before the first step is
  made of the screen of row 0. Half of the screens are not used.
- Its action is that of row 4t, which was chosen with this observation in sight; the player's later actions within the
  step answered frames that are not in it.
- The episode ends with the first terminal row. A last step of fewer than 4 rows counts; an unfinished step of a
  recording that stops before the game's end is left out.

A screen is converted to grey with the weights and the rounding of `ale_py`; a frame is the pixel-wise maximum of its
screens, resized by areas. For screens made by `ale_py` the result is bit for bit what `ale_py.AtariVectorEnv` observes.

True rewards here are the score, from which no cheat rate is subtracted. The cheat detector finds the lane on the
pictures of `ale_py`. The release's screens were made by another emulator with another palette, on which nobody has
validated the detector.

Broken screens and trajectories are named and counted; more than `TOLERATED` of all are refused.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.demonstrations.frame_stacks import FrameFile, FrameStacks, open_frames, write_frames
from quantilizers.envs.video_pinball.emulator import FRAME_SKIP
from quantilizers.errors import UserError
from quantilizers.gates.regular_files import read_whole
from quantilizers.processors import available_cores
from quantilizers.progress import ProgressBar

COLUMNS = ("frame", "reward", "score", "terminal", "action")
#: Fraction of a data set's screens, and of its trajectories, that may be missing or broken.
TOLERATED = 0.01
#: Threads that read screens, and the number of steps in one batch of work.
_THREADS, _BATCH = min(4, available_cores()), 256
#: Part of the fingerprint of cached frames; raise it when frames change.
_VERSION = 1
WIDTH, HEIGHT = 160, 210
#: Weights of blue, green and red in grey, in ten thousandths (`ale_py`'s `ColourPalette`).
_WEIGHTS = np.array([[1140, 5870, 2989]], dtype=np.float32)
_WHOLE = 10_000
#: Most bytes of a trajectory, which are days of play, and of a screen.
_MAX_TRAJECTORY, _MAX_SCREEN = 2**26, 2**22
#: Numbers of frames are below this.
_MAX_FRAME = 2**31
#: Most digits of a trajectory's number.
_MAX_DIGITS = 18
_SIGNATURE = b"\x89PNG\r\n\x1a\n"

GameActions = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]


def load_recordings(
    folder: Path, cache: Path, *, game: str, game_actions: GameActions, observation_shape: tuple[int, int, int]
) -> Episodes:
    """Read a folder of recordings; its observations stay on disk, as frames in `cache`.

    The first call decodes all screens that are needed; if interrupted, the next call continues with the same
    trajectory.

    Args:
        folder: a folder with `trajectories/` and `screens/`.
        cache: the folder for frames.
        game: the release's name of the game.
        game_actions: converts `ale_py`'s 18 actions to the environment's; raises `UserError` for other actions.
        observation_shape: (stack, height, width).

    Returns:
        The episodes in the order of their numbers, with their numbers as the extra `trajectory`.

    Raises:
        UserError: the folder has another layout, screens have another size, actions are impossible, or more than
            `TOLERATED` is missing or broken.
    """
    trajectories = _read_trajectories(folder / "trajectories" / game, game_actions)
    folders = [folder / "screens" / game / str(one.number) for one in trajectories]
    files = _cache_frames(trajectories, folders, cache, observation_shape[1:])
    lengths = np.array([len(one.actions) for one in trajectories])
    number, steps = len(trajectories), int(lengths.max())
    actions = np.zeros((number, steps, 1), dtype=np.uint8)
    rewards = np.zeros((number, steps), dtype=np.float32)
    for episode, one in enumerate(trajectories):
        actions[episode, : lengths[episode], 0] = one.actions
        rewards[episode, : lengths[episode]] = one.rewards
    return Episodes(
        observations=cast(Any, FrameStacks(files, steps, observation_shape[0])),
        actions=actions,
        true_rewards=rewards,
        done=np.arange(steps) >= lengths[:, None],
        extras={"trajectory": np.array([one.number for one in trajectories])},
    )


@dataclass(frozen=True, eq=False)
class _Trajectory:
    """One episode as steps of the environment: its file's number, actions (T,), points (T,) and first frame."""

    number: int
    actions: npt.NDArray[np.uint8]
    rewards: npt.NDArray[np.float32]
    first_frame: int

    @property
    def screens(self) -> npt.NDArray[np.int64]:
        """Numbers of the frames whose screens are needed: the first row's, then two for each further step."""
        later = FRAME_SKIP * np.arange(1, len(self.actions))
        return self.first_frame + np.concatenate([[0], np.stack([later - 1, later], axis=1).ravel()])


def _read_trajectory(path: Path, game_actions: GameActions) -> _Trajectory:
    """Convert a trajectory file, one row a frame, to steps of the environment.

    A file that is empty, cut off or garbled raises a ValueError, and one of other data a `UserError`.
    """
    try:
        lines = read_whole(path, _MAX_TRAJECTORY).decode(errors="replace").splitlines()
    except UserError as error:
        raise ValueError(str(error)) from None
    headers = [[word.strip().lower() for word in line.split(",")] for line in lines[:2]]
    begin = next((place for place, words in enumerate(headers) if set(COLUMNS) <= set(words)), None)
    if begin is None:
        if len(lines) < 2:
            raise ValueError("it ends before its header")
        raise UserError(f"{path} has no header line with the columns {','.join(COLUMNS)}; is it a trajectory?")
    # Some files of the release have words, others numbers.
    text = "\n".join(lines[begin + 1 :]).replace("True", "1").replace("False", "0")
    if not text.strip():
        raise ValueError("it has no rows")
    table = np.loadtxt(io.StringIO(text), delimiter=",", comments=None, ndmin=2)
    if table.shape[1] != len(headers[begin]):
        raise ValueError(f"its rows have {table.shape[1]} numbers")
    frame, reward, terminal, action = (table[:, headers[begin].index(name)] for name in COLUMNS if name != "score")
    if not np.isfinite(table).all() or not np.isin(terminal, (0, 1)).all():
        raise ValueError("it holds numbers that make no sense")
    if not 0 <= frame[0] < _MAX_FRAME or frame[0] % 1 or (np.diff(frame) != 1).any():
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
    return _Trajectory(
        number=int(path.stem),
        actions=actions[:rows:FRAME_SKIP].astype(np.uint8),
        rewards=np.add.reduceat(reward[:rows], np.arange(0, rows, FRAME_SKIP)).astype(np.float32),
        first_frame=int(frame[0]),
    )


def _read_trajectories(folder: Path, game_actions: GameActions) -> list[_Trajectory]:
    numbered = (path for path in folder.glob("*.txt") if path.stem.isdecimal() and len(path.stem) <= _MAX_DIGITS)
    paths = sorted(numbered, key=lambda path: int(path.stem))
    if not paths:
        raise UserError(f"{folder} has no trajectory <n>.txt; put or link the release's folder there")
    trajectories, broken = [], []
    for path in paths:
        try:
            trajectories.append(_read_trajectory(path, game_actions))
        except ValueError as error:
            broken.append(f"{path} ({' '.join(str(error).split())[:80]})")
    _refuse_many(broken, len(paths), "trajectories")
    _warn_of(broken, len(paths), "trajectories", "they are left out")
    return trajectories


def _cache_frames(
    trajectories: Sequence[_Trajectory], folders: Sequence[Path], cache: Path, shape: tuple[int, int]
) -> list[FrameFile]:
    """Return the frames of each trajectory; decode those that are not in the cache."""
    total = sum(len(one.screens) for one in trajectories)
    sources = [_look_up(one, folder, shape) for one, folder in zip(trajectories, folders, strict=True)]
    _refuse_many([path for source in sources for path in source.paths(source.missing)], total, "screens")
    files, broken = [], list[Path]()
    cached = all((cache / source.cache_name).exists() for source in sources)
    with (
        ProgressBar(doing="decoding screens", total=total, unit="screens", disable=cached) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for source in sources:
            frames_shape = (len(source.trajectory.actions), *shape)
            path = cache / source.cache_name
            found = _open_frames(source, path, frames_shape)
            if found is None:
                if path.exists():
                    print(f"warning: {path} is damaged, or of an earlier version; it is made again", file=sys.stderr)
                _decode(source, cache, shape, pool, bar)
                found = _open_frames(source, path, frames_shape)
            else:
                bar.update(len(source.trajectory.screens))
            if found is None:
                raise UserError(f"{path} cannot be read; remove it and start again")
            files.append(found[0])
            broken += source.paths(found[1])
            _refuse_many(broken, total, "screens")
    _warn_of(broken, total, "screens", "each is replaced by the one before it")
    return files


def _open_frames(
    source: _Source, path: Path, shape: tuple[int, int, int]
) -> tuple[FrameFile, npt.NDArray[np.int64]] | None:
    """Return cached frames, and which screens were broken; None if they have to be decoded."""
    found = open_frames(path, shape)
    if found is None or not np.isin(found[1], np.arange(len(source.trajectory.screens))).all():
        return None
    return found


@dataclass(frozen=True, eq=False)
class _Source:
    """A trajectory's screens on disk.

    Attributes:
        missing: indices of `trajectory.screens` whose files are missing or empty.
        cache_name: name of the file of frames, with a hash of everything that they are made of.
    """

    trajectory: _Trajectory
    folder: Path
    missing: npt.NDArray[np.int64]
    cache_name: str

    def paths(self, places: npt.NDArray[np.int64] | slice) -> list[Path]:
        return [self.folder / f"{frame}.png" for frame in self.trajectory.screens[places]]


def _look_up(trajectory: _Trajectory, folder: Path, shape: tuple[int, int]) -> _Source:
    """List a trajectory's screens without opening them; refuse a trajectory without any."""
    screens = trajectory.screens
    marks = np.zeros((len(screens), 2), dtype=np.int64)
    places = {f"{frame}.png": place for place, frame in enumerate(screens.tolist())}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                place = places.get(entry.name)
                if place is not None and entry.is_file():
                    status = entry.stat()
                    marks[place] = status.st_size, status.st_mtime_ns
    missing = np.flatnonzero(marks[:, 0] == 0)
    if len(missing) == len(screens):
        raise UserError(
            f"{folder} has no screens <frame>.png of trajectory {trajectory.number}; "
            "fetch them, or remove the trajectory's file"
        )
    digest = hashlib.sha256(repr((_VERSION, shape)).encode() + screens.tobytes() + marks.tobytes())
    return _Source(trajectory, folder, missing, f"{trajectory.number}.{digest.hexdigest()[:16]}.npy")


def _decode(source: _Source, cache: Path, shape: tuple[int, int], pool: ThreadPoolExecutor, bar: ProgressBar) -> None:
    """Make a trajectory's frames and write them to the cache; delete frames that were made of other screens."""
    steps = len(source.trajectory.actions)
    screens = _Screens(source.paths(slice(None)), source.missing.tolist())

    def frame(step: int) -> npt.NDArray[np.uint8]:
        return _shrink([screens.luminance(place) for place in range(max(0, 2 * step - 1), 2 * step + 1)], shape)

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        for first in range(0, steps, _BATCH):
            part = range(first, min(first + _BATCH, steps))
            yield from pool.map(frame, part)
            bar.update(2 * len(part) - (first == 0))

    path = cache / source.cache_name
    write_frames(path, (steps, *shape), frames(), lambda: np.array(sorted(screens.broken), dtype=np.int64))
    for old in cache.glob(f"{source.trajectory.number}.*.npy"):
        if old != path:
            old.unlink(missing_ok=True)


def _shrink(luminances: Sequence[npt.NDArray[np.float32]], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Make a frame of pictures (210, 160) of `_Screens.luminance`: their maximum, resized by areas."""
    brighter = np.maximum.reduce(luminances).astype(np.uint32)
    grey = ((brighter + _WHOLE // 2) // _WHOLE).astype(np.uint8)
    frame: npt.NDArray[np.uint8] = cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA)
    return frame


class _Screens:
    """The recorded screens of one episode in the order of the game; `broken` has the indices found to be broken so far.

    A broken screen is replaced by the one before it; if there is none, by the one after it.
    """

    def __init__(self, paths: Sequence[Path], broken: Sequence[int] = ()) -> None:
        self._paths = paths
        self.broken = set(broken)

    def luminance(self, place: int) -> npt.NDArray[np.float32]:
        """Return a screen's luminances (210, 160), whole numbers in ten thousandths of a grey level."""
        for candidate in (*range(place, -1, -1), *range(place + 1, len(self._paths))):
            if candidate not in self.broken:
                picture = read_picture(self._paths[candidate])
                if picture is not None:
                    return np.asarray(cv2.transform(picture.astype(np.float32), _WEIGHTS), dtype=np.float32)
                self.broken.add(candidate)
        raise UserError(f"{self._paths[place].parent} has no screen that can be read; fetch it again")


def read_picture(path: Path) -> npt.NDArray[np.uint8] | None:
    """Read a screen, (210, 160, 3) in blue, green and red; None if the file is missing or broken."""
    try:
        data = read_whole(path, _MAX_SCREEN)
    except UserError:
        return None
    size = _size_of(data)
    if size is None:
        return None
    if size != (WIDTH, HEIGHT):
        raise UserError(
            f"{path} is a picture of {size[0]} × {size[1]}, not {WIDTH} × {HEIGHT}; is it another game's recording?"
        )
    try:
        picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if picture is None or picture.shape != (HEIGHT, WIDTH, 3) else picture.astype(np.uint8, copy=False)


def _size_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG whose chunks are complete and have the right checksums; None of others.

    OpenCV accepts some pictures whose end is missing and prints to standard error; Pillow's `verify` does not check
    the last chunk.
    """
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR":
        return None
    start = len(_SIGNATURE)
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[start + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return None
        if data[start + 4 : start + 8] == b"IEND":
            width, height = struct.unpack_from(">II", data, len(_SIGNATURE) + 8)
            return width, height
        start = end + 4
    return None


def _refuse_many(broken: Sequence[Path | str], total: int, kind: str) -> None:
    if len(broken) > TOLERATED * total:
        raise UserError(f"{_description(broken, total, kind)}; that is more than {TOLERATED:.0%}, fetch them again")


def _warn_of(broken: Sequence[Path | str], total: int, kind: str, instead: str) -> None:
    if broken:
        print(f"warning: {_description(broken, total, kind)}; {instead}", file=sys.stderr)


def _description(broken: Sequence[Path | str], total: int, kind: str) -> str:
    named = ", ".join(map(str, broken[:3])) + (", …" if len(broken) > 3 else "")
    return f"missing or broken {kind}: {len(broken):,} of {total:,} ({named})"
