"""Small runs of all three environments write the same bits as before: weights, rewards, arms, agents, figures.

Bits depend on the processor and the libraries. On a machine for which `expected/golden.json` has none, the runs must
write the same files with the same arrays; `golden.py` adds a machine.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import golden


@pytest.mark.slow
@pytest.mark.parametrize("environment", golden.RUNS)
def test_the_bits_are_those_of_before(environment: str, tmp_path: Path) -> None:
    known = json.loads(golden.EXPECTED.read_text())
    found = golden.digests(environment, tmp_path)
    assert list(found) == list(known[0]["digests"][environment])
    here = golden.machine()
    for entry in known:
        if entry["machine"] == here:
            assert found == entry["digests"][environment]
