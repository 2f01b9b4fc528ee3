"""Requirements: the lower bounds, the lock, and the Python versions, which several files name."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements-lock.txt").read_text(encoding="utf-8")
SUPPORTED = re.search(r"^SUPPORTED='(.*)'$", (ROOT / "scripts" / "environment.sh").read_text(), re.MULTILINE)[1].split()


def requirements_in(name: str) -> dict[str, list[Requirement]]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found: dict[str, list[Requirement]] = {}
    for line in lines:
        if line and not line.startswith(("#", "-r", " ")):
            requirement = Requirement(line.removesuffix("\\"))
            found.setdefault(requirement.name.lower(), []).append(requirement)
    return found


def test_the_lock_satisfies_the_requirements() -> None:
    """Where it does not, run: sh scripts/lock.sh"""
    locked = requirements_in("requirements-lock.txt")
    for name, wanted in requirements_in("requirements.txt").items():
        for pin in locked[name]:
            version = next(iter(pin.specifier)).version
            assert all(Version(version) in requirement.specifier for requirement in wanted), f"{name} {version}"


def test_every_locked_file_has_a_hash_and_no_place_is_named() -> None:
    pins = re.split(r"\n(?=[A-Za-z])", LOCK)
    assert len(pins) > 50
    for pin in pins[1:]:
        assert re.fullmatch(r"[\w.\-]+==[\w.\-]+( ; .+?)?( \\\n +--hash=sha256:[0-9a-f]{64})+\n?", pin), pin[:200]
    assert "://" not in LOCK
    assert "--index" not in LOCK


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    versions = [tuple(map(int, version.split("."))) for version in SUPPORTED]
    assert versions == sorted(versions, reverse=True)
    assert PROJECT["requires-python"] == f">={SUPPORTED[-1]}"
    prefix = "Programming Language :: Python :: 3."
    named = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith(prefix)}
    assert named == set(SUPPORTED)
    assert f"for Python {SUPPORTED[-1]} to {SUPPORTED[0]}:" in LOCK.splitlines()[0]
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    named = {version for line in re.findall(r"python: \[(.*)\]", workflow) for version in re.findall(r"[\d.]+", line)}
    assert named == set(SUPPORTED)


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-docs.txt", "requirements-bench.txt"]
)
def test_every_requirement_has_a_lower_bound(name: str) -> None:
    for requirements in requirements_in(name).values():
        for requirement in requirements:
            assert [bound.operator for bound in requirement.specifier] == [">="], requirement
