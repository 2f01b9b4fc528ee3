from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quantilizers.errors import MissingError, UserError
from quantilizers.gates.json_files import parse_json, read_json


def test_what_python_writes_is_read(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, "wörter"], "b": {}}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        (tmp_path / "file.json").write_text(text, encoding="utf-8")
        assert read_json(tmp_path / "file.json") == parse_json(text) == value
    assert parse_json("[NaN, Infinity]")[1] == float("inf")
    with pytest.raises(ValueError, match="it holds NaN"):
        parse_json("[NaN]", finite=True)


def test_a_long_list_of_numbers_is_read() -> None:
    numbers = [number / 7 for number in range(300_000)]
    assert parse_json(json.dumps(numbers)) == numbers


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 50_000, "1" * 5000, b"\xff", "\ud800x"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_json(text)
    assert not isinstance(raised.value, UserError)


@pytest.mark.parametrize("part", ["[]", "{}", '{"a":1}', '""', "1.5"])
def test_small_texts_of_many_values_are_refused_before_they_are_made(part: str) -> None:
    """A hundred megabytes of these would take gigabytes."""
    text = f"[{','.join([part] * (2**24 // len(part)))}]"
    with pytest.raises(ValueError, match="of memory"):
        parse_json(text)


def test_pipes_and_missing_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match="not a regular file"):
        read_json(tmp_path / "pipe.json")
    with pytest.raises(MissingError):
        read_json(tmp_path / "none.json")
