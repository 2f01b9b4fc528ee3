from __future__ import annotations

from quantilizers.tables import format_table


def test_a_table_is_markdown_and_aligned() -> None:
    table = format_table(["q", "return"], [["1 (imitation)", "2.0"], ["0.5", "-13.25"]])
    assert table.splitlines() == [
        "| q             | return |",
        "|---------------|-------:|",
        "| 1 (imitation) |    2.0 |",
        "| 0.5           | -13.25 |",
    ]
