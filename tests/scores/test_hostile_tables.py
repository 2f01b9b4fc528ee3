"""Tables that break something: each ends in a right number, or in one line and exit code 2 with nothing written."""

from __future__ import annotations

import bz2
import datetime
import gzip
import json
import lzma
import re
import subprocess
import sys
import warnings
from array import array
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from quantilizers import UserError, choose, curve, select, table_files
from quantilizers.commands.scores import main
from quantilizers.quantilize import RULES, quantilize, quantilize_scores

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
GROUPS = [f"g{place // 8:02}" for place in range(240)]
PROXY, TRUE = (RNG.normal(size=240).round(3).tolist() for _ in range(2))
ROWS = list(zip(GROUPS, PROXY, TRUE, strict=True))
CSV = "g,p,t\n" + "".join(f"{g},{p},{t}\n" for g, p, t in ROWS)
JSONL = "".join(json.dumps({"g": g, "p": p, "t": t}) + "\n" for g, p, t in ROWS)
COLUMNS = ("--proxy", "p", "--true", "t", "--group", "g")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def in_an_empty_folder_without_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def run_it(*words: object) -> tuple[int, str, str]:
        there = sorted(Path().rglob("*"))
        code = main([str(word) for word in words])
        out, error = capfdbinary.readouterr()
        if code == 2:
            assert sorted(Path().rglob("*")) == there, "a refusal wrote something"
            assert error.count(b"\n") == 1, error
        return code, out.decode(), error.decode()

    return run_it


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def parquet(**columns: Any) -> str:
    pl.DataFrame(columns).write_parquet("table.parquet")
    return "table.parquet"


def labelled(known: Callable[[int, str, float], bool]) -> str:
    rows = "".join(f"{g},{p},{t if known(place, g, p) else ''}\n" for place, (g, p, t) in enumerate(ROWS))
    return write("labelled.csv", "g,p,t\n" + rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "t.csv is empty"),
        ("t.csv", "\n\n", "t.csv is empty"),
        ("t.jsonl", "", "t.jsonl is empty"),
        ("t.jsonl", " \n", "t.jsonl is empty"),
        ("t.parquet", "", "t.parquet is empty"),
        ("t.csv", "g,p,t\n", "there are no rows"),
        ("t.parquet", "no parquet at all", "cannot be read as PARQUET"),
        ("t.csv", CSV.encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("t.csv", CSV.replace("g03", "gé").encode("latin-1"), "save it as UTF-8"),
        ("t.jsonl", JSONL.replace("g03", "gé").encode("latin-1"), "line 25"),
        ("t.csv", b"PK\x03\x04" + bytes(100), "a spreadsheet"),
        ("t.csv.gz", gzip.compress(CSV.encode())[:200], "cannot be read"),
        ("t.json", json.dumps([{"g": "a", "p": 1, "t": 1}]), "is a JSON array"),
        ("t.jsonl", JSONL + '{"g": "a", "p":', "line 241 is not JSON"),
        ("t.jsonl", JSONL + "[1, 2]\n", "line 241 is not an object"),
        ("t.jsonl", JSONL + '{"g": "a", "p": NaN, "t": 1}\n', "line 241: NaN is not JSON; write null"),
        ("t.jsonl", JSONL + '{"g": "a", "p": true, "t": 1}\n', "line 241: 'p' is true or false, and a number before"),
        ("t.jsonl", JSONL + '{"g": "a", "p": {"x": 1}, "t": 1}\n', "line 241: 'p' is an object, and a number before"),
        ("t.jsonl", JSONL + '{"g": "a", "p": "high", "t": 1}\n', "row 241, column 'p': 'high' is no number"),
        ("t.jsonl", JSONL + '{"g": "a", "t": 1}\n', "1 of 241 values of 'p' are missing"),
        ("t.csv", CSV + ",1,1\n", "1 row without 'g'"),
        ("t.csv", CSV + '"",1,1\n', "1 row without 'g'"),
        ("t.csv", CSV + '" ",1,1\n', "1 row without 'g'"),
        ("t.csv", "g,p,p,t\na,1,2,3\n", "several columns 'p'"),
        ("t.csv", 'g,p,t\na,"1,5",2\n', "'1,5' is no number"),
        ("t.jsonl", '{"g": "a", "p": 1, "t": 1},\n' * 2, "line 1 is not JSON: extra data at character 27"),
        ("t.jsonl", JSONL + '{"g": "a", "p": 1, "p": 2, "t": 1}\n', "line 241 has 'p' twice"),
        ("t.jsonl", JSONL + '{"g": 3, "p": 1, "t": 1}\n', "line 241: 'g' is a number, and text before"),
        ("t.jsonl", '{"g": 1, "p": 1, "t": 1}\n{"g": "1", "p": 1, "t": 1}\n', "'g' is text, and a number before"),
        ("t.jsonl", '{"g": 1, "p": [[1]], "t": [[1]]}\n', "not numbers"),
        ("t.jsonl", JSONL + '{"g": "a", "p": 1, "\\u0070": 2, "t": 1}\n', "line 241 has 'p' twice"),
        ("t.jsonl", JSONL + '{"g": "a\\u0000", "p": 1, "t": 1}\n', "row 241: 'g' has a null character"),
        ("t.jsonl", JSONL + '{"g": "a", "p": 9007199254740993, "t": 1}\n', "line 241: 'p' is 9007199254740993, which"),
        ("t.jsonl", JSONL + '{"g": "a", "p": 1, "t": -9007199254740993.0}\n', "line 241: 't' is -9007199254740993.0,"),
        ("t.jsonl", '{"g": 1, "p": [9007199254740993, 2.5], "t": [1, 2]}\n', "line 1: 'p' is 9007199254740993"),
        ("t.jsonl", '{"g": 1, "p": [1, 2.5], "t": 1}\n', "column 'p' holds lists, and 't' one value a row"),
        ("t.jsonl", '{"g": 9007199254740993, "p": 1}\n{"g": 0.5, "p": 1, "t": 1}\n', "write names of groups as text"),
        ("t.csv", CSV + "a,9007199254740993.0,1\n", "row 241, column 'p': 9007199254740993.0 has more digits"),
        ("t.csv", CSV + "a,9.007199254740993e15,1\n", "has more digits"),
        ("t.csv", 'p,g,t\n1,a"b,0\n5,c"d,1\n2,x,2\n', "row 1 has a quote in the middle of a field"),
        ("t.csv", CSV + 'a"",1,1\n', "row 241 has a quote in the middle"),
        ("t.csv", CSV + '"a"b,1,1\n', "row 241 has a quote in the middle"),
        ("t.csv", CSV.replace("\n", ",x\n") + 'a,1,1, "x, y"\n', "row 241 has a quote in the middle"),
        ("t.csv", 'p,"g" ,t\n1,a,0\n', "the header has a quote in the middle"),
        ("t.jsonl", '{"g": 1, "p": [], "t": []}\n{"g": 2, "p": [1], "t": [2]}\n', "row 1 holds an empty list"),
        ("t.csv", CSV + "a,1\n", "row 241 has 2 fields, and the header 3"),
        ("t.csv", CSV + "a,1,1,1\nb,1,1,1\n", "row 241 has 4 fields, and the header 3; 1 more row with another number"),
        ("t.csv", CSV.replace("\n", ",x\n") + "a,1,1\n", "row 241 has 3 fields"),
        ("t.csv", CSV.replace("\n", ",x\n") + 'a,1,1,"x\n', "a quote in row 241 is not closed"),
        ("t.csv", CSV.replace("\n", ",x\n") + 'a,1,1,5" wide\n', "a quote in row 241 is not closed"),
        ("t.csv", 'g,p,"t\na,1,2\n', "a quote of the header is not closed"),
        ("t.csv", CSV.replace("\n", "\r"), "carriage return alone"),
        ("t.csv", CSV.replace("p,", "p, ", 1), "it has g, p, ' t'"),
        ("t.csv", CSV.partition("\n")[2], "no column 'p'"),
        ("t.csv", "1,0.5,2.5\n2,0.1,1\n", "its first line must name the columns"),
        ("t.csv", CSV[:40] + "\0" + CSV[40:], "is no text"),
        ("t.sqlite", b"SQLite format 3\0" + bytes(80), "is no text"),
        ("t.csv.zst", b"\x28\xb5\x2f\xfd" + bytes(40), "compressed by zstd"),
        ("t.csv.xz", lzma.compress(CSV.encode())[:200], "cannot be read"),
        ("t.csv", CSV + "NA,1,1\nNone,2,2\n", "2 rows without 'g', among them words for a missing one"),
        ("t.csv", CSV + "g01 ,1,1\n", "'g01' and 'g01 ' differ in spelling only"),
        ("t.csv", CSV + "e\u0301,1,1\n\u00e9,1,1\n", "differ in spelling only"),
        (
            "t.jsonl",
            JSONL.encode() + b'{"g": "g\xff", "p": 1, "t": 1}\n',
            "line 241 is not UTF-8 at byte 9; save it as UTF-8",
        ),
        ("t.jsonl", JSONL + '{"g": "\\ud800", "p": 1, "t": 1}\n', "line 241: 'g' has half of a surrogate pair"),
        ("t.jsonl", JSONL + '{"g": "a\\uDC00", "p": 1, "t": 1}\n', "line 241: 'g' has half of a surrogate pair"),
        ("t.jsonl", JSONL + '{"x": ["a\\udfff"], "p": 1, "t": 1}\n', "line 241: 'x' has half of a surrogate pair"),
        ("t.jsonl", JSONL + '{"g": "a", "p": 1e999, "t": 1}\n', "line 241: 1e999 is beyond the largest"),
        ("t.jsonl", JSONL + f'{{"g": "a", "p": 1{"0" * 400}, "t": 1}}\n', "line 241: 1000000000"),
    ],
)
def test_files_that_cannot_be_read_end_in_one_line(run: Run, name: str, content: str | bytes, message: str) -> None:
    code, _, error = run("curve", write(name, content), *COLUMNS)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("bom.jsonl", b"\xef\xbb\xbf" + JSONL.encode()),
        ("crlf.csv", CSV.replace("\n", "\r\n")),
        ("crlf.jsonl", JSONL.replace("\n", "\r\n")),
        ("table.csv.gz", gzip.compress(CSV.encode())),
        ("table.jsonl.gz", gzip.compress(JSONL.encode())),
        ("table.txt", CSV),
        ("table.csv.xz", lzma.compress(CSV.encode())),
        ("table.jsonl.bz2", bz2.compress(JSONL.encode())),
        ("blank.csv", "\n" + CSV.replace("\n", "\n\r\n \n") + "\n\n"),
        ("one_object.jsonl", JSONL.replace('"t"', '"meta": {"p": 1, "g": "g"}, "t"')),
        ("quoted.csv", "text," + CSV.replace("\ng", '\n"a ""b"",\n c",g')),
    ],
)
def test_other_spellings_of_a_table_have_its_curve_and_its_selection(run: Run, name: str, content: str | bytes) -> None:
    expected = run("curve", write("plain.csv", CSV), *COLUMNS)
    assert expected[0] == 0
    assert run("curve", write(name, content), *COLUMNS) == expected
    code, out, _ = run("select", name, "--proxy", "p", "--group", "g", "--q", 0.25)
    assert code == 0
    assert out.count("g29") == 2
    assert "\ufeff" not in out


def test_missing_values_are_counted_in_their_file(run: Run) -> None:
    write("a.csv", CSV)
    write("b.csv", "g,p,t\nx,1,1\nx,,1\nx,nan,1\n")
    write("c.csv", "g,p,t\ny,inf,1\n")
    told = [run("curve", "a.csv", "b.csv", "c.csv", *COLUMNS, *more) for more in ((), ("--workers", 1))]
    assert told[0] == told[1]
    code, _, error = told[0]
    assert code == 2
    message = "b.csv: 2 of 3 values of 'p' are missing, NaN or infinite, the first in row 2; leave such rows out with"
    assert f": {message} --drop; 1 more file cannot be used\n" in error


@pytest.mark.parametrize("workers", [(), ("--workers", 1)])
def test_numbers_and_text_that_name_groups_are_not_merged(run: Run, workers: tuple[object, ...]) -> None:
    for name, sign in (("text", '"'), ("number", "")):
        rows = [f'{{"g": {sign}{place % 3}{sign}, "p": {place % 7}, "t": 1}}\n' for place in range(24)]
        write(f"{name}.jsonl", "".join(rows))
    code, _, error = run("curve", "number.jsonl", "text.jsonl", *COLUMNS, *workers)
    assert code == 2
    assert "text.jsonl: 'g' is text, and a number in number.jsonl; write it in one type" in error
    # All values of CSV are text, so its 1 is the number or the text of other files.
    write("untyped.csv", "g,p,t\n" + "".join(f"{place % 3},{place % 7},1\n" for place in range(24)))
    for name in ("text.jsonl", "number.jsonl"):
        code, out, _ = run("curve", "untyped.csv", name, *COLUMNS, *workers)
        assert code == 0
        assert out.startswith("48 samples in 3 groups of 16")


def test_columns_may_have_any_name(run: Run) -> None:
    expected = run("curve", write("plain.csv", CSV), *COLUMNS)
    names = {"g": 'g"x', "p": "*", "t": "^t$"}
    flags = ("--proxy", names["p"], "--true", names["t"], "--group", names["g"])
    rows = CSV.partition("\n")[2]
    write("named.csv", '"g""x",*,^t$\n' + rows)
    write("named.jsonl", "".join(json.dumps(dict(zip(names.values(), row, strict=True))) + "\n" for row in ROWS))
    for name in ("named.csv", "named.jsonl"):
        assert run("curve", name, *flags) == expected
    code, _, error = run("curve", write("twice.csv", '"g""x","g""x",*,^t$\na,a,1,1\n'), *flags)
    assert code == 2
    assert "has several columns 'g\"x'" in error


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"p": [2**53 + one for one in range(40)]}, "row 2, column 'p': 9007199254740993 has more digits"),
        ({"p": pl.Series([2**63 + 1, 5], dtype=pl.UInt64)}, "has more digits"),
        ({"p": [str(2**53 + 1), "3"]}, "has more digits"),
        ({"p": [1e308, -1e308]}, "rescale"),
        ({"p": [datetime.date(2020, 1, 1)]}, "holds Date, not numbers"),
        ({"p": [{"a": 1}]}, "not numbers"),
        ({"p": pl.Series(["a"], dtype=pl.Categorical)}, "not numbers"),
        ({"p": [[[1.0]], [[2.0]]]}, "not numbers"),
        ({"p": [1.0, 2.0], "g": [float("nan"), 1.0]}, "1 row without 'g'"),
        ({"p": [1.0, 2.0], "g": [b"\xff", b"a"]}, "holds Binary"),
        ({"p": [1.0, 2.0], "g": [[1], [2]]}, "holds lists"),
        ({"p": [1.0, 2.0], "g": ["a", "a\0"]}, "row 2: 'g' has a null character"),
        ({"p": [Decimal("9007199254740993.00"), Decimal("2.50")]}, "row 1, column 'p': 9007199254740993.00 has more"),
    ],
)
def test_columns_that_are_no_scores_or_groups_are_refused(run: Run, columns: dict[str, Any], message: str) -> None:
    group = ("--group", "g") if "g" in columns else ()
    code, _, error = run("curve", parquet(**columns), "--proxy", "p", *group)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    "columns",
    [
        {"g": pl.Series(GROUPS, dtype=pl.Categorical), "p": PROXY, "t": TRUE},
        {"g": [{"a": one} for one in GROUPS], "p": PROXY, "t": TRUE},
        {"g": [100 + float(one[1:]) for one in GROUPS], "p": PROXY, "t": TRUE},
        {"g": GROUPS, "p": [Decimal(str(one)) for one in PROXY], "t": [Decimal(str(one)) for one in TRUE]},
    ],
)
def test_columns_of_other_types_have_the_same_curve(run: Run, columns: dict[str, Any]) -> None:
    expected = run("curve", write("plain.csv", CSV), *COLUMNS)
    assert run("curve", parquet(**columns), *COLUMNS) == expected


def test_arrays_are_lists_of_one_size(run: Run) -> None:
    lists = {"p": np.reshape(PROXY, (30, 8)).tolist(), "t": np.reshape(TRUE, (30, 8)).tolist()}
    expected = run("curve", parquet(**lists), *COLUMNS[:4])
    arrays = {name: pl.Series(one, dtype=pl.Array(pl.Float64, 8)) for name, one in lists.items()}
    assert expected[0] == 0
    assert run("curve", parquet(**arrays), *COLUMNS[:4]) == expected


def test_numbers_of_groups_have_one_name_in_files_of_any_type(run: Run) -> None:
    expected = run("curve", write("plain.csv", CSV), *COLUMNS)
    Path("parts").mkdir()
    numbers = [100 + int(one[1:]) for one in GROUPS]
    frame = pl.DataFrame({"g": numbers, "p": PROXY, "t": TRUE})
    frame[:84].write_parquet("parts/1.parquet")
    frame[84:160].with_columns(pl.col("g").cast(pl.Float64)).write_parquet("parts/2.parquet")
    frame[160:].write_csv("parts/3.csv")
    assert run("curve", "parts", *COLUMNS) == expected


def test_rows_with_empty_lists_are_dropped_on_request(run: Run) -> None:
    lists = [[], [1.0, 2.0], [3.0, 4.0]]
    code, out, _ = run("curve", parquet(p=lists, t=lists), *COLUMNS[:4], "--drop")
    assert code == 0
    assert out.startswith("4 samples in 2 groups of 2.\n1 row left out by --drop.")


@pytest.mark.parametrize("chunk", [3, 64])
def test_records_are_found_across_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    content = 'p,"x\n"\r\n\n1,"a ""b"", c\n\nd"\n2,e\n\r\n3,"f"'
    monkeypatch.setattr(table_files, "_CHUNK", chunk)
    records = table_files.CsvRecords.of("t.csv", "csv", content.encode())
    expected = ['p,"x\n"\r\n', '1,"a ""b"", c\n\nd"\n', "2,e\n", '3,"f"']
    assert [records[place].decode() for place in range(len(records))] == expected
    assert records.fields.tolist() == [2] * 4
    assert records.without_blanks() == "".join(expected).encode()


def test_names_of_columns_are_no_patterns(run: Run) -> None:
    path = write("odd.csv", '"^p.*$",pq,"a\nb"\n1,9,5\n4,9,7\n')
    for name, mean in (("^p.*$", "2.5"), ("a\nb", "6"), ("pq", "9")):
        code, out, _ = run("curve", path, "--proxy", name)
        assert (code, out.split("| q = 1 ")[1].split("|")[3].strip()) == (0, mean)


def test_a_column_or_a_file_named_twice_is_refused(run: Run) -> None:
    path = write("t.csv", CSV)
    for words in (("--proxy", "p", "--group", "p"), ("--proxy", "p", "--true", "t", "--group", "t")):
        assert "name two columns" in run("curve", path, *words)[2]
    assert "--proxy names 'p' twice" in run("curve", path, "--proxy", "p", "--proxy", "p", "--true", "t")[2]
    assert "is named twice" in run("curve", path, f"./{path}", *COLUMNS)[2]
    assert "not a regular file" in run("curve", "/dev/null", *COLUMNS)[2]


def test_a_table_beyond_memory_is_refused_by_its_metadata(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "MOST_ROWS", 239)
    code, _, error = run("curve", parquet(g=GROUPS, p=PROXY, t=TRUE), *COLUMNS)
    assert code == 2
    assert "has 240 rows, and one file may have 239" in error


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("curve", ("--strengths", "nan"), "must be finite"),
        ("curve", ("--strengths", "inf"), "must be finite"),
        ("curve", ("--strengths", "2.5"), "whole number"),
        ("curve", ("--strengths", "1e30"), "the smallest has 8"),
        ("curve", ("--rule", "exponential", "--strengths", "inf"), "must be finite"),
        ("curve", ("--rule", "best_of_poisson", "--strengths", "inf"), "must be finite"),
        ("curve", ("--k", "0"), "k is 0"),
        ("curve", ("--k", "nan"), "k is nan"),
        ("curve", ("--k", "inf"), "k is inf"),
        ("curve", ("--k", "2.5"), "k is 2.5"),
        ("curve", ("--rule", "trimmed", "--cut", "1"), "cut is 1"),
        ("curve", ("--rule", "trimmed", "--cut", "nan"), "cut is nan"),
        ("curve", ("--rule", "soft_best_of_n", "--temperature", "0"), "temperature is 0"),
        ("curve", ("--rule", "best_of"), "did you mean best_of_n"),
        ("choose", ("--n", "1000000000000"), "the smallest has 8"),
        ("choose", ("--n", "9" * 30), "the smallest has 8"),
    ],
)
def test_impossible_settings_are_refused(run: Run, verb: str, words: tuple[str, ...], message: str) -> None:
    code, _, error = run(verb, write("t.csv", CSV), *COLUMNS, *words)
    assert code == 2
    assert message in error


def test_k_of_the_command_line_is_that_of_the_library(run: Run) -> None:
    code, out, _ = run("curve", write("t.csv", CSV), *COLUMNS, "--k", 2)
    assert code == 0
    expected = curve(PROXY, TRUE, GROUPS, rule="top_k_of_n", k=2)
    assert f"{expected.proxy[-1].estimate:.4g}" in out.split("top 2 of 8")[1]


def test_very_strong_selection_does_not_overflow() -> None:
    found = curve(PROXY, TRUE, GROUPS, rule="exponential", strengths=[1e308])
    assert found.proxy[-1].estimate == pytest.approx(np.reshape(PROXY, (30, 8)).max(axis=1).mean())


@pytest.mark.parametrize("group", [GROUPS, None])
@pytest.mark.parametrize("proxy", [PROXY, [1.0] * 240])
def test_selection_that_changes_nothing_is_told(proxy: list[float], group: list[str] | None) -> None:
    """Rounding must not decide where the largest of equal means is."""
    true = [0.1] * 240 if proxy is PROXY else TRUE
    if group is None and proxy is not PROXY:
        pytest.skip("resampled ties are ranked at random")
    found = curve(proxy, true, group)
    assert found.turn is not None
    assert found.turn.kind == "flat"
    assert found.sentence().startswith("selection does not change the true score")
    assert all(one.estimate == 0 for one in found.gains)
    if group is not None:
        assert choose(proxy, true, group).chosen.label == "best of 1"


@pytest.mark.parametrize(
    "known",
    [lambda place, g, p: place == 5, lambda place, g, p: g == "g03", lambda place, g, p: place in (5, 100)],
    ids=["a row", "a group", "two rows"],
)
@pytest.mark.parametrize("words", [COLUMNS, (*COLUMNS, "--pooled"), (*COLUMNS, "--rule", "exponential")])
def test_truth_of_too_few_samples_has_no_turn(
    run: Run, known: Callable[[int, str, float], bool], words: tuple[str, ...]
) -> None:
    code, out, _ = run("curve", labelled(known), *words)
    assert code == 0
    assert "Cannot tell where the true score turns" in out
    assert "nan" not in out


def test_many_groups_need_no_truth(run: Run) -> None:
    table = parquet(g=[place // 2 for place in range(5000)], p=RNG.normal(size=5000))
    code, out, _ = run("curve", table, "--proxy", "p", "--group", "g")
    assert code == 0
    assert "No true score is known" in out


@pytest.mark.parametrize("unit", [1e149, 1e-5])
def test_scores_of_any_unit_are_shown_with_three_digits(run: Run, unit: float) -> None:
    expected = curve(np.array(PROXY) * unit, np.array(TRUE) * unit, GROUPS).true[-1]
    code, out, _ = run("curve", parquet(g=GROUPS, p=np.array(PROXY) * unit, t=np.array(TRUE) * unit), *COLUMNS)
    assert code == 0
    assert f"{expected.estimate:.2e}" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("curve", ()),
        ("choose", ("--n", 8)),
        ("curve", ("--proxy", "q")),
        ("curve", ("--rule", "soft_best_of_n", "--temperature", "1e-300")),
        ("curve", ("--rule", "trimmed", "--cut", 0.1234567, "--pooled")),
        ("curve", ("--cost", "q")),
    ],
)
@pytest.mark.parametrize("unit", [1e149, 1e6, 1.0])
def test_every_table_fits_80_columns_and_has_no_negative_zero(
    run: Run, verb: str, words: tuple[object, ...], unit: float
) -> None:
    proxy = np.array(PROXY)
    columns = {"g": GROUPS, "p": proxy * unit, "q": np.abs(proxy - 1) * unit, "t": np.array(TRUE) * unit}
    code, out, _ = run(verb, parquet(**columns), *COLUMNS, *words)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert not re.search(r"-0(\.0+)?[\s\],]", out)


def test_selected_fields_keep_their_text(run: Run) -> None:
    head = 'g,p,id,id,"odd, name",empty,quoted\r\n'
    lines = [f'{g},{p:08.3f},0{at},1e5,"a ""b""\r\n{at}",,""\r\n' for at, (g, p, _) in enumerate(ROWS)]
    write("t.csv", head + "".join(lines))
    code, out, _ = run("select", "t.csv", "--proxy", "p", "--group", "g", "--q", 0.25)
    chosen = select(PROXY, GROUPS, q=0.25)
    assert code == 0
    assert out == head + "".join(lines[place] for place in chosen)


def test_nothing_is_replaced_unasked(run: Run) -> None:
    path = write("t.csv", CSV)
    words = ("select", path, "--proxy", "p", "--q", 0.25, "--out")
    assert "is the table itself" in run(*words, path, "--force")[2]
    Path("folder").mkdir()
    assert "is a folder" in run(*words, "folder", "--force")[2]
    assert run(*words, "out.csv")[0] == 0
    Path("out.csv").unlink()
    assert "out.csv.provenance.json exists" in run(*words, "out.csv")[2]
    assert "is a file; --out takes a folder" in run("curve", path, *COLUMNS, "--out", path)[2]


def test_selected_rows_keep_the_format_that_the_name_promises(run: Run) -> None:
    path = write("t.csv", CSV)
    words = ("--proxy", "p", "--group", "g", "--q", 0.25)
    for out, message in (
        ("out.jsonl", "rows keep the format of t.csv, CSV, and out.jsonl is named as JSONL"),
        ("out.tsv", "named as TSV"),
        ("out.csv.gz", "rows are written uncompressed"),
    ):
        code, _, error = run("select", path, *words, "--out", out)
        assert code == 2
        assert message in error
    pl.read_csv(path).write_ipc("t.arrow")
    assert run("select", "t.arrow", *words, "--out", "out.arrow")[0] == 0
    assert run("select", path, *words, "--out", "out.txt")[0] == 0
    assert pl.read_ipc("out.arrow").equals(pl.read_csv("out.txt"))


def test_impossible_requests_of_a_report_and_of_its_folder_are_refused(run: Run) -> None:
    path = write("t.csv", CSV)
    for words, message in (
        (("--out", "page", "--n", 99), "99 draws need 99 samples"),
        (("--out", "page", "--tolerance", "nan"), "it is finite and not negative"),
        (("--out", "page", "--tolerance", "-1"), "it is finite and not negative"),
        (("--out", "t.csv/page"), "t.csv is a file; --out takes a folder"),
    ):
        code, out, error = run("report", path, *COLUMNS, *words)
        assert (code, out) == (2, "")
        assert message in error


def test_names_that_are_no_files_are_refused(run: Run) -> None:
    Path("link.csv").symlink_to("nowhere.csv")
    assert "is a link to a file that does not exist" in run("curve", "link.csv", *COLUMNS)[2]
    assert "a file's name is empty" in run("curve", "", *COLUMNS)[2]


def test_long_names_of_groups_are_cut_in_messages(run: Run) -> None:
    long = ["x" * 500 + one for one in GROUPS]
    assert len(run("curve", parquet(g=long, p=PROXY, t=TRUE), *COLUMNS, "--strengths", 9)[2]) < 400
    assert len(run("curve", parquet(g=[*long[:-1], "y" * 500], p=PROXY, t=TRUE), *COLUMNS)[2]) < 300


def test_a_reader_that_stops_early_is_no_error() -> None:
    write("t.csv", CSV)
    words = [sys.executable, str(ROOT / "quantilizer.py"), "scores", "select", "t.csv", "--proxy", "p", "--q", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_masked_and_missing_values_of_arrays_are_missing() -> None:
    mask = np.arange(240) % 3 == 0
    expected = curve(PROXY, np.where(mask, np.nan, TRUE), GROUPS)
    for true in (np.ma.masked_array(TRUE, mask), [None if one else t for one, t in zip(mask, TRUE, strict=True)],
                 pl.Series([None if one else t for one, t in zip(mask, TRUE, strict=True)])):  # fmt: skip
        found = curve(pl.Series(PROXY), true, pl.Series(GROUPS))
        assert found.as_numbers() == expected.as_numbers()
    with pytest.raises(UserError, match="proxy scores are NaN"):
        curve(np.ma.masked_array(PROXY, mask))
    for group in (np.ma.masked_array(np.arange(240), mask), [None, *GROUPS[1:]], [float("nan"), *range(239)]):
        with pytest.raises(UserError, match="has no group"):
            curve(PROXY, TRUE, group)


def of_pandas(values: list[Any]) -> Any:
    series = pytest.importorskip("pandas").Series(values)
    return series.convert_dtypes().sample(frac=1, random_state=0).sort_index()  # nullable types


COLUMNS_OF: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "object array": lambda values: np.array(values, dtype=object),
    "float32": lambda values: np.array(values, dtype=np.float32 if isinstance(values[0], float) else None),
    "memoryview": lambda values: memoryview(array("d" if isinstance(values[0], float) else "q", values)),
    "pandas": of_pandas,
    "pandas category": lambda values: of_pandas(values).astype(
        "category" if isinstance(values[0], str) else type(values[0])
    ),
    "pandas pyarrow": lambda values: pytest.importorskip("pyarrow") and of_pandas(values).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.Series,
    "polars category": lambda values: pl.Series(values, dtype=pl.Categorical if isinstance(values[0], str) else None),
    "pyarrow": lambda values: pytest.importorskip("pyarrow").array(values),
    "pyarrow chunks": lambda values: pytest.importorskip("pyarrow").chunked_array([values[:100], values[100:]]),
    "pyarrow dictionary": lambda values: pytest.importorskip("pyarrow").array(values).dictionary_encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS_OF)
@pytest.mark.parametrize("groups", [GROUPS, [int(one[1:]) for one in GROUPS]], ids=["text", "numbers"])
def test_columns_of_other_libraries_are_taken_as_they_are(kind: str, groups: list[Any]) -> None:
    if "memoryview" in kind and isinstance(groups[0], str):
        pytest.skip("a memoryview holds numbers")
    proxy, true = (np.array(column, dtype=np.float32).astype(float).tolist() for column in (PROXY, TRUE))
    of = COLUMNS_OF[kind]
    columns = of(proxy), of(true), of(groups)
    assert curve(*columns).as_numbers() == curve(proxy, true, groups).as_numbers()
    assert choose(*columns, n=4).as_numbers() == choose(proxy, true, groups, n=4).as_numbers()
    assert select(columns[0], columns[2], q=0.3).tolist() == select(proxy, groups, q=0.3).tolist()


@pytest.mark.parametrize("kind", [one for one in COLUMNS_OF if one.startswith(("pandas", "polars", "pyarrow"))])
def test_missing_values_of_other_libraries_are_unknown_truth_and_no_proxy_and_no_group(kind: str) -> None:
    of = COLUMNS_OF[kind]
    gaps = [None if place % 3 == 0 else t for place, t in enumerate(TRUE)]
    try:
        true = of([0.5, *gaps])[1:]
        group = of(["g", *GROUPS[:-1], None])[1:]
        numbers = of([1, *range(239), None])[1:]
    except (TypeError, ValueError):
        pytest.skip("it has no missing values")
    unknown = np.where(np.arange(240) % 3 == 0, np.nan, TRUE)
    assert curve(PROXY, true, GROUPS).as_numbers() == curve(PROXY, unknown, GROUPS).as_numbers()
    with pytest.raises(UserError, match="proxy scores are NaN"):
        curve(true, TRUE, GROUPS)
    for missing in (group, numbers):
        with pytest.raises(UserError, match="has no group"):
            curve(PROXY, TRUE, missing)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, "1"], "several types, such as 1, '1'"),
        ([True, 1], "several types"),
        ([b"a", "a"], "several types"),
        (np.array([1, "a"], dtype=object), "several types"),
        (["\u00e9", "e\u0301"], r"groups 'e\\u0301' and '\\xe9' differ in spelling only"),
        (["a", "a "], "groups 'a' and 'a ' differ in spelling only"),
        (["1", "1.0"], "differ in spelling only"),
        ([[1], [2, 3]], "of type list"),
        ([("a", 1), ("b", 2)], "of type tuple"),
        (["a", "a\0"], r"'a\\x00' has a null character"),
        ([b"a", b"a\0"], "groups are bytes"),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), "has no group"),
        (np.zeros((2, 2)), r"the groups have shape \(2, 2\), not \(240,\)"),
    ],
)
def test_groups_that_could_be_one_or_two_are_refused(groups: Any, message: str) -> None:
    of_rows = groups if isinstance(groups, np.ndarray) and groups.ndim > 1 else [
        groups[place // 8 % 2] for place in range(240)
    ]  # fmt: skip
    of_rows = np.array(of_rows, dtype=groups.dtype) if isinstance(groups, np.ndarray) else of_rows
    with pytest.raises(UserError, match=message):
        curve(PROXY, TRUE, of_rows)


def test_null_characters_of_other_libraries_are_refused() -> None:
    with pytest.raises(UserError, match="has a null character"):
        curve(PROXY, TRUE, pl.Series(["a", "a\0"] * 120))


@pytest.mark.parametrize("pair", [("a", "A"), ("1", "01"), ("1.5", "1.50"), ("e1.0", "e1")])
def test_groups_whose_names_differ_are_two(pair: tuple[str, str]) -> None:
    groups = [pair[place // 8 % 2] for place in range(240)]
    assert curve(PROXY, TRUE, groups).table.groups == 2


@pytest.mark.parametrize(
    "column",
    [
        [2**53 + one for one in range(4)],
        np.array([2**63 + 1, 5], np.uint64),
        [10**400, 1],
        (2**53 + 1, 2.5),
        [Decimal(2**53 + 1), 1],
        ["9007199254740993.0", "1"],
        np.array([2**53 + 1, 0.5], dtype=object),
        pl.Series([Decimal("9007199254740993.0"), Decimal("1.5")]),
        np.array([2**53, 5], np.longdouble) + 1,
        np.ma.masked_array([2**53 + 1, 2, 3], [False, True, False]),
    ],
)
def test_whole_numbers_that_floats_cannot_tell_apart_are_refused(column: Any) -> None:
    with pytest.raises(UserError, match=r"digits|numbers"):
        curve(column)
    assert curve([2**53, 2**54, 3.5]).table.number == 3
    assert curve([1.2345678901234567e20, 1]).table.number == 2


@pytest.mark.parametrize(
    "groups", [[2**53 + 1, 2**53, 0.5], [str(2**53 + 1), str(2**53), "0.5"], [2**63, -1, 2**63 + 1]]
)
def test_groups_are_told_apart_by_all_digits(groups: list[Any]) -> None:
    assert curve(PROXY, TRUE, groups * 80).table.groups == 3
    assert len(select(PROXY, groups * 80, n=2)) == 3


def test_decimals_of_groups_have_one_name_in_files_of_any_type(run: Run) -> None:
    Path("parts").mkdir()
    pl.DataFrame({"g": [1.0, 1.0, 0.5, 0.5], "p": PROXY[:4]}).write_parquet("parts/1.parquet")
    pl.DataFrame({"g": [1, 1, 2, 2], "p": PROXY[:4]}).write_parquet("parts/2.parquet")
    code, out, _ = run("curve", "parts", "--proxy", "p", "--group", "g")
    assert code == 0
    assert out.startswith("8 samples in 3 groups of 2 to 4.")


def test_written_digits_are_kept_or_refused() -> None:
    """17 digits tell floating-point numbers apart; whatever writes one of these is read."""
    for number in (2.0**53, 1.2345678901234567e20, -1e23, 2.0**70, 4e300):
        for written in (repr(number), f"{number:.16e}", f"{number:.18e}", f"{number:.0f}", f"{number:f}"):
            assert not table_files.loses_digits(written)
    for written in (
        "9007199254740993",
        "-9007199254740993.0",
        "9007199254740992.5",
        "123456789012345678",
        "1.00000000000000001e17",
    ):
        assert table_files.loses_digits(written)


def test_lists_and_single_samples_are_read_apart(run: Run) -> None:
    Path("parts").mkdir()
    write("parts/1.jsonl", '{"g": "a", "p": [1, 2, 3]}\n{"g": "b", "p": [1, 2, 3]}\n')
    write("parts/2.csv", "g,p\nc,1\nc,2\n")
    code, _, error = run("curve", "parts", "--proxy", "p")
    assert code == 2
    assert "parts/1.jsonl holds lists, a group in each row, and parts/2.csv one sample a row" in error
    code, out, _ = run("curve", "parts", "--proxy", "p", "--group", "g")
    assert code == 0
    assert out.startswith("8 samples in 3 groups of 2 to 3.")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"e.csv": "g,p,t\n"}, ()),
        ({"e.csv": "g,p,t\nx,,1\nx,nan,1\n"}, ("--drop",)),
        ({"e.csv": "g,p,t\nx,1,inf\nx,2,1\nx,3,1\nx,4,1\ny,2,-inf\n"}, ("--drop",)),
        ({"e.csv": "g,p,t\ng00,1,inf\ng00,2,1\n", "f.csv": "g,p,t\n"}, ("--drop",)),
    ],
    ids=["header only", "all missing", "infinite truth in the smallest group", "shared group"],
)
def test_files_are_one_table_in_parts_too(run: Run, more: dict[str, str], words: tuple[str, ...]) -> None:
    Path("parts").mkdir()
    for at, part in enumerate((ROWS[:80], ROWS[80:])):
        write(f"parts/{at}.csv", "g,p,t\n" + "".join(f"{g},{p},{t}\n" for g, p, t in part))
    for name, content in more.items():
        write(f"parts/{name}", content)
    expected = run("curve", "parts", *COLUMNS, *words)
    assert expected[0] == 0
    assert run("curve", "parts", *COLUMNS, *words, "--workers", 1) == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: select(PROXY, n=2.0), lambda: select(PROXY, n=2.5), lambda: select(PROXY, n=3, k=1.5),
        lambda: select(PROXY, n=True), lambda: select(PROXY, q="0.5"), lambda: select(PROXY, n=2, seed=-1),
        lambda: choose(PROXY, TRUE, GROUPS, n=4.0), lambda: choose(PROXY, TRUE, GROUPS, n="4"),
        lambda: choose(PROXY, TRUE, GROUPS, n=True), lambda: choose(PROXY, TRUE, GROUPS, tolerance="1"),
        lambda: choose(PROXY, TRUE, GROUPS, seed=1.5), lambda: curve(PROXY, strengths=0.5),
        lambda: curve(PROXY, strengths="a"), lambda: curve(PROXY, strengths=["a"]),
        lambda: curve(PROXY, rule="top_k_of_n", k="2"), lambda: curve(PROXY, seed=-1),
        lambda: curve(PROXY, rule="soft_best_of_n", temperature="1"), lambda: curve(PROXY, strengths=[True]),
        lambda: quantilize_scores(PROXY, n=2.0), lambda: quantilize_scores(PROXY, n=2, k=True),
        lambda: quantilize_scores(PROXY, rng=-1), lambda: quantilize(lambda: 1, float, n=2.5),
        lambda: RULES["best_of_n"].at("2"), lambda: select(PROXY, GROUPS, q=0.5, random="no"),
        lambda: select(PROXY, q=0.5, random=1), lambda: curve(PROXY, TRUE, GROUPS, pooled="no"),
        lambda: curve(PROXY, pooled=None), lambda: curve(PROXY, strengths=[]), lambda: curve(PROXY, strengths=b"12"),
        lambda: curve(PROXY, strengths={2: 1}), lambda: curve(PROXY, rule=""), lambda: curve(PROXY, rule=0),
        lambda: curve(PROXY, strengths=[10**400]), lambda: curve(PROXY, rule="best_of_n", strengths=[10**5000]),
        lambda: curve(PROXY, strengths=[1e-320]), lambda: curve(PROXY, GROUPS, q=10**400),
        lambda: curve(PROXY, TRUE, GROUPS, k=10**5000), lambda: select(PROXY, GROUPS, q=10**5000),
        lambda: select(PROXY, n=10**5000), lambda: choose(PROXY, TRUE, GROUPS, n=10**5000),
        lambda: choose(PROXY, TRUE, GROUPS, tolerance=10**400), lambda: quantilize_scores(PROXY, q=10**5000),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused_in_a_line(call: Callable[[], Any]) -> None:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_extreme_strengths_are_refused_or_have_a_curve(run: Run) -> None:
    write("t.csv", CSV)
    for words, expected in (
        (("--rule", "best_of_poisson", "--strengths", "1e308"), 2),
        (("--rule", "best_of_n", "--strengths", "1e308"), 2),
        (("--rule", "soft_best_of_n", "--strengths", "8", "--temperature", "1e-320"), 0),
        (("--rule", "soft_best_of_n", "--strengths", "8", "--temperature", "1e308"), 0),
        (("--rule", "exponential", "--strengths", "1e-320"), 0), (("--rule", "trimmed", "--cut", "1e-320"), 0),
        (("--rule", "trimmed", "--cut", "0.9999999999999999"), 2),
    ):  # fmt: skip
        assert run("curve", "t.csv", *COLUMNS, *words)[0] == expected, words


def test_k_alone_is_top_k_of_n() -> None:
    found = curve(PROXY, TRUE, GROUPS, k=2)
    assert found.strengths[-1].label == "top 2 of 8"
    assert found.true == curve(PROXY, TRUE, GROUPS, rule="top_k_of_n", k=2).true


@pytest.mark.parametrize("rule", ["quantile", "trimmed"])
def test_a_group_of_fewer_rows_than_a_quantile_needs_is_refused_by_all_verbs(run: Run, rule: str) -> None:
    write("t.csv", CSV)
    for q, number in ((0.1, "10"), (1e-320, "1.00e+320")):
        code, _, error = run("curve", "t.csv", *COLUMNS, "--rule", rule, "--strengths", q)
        assert code == 2
        told = error.partition("needs")[2].replace("samples", "rows")
        assert told.startswith(f" {number} rows in each group, and groups g00, g01, g02 and 27 more have fewer")
        assert "the smallest has 8: select less hard, or leave such groups out" in told
        for random in ((), ("--random",)):
            code, out, error = run("select", "t.csv", "--proxy", "p", "--group", "g", "--q", q, *random)
            assert (code, out) == (2, "")
            assert error.partition("needs")[2] == told
    assert len(select(PROXY, GROUPS, q=0.125)) == 30


def test_fractions_are_quantiles() -> None:
    assert len(select(PROXY, q=Fraction(1, 3))) == 80
    for fraction in (Fraction(29, 100), Fraction(1, 4), 1):
        assert select(PROXY, q=fraction).tolist() == select(PROXY, q=float(fraction)).tolist()
        assert curve(PROXY, strengths=[fraction]).strengths == curve(PROXY, strengths=[float(fraction)]).strengths
        assert quantilize_scores(PROXY, q=fraction, rng=0) == quantilize_scores(PROXY, q=float(fraction), rng=0)


def test_one_group_is_named(run: Run) -> None:
    path = write("t.csv", "g,p\n" + "".join(f"a,{p}\n" for p in PROXY))
    assert run("curve", path, "--proxy", "p", "--group", "g")[1].startswith("240 samples of one decision problem, a.\n")
    assert "name their column with --group" in run("curve", path, "--proxy", "p")[1].replace("\n", " ")


@pytest.mark.parametrize(
    "column", [[[1.0], [2.0]], ["a", "b"], np.array(["2020", "2021"], "M8[Y]"), np.array([1j, 2j]), 3.0]
)
def test_arrays_that_are_no_column_of_numbers_are_refused(column: Any) -> None:
    with pytest.raises(UserError):
        curve(column)
