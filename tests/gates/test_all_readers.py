"""Each format has one reader: files are opened by the gates, and by nothing else in the library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

LIBRARY = ROOT / "quantilizers"
#: Calls that read a format, and the files of the library that may make them.
READERS = {
    "zipfile.ZipFile": {
        "gates/zips.py",
        "arrays.py",  # writes
        "policies/keras_files.py",  # writes, and reads what Keras has just written
    },
    "tarfile.open": {"gates/compressed.py"},
    "h5py.File": {"gates/hdf5.py", "policies/keras_files.py"},
    "json.load": set(),
    "json.loads": {
        "gates/json_files.py",
        "recipe.py",  # of its own text
        "table_files.py",  # a line at a time, where polars refused the file
    },
    "np.load": set(),
    "np.fromfile": set(),
    "pickle.load": set(),
    "pickle.loads": set(),
    "yaml.load": set(),
}  # fmt: skip
#: Files that the user names, which may be pipes, or that ship or were just written.
OPENERS = {
    "commands/command_line.py", "commands/scores.py", "table_files.py", "processors.py", "files.py",
    "execution/dask_cluster.py", "figures/page.py", "stages/reporting.py", "play/video.py",
    "policies/keras_files.py",
}  # fmt: skip


def calls_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of a file, as `module.name` or `.name` of an object."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), node


FILES = sorted(path.relative_to(LIBRARY).as_posix() for path in LIBRARY.rglob("*.py"))


@pytest.mark.parametrize("call", READERS)
def test_a_format_is_read_at_its_gate_alone(call: str) -> None:
    found = {name for name in FILES for called, _ in calls_in(LIBRARY / name) if called == call}
    assert found <= READERS[call]


def test_files_of_unknown_origin_are_opened_by_the_gates() -> None:
    """`Path.open` for reading waits for pipes and follows what a name stands for meanwhile."""
    found = set()
    for name in FILES:
        for called, node in calls_in(LIBRARY / name):
            words = [
                one.value for one in (*node.args, *(k.value for k in node.keywords)) if isinstance(one, ast.Constant)
            ]
            method = called.rpartition(".")[2]
            reads = method in ("read_bytes", "read_text") or (method == "open" and words[:1] in (["rb"], ["r"], []))
            if reads and not called.startswith(("archive", "opened", "os.", "Image.", "zipfile")):
                found.add(name)
    assert {name for name in found if not name.startswith("gates/")} <= OPENERS
