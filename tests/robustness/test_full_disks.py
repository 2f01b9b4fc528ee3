"""Every stage on a disk that is full: one line, no half file, and once there is room the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_kills_and_full_disks import EPISODES, RUNS, Runs, check_same, check_whole, results_of, write_few

from quantilizers.stages.running import STAGES

if os.name != "nt":
    import resource

#: A checkpoint of QR-DQN on Video Pinball has more than 64 MiB.
ROOMY = 2**30
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def stages_of(environment: str) -> dict[str, str]:
    """Return each stage of a short run, and how it is asked for."""
    stages, planner, _ = RUNS[environment]
    settings, names = stages.split(" --do ")
    return {**{stage: f"{settings} --do {stage}" for stage in names.split()}, "efforts": planner}


class Disk:
    """A small disk in memory, which can be made larger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.there = self._mount(f"size={ROOMY}") == 0

    def _mount(self, options: str) -> int:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(words, capture_output=True, check=False).returncode

    @property
    def used(self) -> int:
        """Bytes of whole pages."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def leave(self, room: int) -> None:
        """Leave `room` bytes free."""
        # Of size 0 a disk has no limit.
        assert self._mount(f"remount,size={max(PAGE, self.used + room)}") == 0

    def close(self) -> None:
        if self.there:
            subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[tuple[Disk, Disk]]:
    """Two disks, or the test is skipped."""
    both = Disk(tmp_path / "roomy"), Disk(tmp_path / "small")
    try:
        if not all(disk.there for disk in both):
            pytest.skip("a small disk cannot be mounted here")
        yield both
    finally:
        for disk in both:
            disk.close()


def test_every_stage_is_looked_at() -> None:
    assert stages_of("MountainCar-v0").keys() == STAGES.keys()
    for environment in RUNS:
        # Imitators are compared where policies are perceptrons, with the code of Mountain Car's.
        assert stages_of(environment).keys() >= STAGES.keys() - {"imitators"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("environment", RUNS)
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_every_stage_names_a_full_disk_in_one_line_and_goes_on_when_there_is_room(
    environment: str, disks: tuple[Disk, Disk], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roomy, small = disks
    undisturbed, disturbed = logs = [disk.folder / "log" for disk in disks]
    for log in logs:
        write_few(environment, log)
    runs, full, stages = Runs(environment, tmp_path), 0, stages_of(environment)
    for stage, words in stages.items():
        before = roomy.used
        runs.finish(words, undisturbed)
        needed = roomy.used - before
        for room in sorted({0, PAGE, needed // 2 // PAGE * PAGE}):
            small.leave(room)
            code, said = runs.run(words, disturbed), runs.said.read_text()
            assert code == 2, (stage, room, said[-2000:])
            assert "Traceback" not in said, said
            (line,) = (line for line in said.splitlines() if line.startswith("quantilizer.py: "))
            assert "No space left on device" in line, (stage, room)
            check_whole(disturbed)
            assert not list(disturbed.rglob(".*")), (stage, room)
            full += 1
        small.leave(ROOMY)
        runs.finish(words, disturbed)
    runs.close()
    same = check_same(undisturbed, disturbed)
    with capsys.disabled():
        print(f"\n{environment}: {len(stages)} stages, full {full} times, {same:,} contents compared")


@contextmanager
def files_of_at_most(number: int) -> Iterator[None]:
    """Limit the size of files in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name == "nt", reason="the sizes of files are limited as Unix does")
@pytest.mark.parametrize("stages", ["train test", "inspect"])
def test_what_cannot_be_written_is_named_in_one_line_and_goes_on_when_it_can_be(
    stages: str, run: Callable[..., tuple[int, str, str]], log: Path, tmp_path: Path
) -> None:
    shutil.copytree(log, tmp_path / "undisturbed")
    words = f"--dataset_name small --max_epochs 2 --max_steps 30 {EPISODES} --do {stages}".split()
    assert run(*words, "--log_dir", str(tmp_path / "undisturbed"))[0] == 0
    with files_of_at_most(12_000):
        code, _, err = run(*words)
    assert code == 2
    (said,) = (line for line in err.splitlines() if line.startswith("quantilizer.py: "))
    assert "File too large" in said
    check_whole(log)
    assert not list(log.rglob(".*"))
    assert run(*words)[0] == 0
    assert results_of(log) == results_of(tmp_path / "undisturbed") != {}
