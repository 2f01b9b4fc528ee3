from __future__ import annotations

from quantilizers.execution.sameness import difference, versions_here


def test_versions_and_code_are_compared() -> None:
    here = versions_here()
    assert {"quantilizers", "python", "code", "numpy"} <= set(here)
    assert difference(here, here) == ""
    assert difference({**here, "code": "0"}, here) == f"code of quantilizers 0, not {here['code']}"
    assert difference({**here, "tensorflow": "1.0"}, {**here, "tensorflow": "2.0"}) == "tensorflow 1.0, not 2.0"
    without = {name: version for name, version in here.items() if name != "numpy"}
    assert difference(without, here) == "", "who needs it says that it is missing"
