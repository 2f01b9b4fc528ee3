from __future__ import annotations

import doctest
import importlib

import pytest

from support import ROOT

MODULES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in (ROOT / "quantilizers").rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def test_the_public_api_has_examples() -> None:
    assert {"quantilizers", "quantilizers.policies.quantilizer", "quantilizers.evaluation.evaluate"} <= set(MODULES)
    assert {"quantilizers.datasets.demonstrations", "quantilizers.rewards"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_what_they_say(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
