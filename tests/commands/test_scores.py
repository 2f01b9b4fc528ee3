from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizer import main
from quantilizers import curve
from quantilizers.scores import choice, parts
from quantilizers.scores.comparison import ProxyComparison

pl = pytest.importorskip("polars", reason="tables of scores need polars: pip install -r requirements-scores.txt")

ROOT = Path(__file__).resolve().parent.parent.parent
SIMULATED = ROOT / "examples" / "scores" / "simulated_reward_model.csv"
COLUMNS = ("--proxy", "proxy", "--true", "true", "--group", "prompt")
PAGE = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ python quantilizer.py (.*)\n((?:.*\n)*?)```", PAGE)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """30 groups of 8, with proxies that tie and a binary truth."""
    rng = np.random.default_rng(0)
    proxy = rng.integers(0, 5, size=240)
    path = tmp_path / "table.jsonl"
    rows = [
        {
            "prompt": f"p{row // 8}",
            "proxy": int(proxy[row]),
            "true": bool(rng.random() < 0.2 + 0.15 * proxy[row]),
            "text": "…",
        }
        for row in range(240)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["scores", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def tables_of(out: str) -> list[list[dict[str, str]]]:
    """Return the rows of each printed table, by the names of its columns."""
    tables = []
    for block in out.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[0] == "|"]
        if lines:
            tables.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return tables


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[command.split()[1] for command, _ in EXAMPLES])
def test_the_page_shows_what_its_commands_print(
    command: str, output: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    if "report" in command:
        monkeypatch.setattr(choice, "RESAMPLES", 5)  # it prints names of files alone
    if "|" in command:
        program = shlex.join([sys.executable, str(ROOT / "quantilizer.py")])
        subprocess.run(f"{program} {command}", shell=True, check=True)
    else:
        assert main(shlex.split(command)) == int("Gate failed" in output)
    assert capfd.readouterr().out == output


def test_the_page_shows_all_verbs_and_its_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert [command.split()[1] for command, _ in EXAMPLES[:3]] == ["curve", "choose", "select"]
    for shown in ("report", "--pooled", "--gate", "--cost", "--same_unit", "--proxy other_proxy"):
        assert any(shown in command for command, _ in EXAMPLES), shown
    cars = [output for command, output in EXAMPLES if "mountain_car" in command and "curve" in command][:2]
    pooled, within = (float(tables_of(output)[0][-1]["true [95 %]"].split()[0]) for output in cars)
    assert f"promises a true return of −{-pooled:.0f}, and selection within starts earns −{-within:.0f}" in PAGE
    (share,) = (output for command, output in EXAMPLES if "awk" in command)
    assert f"{100 * float(share):.0f} % begin at" in PAGE
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    sentence, chosen, selected = capsys.readouterr().out.splitlines()
    assert sentence.startswith("the true score turns at best of")
    assert chosen.startswith("top ")
    assert selected == "1200"


def test_every_line_fits_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(choice, "RESAMPLES", 5)
    for words in (("curve",), ("choose", "--n", "32"), ("curve", "--rule", "soft_best_of_n"), ("curve", "--pooled")):
        _, out, _ = run(capsys, words[0], SIMULATED, *COLUMNS, *words[1:])
        assert max(map(len, out.splitlines())) <= 80


def test_formats_give_the_same_curve(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(capsys, "curve", table, *COLUMNS)
    assert expected[0] == 0
    frame = pl.read_ndjson(table)
    frame.write_csv(table.with_suffix(".csv"))
    frame.write_csv(table.with_suffix(".tsv"), separator="\t")
    frame.write_parquet(table.with_suffix(".parquet"))
    wide = frame.group_by("prompt", maintain_order=True).agg("proxy", "true")
    wide.write_ndjson(table.with_name("wide.ndjson"))
    for name in ("table.csv", "table.tsv", "table.parquet", "wide.ndjson"):
        assert run(capsys, "curve", table.with_name(name), *COLUMNS) == expected, name
    assert run(capsys, "curve", table.with_name("wide.ndjson"), *COLUMNS[:4])[1] == expected[1]
    folder = table.with_name("parts")
    folder.mkdir()
    frame[:80].write_csv(folder / "1.csv")
    frame[80:].write_parquet(folder / "2.parquet")
    assert run(capsys, "curve", folder, *COLUMNS) == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table.read_bytes())))
    assert run(capsys, "curve", "-", *COLUMNS) == expected


def test_selected_lines_keep_their_bytes_and_note_how(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.with_name("selected.jsonl")
    code, said, _ = run(capsys, "select", table, "--proxy", "proxy", "--group", "prompt", "--q", 0.25, "--out", out)
    assert code == 0
    assert said.startswith("60 rows of 240 written to")
    lines = table.read_bytes().splitlines()
    selected = out.read_bytes().splitlines()
    assert set(selected) <= set(lines)
    for prompt in range(30):
        scores = sorted((json.loads(line)["proxy"] for line in lines[8 * prompt : 8 * prompt + 8]), reverse=True)
        kept = [json.loads(line)["proxy"] for line in selected if json.loads(line)["prompt"] == f"p{prompt}"]
        assert sorted(kept, reverse=True) == scores[:2]
    note = json.loads(out.with_name("selected.jsonl.provenance.json").read_text(encoding="utf-8"))
    assert note["rows_selected"] == 60
    assert note["mean_proxy_selected"] > note["mean_proxy"]
    assert note["flags"]["q"] == 0.25
    code, _, error = run(capsys, "select", table, "--proxy", "proxy", "--q", 0.25, "--out", out)
    assert code == 2
    assert "exists; replace it with --force" in error


def test_selected_rows_keep_carriage_returns_escapes_and_spaces(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = [b'{"proxy": 1, "text": "\\u00e9"}\r', b"", b'{"text":"\xc3\xa9","proxy":2.0}\r', b'{ "proxy" : 3 }']
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(b"\n".join(lines))  # and no new line at the end
    assert main(["scores", "select", str(path), "--proxy", "proxy", "--q", "0.7"]) == 0
    assert capsysbinary.readouterr().out == lines[2] + b"\n" + lines[3] + b"\n"
    assert main(["scores", "select", str(path), "--proxy", "proxy", "--q", "1"]) == 0
    assert capsysbinary.readouterr().out == b"\n".join([lines[0], *lines[2:]]) + b"\n"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "arrow"])
def test_rows_of_several_files_are_selected_as_of_one(
    suffix: str, table: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Groups lie in several files, among them one of which no row is selected."""
    write = {
        "csv": pl.DataFrame.write_csv, "tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
        "jsonl": pl.DataFrame.write_ndjson, "parquet": pl.DataFrame.write_parquet, "arrow": pl.DataFrame.write_ipc,
    }[suffix]  # fmt: skip
    frame = pl.read_ndjson(table)
    folder = table.with_name("parts")
    folder.mkdir()
    write(frame, table.with_name(f"whole.{suffix}"))
    lowest = int(frame["proxy"][:8].arg_min())  # type: ignore[arg-type]
    order = [lowest, *(row for row in range(240) if row != lowest)]
    for name, rows in (("0", order[:1]), ("1", order[1:85]), ("2", order[85:])):
        write(frame[rows], folder / f"{name}.{suffix}")
    words = ["--proxy", "proxy", "--group", "prompt", "--q", "0.25"]

    def selected(*files: Path) -> list[dict[str, Any]]:
        assert main(["scores", "select", *map(str, files), *words]) == 0
        content = capfdbinary.readouterr().out
        read = {
            "csv": pl.read_csv, "tsv": lambda source: pl.read_csv(source, separator="\t"), "jsonl": pl.read_ndjson,
            "parquet": pl.read_parquet, "arrow": pl.read_ipc,
        }[suffix]  # fmt: skip
        return read(io.BytesIO(content)).to_dicts()

    found, expected = selected(folder), selected(table.with_name(f"whole.{suffix}"))
    assert selected(*sorted(folder.iterdir())) == found
    assert len(found) == len(expected) == 60
    pairs = [sorted((row["prompt"], row["proxy"]) for row in rows) for rows in (found, expected)]
    assert pairs[0] == pairs[1]


def test_rows_of_standard_input_are_selected(
    table: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--proxy", "proxy", "--group", "prompt", "--n", "4"]
    assert main(["scores", "select", str(table), *words]) == 0
    expected = capsysbinary.readouterr().out
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table.read_bytes())))
        assert main(["scores", "select", "-", *words]) == 0
        assert capsysbinary.readouterr().out == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"prompt,proxy\np0,1\np0,2\n")))
    assert main(["scores", "select", "-", *words[:4], "--n", "2"]) == 0
    assert capsysbinary.readouterr().out == b"prompt,proxy\np0,2\n"


def test_rows_that_are_no_table_together_and_files_that_would_be_lost_are_refused(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = table.parent
    for name, content in (
        ("a.csv", "proxy,prompt\n1,a\n2,a\n"), ("b.csv", "prompt,proxy\na,1\na,2\n"),
        ("c.jsonl.provenance.json", '{"prompt": "a", "proxy": 1}\n'), ("d.jsonl", '{"proxy": [1, 2]}\n'),
    ):  # fmt: skip
        (folder / name).write_text(content, encoding="utf-8")
    pl.DataFrame({"proxy": [1]}).write_parquet(folder / "e.parquet")
    pl.DataFrame({"proxy": [1.5]}).write_parquet(folder / "f.parquet")
    there = {path: path.read_bytes() for path in folder.iterdir()}
    for words, message in (
        (("a.csv", "b.csv"), "b.csv has another header than"),
        (("a.csv", "table.jsonl"), "is CSV"),
        (("e.parquet", "f.parquet"), "have different columns or types"),
        (("d.jsonl",), "d.jsonl holds lists, and rows are selected whole; write one sample a row"),
        (("c.jsonl.provenance.json", "--out", "c.jsonl", "--force"), "c.jsonl.provenance.json is the table itself"),
        (("a.csv", "--out", "a.csv", "--force"), "a.csv is the table itself"),
        ((".", "--out", "g.csv"), "is in the folder that is read"),
    ):
        paths = [word if word.startswith("--") else folder / word for word in words]
        code, out, error = run(capsys, "select", *paths, "--proxy", "proxy", "--q", 1)
        assert (code, out) == (2, "")
        assert message in error
        assert len(error.splitlines()) == 1
        assert {path: path.read_bytes() for path in folder.iterdir()} == there


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "select takes either --q, or --n and --k"),
        (("--q", 0.5, "--n", 2), "select takes either --q, or --n and --k"),
        (("--q", 2), "quantile 2 is impossible"),
        (("--n", 2, "--k", 3), "the best 3 of 2 rows are impossible"),
        (("--q", 0.5, "--k", 2), "--k belongs to --n"),
        (("--true", "true"), "--true belongs to curve, choose, report; select does not take it"),
        (("--gate",), "--gate belongs to choose; select does not take it"),
        (("--q", 0.5, "--q=0.2"), "--q is given 2 times, and select takes one"),
    ],
)
def test_impossible_selections_are_refused(
    words: tuple[object, ...], message: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(capsys, "select", table, "--proxy", "proxy", "--group", "prompt", *words)
    assert (code, out) == (2, "")
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_unreadable_tables_are_refused_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content, message in (
        ("cut.parquet", b"PAR1\x00\x00", "cannot be read as PARQUET"),
        ("wide.jsonl", b'{"proxy": [1, 2], "true": [1]}\n', "row 1: the lists proxy, true differ in length"),
        ("words.jsonl", b'{"proxy": 1, "true": 1}\n{"proxy": "high", "true": 2}\n', "row 2, column 'proxy': 'high'"),
        ("array.jsonl", b"[1, 2]\n", "is a JSON array; JSONL has one object a line"),
    ):
        (tmp_path / name).write_bytes(content)
        code, out, error = run(capsys, "curve", tmp_path / name, "--proxy", "proxy", "--true", "true")
        assert (code, out) == (2, ""), name
        assert message in error
        assert len(error.strip().splitlines()) == 1
    (tmp_path / "empty").mkdir()
    assert "has no table" in run(capsys, "curve", tmp_path / "empty", "--proxy", "proxy")[2]


def test_a_constant_proxy_says_that_selection_is_random(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "constant.csv"
    path.write_text("proxy,true\n" + "5,0\n5,1\n" * 100, encoding="utf-8")
    code, out, _ = run(capsys, "curve", path, *COLUMNS[:4])
    assert code == 0
    assert "The proxy is constant: all samples tie, and selection is random." in out.replace("\n", " ")
    assert {row["true [95 %]"].split()[0] for row in tables_of(out)[0]} == {"0.500"}


def test_dropped_rows_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("proxy,true\nnan,1\ninf,1\n,1\n1,inf\n" + "2,1\n3,0\n" * 40, encoding="utf-8")
    code, out, _ = run(capsys, "curve", path, *COLUMNS[:4], "--drop")
    assert code == 0
    assert out.startswith("80 samples")
    assert "4 rows left out by --drop" in out.replace("\n", " ")


def test_the_matched_control_is_as_large_and_does_not_look_at_scores(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes, means = [], []
    for more in ((), ("--random",)):
        out = table.with_name(f"selected{len(more)}.jsonl")
        assert (
            run(
                capsys,
                "select",
                table,
                "--proxy",
                "proxy",
                "--group",
                "prompt",
                "--n",
                8,
                "--k",
                2,
                "--out",
                out,
                *more,
            )[0]
            == 0
        )
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        sizes.append(len(rows))
        means.append(np.mean([row["proxy"] for row in rows]))
    assert sizes == [60, 60]
    assert means[0] - means[1] > 0.8


def test_files_are_written_only_when_asked_and_never_replaced(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.with_name("out")
    assert run(capsys, "curve", table, *COLUMNS)[0] == 0
    assert sorted(path.name for path in table.parent.iterdir()) == ["table.jsonl"]
    assert run(capsys, "curve", table, *COLUMNS, "--out", out)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["curve.csv", "curve.json", "curve.png"]
    numbers = json.loads((out / "curve.json").read_text(encoding="utf-8"))["numbers"]
    rows = list(csv.DictReader((out / "curve.csv").open(encoding="utf-8")))
    assert [float(row["true"]) for row in rows] == [point["true"][0] for point in numbers["points"]]
    code, _, error = run(capsys, "curve", table, *COLUMNS, "--out", out)
    assert code == 2
    assert "replace with --force" in error
    assert run(capsys, "report", table, *COLUMNS, "--out", table.with_name("page"))[0] == 0
    assert "Choose " in (table.with_name("page") / "report.html").read_text(encoding="utf-8")


def test_a_choice_is_of_the_table_that_a_curve_is_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first of 40 groups has no label, half of the rows of the others have one, and two rows have no proxy."""
    rng = np.random.default_rng(0)
    proxy, group = rng.normal(size=320), np.repeat(np.arange(40), 8)
    true = np.where((rng.random(320) < 0.5) & (group > 0), proxy, np.nan)
    proxy[-2:] = np.nan
    path = tmp_path / "partial.csv"
    frame = pl.DataFrame({"prompt": group, "proxy": proxy, "true": true})
    frame.with_columns(pl.col("true").fill_nan(None)).write_csv(path)
    told = {verb: run(capsys, verb, path, *COLUMNS, "--drop")[1] for verb in ("curve", "choose")}
    heads = {verb: out.split("\n\n")[0].splitlines() for verb, out in told.items()}
    assert heads["choose"][: len(heads["curve"])] == heads["curve"]
    assert " ".join(heads["choose"]).startswith(
        "318 samples in 40 groups of 6 to 8. 2 rows left out by --drop. True scores"
    )
    assert "Chosen on four fifths of 39 groups with a true score" in " ".join(heads["choose"])
    bases = {verb: tables_of(out)[0] for verb, out in told.items()}
    assert bases["curve"][0]["true [95 %]"] == bases["choose"][1]["true [95 %]"]
    assert bases["choose"][1]["selection"] == "base"
    frame.with_columns(proxy=pl.lit(1.0), true=pl.lit(1.0)).write_csv(path)
    assert "The proxy is constant" in run(capsys, "choose", path, *COLUMNS)[1]


def test_a_report_without_truth_promises_none(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, shown in ((COLUMNS[:2], "Proxy score"), (COLUMNS, "True and proxy score")):
        out = table.with_name(f"page{len(words)}")
        assert run(capsys, "report", table, *words, "--out", out)[0] == 0
        page = (out / "report.html").read_text(encoding="utf-8")
        for caption in (f"{shown} as selection gets harder", f"{shown} against the KL divergence"):
            assert page.count(caption) >= 1
        assert ("True" in re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL)) == (shown != "Proxy score")
        record = json.loads((out / "curve.json").read_text(encoding="utf-8"))
        assert list(record["versions"]) == ["python", "quantilizers", "numpy", "scipy", "polars", "matplotlib"]
        assert "<td>polars</td>" in re.sub(r"\s*(</?td[^>]*>)\s*", r"\1", page)
        assert "torch" not in page


def test_a_curve_prints_as_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.read_csv(SIMULATED)
    found = curve(frame["proxy"], frame["true"], frame["prompt"])
    assert len(repr(found)) < 200
    assert "6,400 samples in 200 groups: the true score turns at best of 8" in repr(found)
    table = run(capsys, "curve", SIMULATED, *COLUMNS)[1].split("\n\n")[1]
    assert str(found).startswith(f"{table}\nthe true score turns at best of 8")


def test_the_gate_fails_where_selecting_costs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the simulated table best of 32 earns 0.04 less than the base, and best of 8 more."""
    monkeypatch.setattr(choice, "RESAMPLES", 5)
    assert run(capsys, "choose", SIMULATED, *COLUMNS, "--n", 32, "--gate")[0] == 1
    assert run(capsys, "choose", SIMULATED, *COLUMNS, "--n", 32, "--gate", "--tolerance", 0.1)[0] == 0
    assert run(capsys, "choose", SIMULATED, *COLUMNS, "--n", 8, "--gate")[0] == 0
    assert run(capsys, "choose", SIMULATED, *COLUMNS, "--n", 32)[0] == 0


def test_the_gate_s_line_has_the_interval_and_the_tolerance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    proxy, true = rng.normal(size=(2, 50, 16))
    path = tmp_path / "noise.csv"
    pl.DataFrame({"prompt": np.repeat(np.arange(50), 16), "proxy": proxy.ravel(), "true": true.ravel()}).write_csv(path)
    values = true.mean(axis=1) - true[np.arange(50), proxy.argmax(axis=1)]
    reach = 2.009575 * values.std(ddof=1) / np.sqrt(50)  # Student's t with 49 degrees of freedom
    cost = f"costs {values.mean():.3f} [{values.mean() - reach:.3f}, {values.mean() + reach:.3f}] of true score"
    for tolerance, verdict in ((0, int(values.mean() > 0)), (5, 0)):
        code, out, _ = run(capsys, "choose", path, *COLUMNS, "--gate", "--tolerance", tolerance)
        told = " ".join(out.split())
        assert code == verdict
        assert f"Gate {'failed' if verdict else 'passed'}: best of 16 {cost}, and the tolerance is {tolerance}" in told
        assert ("it may be chance" in told) == (tolerance == 0)


@pytest.mark.parametrize(("words", "expected"), [(("--gate",), 1), (("--gate", "--tolerance", "9"), 0), ((), 2)])
def test_the_gate_s_code_does_not_depend_on_a_reader(words: tuple[str, ...], expected: int, tmp_path: Path) -> None:
    """The true score is the proxy's negative."""
    path = tmp_path / "costs.csv"
    proxy = np.random.default_rng(0).normal(size=80)
    pl.DataFrame({"prompt": np.arange(80) // 4, "proxy": proxy, "true": -proxy}).write_csv(path)
    call = [sys.executable, str(ROOT / "quantilizer.py"), "scores", "choose", str(path), *COLUMNS]
    with subprocess.Popen([*call, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
    assert process.returncode == expected
    assert b"Traceback" not in error


def test_an_error_of_the_program_has_not_the_gate_s_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "hedge_tune", lambda *_: 1 / 0)
    code, _, error = run(capsys, "choose", SIMULATED, *COLUMNS, "--gate")
    assert code == 2
    assert "ZeroDivisionError" in error


@pytest.mark.parametrize(
    "words",
    [("curve", "--group", ""), ("choose", "--group="), ("select", "--q", 1, "--out", ""), ("curve", "--out=")],
)
def test_empty_values_are_refused(
    words: tuple[object, ...], table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    there = sorted(table.parent.iterdir())
    of_true = () if words[0] == "select" else COLUMNS[2:4]
    code, out, error = run(capsys, words[0], table, *COLUMNS[:2], *of_true, *words[1:])
    assert (code, out) == (2, "")
    assert "its value is empty" in error
    assert len(error.splitlines()) == 1
    assert sorted(table.parent.iterdir()) == there


def test_guarantees_are_printed_with_their_conditions_or_refused(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, "curve", table, *COLUMNS, "--same_unit")
    assert code == 2
    assert "no common unit" in error
    path = table.with_name("one_unit.csv")
    rng = np.random.default_rng(0)
    true = rng.normal(size=400)
    proxy = true + rng.exponential(size=400)
    pl.DataFrame({"proxy": proxy, "true": true, "cost": proxy - true}).write_csv(path)
    code, out, _ = run(capsys, "curve", path, *COLUMNS[:4], "--same_unit", "--cost", "cost")
    assert code == 0
    assert "The bounds hold with 97.5 % confidence if fresh samples" in out.replace("\n", " ")
    _, costs, promised = tables_of(out)
    assert [*costs[0]] == ["selection", "mean cost", "at most"]
    assert [*promised[0]] == ["selection", "proxy minus true", "at most", "true score at least"]
    assert len(costs) == len(promised) > 3
    assert all(float(row["mean cost"]) <= 1.001 * float(row["at most"]) for row in costs)
    assert [row["mean cost"] for row in costs] == [row["proxy minus true"] for row in promised]
    pl.DataFrame({"proxy": true, "true": proxy}).write_csv(path)
    code, _, error = run(capsys, "curve", path, *COLUMNS[:4], "--same_unit")
    assert code == 2
    assert "the true score exceeds the proxy in 400 of 400 rows" in error


def comparison(
    true: str, capsys: pytest.CaptureFixture[str], folder: Path, *words: object
) -> tuple[str, dict[str, Any]]:
    """Compare a proxy that is the true score and noise with another that is noise alone, in 60 groups of 8."""
    rng = np.random.default_rng(0)
    value, noise, other = rng.normal(size=(3, 480))
    frame = pl.DataFrame(
        {"prompt": np.repeat(np.arange(60), 8), "good": value + noise, "same": 2 * (value + noise) + 1, "noise": other,
         "value": value, "far": value + 3 * other, "mean": other}
    )  # fmt: skip
    frame.write_csv(folder / "proxies.csv")
    words = ("curve", folder / "proxies.csv", "--true", true, "--group", "prompt", "--out", folder / "out", *words)
    code, out, _ = run(capsys, *words)
    assert code == 0
    return " ".join(out.split()), json.loads((folder / "out" / "comparison.json").read_text(encoding="utf-8"))


def test_a_proxy_tolerates_the_most_pressure_only_where_intervals_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, numbers = comparison("value", capsys, tmp_path, "--proxy", "noise", "--proxy", "good", "--penalty", 30)
    assert numbers["largest_at_the_end"] == "good"
    assert "Proxy good tolerates the most pressure: at best of 8 its true score is" in told
    low, high = numbers["minus_the_first_at_the_end"]["good"][1:]
    assert 0 < low < high
    told, numbers = comparison("value", capsys, tmp_path, "--proxy", "good", "--proxy", "same", "--force")
    assert "Cannot tell which proxy tolerates the most pressure" in told
    assert {"same", "mean"} <= {*numbers["not_distinguished_from_it"], numbers["largest_at_the_end"]}
    assert numbers["minus_the_first_at_the_end"]["same"] == [0, 0, 0]
    for words in (("--pooled",), ("--rule", "quantile"), ("--rule", "exponential", "--pooled")):
        told, numbers = comparison("value", capsys, tmp_path, "--proxy", "good", "--proxy", "same", "--force", *words)
        if "exponential" not in words:
            assert numbers["minus_the_first_at_the_end"]["same"] == [0, 0, 0], words
    told, numbers = comparison("value", capsys, tmp_path, "--proxy", "good", "--proxy", "mean", "--force")
    assert [*numbers["curves"]][2:] == ["mean of all", "worst case of all", "mean - 1 var of all"]


def test_differences_of_proxies_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Groups differ much more than the proxies do."""
    rng = np.random.default_rng(1)
    level = np.repeat(rng.normal(size=60) * 20, 8)
    value, noise = rng.normal(size=(2, 480))
    proxies = {"good": value, "near": value + 0.2 * noise}
    for group, pooled in ((np.repeat(np.arange(60), 8), False), (None, False), (np.repeat(np.arange(60), 8), True)):
        curves = {name: curve(proxy, value + level, group, pooled=pooled) for name, proxy in proxies.items()}
        difference = ProxyComparison.of(curves).differences["near"]
        alone = curves["near"].true[-1]
        assert difference.estimate == pytest.approx(alone.estimate - curves["good"].true[-1].estimate)
        if group is not None and not pooled:
            assert difference.high - difference.low < (alone.high - alone.low) / 10


def test_flags_of_several_proxies_are_refused_beside_one(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (("--penalty", "nan"), "--penalty belongs to several proxies"),
        (("--penalty", "nan", "--proxy", "true2"), "no column 'true2'"),
        (("--cut", "0.1"), "--cut belongs to --rule trimmed"),
        (("--k", 2, "--rule", "quantile"), "--k belongs to --rule top_k_of_n, and the rule is quantile"),
    ):
        code, out, error = run(capsys, "curve", table, *COLUMNS, *words)
        assert (code, out) == (2, "")
        assert message in error
    frame = pl.read_ndjson(table).with_columns(other=pl.Series(np.arange(240)))
    frame.write_parquet(table.with_suffix(".parquet"))
    for penalty in ("nan", "inf", "-1"):
        code, out, error = run(
            capsys, "curve", table.with_suffix(".parquet"), *COLUMNS, "--proxy", "other", "--penalty", penalty
        )
        assert (code, out) == (2, "")
        assert "it is finite and not negative" in error


def test_nothing_is_printed_before_a_refusal(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--same_unit",), ("--cost", "text"), ("--cost", "true", "--same_unit")):
        code, out, error = run(capsys, "curve", table, *COLUMNS, *words)
        assert (code, out) == (2, "")
        assert len(error.splitlines()) == 1


def test_mistyped_words_are_named(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "curve", str(table)]) == 2
    assert "did you mean scores?" in capsys.readouterr().err
    for words in (("curve", table, "--prxy", "proxy"), ("choose", table, "--proxy", "proxy", "--truth", "true")):
        error = run(capsys, *words)[2]
        assert "unrecognized arguments: --" in error
        assert "did you mean --" in error


def test_several_proxies_are_compared(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    frame = pl.read_ndjson(table).with_columns(other=pl.Series(rng.normal(size=240)))
    frame.write_parquet(table.with_suffix(".parquet"))
    code, out, _ = run(capsys, "curve", table.with_suffix(".parquet"), *COLUMNS, "--proxy", "other")
    assert code == 0
    assert [row["proxy"] for row in tables_of(out)[0]] == ["proxy", "other", "mean", "worst case", "mean - 1 var"]


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("proxi,true\n1,2\n", (), "no column 'proxy'; did you mean proxi?"),
        ("proxy,true\n1,2\nhigh,3\n", (), "row 2, column 'proxy': 'high' is no number"),
        ("proxy,true\n1,2\nnan,3\n", (), "1 of 2 values of 'proxy' are missing, NaN or infinite, the first in row 2"),
        ("proxy,true\n1,2\ninf,3\n", (), "--drop"),
        ("", (), "is empty"),
        ("proxy,true\n", (), "there are no rows"),
        (
            "proxy,true,prompt\n1,1,a\n2,2,a\n3,3,b\n",
            ("--group", "prompt", "--strengths", 2),
            "2 draws need 2 samples in each group, and group b has fewer",
        ),
        (
            "proxy,true,prompt\n1,1,a\n2,2,a\n3,3,b\n",
            ("--group", "prompt"),
            "1 group of 2 has one sample, such as b; selection within a group needs two or more",
        ),
        (
            "proxy,true,prompt\n1,1,a\n2,2,b\n3,3,c\n",
            ("--group", "prompt", "--rule", "exponential"),
            "3 groups of 3 have one sample",
        ),
        ("proxy,true\n1,1\n2,2\n", ("--strengths", 2, "--k", 1.5), "k is 1.5; it is a whole number from 1 on"),
        ("proxy,true\n1,1\n2,2\n", ("--rule", "best_of_n", "--strengths", 10**9), "1,000,000,000 draws need"),
        ("proxy,true\n1,1\n2,2\n", ("--cost", "cost"), "has no column 'cost'"),
        (
            "proxy,true\n1,1\n2,2\n",
            ("--rule", "best_of"),
            "--rule is 'best_of'; did you mean best_of_n? it is one of",
        ),
        ("proxy,true\n1,1\n2,2\n", ("--k", 3), "3"),
        ("proxy,true\n1,1\n2,2\n", ("--seed", -1), "--seed is -1; it must not be negative"),
        ("proxy,proxy,true\n1,1,3\n2,2,3\n", (), "has several columns 'proxy'; rename all but one"),
        ("proxy;true\n1;1\n", (), "no column 'proxy'; its fields are separated by semicolons: save it with commas"),
        ("proxy\ttrue\n1\t1\n", (), "no column 'proxy'; its fields are separated by tabs: name the file .tsv"),
        (
            'proxy,true\n"[1, 2]","[1, 2]"\n"[3, 4]","[1, 2]"\n',
            (),
            "row 1, column 'proxy': '[1, 2]' is no number; CSV cannot hold lists, JSONL and Parquet can; 1 more row",
        ),
        ("proxy,true\n1e200,1\n2,2\n", (), "a score is beyond"),
        ("proxy,true,prompt\n1,1,a\n2,2,\n", ("--group", "prompt"), "1 row without 'prompt', the first in row 2; each"),
        ("proxy,true\n1,1\n", ("--proxy", "proxy"), "--proxy names 'proxy' twice"),
        ("proxy,true\n1,1\n", ("--true", "proxy"), "--true is given 2 times, and curve takes one"),
        ("proxy,true\n1,1\n", ("--n", 2), "--n belongs to choose, select, report; curve does not take it"),
        ("proxy,true\n1,1\n2,2\n", ("--rule", "quantile", "--strengths", 1.5), "quantile 1.5 is impossible"),
        (
            "proxy,true\n" + "".join(f"{i},{i if i > 50 else ''}\n" for i in range(100)),
            (),
            "the rows with the highest proxy alone",
        ),
    ],
)
def test_bad_tables_end_in_one_line(
    content: str, words: tuple[object, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8")
    code, out, error = run(capsys, "curve", path, "--proxy", "proxy", "--true", "true", *words)
    assert (code, out) == (2, "")
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["choose", "select", "report"])
def test_one_of_several_proxies_is_not_dropped(verb: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"choose": COLUMNS, "select": ("--proxy", "proxy", "--q", 1), "report": (*COLUMNS, "--out", table.parent)}
    code, out, error = run(capsys, verb, table, *words[verb], "--proxy", "text")
    assert (code, out) == (2, "")
    assert f"--proxy is given 2 times, and {verb} takes one: call it for each, or compare several by scores" in error
    assert len(error.splitlines()) == 1


def test_fields_of_standard_input_may_be_separated_by_tabs(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(capsys, "curve", table, *COLUMNS)
    content = pl.read_ndjson(table).write_csv(separator="\t").encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert run(capsys, "curve", "-", *COLUMNS) == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.replace(b"\t", b";"))))
    assert "standard input has no column 'proxy'; its fields" in run(capsys, "curve", "-", *COLUMNS)[2]


def test_a_table_that_is_too_small_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.csv"
    path.write_text("proxy,true\n1,1\n2,0\n", encoding="utf-8")
    assert "The table is too small to select from" in run(capsys, "curve", path, *COLUMNS[:4])[1]
    assert "is both --proxy and --true" in run(capsys, "curve", path, "--proxy", "proxy", "--true", "proxy")[2]
    assert "5 draws need 5 rows, and there are 2" in run(capsys, "select", path, "--proxy", "proxy", "--n", 5)[2]


def test_broken_json_and_missing_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"proxy": 1}\n{"proxy": \n', encoding="utf-8")
    assert "line 2 is not JSON" in run(capsys, "curve", path, "--proxy", "proxy")[2]
    assert "did you mean" in run(capsys, "curve", tmp_path / "bad.json", "--proxy", "proxy")[2]
    assert "did you mean curve?" in run(capsys, "curv", path)[2]


def test_a_table_without_truth_has_the_proxy_s_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "proxy.csv"
    path.write_text("proxy\n" + "\n".join(map(str, range(100))) + "\n", encoding="utf-8")
    code, out, _ = run(capsys, "curve", path, "--proxy", "proxy")
    assert code == 0
    assert "No true score is known" in out


def test_too_few_labels_say_how_many_would_do(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.read_ndjson(table)
    rows = pl.Series(np.random.default_rng(0).random(240) < 0.2)
    frame = frame.with_columns(pl.when(rows).then(frame["true"].cast(pl.Float64)).otherwise(None).alias("true"))
    frame.write_parquet(table.with_suffix(".parquet"))
    code, _, error = run(capsys, "choose", table.with_suffix(".parquet"), *COLUMNS)
    assert code == 2
    assert re.search(r"about [\d,]+ labelled rows, spread like these, would do", error)
    code, out, _ = run(capsys, "curve", table.with_suffix(".parquet"), *COLUMNS)
    assert code == 0
    assert f"True scores are known for {int(rows.sum())} of 240 rows" in out


@pytest.mark.parametrize("at_once", [2**30, 1], ids=["read at once", "file by file"])
def test_groups_in_several_files_are_joined_however_large_the_table_is(
    at_once: int, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "AT_ONCE", at_once)
    frame = pl.read_ndjson(table)
    folder = table.with_name("parts")
    folder.mkdir()
    for part, rows in enumerate(([*range(84)], [*range(84, 85)], [*range(85, 160)], [*range(160, 240)])):
        frame[rows].write_csv(folder / f"{part}.csv")  # the first three share a group
    expected = run(capsys, "curve", table, *COLUMNS)
    assert expected[0] == 0
    assert run(capsys, "curve", folder, *COLUMNS) == expected
    (folder / "2.csv").write_text("prompt,proxy,true\na,1,2\na,x,2\n", encoding="utf-8")
    (folder / "3.csv").write_bytes(b"prompt,proxy,true\na,1\n")
    code, out, error = run(capsys, "curve", folder, *COLUMNS)
    assert (code, out) == (2, "")
    assert "2.csv, row 2, column 'proxy': 'x' is no number" in error
    assert len(error.splitlines()) == 1


def test_too_many_rows_that_share_groups_are_refused(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "AT_ONCE", 1)
    monkeypatch.setattr(parts, "MOST_ROWS", 300)
    for name in ("a.jsonl", "b.jsonl"):
        table.with_name(name).write_bytes(table.read_bytes())
    code, _, error = run(capsys, "curve", table.with_name("a.jsonl"), table.with_name("b.jsonl"), *COLUMNS)
    assert code == 2
    assert "2 files share groups" in error
    assert "put the rows of a group into one file" in error


def test_files_are_summed_one_by_one_with_the_same_result(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.read_ndjson(table)
    folder = table.with_name("parts")
    folder.mkdir()
    for part in range(3):
        frame[80 * part : 80 * part + 80].write_parquet(folder / f"{part}.parquet")
    expected = run(capsys, "curve", table, *COLUMNS)
    assert run(capsys, "curve", folder, *COLUMNS, "--workers", 2) == expected
    assert run(capsys, "curve", folder, *COLUMNS, "--workers", 1) == expected
    more = ("--rule", "soft_best_of_n", "--strengths", 2, 4, "--temperature", 1)
    assert run(capsys, "curve", folder, *COLUMNS, "--workers", 2, *more) == run(capsys, "curve", table, *COLUMNS, *more)
    code, _, error = run(capsys, "curve", table, *COLUMNS, "--workers", 2)
    assert code == 2
    assert "several files" in error


@pytest.mark.parametrize("module", ["argparse", "numpy"])
def test_ctrl_c_while_libraries_are_imported_is_an_interruption(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    call = [sys.executable, str(ROOT / "quantilizer.py"), "scores", "curve", str(SIMULATED), *COLUMNS]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "quantilizer.py: interrupted\n")


@pytest.mark.parametrize(("verb", "files"), [
    ("curve", ("curve.csv", "curve.json", "curve.png")), ("choose", ("choice.json",)), ("select", ("rows.csv",)),
    ("report", ("report.html", "curve.csv", "curve.json", "curve.png")),
])  # fmt: skip
def test_no_verb_writes_over_what_it_reads(
    verb: str, files: tuple[str, ...], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = table.with_name("read")
    folder.mkdir()
    for name in (files[0], "part.csv"):
        pl.read_ndjson(table).drop("text").write_csv(folder / name)
    columns = ("--proxy", "proxy", "--q", 0.5) if verb == "select" else COLUMNS

    def refusal(source: Path, out: object, *more: str) -> str:
        there = {path: path.is_file() and path.read_bytes() for path in table.parent.rglob("*")}
        code, said, error = run(capsys, verb, source, *columns, "--out", out, *more)
        assert (code, said, len(error.splitlines())) == (2, "", 1)
        assert {path: path.is_file() and path.read_bytes() for path in table.parent.rglob("*")} == there
        return error

    out = folder / "rows.csv" if verb == "select" else folder
    assert f"{folder / files[0]} is the table itself" in refusal(folder / files[0], out, "--force")
    assert "is in the folder that is read" in refusal(folder, folder / "new.csv" if verb == "select" else out)
    last = table.with_name("last")
    (last / files[-1]).mkdir(parents=True)
    other = last / "rows.csv" if verb == "select" else last
    for more in ((), ("--force",)):
        assert f"{last / files[-1]} is a folder" in refusal(table, other, *more)
    assert "too long" in refusal(table, table.with_name("x" * 300))
    assert "too long" in refusal(table, table.with_name("new") / ("x" * 240 + "y" * 30))
    assert "is a file; --out takes" in refusal(table, table / "new")
    assert "is not UTF-8" in refusal(table, os.fsdecode(b"t\xff.csv"))
    if verb == "select":
        assert "is a folder; --out takes the file of the rows" in refusal(table, f"{table.parent}/newdir/")
    else:
        assert "- is standard output" in refusal(table, "-")


@pytest.mark.parametrize("verb", ["curve", "select"])
def test_what_was_written_from_a_table_is_not_read_beside_it(
    verb: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns of curve.csv are named proxy and true, as those of a table may be."""
    folder = table.with_name("folder")
    folder.mkdir()
    pl.read_ndjson(table).drop("text").write_csv(folder / "table.csv")
    columns = ("--proxy", "proxy", "--q", 0.5) if verb == "select" else COLUMNS[:4]
    out = folder / "rows.csv" if verb == "select" else folder
    written = folder / ("rows.csv" if verb == "select" else "curve.csv")
    assert run(capsys, verb, folder / "table.csv", *columns, "--out", out)[0] == 0
    for files in ((folder,), (folder / "table.csv", written)):
        code, said, error = run(capsys, verb, *files, *columns)
        assert (code, said) == (2, "")
        assert f"{written} was written from {folder / 'table.csv'}" in error
    assert run(capsys, verb, written, *columns)[0] == 0
    (folder / "table.csv").rename(table.with_name("table.csv"))
    assert run(capsys, verb, folder, *columns)[0] == 0


def test_rows_on_standard_output_and_provenance_say_what_was_read(
    table: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    words = ["--proxy", "proxy", "--group", "prompt", "--q", "0.25", "--random"]
    assert main(["scores", "select", str(table), *words]) == 0
    expected = capsysbinary.readouterr().out
    assert main(["scores", "select", str(table), *words, "--out", "-"]) == 0
    assert capsysbinary.readouterr().out == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table.read_bytes())))
    assert main(["scores", "select", "-", *words, "--out", "new/rows.jsonl"]) == 0
    said = capsysbinary.readouterr().out.decode()
    assert "provenance: new/rows.jsonl.provenance.json" in " ".join(said.split())
    assert Path("new/rows.jsonl").read_bytes() == expected
    record = json.loads(Path("new/rows.jsonl.provenance.json").read_bytes())
    assert record["sha256"] == {"-": hashlib.sha256(table.read_bytes()).hexdigest()}
    assert record["flags"]["seed"] == 0
    assert sorted(path.name for path in table.parent.iterdir()) == ["new", "table.jsonl"]


@pytest.mark.parametrize("verb", ["curve", "select", "report"])
def test_names_that_no_file_can_have_or_libraries_cannot_take_are_refused(
    verb: str, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    folder = table.with_name("folder")
    folder.mkdir()
    named = os.fsdecode(b"t\xff.jsonl")
    (folder / named).write_bytes(table.read_bytes())
    more = {"curve": (), "select": ("--q", 1), "report": ("--out", "new")}[verb]
    for name, message in (
        ("x" * 300, "File name too long"), (f"folder/{named}", "is not UTF-8; rename it"), ("folder", "is not UTF-8"),
    ):  # fmt: skip
        code, said, error = run(capsys, verb, name, "--proxy", "proxy", *more)
        assert (code, said, len(error.splitlines())) == (2, "", 1)
        assert message in error
    assert not Path("new").exists()


@pytest.mark.parametrize("stream", [False, True])
def test_arrow_is_read_from_standard_input(
    stream: bool, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(capsys, "curve", table, *COLUMNS)
    content = io.BytesIO()
    frame = pl.read_ndjson(table)
    (frame.write_ipc_stream if stream else frame.write_ipc)(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.getvalue())))
    assert run(capsys, "curve", "-", *COLUMNS) == expected


def test_a_cost_that_is_0_in_every_group_is_no_chance(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "choose", table, *COLUMNS, "--n", 1, "--gate")
    assert code == 0
    assert "Gate passed: best of 1 costs 0.000 [0.000, 0.000] of true score, and the tolerance is 0." in " ".join(
        out.split()
    )


def test_json_has_all_that_the_terminal_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row without proxy is left out, the middle ranks have labels, groups are pooled, and costs are bounded."""
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(40, 8))
    ranks = (-proxy).argsort(axis=1).argsort(axis=1)
    true = np.where((ranks >= 2) & (ranks < 6), proxy, np.nan)
    proxy[0, 0] = np.nan
    path = tmp_path / "t.csv"
    columns = {"prompt": np.repeat(np.arange(40), 8), "proxy": proxy.ravel(), "true": true.ravel()}
    frame = pl.DataFrame({**columns, "cost": np.zeros(320)}).with_columns(pl.col("true").fill_nan(None))
    frame.write_csv(path)
    words = ("--drop", "--cost", "cost", "--out", tmp_path / "out", "--force")
    for more, shown in (((), "labels depend on the proxy's rank"), (("--pooled",), "are ranked together")):
        out = " ".join(run(capsys, "curve", path, *COLUMNS, *words, *more)[1].split())
        record = json.loads((tmp_path / "out" / "curve.json").read_text(encoding="utf-8"))["numbers"]
        assert record["rows_dropped"] == 1
        assert any(shown in remark for remark in record["remarks"])
        assert any("left out by --drop" in remark for remark in record["remarks"])
        for remark in record["remarks"]:
            assert remark[1:] in out
        (bounds,) = record["guarantees"].values()
        assert bounds["mean_costs"][0] == 0 < bounds["at_most"][0]
        assert bounds["conditions"][1:] in out
    frame.with_columns(true=pl.col("proxy")).write_csv(path)
    assert run(capsys, "choose", path, *COLUMNS, "--drop", "--out", tmp_path / "choice")[0] == 0
    record = json.loads((tmp_path / "choice" / "choice.json").read_text(encoding="utf-8"))
    assert record["remarks"] == ["1 row left out by --drop"]
