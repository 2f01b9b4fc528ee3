"""Numbers of damaged files and values in tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

#: In the normal tests: some dozens, the same ones every time.
QUICK = settings(
    max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
#: In the slow tests: as many as the test says, other ones every time.
THOROUGH = settings(QUICK, derandomize=False, print_blob=True)
