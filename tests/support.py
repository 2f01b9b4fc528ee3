"""Plain functions and places that tests share; fixtures stand in conftest.py."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

ROOT = Path(__file__).resolve().parent.parent


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def curves_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows of a run: by name, (step, value)."""
    # Left to itself, TensorBoard shows a random ten thousand points, and hides what a restarted run wrote twice.
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}, purge_orphaned_data=False).Reload()
    return {
        name: [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]
        for name in events.Tags()["tensors"]
    }
