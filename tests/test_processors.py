from __future__ import annotations

import os
from pathlib import Path

import pytest

from quantilizers import processors
from quantilizers.processors import available_cores, container_quota, take_share, thread_variables


@pytest.fixture(autouse=True)
def no_share_and_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_share", [])
    monkeypatch.setattr(processors, "container_quota", lambda: None)


def test_only_the_processors_that_the_process_may_use_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert available_cores() == 3


def test_without_that_knowledge_all_of_the_machine_s_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        # The quota of a group above counts where it is smaller, and the host's path is not seen in a container.
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "2 1", "sys/fs/cgroup/a/b/cpu.max": "3 1"}, 2.0),
        ({"proc/self/cgroup": "0::/docker/c0ffee", "sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "4:cpuset:/x\n3:cpu,cpuacct:/job\n1:name=systemd:/\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "garbage 0"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "100 0"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_read_from_its_control_groups(
    files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert container_quota(tmp_path) == quota


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (1.5, 2), (2.0, 2), (64.0, 8)])
def test_a_part_of_a_processor_counts_as_one(monkeypatch: pytest.MonkeyPatch, quota: float, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(processors, "container_quota", lambda: quota)
    assert available_cores() == cores


def test_who_takes_a_share_works_with_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    take_share(3)
    assert available_cores() == 3
    take_share(100)
    assert available_cores() == 8
    assert set(thread_variables(2).values()) == {"2"}
