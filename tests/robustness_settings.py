"""Numbers of damaged files, values and kills in tests; environment variables set those of the slow tests."""

from __future__ import annotations

import os
import secrets

from hypothesis import HealthCheck, settings

#: Seed of the slow tests, which print it.
SEED = int(os.environ.get("ROBUSTNESS_SEED", secrets.randbelow(10**6)))
#: Files of each kind in the slow tests, and how long a kind may take; None leaves the number to the kind.
DAMAGED_FILES = int(os.environ.get("DAMAGED_FILES", 0)) or None
MINUTES = float(os.environ.get("DAMAGED_MINUTES", 60))
#: Kills of each environment's runs.
KILLS = int(os.environ.get("KILLS", 17))

#: In the normal tests: some dozens, the same ones every time.
QUICK = settings(
    max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
#: In the slow tests: as many as the test says, other ones every time.
THOROUGH = settings(QUICK, derandomize=False, print_blob=True)
