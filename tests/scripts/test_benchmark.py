from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measuring import PeerMissingError, Plan, work
from benchmarks.results import BEGIN, END, HEAD, Comparison, Results, markdown, markdown_of_file, read
from quantilizers.errors import UserError
from quantilizers.layout import benchmark_file
from scripts.benchmark import ASKED_FOR, ROWS
from support import ROOT

#: Rows that start no TensorFlow, or once; the others take a minute.
QUICK = ("help", "sarsa", "pinball_start")
PAIRS = Comparison("help", "help", "Python", (0.2, 0.3, 0.4), (0.1, 0.1, 0.1), "s", "here - peer", "0.1 s")


def benchmark(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/benchmark.py", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "row", [row if row in QUICK else pytest.param(row, marks=pytest.mark.slow) for row in ROWS | ASKED_FOR]
)
def test_each_row_runs_and_writes_what_it_found(row: str, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    ended = benchmark("--quick", "--rows", row, "--output", str(file))
    assert ended.returncode == 0, ended.stderr
    found = read(file)
    assert found.quick
    assert found.machine["cores"] >= 1
    assert found.failed == []
    peers = {"training": ["sklearn", "torch"], "pinball_training": ["torch"], "pinball_start": ["ale_py"]}.get(row, [])
    if all(importlib.util.find_spec(peer) for peer in peers):
        assert found.comparisons
    for comparison in found.comparisons:
        assert comparison.row == row
        assert min(*comparison.here, *comparison.peer) > 0
        assert f"`{row}` |" in ended.stdout
    table = benchmark("--table", str(file)).stdout
    assert table.startswith(HEAD)
    assert table.count(f"| `{row}` |") == len(found.comparisons)
    assert "the numbers say nothing" in table


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--rows", "hepl"], "did you mean help?"),
        (["--repeats", "0"], "at least 1"),
        (["--table", "nowhere.json"], "cannot read nowhere.json"),
        (["--table", "pyproject.toml"], "no file of scripts/benchmark.py"),
    ],
)
def test_what_is_impossible_is_one_line_and_exit_code_2(words: list[str], problem: str) -> None:
    ended = benchmark(*words)
    assert ended.returncode == 2
    assert problem in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_pairs_are_compared_one_by_one() -> None:
    assert PAIRS.ratios() == pytest.approx([0.1, 0.2, 0.3])
    times = Comparison("test", "test", "other", (1.0, 2.0), (4.0, 4.0), "s", "peer / here")
    assert times.ratios() == [4.0, 2.0]
    assert Comparison("test", "test", "other", (1.0, 2.0), (4.0, 4.0), "steps/s", "here / peer").ratios() == [0.25, 0.5]
    once = Comparison("example", "example", "other", (1.0, 2.0, 4.0), (8.0,), "s", "peer / here")
    assert once.ratios() == [8.0, 4.0, 2.0]
    assert markdown(PAIRS) == (
        "| help | Python | 0.3 [0.2, 0.4] s | 0.1 [0.1, 0.1] s | 0.2 [0.1, 0.3] s more | 0.1 s | `help` |"
    )


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    results = Results({"cores": 2, "processor": "one"}, {"python": "3"}, quick=False, comparisons=[PAIRS])
    results.skipped.append(("training", "imitation is not installed"))
    file = benchmark_file(tmp_path, "benchmark")
    results.write(file)
    assert file == tmp_path / "benchmarks" / "benchmark.json"
    assert read(file) == results
    assert json.loads(file.read_text())["comparisons"][0]["ratio"]["median"] == pytest.approx(0.2)
    assert "training: left out: imitation is not installed." in markdown_of_file(file)


def test_the_table_is_put_into_its_place_in_a_page(tmp_path: Path) -> None:
    file, page = tmp_path / "found.json", tmp_path / "page.md"
    Results({"cores": 2, "processor": "one"}, {"python": "3"}, quick=False, comparisons=[PAIRS]).write(file)
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        assert benchmark("--table", str(file), "--page", str(page)).returncode == 0
    lines = page.read_text().splitlines()
    assert [lines[0], lines[1], lines[-2], lines[-1]] == ["before", BEGIN, END, "after"]
    assert lines.count(markdown(PAIRS)) == 1
    assert "old" not in lines
    page.write_text("nothing")
    assert "has no place for the table" in benchmark("--table", str(file), "--page", str(page)).stderr
    assert page.read_text() == "nothing"
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert (text.count(BEGIN), text.count(END)) == (1, 1)


def test_work_is_done_in_a_process_of_its_own_on_its_own_cores() -> None:
    core = min(os.sched_getaffinity(0))
    assert work("measuring:processor_name", [core]) == work("measuring:processor_name")
    assert work("measuring:describe_machine", [core])["cores"] == 1


def test_a_peer_that_is_missing_and_work_that_fails_are_told_apart() -> None:
    if importlib.util.find_spec("imitation") is None:
        with pytest.raises(PeerMissingError, match="imitation is not installed"):
            work("peers:imitation", data="", passes=1)
    with pytest.raises(UserError, match="AttributeError"):
        work("peers:nothing_of_the_kind")


def test_repeats_are_those_of_the_row_unless_others_are_wanted(tmp_path: Path) -> None:
    assert Plan(tmp_path).repeats(5) == 5
    assert Plan(tmp_path, quick=True).repeats(5) == 1
    assert Plan(tmp_path, quick=True, wanted_repeats=3).repeats(5) == 3
