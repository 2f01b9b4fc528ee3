"""Progress in a file: whole lines, of which none is repeated."""

from __future__ import annotations

import io
import sys

import pytest

from quantilizers.progress import ProgressBar


def test_a_file_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with ProgressBar(total=2000, doing="training", unit="epochs") as bar:
        for _ in range(2000):
            bar.update()
        bar.set_postfix_str("q = 0.5, loss 0.2")
        bar.refresh()
    first, *_, last = sys.stderr.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first.startswith("training:   0% |")
    assert "2000/2000 epochs" in last
    assert last.endswith("q = 0.5, loss 0.2]")
    assert "\r" not in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert len(sys.stderr.getvalue().splitlines()) <= 4  # type: ignore[attr-defined]


def test_a_terminal_gets_one_line_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    for _ in ProgressBar(range(3), doing="drawing films", unit="films", ncols=80):
        pass
    written = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "drawing films: 100% |" in written
    assert "| 3/3 films [" in written
    assert max(map(len, written.split("\r"))) <= 80


def test_work_without_a_count_has_neither_a_share_nor_a_line_for_each_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with ProgressBar(total=0, doing="optimising (random)", unit="steps", unit_scale=True) as bar:
        for seed in range(5):
            bar.set_postfix_str(f"seed {seed}: measuring")
        monkeypatch.setattr(bar, "last_print_t", bar.last_print_t - 61)
        bar.set_postfix_str("seed 5: measuring, a minute later")
        bar.set_postfix_str("seed 6: measuring")
    ProgressBar(total=3, doing="training", unit="epochs", disable=True).set_postfix_str("nothing is shown")
    lines = sys.stderr.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.partition(", seed ")[2] for line in lines] == ["", "5: measuring, a minute later]", "6: measuring]"]
    assert "%" not in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "0.00" not in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_bar_that_is_not_shown_takes_all_calls() -> None:
    with ProgressBar(total=2, doing="training", unit="epochs", disable=True) as bar:
        bar.set_postfix_str("loss 0.7", refresh=False)
        bar.set_postfix_str("loss 0.6")
        bar.update(2)
