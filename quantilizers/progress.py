"""Progress, for people and for TensorBoard."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tensorboard.summary import Writer

# Where TensorBoard finds this module it writes without TensorFlow, which takes seconds to import.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


@contextmanager
def event_writer(folder: Path) -> Iterator[Writer]:
    """Give a writer of TensorBoard scalars to a folder, which first loses the curves of an earlier run.

    Args:
        folder: below `log/train/`; TensorBoard shows it as one run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = Writer(str(folder))
    try:
        yield writer
    finally:
        writer.close()
