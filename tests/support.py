"""Plain functions and places that tests share; fixtures stand in conftest.py."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Twenty episodes that a person played; beside a checkout, not in it.
HUMAN = ROOT.parent / "shared" / "data" / "MountainCar-v0" / "human.npz"


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
