from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantilizers import files
from quantilizers.errors import UserError
from quantilizers.files import atomic_write, holding, sha256_of
from quantilizers.layout import Layout
from support import ROOT, files_of


def test_atomic_write_replaces_the_file_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [one.name for one in path.parent.iterdir()] == ["file.txt"]


def test_atomic_write_is_on_the_disk_before_and_after_it_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    def fsync(handle: int) -> None:
        place = Path(f"/dev/fd/{handle}").resolve()
        happened.append("content" if place.is_file() else str(place.relative_to(tmp_path.resolve())))

    def replace(self: Path, target: Path) -> None:
        happened.append("rename")
        os.replace(self, target)  # noqa: PTH105 - the method is replaced

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    for _ in range(2):
        with atomic_write(tmp_path / "new" / "folder" / "file.txt") as temporary:
            temporary.write_text("whole")
    first, second = ["content", "rename", "new/folder", "new", "."], ["content", "rename", "new/folder"]
    assert happened == first + second


def test_atomic_write_says_in_one_line_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot write") as raised, atomic_write(tmp_path / "file" / "below"):
        pass
    assert "\n" not in str(raised.value)


def test_sha256_of_is_that_of_the_bytes(tmp_path: Path) -> None:
    data = b"abc" * 1_000_000
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(data).hexdigest()


HOLDER = """
import sys
from pathlib import Path
from quantilizers.files import holding
with holding([Path(sys.argv[1])], print):
    print("held", flush=True)
    sys.stdin.read()
"""


def unwaited(holder: str) -> None:
    raise AssertionError(f"there is nobody to wait for, but {holder}")


def test_who_holds_a_lock_is_named_and_a_killed_process_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "data.lock"
    words = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    told: list[str] = []

    def kill(holder: str) -> None:
        told.append(holder)
        process.kill()
        process.communicate()

    with holding([path], kill) as waited:
        assert waited
    (holder,) = told
    assert holder.startswith(f"process {process.pid}, since 20")
    with holding([path], unwaited) as waited:
        assert not waited
        assert f'"pid": {os.getpid()}' in path.with_suffix(".json").read_text()
    assert not path.with_suffix(".json").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    path = tmp_path / "runs" / "data.lock"
    with pytest.raises(UserError, match=r"cannot write .*data\.lock"), holding([path], unwaited):
        pass
    assert files_of(tmp_path).keys() == {"runs"}


def test_one_path_has_one_lock_however_it_is_spelt(tmp_path: Path) -> None:
    locks = {Layout(tmp_path, "Hopper-v2", "demo", path).lock("demo") for path in ("run", "run/", "other/../run")}
    assert locks == {tmp_path / "runs" / "locks" / "run" / "demo_Hopper-v2.lock"}
    assert Layout(tmp_path, "Hopper-v2", "demo").lock("demo") not in locks


def test_the_umask_is_not_touched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread that creates a file meanwhile would get other permissions."""
    monkeypatch.delattr(os, "umask")
    with atomic_write(tmp_path / "file") as temporary:
        temporary.touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~files._UMASK
