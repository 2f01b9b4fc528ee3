"""Curves for TensorBoard."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from quantilizers.errors import NotInstalledError, UserError

if TYPE_CHECKING:
    from tensorboard.summary import Writer


def leave_tensorflow_out() -> None:
    """Keep TensorBoard from importing TensorFlow, which takes seconds and writes to standard error."""
    # With this module, TensorBoard writes files itself.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


@contextmanager
def event_writer(folder: Path) -> Iterator[Writer]:
    """Give a writer of TensorBoard scalars to a folder, which is one run there, and delete an earlier run's curves."""
    leave_tensorflow_out()
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise NotInstalledError("writing curves needs tensorboard, which is not installed", "tensorboard") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        writer = Writer(str(folder))
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        yield writer
    finally:
        writer.close()
