#!/bin/sh
# Check the project: makes .venv, installs the requirements for development, runs the linters, looks for
# unsafe code, undeclared dependencies and known vulnerabilities (the last only with a network), builds the
# documentation's site in docs/_build and runs every test.
# Arguments go on to pytest:
#
#     sh scripts/test.sh [-k demonstrations] [-m slow]
set -eu
. "$(dirname -- "$0")/environment.sh"
ensure_environment requirements-dev.txt
cd "$ROOT"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
"$PYTHON" -m bandit -q -c pyproject.toml -r quantilizer.py quantilizers scripts play
"$PYTHON" -m deptry .
"$PYTHON" scripts/audit.py
"$PYTHON" -m sphinx -q -W --keep-going docs docs/_build
exec "$PYTHON" -m pytest "$@"
