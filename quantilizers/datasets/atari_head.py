"""Trials of Atari-HEAD (Zhang et al. 2020, arXiv:1903.06754): a text file, and frames beside it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import check_memory
from quantilizers.datasets.contents import ATARI_HEAD, Contents
from quantilizers.datasets.fields import Reading, Wanted
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS, Episodes
from quantilizers.errors import NotInstalledError, UserError, reason_of, shown
from quantilizers.gates.compressed import MOST_IN_ARCHIVE, files_in_tar
from quantilizers.gates.regular_files import read_whole
from quantilizers.numbers_in_words import counted

_REWARD = "unclipped_reward"
#: Most bytes of a trial, which are days of play.
_MAX_TRIAL = 2**28


def read_trial(contents: Contents, wanted: Wanted) -> Reading:
    """Read a trial: `NAME.txt`, and its frames `FRAME_ID.png` in the folder `NAME` or in `NAME.tar.bz2`.

    The reward is `unclipped_reward`. Rows without an action, which a trial may end with, are left out; a trial whose
    episodes have no number is one episode.

    Raises:
        NotInstalledError: Pillow, which reads the frames, is not installed.
        UserError: a line is damaged, or a frame is missing.
    """
    path = contents.path
    if wanted.true_reward not in (None, _REWARD):
        raise UserError(f"{path} has no reward of each step {wanted.true_reward!r}; it has {_REWARD}")
    frames: list[str] = []
    rows: list[tuple[int, float]] = []
    episodes: list[str] = []
    left_out = 0
    columns = ATARI_HEAD.decode().split(",")
    for number, line in enumerate(read_whole(path, _MAX_TRIAL).decode(errors="replace").splitlines()[1:], 2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",", len(columns) - 1)]
        try:
            frame, episode, _, _, reward, action = cells[:6]
            if action == "null":
                left_out += 1
                continue
            if left_out and episodes and episode == episodes[-1]:
                raise ValueError("an episode goes on after a row without an action")
            rows.append((int(action), float(reward)))
        except ValueError as error:
            raise UserError(f"{path}, line {number:,}: {reason_of(error)}") from None
        frames.append(frame)
        episodes.append(episode)
    if not rows:
        raise UserError(f"{path} has no step")
    changes = np.array([left != right for left, right in pairwise(episodes)], dtype=np.bool_)
    lengths = np.diff(np.concatenate([[0], np.flatnonzero(changes) + 1, [len(rows)]]))
    notes = [f"{counted(left_out, 'row')} without an action were left out"] if left_out else []
    replays = wanted.environment is not None and wanted.environment.recordings.replay_observations is not None
    folder = path.with_suffix("")
    observations: npt.NDArray[Any]
    if folder.is_dir() or _archive_of(folder).exists():
        observations = _frames(contents, frames)
    elif replays:
        observations = np.zeros((len(rows), *WITHOUT_OBSERVATIONS))
    else:
        raise UserError(f"{path}: its frames are neither in {folder}/ nor in {_archive_of(folder).name} beside it")
    actions, rewards = np.array(rows).T
    trial = Episodes.from_flat(observations, actions.astype(np.int64), rewards, lengths=lengths)
    return Reading(trial, tuple(notes), field=_REWARD)


def _frames(contents: Contents, names: list[str]) -> npt.NDArray[np.uint8]:
    """Return the pictures (n, height, width, 3) of frames, from the folder or the archive beside the trial."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise NotInstalledError("frames need Pillow, which is not installed", "PIL") from None
    folder = contents.path.with_suffix("")
    places = {f"{name}.png": place for place, name in enumerate(names)}
    if len(places) < len(names):
        twice = next(name for place, name in enumerate(names) if places[f"{name}.png"] != place)
        raise UserError(f"{contents.path}: its frame {shown(twice)} stands in several rows")
    found: npt.NDArray[np.uint8] | None = None
    left = set(places)
    for name, content in _pictures(folder, list(places)):
        place, file = places.get(name), folder / name
        if place is None or name not in left:
            continue
        try:
            with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
                shape: tuple[Any, ...] = (len(names), picture.height, picture.width, 3)
                if found is None:
                    check_memory(int(np.prod(shape)) * 2)
                    found = np.zeros(shape, dtype=np.uint8)
                if shape != found.shape:
                    raise UserError(f"{file} is of another size than the frames before it")
                found[place] = np.asarray(picture.convert("RGB"))
        except UserError:
            raise
        except Exception as error:  # Pillow raises many kinds
            raise UserError(f"{file} cannot be read: {reason_of(error)}") from None
        left.remove(name)
    if left or found is None:
        first = next(name for name in places if name in left)
        where = folder if folder.is_dir() else _archive_of(folder)
        raise UserError(f"{contents.path}: its frame {shown(first)} is not in {where}")
    return found


def _archive_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.tar.bz2")


def _pictures(folder: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of a trial's frames, in its folder or in the archive of the same name."""
    if folder.is_dir():
        for name in names:
            if (folder / name).parent != folder or not (folder / name).exists():
                return
            yield name, read_whole(folder / name, MOST_IN_ARCHIVE)
        return
    archive = _archive_of(folder)
    try:
        for name, content in files_in_tar(archive):
            yield name.rpartition("/")[2], content
    except ValueError as error:
        raise UserError(f"{archive} cannot be read: {reason_of(error)}") from None
