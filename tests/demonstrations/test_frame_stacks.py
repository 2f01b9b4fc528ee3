from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from quantilizers.demonstrations.frame_stacks import FrameStacks, open_frames, write_frames
from quantilizers.errors import UserError
from support import ROOT

STACK = 4
LENGTHS = (5, 9, 1)


@pytest.fixture
def frames() -> list[npt.NDArray[np.uint8]]:
    """Three episodes' frames of 3 × 2, no two alike."""
    generator = np.random.default_rng(0)
    return [generator.integers(1, 256, size=(length, 3, 2), dtype=np.uint8) for length in LENGTHS]


@pytest.fixture
def stacks(tmp_path: Path, frames: list[npt.NDArray[np.uint8]]) -> FrameStacks:
    files = []
    for episode, one in enumerate(frames):
        path = tmp_path / f"{episode}.npy"
        write_frames(path, one.shape, iter(one), lambda: np.array([], dtype=np.int64))  # type: ignore[arg-type]
        opened = open_frames(path, one.shape)  # type: ignore[arg-type]
        assert opened is not None
        files.append(opened[0])
    return FrameStacks(files, max(LENGTHS), STACK)


def plain(frames: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """The same observations as one array, put together frame by frame."""
    array = np.zeros((len(frames), max(map(len, frames)), STACK, 3, 2), dtype=np.uint8)
    for episode, one in enumerate(frames):
        for step in range(len(one)):
            for age in range(min(STACK, step + 1)):
                array[episode, step, STACK - 1 - age] = one[step - age]
    return array


def test_stacks_are_those_of_a_plain_array(stacks: FrameStacks, frames: list[npt.NDArray[np.uint8]]) -> None:
    array = plain(frames)
    assert (stacks.shape, stacks.ndim, stacks.dtype) == (array.shape, array.ndim, array.dtype)
    episodes, steps = (places.ravel() for places in np.indices(array.shape[:2]))
    np.testing.assert_array_equal(stacks[episodes, steps], array[episodes, steps])
    drawn = np.random.default_rng(1).permutation(np.repeat(np.arange(episodes.size), 3))
    np.testing.assert_array_equal(stacks[episodes[drawn], steps[drawn]], array[episodes[drawn], steps[drawn]])
    assert stacks[np.array([], dtype=int), np.array([], dtype=int)].shape == (0, STACK, 3, 2)


def test_episodes_are_chosen_as_of_a_plain_array(stacks: FrameStacks, frames: list[npt.NDArray[np.uint8]]) -> None:
    array = plain(frames)
    for chosen in (np.array([2, 0]), slice(1, None), np.array([False, True, True])):
        for steps in (4, 9, 20):
            part, expected = stacks[chosen, :steps], array[chosen, :steps]
            assert isinstance(part, FrameStacks)
            assert part.shape == expected.shape
            episodes, places = (places.ravel() for places in np.indices(expected.shape[:2]))
            np.testing.assert_array_equal(part[episodes, places], expected[episodes, places])
    again = stacks[np.array([2, 1]), :][np.array([1]), :3]
    np.testing.assert_array_equal(again[np.array([0]), np.array([2])], array[[1], [2]])


@pytest.mark.parametrize(
    "index",
    [
        0,
        (slice(None), slice(1, None)),
        (slice(None), slice(None, None, 2)),
        (0, 0),
        (np.array([3]), np.array([0])),
        (np.array([0]), np.array([9])),
        (np.array([-1]), np.array([0])),
        (np.array([0.0]), np.array([0])),
        np.ones((3, 9), dtype=bool),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused(stacks: FrameStacks, index: object) -> None:
    with pytest.raises(IndexError):
        stacks[index]  # type: ignore[index]


def test_they_are_not_copied_into_memory_by_accident(stacks: FrameStacks, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="stay on disk"):
        np.asarray(stacks)
    with pytest.raises(TypeError, match="stay on disk"):
        np.savez(tmp_path / "all.npz", allow_pickle=False, obs=stacks)  # type: ignore[arg-type]


def test_a_file_that_disappears_is_named(stacks: FrameStacks, tmp_path: Path) -> None:
    (tmp_path / "1.npy").unlink()
    with pytest.raises(UserError, match=r"1\.npy was changed while it was in use"):
        stacks[np.array([1]), np.array([0])]


def test_other_files_are_no_frames(tmp_path: Path) -> None:
    path, shape = tmp_path / "0.npy", (2, 3, 2)
    assert open_frames(path, shape) is None
    write_frames(path, (2, 3, 2), iter(np.ones((2, 3, 2), dtype=np.uint8)), lambda: np.array([5]))
    opened = open_frames(path, shape)
    assert opened is not None
    assert opened[1].tolist() == [5]
    whole = path.read_bytes()
    np.testing.assert_array_equal(np.load(path), np.ones((2, 3, 2)), "any NumPy opens it")
    assert open_frames(path, (2, 2, 3)) is None
    for kept in (0, 40, opened[0].offset + 3, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert open_frames(path, shape) is None
    for place in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert open_frames(path, shape) is None, f"bit {bit} of byte {place}"
    path.write_bytes(whole)
    assert open_frames(path, shape) is not None
    np.save(path, np.ones((2, 3, 2)))
    assert open_frames(path, shape) is None


def test_frames_that_fail_on_the_way_leave_no_file(tmp_path: Path) -> None:
    def failing() -> object:
        yield np.zeros((3, 2), dtype=np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frames(tmp_path / "0.npy", (2, 3, 2), failing(), lambda: np.array([0]))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of memory and open files")
def test_reading_all_of_them_takes_neither_their_memory_nor_files(tmp_path: Path) -> None:
    """A data set of 282 MB is read twice, in minibatches, in a process that may not grow by a sixth of that."""
    code = """
import os, sys
from pathlib import Path
import numpy as np
from quantilizers.demonstrations.frame_stacks import FrameStacks, open_frames, write_frames

def peak():
    # Not getrusage: its peak is that of the process that started this one, where that was higher.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

number, length, folder = 40, 1000, Path(sys.argv[1])
frame = np.random.default_rng(0).integers(256, size=(84, 84), dtype=np.uint8)
files = []
for episode in range(number):
    path = folder / f"{episode}.npy"
    frames = (frame + np.uint8(step % 256) for step in range(length))
    write_frames(path, (length, 84, 84), frames, lambda: np.array([0]))
    files.append(open_frames(path, (length, 84, 84))[0])
stacks = FrameStacks(files, length, 4)
places = np.argwhere(np.ones((number, length), dtype=bool))
before = peak()
most_open, generator = 0, np.random.default_rng(1)
for _ in range(160):
    chosen = places[generator.integers(len(places), size=512)]
    stacks[chosen[:, 0], chosen[:, 1]]
    most_open = max(most_open, len(os.listdir("/proc/self/fd")))
print(peak() - before, most_open)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown, most_open = map(float, ended.stdout.split())
    assert grown < 45
    assert most_open < 20
