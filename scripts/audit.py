#!/usr/bin/env python3
"""Check the installed libraries for known vulnerabilities with pip-audit; without a network, the check is skipped.

    python scripts/audit.py

Exit codes: 0 for no vulnerability or a skipped check; 1 for a vulnerability that is not in `ACCEPTED`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

#: Vulnerabilities that do not affect this project: id and reason.
ACCEPTED: Mapping[str, str] = {}


def verdict(report: str, accepted: Mapping[str, str]) -> tuple[int, str]:
    """Return the exit code and the message for a report of pip-audit.

    Args:
        report: JSON; anything else means that pip-audit failed.
        accepted: ids of vulnerabilities that do not count, and reasons.
    """
    try:
        libraries = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, "pip-audit: skipped, the advisories are not reachable"
    audited = [library for library in libraries if "skip_reason" not in library]
    if not audited:
        return 0, f"pip-audit: skipped, none of {len(libraries)} libraries could be looked up"
    found = {
        vulnerability["id"]: f"{library['name']} {library['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for library in audited
        for vulnerability in library["vulns"]
    }
    open_ones = [text for name, text in found.items() if name not in accepted]
    known = len(found) - len(open_ones)
    said = f"pip-audit: {len(audited)} of {len(libraries)} libraries looked up, {len(found)} vulnerabilities"
    return int(bool(open_ones)), "\n".join([f"{said}, {known} of them accepted", *open_ones])


def main() -> int:
    """Run the command line; return the exit code."""
    found = 0

    def work() -> None:
        nonlocal found
        Parser("scripts/audit.py", description=__doc__).parse_args()
        command = [sys.executable, "-m", "pip_audit", "--local", "--format", "json", "--progress-spinner", "off"]
        found, said = verdict(subprocess.run(command, capture_output=True, text=True).stdout, ACCEPTED)
        print(said, file=sys.stderr)

    return run_program("scripts/audit.py", work) or found


if __name__ == "__main__":
    sys.exit(main())
