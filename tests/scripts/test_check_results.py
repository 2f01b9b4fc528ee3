"""The tables of README.md and docs/results.md, against the files that their numbers come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import check_results
from quantilizers.errors import MissingError, UserError
from quantilizers.studies.report import QUESTIONS
from support import ROOT

PAGES = (*check_results.PAGES, check_results.RESULTS)
RECORD = {"command": ["python", "x"], "data_sha256": "0", "settings": {"acting": "sample"}, "versions": {"numpy": "2"}}


@pytest.fixture(scope="module")
def shipped() -> check_results.Shipped:
    return check_results.Shipped(ROOT / "log")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for page in PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def study_file(folder: Path, name: str = "demo_MountainCar-v0") -> Path:
    """Write a study of two q."""
    arm = {"true_return": -184.17, "true_interval_95": [-189.3, -179.0]}
    other = {"true_return": -150.0, "true_interval_95": [-160.0, -140.0]}
    verdict = {"budget": "epochs", "decision": "supported", "estimate": 34.2, "interval_95": [30.0, 38.4]}
    content = {
        **RECORD,
        "command": ["python", "quantilizer.py", "--log_dir", "/somewhere", "--do", "study"],
        "rows": [
            {"quantile": 1.0, "budget": "epochs", "top": arm, "random": []},
            {"quantile": 0.5, "budget": "epochs", "top": other, "bottom": other, "random": [arm, other]},
        ],
        "verdicts": [{**verdict, "question": QUESTIONS["imitation"]}],
    }
    path = folder / "study" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_tables_agree_with_what_ships(shipped: check_results.Shipped) -> None:
    outcome = check_results.check(ROOT, shipped)
    assert not outcome.differences
    assert outcome.checked > 100
    # Nothing is passed over in silence: every number is compared or named.
    named = [line.split(": ")[1].split() for line in outcome.unchecked]
    columns = [
        cell
        for page in check_results.PAGES
        for table in check_results.tables_of(page, (ROOT / page).read_text(encoding="utf-8"))
        for rule in [next(one for one in check_results.rules(shipped, _nothing()) if one.fits(table))]
        for _, row in table.rows
        for name, cell in row.items()
        if name in table.columns and name not in rule.keys
    ]
    assert outcome.checked + sum(map(len, named)) == sum(len(check_results.printed(cell)) for cell in columns)


def _nothing() -> check_results.Collected:
    return check_results.Collected(ROOT / "nothing.json")


@pytest.mark.parametrize(
    ("page", "old", "new", "message"),
    [
        ("README.md", "|    -140.73 |", "|    -140.83 |", "kept: true: -140.83 is -140.726"),
        ("docs/results.md", "| epochs | 0.5 | 277 |", "| epochs | 0.5 | 278 |", "kept episodes: 278 is"),
        ("docs/results.md", "−134.8 [−137.9, −131.6]", "−134.8 [−137.9, −131.7]", "is -134.751, -137.935, -131.567"),
        ("docs/results.md", "| 341 [135, 547] |", "| 341 |", "1: 341 is 341.479, 135"),
        ("docs/results.md", "| 9.9 [9.3, 10.5] |", "| 1.4 [9.3, 10.5] |", "measured KL: 1.4 [9.3, 10.5] is 9.89903"),
        ("docs/results.md", "| `demo` | 0.5 | 18.7 | 15.1 |", "| `demo` | 0.5 | 18.7 | 15.2 |", "15.2 is 15.0"),
        ("docs/results.md", "−4.9 [−6.3, −3.5] **less**", "−4.9 [−6.3, −3.5] **more**", "is less"),
        ("docs/results.md", "−4.9 [−6.3, −3.5] **less**", "−4.8 [−6.3, −3.5] **less**", "is -4.90935"),
        ("docs/results.md", "Mountain Car, 250 episodes", "Mountain Car, 260 episodes", "is 250"),
    ],
)  # fmt: skip
def test_a_changed_number_is_found(
    root: Path, shipped: check_results.Shipped, page: str, old: str, new: str, message: str
) -> None:
    replace(root / page, old, new)
    line = (root / page).read_text(encoding="utf-8").partition(new)[0].count("\n") + 1
    (found,) = check_results.check(root, shipped).differences
    assert found.startswith(f"{page}:{line}: ")
    assert message in found


def test_a_changed_number_fails_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_results, "check", lambda *_: check_results.Outcome(3, ("a:1: q: 2 is 3",), ("b",)))
    assert check_results.main([]) == 2
    said = capsys.readouterr()
    assert "not checked: b\ndiffers: a:1: q: 2 is 3\n3 numbers agree, 1 cells differ" in said.out
    assert "1 cells of the tables differ" in said.err


def test_a_table_without_a_rule_and_a_rule_without_a_table_are_said(root: Path, shipped: check_results.Shipped) -> None:
    page = root / "docs" / "results.md"
    whole = page.read_text(encoding="utf-8")
    page.write_text(whole + "\n| q | luck |\n|---|--:|\n| 1 | 7 |\n", encoding="utf-8")
    with pytest.raises(UserError, match="no rule finds the numbers of this table"):
        check_results.check(root, shipped)
    page.write_text(whole.replace("## The optimisers", "## Optimisers"), encoding="utf-8")
    with pytest.raises(UserError, match="no rule finds"):
        check_results.check(root, shipped)
    replace(root / "README.md", "| q    | kept", "- q    | kept")
    page.write_text(whole, encoding="utf-8")
    table = (root / "README.md").read_text(encoding="utf-8")
    (root / "README.md").write_text("\n".join(one for one in table.splitlines() if not one.startswith("|")))
    with pytest.raises(UserError, match="has no table below 'Start'"):
        check_results.check(root, shipped)


def test_studies_are_collected_and_compared(root: Path, shipped: check_results.Shipped, tmp_path: Path) -> None:
    log = tmp_path / "log"
    study_file(log)
    results = root / check_results.RESULTS
    before = set(json.loads(results.read_text(encoding="utf-8")))
    assert check_results.collect(log, results) == ["study/demo_MountainCar-v0.json"]
    content = json.loads(results.read_text(encoding="utf-8"))
    assert set(content) == before | {"study/demo_MountainCar-v0.json"}
    found = content["study/demo_MountainCar-v0.json"]
    assert found["command"] == ["python", "quantilizer.py", "--do", "study"]
    assert found["rows"][1]["random"] == pytest.approx([-167.085, -184.17, -150.0])
    assert found["verdicts"][0]["quantile"] == 0.5
    outcome = check_results.check(root, shipped)
    # Of q = 1 it agrees; of q = 0.5 it does not: top, random, bottom and the difference to imitation.
    assert len(outcome.differences) == 4
    assert any("top − imitation: 8.4 [1.4, 15.4] undecided is 34.2, 30, 38.4" in one for one in outcome.differences)
    assert any("question = selection of log/study/demo_MountainCar-v0.json" in one for one in outcome.unchecked)


def test_what_cannot_be_collected_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="has no results"):
        check_results.collect(tmp_path, tmp_path / "results.json")
    path = study_file(tmp_path)
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    with pytest.raises(UserError, match="is damaged"):
        check_results.collect(tmp_path, tmp_path / "results.json")
    (tmp_path / "results.json").write_text("[", encoding="utf-8")
    with pytest.raises(UserError, match="write it again with --collect"):
        check_results.Collected(tmp_path / "results.json").of("study/x.json")


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [("-140.73", -140.726, True), ("-140.7", -140.76, False), ("0", 0.49, True), ("17", 17.6, False)],
)
def test_a_printed_number_is_the_value_rounded(text: str, value: float, same: bool) -> None:
    assert check_results.agree(text, value) is same
