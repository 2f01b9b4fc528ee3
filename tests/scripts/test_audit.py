from __future__ import annotations

import json
from typing import Any

import pytest

from audit import verdict


def report(*libraries: dict[str, Any]) -> str:
    return json.dumps({"dependencies": libraries, "fixes": []})


BAD = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"], "aliases": []}]}
GOOD = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize("text", ["", "no JSON", "[]", report(), report(UNKNOWN)])
def test_without_advisories_it_is_skipped_by_name(text: str) -> None:
    code, said = verdict(text, {})
    assert code == 0
    assert said.startswith("pip-audit: skipped")


def test_a_vulnerability_fails_unless_it_is_accepted() -> None:
    code, said = verdict(report(GOOD, BAD, UNKNOWN), {})
    assert code == 1
    assert "2 of 3 libraries looked up, 1 vulnerabilities, 0 of them accepted" in said
    assert "a 1: CVE-1, fixed in 2" in said
    assert verdict(report(GOOD, BAD), {"CVE-1": "its server is never started here"})[0] == 0
    assert verdict(report(GOOD), {})[0] == 0
