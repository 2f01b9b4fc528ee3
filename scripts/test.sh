#!/bin/sh
# Check the project: makes .venv, installs the requirements for development, runs the linters and every test.
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
exec "$PYTHON" -m pytest "$@"
