from __future__ import annotations

import platform

import numpy as np

import quantilizers
from quantilizers.versions import versions


def test_versions_are_those_that_are_installed() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["quantilizers"] == quantilizers.__version__
    assert found["numpy"] == np.__version__
    assert "no-such-library" not in found
