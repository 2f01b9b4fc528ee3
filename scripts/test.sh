#!/bin/sh
# Check the project: makes .venv, installs the requirements for development, runs the linters, looks for
# unsafe code, undeclared dependencies and known vulnerabilities (the last only with a network), builds the
# documentation's site in docs/_build and runs every test, the files of tests in two processes side by side.
# Arguments go on to pytest, which then works in one process:
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
# In the order of their names the files of a room come one after the other, and those that take long do not come last.
[ $# -gt 0 ] || set -- --numprocesses 2 --dist loadfile --no-loadscope-reorder
exec "$PYTHON" -m pytest "$@"
