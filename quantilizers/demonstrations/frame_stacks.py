"""Observations that are stacks of frames on disk, because they may be larger than the memory.

Each frame is stored once, in one file an episode; stacks are assembled on access.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import read_header
from quantilizers.errors import UserError
from quantilizers.files import atomic_write
from quantilizers.gates.regular_files import open_regular, size_of

FrameArray = npt.NDArray[np.uint8]
#: A CRC-32 of all that precedes it ends a file, against flipped bits. It is no protection against forgery.
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True)
class FrameFile:
    """One episode's frames (frames, height, width) in a `.npy` file, from an offset in bytes on."""

    path: Path
    offset: int
    shape: tuple[int, int, int]

    def frames(self) -> FrameArray:
        """Map the frames into memory for as long as the array lives."""
        try:
            return np.memmap(self.path, np.uint8, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path} was changed while it was in use ({error}); start again") from None


def write_frames(
    path: Path,
    shape: tuple[int, int, int],
    frames: Iterable[FrameArray],
    appendix: Callable[[], npt.NDArray[np.int64]],
) -> None:
    """Write frames one at a time, because they may not fit into memory; atomically, and with a checksum.

    Args:
        path: the `.npy` to write.
        shape: (frames, height, width).
        frames: the frames, (height, width) each.
        appendix: returns numbers to store behind the frames; called after the last frame is written.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        checksum = 0

        def write(data: bytes) -> None:
            nonlocal checksum
            file.write(data)
            checksum = zlib.crc32(data, checksum)

        write(_header(shape))
        for frame in frames:
            write(np.ascontiguousarray(frame).tobytes())
        buffer = io.BytesIO()
        np.save(buffer, appendix(), allow_pickle=False)
        write(buffer.getvalue())
        file.write(_CHECKSUM.pack(checksum))


def open_frames(path: Path, shape: tuple[int, int, int]) -> tuple[FrameFile, npt.NDArray[np.int64]] | None:
    """Return a file of `write_frames` and its appendix; None if it is missing, damaged, or of another shape.

    The whole file is read for its checksum, which takes far less time than making the frames.
    """
    header = _header(shape)
    try:
        with open_regular(path) as file:
            whole = size_of(file) - _CHECKSUM.size
            if file.read(len(header)) != header or _checksum(file, whole) != _CHECKSUM.unpack(file.read()):
                return None
            file.seek(len(header) + math.prod(shape))
            length, _, kind = read_header(file)
            rest = file.read(max(0, whole - file.tell()))
            if kind != np.int64 or length != (len(rest) // 8,):
                return None
            appendix = np.frombuffer(rest, dtype=kind)
    except Exception:  # the readers of array headers raise whatever their parts do
        return None
    return FrameFile(path, len(header), shape), appendix


def _header(shape: tuple[int, int, int]) -> bytes:
    """Return the header of a `.npy` file of frames."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _checksum(file: IO[bytes], size: int) -> tuple[int]:
    """Return the checksum of a file's first `size` bytes, and leave the file there."""
    checksum = 0
    file.seek(0)
    while size > 0:
        block = file.read(min(size, 1 << 20))
        if not block:
            break
        checksum, size = zlib.crc32(block, checksum), size - len(block)
    return (checksum,)


class FrameStacks:
    """Observations (N, T, stack, height, width) of N episodes of at most T steps, indexed like an array.

    An observation is the newest frame and those before it, oldest first. Before an episode's first frame, and on
    padding, all is 0.

    Files are mapped only while frames are copied out of them: memory holds only the result, and one file is open at a
    time, however many episodes there are.
    """

    dtype = np.dtype(np.uint8)
    ndim = 5

    def __init__(self, files: Sequence[FrameFile], steps: int, stack: int) -> None:
        self._files = tuple(files)
        self._steps = steps
        self._stack = stack

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(N, T, stack, height, width)."""
        height, width = self._files[0].shape[1:] if self._files else (0, 0)
        return len(self._files), self._steps, self._stack, height, width

    def __getitem__(self, index: tuple[Any, Any]) -> Any:
        """Return the `FrameStacks` of episodes (a slice or indices) and steps `:t`, or an array of observations.

        The indices of episodes and steps, (n,) each, give observations (n, stack, height, width).
        """
        if not isinstance(index, tuple) or len(index) != 2:
            raise IndexError("frame stacks are indexed with episodes and steps, both at once")
        episodes, steps = index
        if isinstance(steps, slice):
            if steps.start not in (None, 0) or steps.step not in (None, 1):
                raise IndexError("of frame stacks' steps, slices begin at the first")
            chosen = np.arange(len(self._files))[episodes]
            files = [self._files[episode] for episode in chosen]
            return FrameStacks(files, len(range(self._steps)[steps]), self._stack)
        return self._read(*np.broadcast_arrays(np.asarray(episodes), np.asarray(steps)))

    def _read(self, episodes: npt.NDArray[Any], steps: npt.NDArray[Any]) -> FrameArray:
        if episodes.ndim != 1 or episodes.dtype.kind not in "iu" or steps.dtype.kind not in "iu":
            raise IndexError("frame stacks are read at indices of episodes and steps, (n,) both")
        for axis, places in enumerate((episodes, steps)):
            if len(places) and not 0 <= places.min() <= places.max() < self.shape[axis]:
                raise IndexError(f"an index is not among the {self.shape[axis]} on axis {axis}")
        observations = np.zeros((len(steps), *self.shape[2:]), dtype=np.uint8)
        for episode in np.unique(episodes):
            frames = self._files[episode].frames()
            rows = np.flatnonzero((episodes == episode) & (steps < len(frames)))
            places = steps[rows, None] - np.arange(self._stack)[::-1]
            seen = frames[np.maximum(places, 0)]
            seen[places < 0] = 0
            observations[rows] = seen
        return observations

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to copy all of it, because it may be larger than the memory."""
        raise TypeError("frame stacks stay on disk; index episodes and steps instead of copying them all")
